//! `eksconnect deregister`.

use std::process::ExitCode;
use std::sync::Arc;

use super::{listen, previewed};
use crate::cli::{DeregisterArgs, GlobalArgs};
use crate::error::Error;
use crate::output::{Console, DeregisterView, Removal, Where};
use crate::plan::Stop;
use crate::registration::deregister::look::{AccountPorts, ClusterPorts, RemovalPorts};
use crate::registration::deregister::request::Sides;
use crate::registration::deregister::{Job, preview, remove};
use crate::{aws, kubernetes};

pub(super) async fn deregister(
    console: &Console,
    global: &GlobalArgs,
    args: &DeregisterArgs,
) -> Result<ExitCode, Error> {
    let request = args.request()?;
    let (aws_settings, cluster_settings) = (global.aws(), global.cluster());
    let (aws, cluster) = match request.sides {
        Sides::Both => {
            let (aws, cluster) =
                tokio::try_join!(aws::connect(&aws_settings), kubernetes::connect(&cluster_settings))?;
            (Some(aws), Some(cluster))
        }
        Sides::Aws => (Some(aws::connect(&aws_settings).await?), None),
        Sides::Cluster => (None, Some(kubernetes::connect(&cluster_settings).await?)),
    };
    let place = cluster
        .as_ref()
        .map(|cluster| Where { context: cluster.context.clone(), server: cluster.server.clone() });
    let view = Arc::new(DeregisterView::new(console, place, Removal::Deregister));
    let ports =
        RemovalPorts { account: aws.as_ref().map(account_ports), cluster: cluster.map(cluster_ports) };
    if args.dry.dry_run {
        let preview = preview(&ports, Job::Deregister(&request)).await?;
        view.preview(&preview);
        return Ok(previewed(args.dry, preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = remove(&ports, Job::Deregister(&request), &view, &stop).await;
    view.end(ended.is_ok());
    view.deregistered(&ended?);
    Ok(ExitCode::SUCCESS)
}

/// Everything that removing talks to in the account.
pub(super) fn account_ports(aws: &aws::Connected) -> AccountPorts {
    let iam = Arc::new(aws::Iam::new(aws));
    AccountPorts {
        identity: Arc::new(aws::Sts::new(aws)),
        roles: Arc::clone(&iam) as _,
        role_removal: iam,
        registrations: Arc::new(aws::Eks::new(aws)),
        inventory: Arc::new(aws::EksInventory::new(aws)),
        region: aws.region.clone(),
    }
}

/// Everything that removing talks to in the cluster.
pub(super) fn cluster_ports(cluster: kubernetes::Connected) -> ClusterPorts {
    let cluster = Arc::new(kubernetes::KubernetesCluster::new(cluster));
    ClusterPorts { cluster: Arc::clone(&cluster) as _, access: Arc::clone(&cluster) as _, clearing: cluster }
}
