//! `eksconnect explain`.

use clap::Args;

use crate::error::{Code, Error};

const EXAMPLES: &str = "\
Examples:
  # What an error means, and what to do about it
  eksconnect explain EKSC0412
  # The page as a member of a document
  eksconnect explain EKSC0412 -o json";

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The code, for instance EKSC0412
    #[arg(value_name = "CODE")]
    pub code: String,
}

impl ExplainArgs {
    /// The code that is meant.
    ///
    /// # Errors
    /// `EKSC0106` for a code that does not exist.
    pub fn code(&self) -> Result<Code, Error> {
        Code::find(&self.code).ok_or_else(|| {
            Error::usage(Code::UNKNOWN_CODE, format!("there is no error code {:?}", self.code))
                .fix("write it as an error shows it: eksconnect explain EKSC0412")
        })
    }
}
