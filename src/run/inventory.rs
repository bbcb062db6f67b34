//! `list`, `whoami` and `status`: reads only.

use std::process::ExitCode;
use std::sync::Arc;

use tokio::time::sleep;

use crate::cli::{GlobalArgs, ListArgs, StatusArgs, WhoamiArgs};
use crate::error::{Code, Error};
use crate::inventory::list::{ListPorts, list as every};
use crate::inventory::status::{ClusterPorts, StatusPorts, StatusSeen, look};
use crate::inventory::wait::{PAUSE, until_active};
use crate::inventory::whoami::{whereis, whoami as which};
use crate::output::{self, Console, StatusView};
use crate::ports::{Contexts, Identity, Inventory};
use crate::registration::name::ClusterName;
use crate::{aws, kubernetes};

pub(super) async fn list(console: &Console, global: &GlobalArgs, args: &ListArgs) -> Result<ExitCode, Error> {
    let aws = aws::connect(&global.aws()).await?;
    let contexts = if args.no_contexts { None } else { contexts(&global.cluster())? };
    let ports = ListPorts {
        identity: Arc::new(aws::Sts::new(&aws)),
        inventory: Arc::new(aws::EksInventory::new(&aws)),
        contexts: contexts.map(|contexts| -> Arc<dyn Contexts> { Arc::new(contexts) }),
    };
    let listed = every(&ports, args.all_regions).await?;
    output::listed(console, &listed);
    Ok(ExitCode::SUCCESS)
}

/// The contexts of the kubeconfig. Who has none, and names none, has no contexts.
fn contexts(settings: &kubernetes::ClusterSettings) -> Result<Option<kubernetes::KubeContexts>, Error> {
    let named = settings.kubeconfig.is_some() || !settings.from_environment.is_empty();
    match kubernetes::KubeContexts::of(settings) {
        Ok(contexts) => Ok(Some(contexts)),
        Err(error) if error.code == Code::NO_KUBECONFIG && !named => Ok(None),
        Err(error) => Err(error.fix("or look without it: --no-contexts")),
    }
}

pub(super) async fn whoami(
    console: &Console,
    global: &GlobalArgs,
    args: &WhoamiArgs,
) -> Result<ExitCode, Error> {
    let name = args.name()?;
    let aws = aws::connect(&global.aws()).await?;
    let identity: Arc<dyn Identity> = Arc::new(aws::Sts::new(&aws));
    let inventory: Arc<dyn Inventory> = Arc::new(aws::EksInventory::new(&aws));
    let Some(name) = name else {
        let cluster = kubernetes::connect(&global.cluster()).await?;
        let (context, server) = (cluster.context.clone(), cluster.server.clone());
        let survey = kubernetes::KubernetesCluster::new(cluster);
        let found = which(&identity, &inventory, &survey, &context).await?;
        output::is_registration(console, &found, &context, &server);
        return Ok(ExitCode::SUCCESS);
    };
    let contexts = kubernetes::KubeContexts::of(&global.cluster())?;
    let found = whereis(&identity, &inventory, &contexts, name.as_str()).await?;
    output::is_context(console, &found);
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn status(
    console: &Console,
    global: &GlobalArgs,
    args: &StatusArgs,
) -> Result<ExitCode, Error> {
    let name = args.name()?;
    if args.watch && !console.is_watchable() {
        return Err(Error::usage(
            Code::COMMAND_LINE,
            "--watch needs a terminal that can be redrawn, and -o text",
        )
        .fix("in a pipeline wait for a state instead: --wait-for active"));
    }
    let aws = aws::connect(&global.aws()).await?;
    let cluster = match kubernetes::connect(&global.cluster()).await {
        Ok(connected) => Ok(cluster_ports(connected)),
        // With a name there is the account's half to be shown.
        Err(error) if name.is_none() => return Err(error),
        Err(error) => Err(error.message),
    };
    let ports = StatusPorts {
        identity: Arc::new(aws::Sts::new(&aws)),
        inventory: Arc::new(aws::EksInventory::new(&aws)),
        cluster,
    };
    let name = name.as_ref().map(ClusterName::as_str);
    let view = StatusView::new(console, args.watch);
    let seen = if args.wait_for.is_some() {
        until_active(&ports, name, args.wait_timeout, &|seen: &StatusSeen| view.progress(seen)).await
    } else {
        look(&ports, name).await
    };
    let mut seen = seen?;
    if args.watch && args.wait_for.is_none() {
        loop {
            view.progress(&seen);
            sleep(PAUSE).await;
            seen = look(&ports, name).await?;
        }
    }
    view.result(&seen);
    Ok(ExitCode::SUCCESS)
}

fn cluster_ports(connected: kubernetes::Connected) -> ClusterPorts {
    let (context, server) = (connected.context.clone(), connected.server.clone());
    let cluster = Arc::new(kubernetes::KubernetesCluster::new(connected));
    ClusterPorts { context, server, survey: cluster.clone(), cluster: cluster.clone(), access: cluster }
}
