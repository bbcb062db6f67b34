//! `eksconnect list-views`: changes nothing, and needs no AWS.

use std::process::ExitCode;
use std::sync::Arc;

use super::view_ports;
use crate::access::views::look::{AwsPorts, look};
use crate::cli::{GlobalArgs, ListViewsArgs};
use crate::error::Error;
use crate::output::{Console, listed_views};
use crate::{aws, kubernetes};

pub(super) async fn list_views(
    console: &Console,
    global: &GlobalArgs,
    args: &ListViewsArgs,
) -> Result<ExitCode, Error> {
    let request = args.request()?;
    let (aws_settings, cluster_settings) = (global.aws(), global.cluster());
    let (aws, cluster) = tokio::join!(aws::connect(&aws_settings), kubernetes::connect(&cluster_settings));
    let connected = cluster?;
    let (context, server) = (connected.context.clone(), connected.server.clone());
    let aws = aws.map_err(|error| error.message).map(|aws| AwsPorts {
        identity: Arc::new(aws::Sts::new(&aws)),
        principals: Arc::new(aws::IamPrincipals::new(&aws)),
        region: aws.region.clone(),
    });
    let found = look(&view_ports(connected), aws, &request).await?;
    listed_views(console, &found, &context, &server);
    Ok(ExitCode::SUCCESS)
}
