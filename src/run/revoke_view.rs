//! `eksconnect revoke-view`.

use std::process::ExitCode;

use super::access::{access_ports, carry_out, principals};
use crate::access::operation::AccessRequest;
use crate::cli::{DiffRun, GlobalArgs, RevokeViewArgs};
use crate::error::Error;
use crate::output::{AccessView, Console};
use crate::{aws, kubernetes};

pub(super) async fn revoke_view(
    console: &Console,
    global: &GlobalArgs,
    args: &RevokeViewArgs,
) -> Result<ExitCode, Error> {
    let mut request = args.request()?;
    let choices = args.principals.choices()?;
    let (aws_settings, cluster_settings) = (global.aws(), global.cluster());
    let (aws, cluster) =
        tokio::try_join!(aws::connect(&aws_settings), kubernetes::connect(&cluster_settings))?;
    request.principals = principals(console, &choices, &aws).await?;
    let view = AccessView::new(console, &request.principals, true, &cluster.context, &cluster.server);
    let ports = access_ports(&aws, cluster);
    // What is taken away is shown whole.
    let dry = DiffRun { run: args.dry, diff: false };
    carry_out(&ports, AccessRequest::Revoke(&request), view, dry).await
}
