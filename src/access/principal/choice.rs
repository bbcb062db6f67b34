//! How principals are named on a command line.

use super::read::{Given, read};
use super::unusable::shown;
use crate::error::Error;

/// One way to name a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// By what somebody wrote.
    Written {
        /// As it was written.
        text: String,
        /// What it was read as.
        given: Given,
    },
    /// By a message that is about it.
    Message(Given),
    /// Whoever the AWS credentials are.
    Caller,
    /// As the role that IAM Identity Center made in this account for a permission set of that name.
    PermissionSet(String),
}

/// What people write for themselves.
const CALLER: &str = "self";

impl Choice {
    /// A principal as `--principal` names it: an ARN or `self`.
    ///
    /// # Errors
    /// It is no principal that can be granted to: `EKSC0601` to `EKSC0606`, `EKSC0608`.
    pub fn written(text: &str) -> Result<Self, Error> {
        if text == CALLER {
            return Ok(Self::Caller);
        }
        let given = read(text).map_err(|why| why.error(&format!("\"{}\"", shown(text))))?;
        Ok(Self::Written { text: text.trim().to_owned(), given })
    }

    /// Whether AWS must be asked who that is.
    pub fn needs_aws(&self) -> bool {
        match self {
            Self::Caller | Self::PermissionSet(_) => true,
            Self::Written { .. } | Self::Message(_) => false,
        }
    }
}
