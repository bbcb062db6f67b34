//! `eksconnect upgrade`.

use std::process::ExitCode;
use std::sync::Arc;

use super::{listen, previewed, register_ports};
use crate::cli::{GlobalArgs, UpgradeArgs};
use crate::error::Error;
use crate::output::{Console, RegisterView};
use crate::plan::Stop;
use crate::ports::Access;
use crate::registration::upgrade::{preview, upgrade as bring};
use crate::{aws, kubernetes};

pub(super) async fn upgrade(
    console: &Console,
    global: &GlobalArgs,
    args: &UpgradeArgs,
) -> Result<ExitCode, Error> {
    let request = args.request()?;
    let (aws_settings, cluster_settings) = (global.aws(), global.cluster());
    let (aws, cluster) =
        tokio::try_join!(aws::connect(&aws_settings), kubernetes::connect(&cluster_settings))?;
    let view = Arc::new(RegisterView::of_upgrade(console, &request, &cluster.context, &cluster.server));
    let access: Arc<dyn Access> = Arc::new(kubernetes::KubernetesCluster::new(cluster.clone()));
    let ports = register_ports(&aws, cluster);
    if args.dry.run.dry_run {
        let preview = preview(&ports, &request).await?;
        view.upgrade_preview(&preview, args.dry.diff);
        return Ok(previewed(args.dry.run, preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = Box::pin(bring(&ports, &access, &request, &view, &stop)).await;
    view.end(ended.is_ok());
    view.upgraded(&ended?);
    Ok(ExitCode::SUCCESS)
}
