//! Which registration a cluster is, and which context of the kubeconfig a registration is.

use std::sync::Arc;

use super::contexts::{ContextSeen, contexts_of, survey};
use super::identity::{ClusterIdentity, ConnectorSeen, Link, link};
use crate::error::{Code, Error};
use crate::ports::{Contexts, Identity, Inventory, Survey};
use crate::registration::observe::failing;
use crate::registration::observed::{Caller, Registration};
use crate::registration::place::{in_namespace, in_region};

/// Which registration a cluster is.
#[derive(Clone, Debug)]
pub struct Whoami {
    /// Who asked.
    pub caller: Caller,
    /// What the cluster says.
    pub cluster: ClusterIdentity,
    /// Its registration.
    pub registration: Registration,
    /// The registration's Region.
    pub region: String,
    /// The Region in use.
    pub here: String,
    /// What ties the two.
    pub link: Link,
}

/// Which contexts a registration is.
#[derive(Clone, Debug)]
pub struct Whereis {
    /// Who asked.
    pub caller: Caller,
    /// The registration.
    pub registration: Registration,
    /// Its Region.
    pub region: String,
    /// The contexts that are its cluster.
    pub found: Vec<(String, bool, Link)>,
    /// The contexts that could not be asked, each with why.
    pub silent: Vec<(String, String)>,
}

/// Finds the registration of a cluster.
///
/// # Errors
/// The cluster or AWS cannot be asked; the cluster is not connected.
pub async fn whoami(
    identity: &Arc<dyn Identity>,
    inventory: &Arc<dyn Inventory>,
    cluster: &dyn Survey,
    context: &str,
) -> Result<Whoami, Error> {
    let (caller, cluster) = tokio::try_join!(
        failing("find out who is calling AWS", identity.caller()),
        failing("find out what the cluster is", cluster.identity()),
    )?;
    match find(inventory.as_ref(), &caller, &cluster).await? {
        Some((region, registration, link)) => {
            let here = inventory.here().to_owned();
            Ok(Whoami { caller, cluster, registration, region, here, link })
        }
        None => Err(not_connected(inventory.here(), &caller, &cluster, context)),
    }
}

/// The registration of a cluster: where its namespaces say, where its agents are told to look, and else in the Region in
/// use.
///
/// # Errors
/// AWS cannot be asked.
pub async fn find(
    inventory: &dyn Inventory,
    caller: &Caller,
    cluster: &ClusterIdentity,
) -> Result<Option<(String, Registration, Link)>, Error> {
    for connector in &cluster.connectors {
        let Some((account, name)) = connector.claimed() else { continue };
        let region = connector.region().unwrap_or_else(|| inventory.here());
        if account != caller.account {
            continue;
        }
        let asking = format!("read the registration {name} in {region}");
        if let Some(registration) = failing(asking, inventory.one(region, name)).await?
            && let Some(link) = link(&registration, cluster)
        {
            return Ok(Some((region.to_owned(), registration, link)));
        }
    }
    let mut regions: Vec<&str> = cluster.connectors.iter().filter_map(ConnectorSeen::region).collect();
    regions.push(inventory.here());
    regions.sort_unstable();
    regions.dedup();
    for region in regions {
        let asking = format!("list the connected clusters of {region}");
        let registrations = failing(asking, inventory.of_region(region)).await?;
        let tied = |registration: Registration| link(&registration, cluster).map(|link| (registration, link));
        if let Some((registration, link)) = registrations.into_iter().find_map(tied) {
            return Ok(Some((region.to_owned(), registration, link)));
        }
    }
    Ok(None)
}

/// Why a cluster is no registration.
pub(super) fn not_connected(here: &str, caller: &Caller, cluster: &ClusterIdentity, context: &str) -> Error {
    let error =
        Error::failed(Code::NOT_CONNECTED, format!("the cluster of context {context} is not connected"));
    let Some(connector) = cluster.connectors.first() else {
        return error
            .cause(format!(
                "it has no connector, and no registration of account {} in {here} has its UID",
                caller.account
            ))
            .fix("eksconnect register --name NAME connects it; if it is registered in another Region, name that with --region");
    };
    let namespace = &connector.namespace;
    match (connector.claimed(), &connector.mark) {
        (Some((account, name)), Some(mark)) if account != caller.account => error
            .cause(format!(
                "namespace {namespace} says that it is {name} in account {account} ({}); these credentials are of \
                 account {}",
                mark.cluster_arn, caller.account
            ))
            .fix(format!("ask with credentials of account {account}: --profile")),
        (Some((_, name)), Some(mark)) => error
            .cause(format!(
                "namespace {namespace} says that it is {}, and there is no such registration any more",
                mark.cluster_arn
            ))
            .fix(format!(
                "eksconnect register --name {name} --renew{}{} connects it again",
                in_namespace(namespace),
                in_region(connector.region().unwrap_or(here), here)
            )),
        _ => error
            .cause(format!(
                "it has a connector in namespace {namespace}, whose activation belongs to no registration of account \
                 {} that can be seen",
                caller.account
            ))
            .fix("ask with the account and the Region that it was registered in: --profile, --region"),
    }
}

/// Finds the contexts of a registration.
///
/// # Errors
/// AWS cannot be asked; there is no such registration; no context is its cluster.
pub async fn whereis(
    identity: &Arc<dyn Identity>,
    inventory: &Arc<dyn Inventory>,
    contexts: &dyn Contexts,
    name: &str,
) -> Result<Whereis, Error> {
    let region = inventory.here().to_owned();
    let (answers, seen) = tokio::join!(
        async {
            tokio::try_join!(
                failing("find out who is calling AWS", identity.caller()),
                failing(format!("read the registration {name}"), inventory.one(&region, name)),
            )
        },
        survey(contexts),
    );
    let (caller, registration) = answers?;
    let registration = registration.ok_or_else(|| no_registration(name, &region, &caller, None))?;
    let found: Vec<(String, bool, Link)> = contexts_of(&registration, &seen)
        .into_iter()
        .map(|(context, link)| (context.name.clone(), context.current, link))
        .collect();
    let silent = silent(&seen);
    if found.is_empty() {
        return Err(no_context(name, &seen, &silent));
    }
    Ok(Whereis { caller, registration, region, found, silent })
}

/// The contexts that could not be asked, each with why.
pub fn silent(contexts: &[ContextSeen]) -> Vec<(String, String)> {
    let silent = |context: &ContextSeen| {
        let why = context.seen.as_ref().err()?;
        Some((context.name.clone(), why.clone()))
    };
    contexts.iter().filter_map(silent).collect()
}

/// There is no registration of that name; what the cluster says about where one is.
pub(super) fn no_registration(
    name: &str,
    region: &str,
    caller: &Caller,
    cluster: Option<&ClusterIdentity>,
) -> Error {
    let error = Error::failed(Code::NO_REGISTRATION, format!("there is no registration {name} in {region}"));
    let none = format!("account {} has none of that name there", caller.account);
    let mut connectors = cluster.iter().flat_map(|cluster| &cluster.connectors);
    let elsewhere = connectors.find(|it| it.claimed().is_some_and(|(_, claimed)| claimed == name));
    match elsewhere.and_then(|connector| connector.mark.as_ref()) {
        Some(mark) => error
            .cause(format!("{none}; the cluster says that it is {}", mark.cluster_arn))
            .fix("ask in that account and Region: --profile, --region"),
        None => error.cause(none).fix("eksconnect list --all-regions shows those that there are"),
    }
}

fn no_context(name: &str, contexts: &[ContextSeen], silent: &[(String, String)]) -> Error {
    let error = Error::failed(
        Code::NO_MATCHING_CONTEXT,
        format!("no context of the kubeconfig is the cluster of {name}"),
    );
    let asked = contexts.len() - silent.len();
    let contexts = if asked == 1 { "context was" } else { "contexts were" };
    let mut cause = format!("{asked} {contexts} asked");
    for (context, why) in silent {
        cause.push_str(&format!("\n{context} could not be asked: {why}"));
    }
    error.cause(cause).fix("name another kubeconfig with --kubeconfig or KUBECONFIG")
}
