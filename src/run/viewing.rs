//! What `verify-view` and `view` have in common: whose view it is.

use std::sync::Arc;

use crate::access::principal::{Choice, Principal, Sources, resolve};
use crate::aws;
use crate::cli::GlobalArgs;
use crate::error::{Code, Error};
use crate::output::Console;

/// The one principal that is meant, said wherever it was not written so. AWS is asked only where nobody else knows.
pub(super) async fn viewer(
    console: &Console,
    global: &GlobalArgs,
    choices: &[Choice],
) -> Result<Principal, Error> {
    let sources = if choices.iter().any(Choice::needs_aws) {
        let aws = aws::connect(&global.aws()).await?;
        Some(Sources {
            identity: Arc::new(aws::Sts::new(&aws)),
            principals: Arc::new(aws::IamPrincipals::new(&aws)),
        })
    } else {
        None
    };
    // That nobody sits here matters to those who grant, and not to those who look.
    let mut resolution = resolve(choices, sources.as_ref(), true).await?;
    match (resolution.principals.pop(), resolution.principals.is_empty()) {
        (Some(one), true) => {
            console.principals(std::slice::from_ref(&one));
            Ok(one.principal)
        }
        _ => Err(Error::usage(Code::INVALID_PRINCIPAL, "more than one principal was named")
            .cause("each sees the cluster in its own way, so that one is looked at at a time")
            .fix("name one, and run the command again for each of the others")),
    }
}
