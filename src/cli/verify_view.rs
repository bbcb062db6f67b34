//! `eksconnect verify-view`.

use clap::Args;

use super::viewing::ViewingArgs;
use crate::access::principal::{Choice, Principal};
use crate::access::verify::VerifyRequest;
use crate::error::Error;

const EXAMPLES: &str = "\
Examples:
  # Can this role view the cluster, and nothing else?
  eksconnect verify-view --principal arn:aws:iam::111122223333:role/Viewer
  # In one namespace
  eksconnect verify-view --principal arn:aws:iam::111122223333:role/Viewer \\
    --namespace-scope web
  # As a document
  eksconnect verify-view --principal arn:aws:iam::111122223333:user/ana -o json

Nothing is changed. Exit code 6 if the principal lacks something; the command that mends it is printed.";

/// Arguments of `verify-view`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct VerifyViewArgs {
    #[command(flatten)]
    viewing: ViewingArgs,
}

impl VerifyViewArgs {
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
    pub fn request(&self) -> Result<impl FnOnce(Principal) -> VerifyRequest + use<>, Error> {
        let (namespace, scope) = (self.viewing.namespace()?, self.viewing.scope()?);
        Ok(move |principal| VerifyRequest { principal, namespace, scope })
    }
}
