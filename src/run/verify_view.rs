//! `eksconnect verify-view`: changes nothing.

use std::process::ExitCode;

use super::viewing::viewer;
use super::{FINDINGS, view_ports};
use crate::access::verify::verify;
use crate::cli::{GlobalArgs, VerifyViewArgs};
use crate::error::Error;
use crate::kubernetes;
use crate::output::{Console, verified_view};

pub(super) async fn verify_view(
    console: &Console,
    global: &GlobalArgs,
    args: &VerifyViewArgs,
) -> Result<ExitCode, Error> {
    let (choices, request) = (args.choices()?, args.request()?);
    let cluster = global.cluster();
    let (principal, connected) =
        tokio::try_join!(viewer(console, global, &choices), kubernetes::connect(&cluster))?;
    let request = request(principal);
    let (context, server) = (connected.context.clone(), connected.server.clone());
    let found = verify(&view_ports(connected), &request).await?;
    verified_view(console, &found, &context, &server);
    Ok(if found.is_complete() { ExitCode::SUCCESS } else { ExitCode::from(FINDINGS) })
}
