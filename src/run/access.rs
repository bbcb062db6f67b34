//! What `grant-view` and `revoke-view` have in common.

use std::process::ExitCode;
use std::sync::Arc;

use super::{listen, previewed};
use crate::access::observe::AccessPorts;
use crate::access::operation::{AccessRequest, execute, preview};
use crate::access::principal::{Choice, Principal, Sources, resolve};
use crate::cli::DiffRun;
use crate::error::{Code, Error};
use crate::output::{AccessView, Console};
use crate::plan::Stop;
use crate::{aws, kubernetes};

/// Everything that granting and revoking talk to.
pub(super) fn access_ports(aws: &aws::Connected, cluster: kubernetes::Connected) -> AccessPorts {
    let cluster = Arc::new(kubernetes::KubernetesCluster::new(cluster));
    AccessPorts {
        identity: Arc::new(aws::Sts::new(aws)),
        principals: Arc::new(aws::IamPrincipals::new(aws)),
        access: Arc::clone(&cluster) as _,
        cluster,
        region: aws.region.clone(),
    }
}

/// Who is meant, said wherever it was not written so.
pub(super) async fn principals(
    console: &Console,
    choices: &[Choice],
    aws: &aws::Connected,
) -> Result<Vec<Principal>, Error> {
    // Where nobody has to be looked up, no round trip is spent on it.
    let sources = choices.iter().any(Choice::needs_aws).then(|| Sources {
        identity: Arc::new(aws::Sts::new(aws)),
        principals: Arc::new(aws::IamPrincipals::new(aws)),
    });
    let mut resolution = resolve(choices, sources.as_ref(), console.is_attended()).await?;
    for resolved in &mut resolution.principals {
        // The plan says that of everybody, however they were named.
        resolved.warnings.retain(|warning| warning.code != Code::FOREIGN_ACCOUNT);
    }
    console.principals(&resolution.principals);
    Ok(resolution.principals.into_iter().map(|resolved| resolved.principal).collect())
}

/// Shows the plan, or executes it.
pub(super) async fn carry_out(
    ports: &AccessPorts,
    request: AccessRequest<'_>,
    view: AccessView,
    dry: DiffRun,
) -> Result<ExitCode, Error> {
    if dry.run.dry_run {
        let preview = preview(ports, request).await?;
        view.preview(&preview, dry.diff);
        return Ok(previewed(dry.run, preview.plan.changes_something()));
    }
    let view = Arc::new(view);
    let stop = Stop::default();
    listen(&stop, &view)?;
    let ended = execute(ports, request, &view, &stop).await;
    view.end(ended.is_ok());
    view.done(&ended?);
    Ok(ExitCode::SUCCESS)
}
