//! `eksconnect view`.

use std::path::PathBuf;

use clap::Args;

use super::global::OUTPUT;
use super::viewing::ViewingArgs;
use crate::access::picture::take::ViewRequest;
use crate::access::principal::{Choice, Principal};
use crate::error::Error;

const EXAMPLES: &str = "\
Examples:
  # What this role sees in the console
  eksconnect view --principal arn:aws:iam::111122223333:role/Viewer
  # In one namespace
  eksconnect view --principal arn:aws:iam::111122223333:role/Viewer \\
    --namespace-scope web
  # As a page to pass on
  eksconnect view --principal arn:aws:iam::111122223333:role/Viewer \\
    --html viewer.html

Everything is read as the connector reads it, in the principal's name. Nothing is changed.";

/// Arguments of `view`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ViewArgs {
    #[command(flatten)]
    viewing: ViewingArgs,
    /// Show at most so many rows of each kind, those in trouble first of all; 0 for all that are read
    #[arg(long, value_name = "ROWS", default_value_t = 100, help_heading = OUTPUT)]
    limit: usize,
    /// Write a page into this file instead, which needs nothing else
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub html: Option<PathBuf>,
    /// Overwrite that file if it exists
    #[arg(long, requires = "html", help_heading = OUTPUT)]
    pub force: bool,
}

impl ViewArgs {
    /// Whose view.
    ///
    /// # Errors
    /// What is wrong with the first option that names somebody.
    pub fn choices(&self) -> Result<Vec<Choice>, Error> {
        self.viewing.choices()
    }

    /// The request, which lacks nothing but the principal.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self) -> Result<impl FnOnce(Principal) -> ViewRequest + use<>, Error> {
        let (namespace, scope) = (self.viewing.namespace()?, self.viewing.scope()?);
        let limit = (self.limit > 0).then_some(self.limit);
        Ok(move |principal| ViewRequest { principal, namespace, scope, limit })
    }
}
