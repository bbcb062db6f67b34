//! `eksconnect grant-view`.

use std::process::ExitCode;

use super::access::{access_ports, carry_out, principals};
use crate::access::operation::AccessRequest;
use crate::cli::{GlobalArgs, GrantViewArgs};
use crate::error::Error;
use crate::output::{AccessView, Console};
use crate::{aws, kubernetes};

pub(super) async fn grant_view(
    console: &Console,
    global: &GlobalArgs,
    args: &GrantViewArgs,
) -> Result<ExitCode, Error> {
    let mut request = args.request()?;
    let choices = args.principals.choices()?;
    let (aws_settings, cluster_settings) = (global.aws(), global.cluster());
    let (aws, cluster) =
        tokio::try_join!(aws::connect(&aws_settings), kubernetes::connect(&cluster_settings))?;
    request.principals = principals(console, &choices, &aws).await?;
    let view = AccessView::new(console, &request.principals, false, &cluster.context, &cluster.server);
    let ports = access_ports(&aws, cluster);
    carry_out(&ports, AccessRequest::Grant(&request), view, args.dry).await
}
