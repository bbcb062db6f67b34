//! `eksconnect gc`.

use std::process::ExitCode;
use std::sync::Arc;

use super::deregister::{account_ports, cluster_ports};
use super::{listen, previewed};
use crate::cli::{GcArgs, GlobalArgs};
use crate::error::Error;
use crate::output::{Console, DeregisterView, Removal, Where};
use crate::plan::Stop;
use crate::registration::deregister::look::RemovalPorts;
use crate::registration::deregister::request::Sides;
use crate::registration::deregister::{Job, preview, remove};
use crate::{aws, kubernetes};

pub(super) async fn gc(console: &Console, global: &GlobalArgs, args: &GcArgs) -> Result<ExitCode, Error> {
    let (request, sides) = args.request()?;
    let (aws_settings, cluster_settings) = (global.aws(), global.cluster());
    let (aws, cluster) = match sides {
        Sides::Aws => (aws::connect(&aws_settings).await?, None),
        Sides::Both | Sides::Cluster => {
            let (aws, cluster) =
                tokio::try_join!(aws::connect(&aws_settings), kubernetes::connect(&cluster_settings))?;
            (aws, Some(cluster))
        }
    };
    let place = cluster
        .as_ref()
        .map(|cluster| Where { context: cluster.context.clone(), server: cluster.server.clone() });
    let view = Arc::new(DeregisterView::new(console, place, Removal::Collect));
    let ports = RemovalPorts { account: Some(account_ports(&aws)), cluster: cluster.map(cluster_ports) };
    if args.dry.dry_run {
        let preview = preview(&ports, Job::Collect(&request)).await?;
        view.preview(&preview);
        return Ok(previewed(args.dry, preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = remove(&ports, Job::Collect(&request), &view, &stop).await;
    view.end(ended.is_ok());
    view.deregistered(&ended?);
    Ok(ExitCode::SUCCESS)
}
