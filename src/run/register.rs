//! `eksconnect register`, whole or one half.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::access::{access_ports, principals};
use super::{listen, previewed, register_ports};
use crate::access::principal::Choice;
use crate::access::request::GrantRequest;
use crate::activation_file::OutFile;
use crate::cli::{GlobalArgs, RegisterArgs, Request};
use crate::error::Error;
use crate::output::{Console, HalfView, RegisterView};
use crate::plan::Stop;
use crate::ports::Cluster;
use crate::registration::grants::Granting;
use crate::registration::halves;
use crate::registration::halves::account::{AccountPorts, register_account};
use crate::registration::halves::account_plan::AccountRequest;
use crate::registration::halves::cluster::{ClusterRequest, register_cluster};
use crate::registration::register::{preview, register as register_whole};
use crate::registration::request::RegisterRequest;
use crate::{aws, kubernetes};

pub(super) async fn register(
    console: &Console,
    global: &GlobalArgs,
    args: &RegisterArgs,
) -> Result<ExitCode, Error> {
    let request = match args.request(global.region.as_deref())? {
        Request::Whole(request) => request,
        Request::Account { request, out } => {
            return run_account_half(console, global, args, &request, &out).await;
        }
        Request::Cluster(request) => return run_cluster_half(console, global, args, &request).await,
    };
    let viewers = args.viewers()?;
    let (aws_settings, cluster_settings) = (global.aws(), global.cluster());
    let (aws, cluster) =
        tokio::try_join!(aws::connect(&aws_settings), kubernetes::connect(&cluster_settings))?;
    let view = Arc::new(RegisterView::new(console, &request, &cluster.context, &cluster.server));
    let granting = granting(console, &viewers, &request, &aws, &cluster).await?;
    let ports = register_ports(&aws, cluster);
    if args.dry.run.dry_run {
        let preview = preview(&ports, &request, granting.as_ref()).await?;
        view.preview(&preview, args.dry.diff);
        return Ok(previewed(args.dry.run, preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = register_whole(&ports, &request, granting.as_ref(), &view, &stop).await;
    view.end(ended.is_ok());
    view.registered(&ended?);
    Ok(ExitCode::SUCCESS)
}

/// Whom to let view, if anybody.
async fn granting(
    console: &Console,
    viewers: &[Choice],
    request: &RegisterRequest,
    aws: &aws::Connected,
    cluster: &kubernetes::Connected,
) -> Result<Option<Granting>, Error> {
    if viewers.is_empty() {
        return Ok(None);
    }
    let request = GrantRequest {
        principals: principals(console, viewers, aws).await?,
        namespace: request.namespace.clone(),
        name: Some(request.name.to_string()),
        ..GrantRequest::default()
    };
    Ok(Some(Granting { request, ports: access_ports(aws, cluster.clone()) }))
}

async fn run_account_half(
    console: &Console,
    global: &GlobalArgs,
    args: &RegisterArgs,
    request: &AccountRequest,
    out: &Path,
) -> Result<ExitCode, Error> {
    let file = Arc::new(OutFile::new(out)?);
    let aws = aws::connect(&global.aws()).await?;
    let view = Arc::new(HalfView::of_account(console, request));
    let ports = AccountPorts {
        identity: Arc::new(aws::Sts::new(&aws)),
        roles: Arc::new(aws::Iam::new(&aws)),
        registrations: Arc::new(aws::Eks::new(&aws)),
        file,
        region: aws.region.clone(),
    };
    if args.dry.run.dry_run {
        let preview = halves::account::preview(&ports, request).await?;
        view.account_preview(&preview, args.dry.diff);
        return Ok(previewed(args.dry.run, preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = register_account(&ports, request, &view, &stop).await;
    view.end(ended.is_ok());
    view.account_done(&ended?);
    Ok(ExitCode::SUCCESS)
}

async fn run_cluster_half(
    console: &Console,
    global: &GlobalArgs,
    args: &RegisterArgs,
    request: &ClusterRequest,
) -> Result<ExitCode, Error> {
    let connected = kubernetes::connect(&global.cluster()).await?;
    let view = Arc::new(HalfView::of_cluster(console, request, &connected.context, &connected.server));
    let cluster: Arc<dyn Cluster> = Arc::new(kubernetes::KubernetesCluster::new(connected));
    if args.dry.run.dry_run {
        let seen = halves::cluster::preview(&cluster, request).await?;
        view.cluster_preview(&seen, args.dry.diff);
        return Ok(previewed(args.dry.run, seen.preview.changes_something()));
    }
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = register_cluster(&cluster, request, &view, &stop).await;
    view.end(ended.is_ok());
    view.cluster_done(&ended?);
    Ok(ExitCode::SUCCESS)
}
