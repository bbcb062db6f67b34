//! Which registration is meant, and whether it is this cluster's.

use super::request::DeregisterRequest;
use super::seen::{AccountSeen, ClusterSeen, Seen};
use crate::error::{Code, Error};
use crate::registration::desired::cluster_arn;
use crate::registration::observed::Registration;
use crate::registration::proof::{Proof, prove_by};

/// What is to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The registration's name, as far as it is known.
    pub name: Option<String>,
    /// Its ARN, as far as it is known.
    pub arn: Option<String>,
    /// The registration; `None` if it is gone, or the account is not worked on.
    pub registration: Option<Registration>,
    /// Whether the connector that stands in the cluster is this registration's, whoever made it.
    pub theirs: bool,
}

/// Decides. `None`: there is nothing anywhere.
///
/// # Errors
/// What is there is another cluster's or another registration's.
pub fn target(request: &DeregisterRequest, seen: &Seen) -> Result<Option<Target>, Error> {
    match (&seen.account, &seen.cluster) {
        (Some(account), Some(cluster)) => of_both(request, account, cluster),
        (Some(account), None) => of_account(account),
        (None, Some(cluster)) => of_cluster(request, cluster),
        (None, None) => Ok(None),
    }
}

fn name_in(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or_default()
}

fn of_account(account: &AccountSeen) -> Result<Option<Target>, Error> {
    let Some(registration) = &account.named else { return Ok(None) };
    refuse_own_cluster(registration)?;
    Ok(Some(known(registration, false)))
}

fn known(registration: &Registration, theirs: bool) -> Target {
    Target {
        name: Some(registration.name.clone()),
        arn: Some(registration.arn.clone()),
        registration: Some(registration.clone()),
        theirs,
    }
}

fn of_cluster(request: &DeregisterRequest, cluster: &ClusterSeen) -> Result<Option<Target>, Error> {
    let told = cluster.told_arn();
    if let (Some(name), Some(told)) = (&request.name, told)
        && name_in(told) != name.as_str()
    {
        return Err(Error::refused(Code::NOT_THIS_CLUSTER, format!("this cluster is not {name}"))
            .cause(format!("namespace {} says that it belongs to {told}", cluster.namespace))
            .fix(format!(
                "check --context; or leave --name out to remove what belongs to {}",
                name_in(told)
            )));
    }
    if !has_anything(cluster) {
        return Ok(None);
    }
    let name =
        request.name.as_ref().map(ToString::to_string).or_else(|| told.map(|arn| name_in(arn).to_owned()));
    Ok(Some(Target { name, arn: told.map(str::to_owned), registration: None, theirs: true }))
}

fn of_both(
    request: &DeregisterRequest,
    account: &AccountSeen,
    cluster: &ClusterSeen,
) -> Result<Option<Target>, Error> {
    let told = cluster.told_arn();
    let wanted = request
        .name
        .as_ref()
        .map(|name| cluster_arn(&account.region, &account.caller.account, name.as_str()));
    match &wanted {
        Some(arn) => named(arn, request, account, cluster),
        None => match told {
            Some(arn) if is_here(arn, account) => named(arn, request, account, cluster),
            Some(arn) => Err(elsewhere(arn, account, cluster)),
            None => found(request, account, cluster),
        },
    }
}

fn is_here(arn: &str, account: &AccountSeen) -> bool {
    arn == cluster_arn(&account.region, &account.caller.account, name_in(arn))
}

/// The name is known, from the command line or from the cluster.
fn named(
    arn: &str,
    request: &DeregisterRequest,
    account: &AccountSeen,
    cluster: &ClusterSeen,
) -> Result<Option<Target>, Error> {
    let told = cluster.told_arn();
    let name = name_in(arn);
    let Some(registration) = &account.named else {
        return match told {
            // It is gone already, as after a run that did not end: what is left of it goes too.
            Some(told) if told == arn => Ok(Some(Target {
                name: Some(name.to_owned()),
                arn: Some(arn.to_owned()),
                registration: None,
                theirs: true,
            })),
            Some(told) if !is_here(told, account) => Err(elsewhere(told, account, cluster)),
            Some(told) => Err(Error::refused(
                Code::NOT_THIS_CLUSTER,
                format!("there is no registration {name}, and this cluster belongs to another one"),
            )
            .cause(format!("namespace {} says that it belongs to {told}", cluster.namespace))
            .fix(format!("use --name {}, or check --context", name_in(told)))),
            None if cluster.installed.is_some() => Err(not_looked_for(name, account, cluster)),
            None => Ok(None),
        };
    };
    refuse_own_cluster(registration)?;
    let proof = prove_by(registration, &cluster.evidence());
    if !proof.is_proven() {
        return Err(another_clusters(registration, &proof, cluster));
    }
    refuse_other_connector(registration, &proof, request, cluster)?;
    Ok(Some(known(registration, is_its_connector(registration, cluster))))
}

/// No name is known: the registration is looked for by what proves it.
fn found(
    request: &DeregisterRequest,
    account: &AccountSeen,
    cluster: &ClusterSeen,
) -> Result<Option<Target>, Error> {
    let evidence = cluster.evidence();
    let proven = |strong: bool| {
        let mut proven = account.all.iter().filter(|it| match prove_by(it, &evidence) {
            Proof::Activation => strong,
            Proof::UidTag | Proof::Intent => !strong,
            Proof::OtherCluster { .. } | Proof::Nothing => false,
        });
        (proven.next(), proven.next())
    };
    let first = match proven(true) {
        (None, _) => proven(false),
        found => found,
    };
    match first {
        (Some(registration), None) => {
            refuse_other_connector(registration, &prove_by(registration, &evidence), request, cluster)?;
            Ok(Some(known(registration, is_its_connector(registration, cluster))))
        }
        (Some(one), Some(other)) => Err(Error::refused(
            Code::NOT_THIS_CLUSTER,
            "several registrations say that they are this cluster's",
        )
        .cause(format!("{} and {}", one.name, other.name))
        .fix("name the one that you mean with --name")),
        (None, _) if cluster.installed.is_some() => Err(unknown_connector(account, cluster)),
        (None, _) => Ok(None),
    }
}

/// Where only the cluster is proven to be the registration's, the connector that is meant may be another one's, or stand
/// in another namespace.
fn refuse_other_connector(
    registration: &Registration,
    proof: &Proof,
    request: &DeregisterRequest,
    cluster: &ClusterSeen,
) -> Result<(), Error> {
    let told = cluster.told_arn();
    if *proof == Proof::Activation || told == Some(registration.arn.as_str()) {
        return Ok(());
    }
    let Registration { name, status, .. } = registration;
    let namespace = &cluster.namespace;
    let alone = format!("remove the registration alone with: eksconnect deregister --name {name} --aws-only");
    if let Some(told) = told {
        return Err(Error::refused(
            Code::NOT_THIS_CLUSTER,
            format!("the connector of this cluster is not that of the registration {name} ({status})"),
        )
        .cause(format!("namespace {namespace} says that it belongs to {told}"))
        .fix(alone));
    }
    if request.namespace.is_none() || cluster.elsewhere.is_empty() {
        return Ok(());
    }
    Err(Error::refused(
        Code::NOT_THIS_CLUSTER,
        format!("namespace {namespace} has no connector of the registration {name} ({status})"),
    )
    .cause(format!("this cluster has a connector in: {}", cluster.namespaces_elsewhere()))
    .fix(format!("give its namespace with --namespace, or {alone}")))
}

/// Whether the connector that stands there works for the registration. One that something else made for another
/// registration is not touched.
fn is_its_connector(registration: &Registration, cluster: &ClusterSeen) -> bool {
    let Some(installed) = &cluster.installed else { return true };
    let told = cluster.told_arn() == Some(registration.arn.as_str());
    installed.ours || told || installed.activation_id == registration.activation_id
}

fn has_anything(cluster: &ClusterSeen) -> bool {
    let of_namespace = cluster.live.as_ref().is_some_and(|live| live.ours || live.mark.is_some());
    of_namespace
        || cluster.installed.is_some()
        || cluster.lease.is_some()
        || super::belongs::rules(cluster, true).all().next().is_some()
}

fn refuse_own_cluster(registration: &Registration) -> Result<(), Error> {
    if registration.role_arn.is_some() {
        return Ok(());
    }
    Err(Error::refused(
        Code::NOT_THIS_CLUSTER,
        format!("{} is a cluster that EKS runs itself, and no registration", registration.name),
    )
    .fix("choose another --name (aws eks list-clusters --include all lists both)"))
}

fn another_clusters(registration: &Registration, proof: &Proof, cluster: &ClusterSeen) -> Error {
    let cause = match proof {
        Proof::OtherCluster { uid } => format!(
            "its tag names the cluster whose kube-system namespace has the UID {uid}; that of this one is {}",
            cluster.uid
        ),
        Proof::Nothing | Proof::Activation | Proof::UidTag | Proof::Intent => {
            "nothing in this cluster shows that it is the one that was registered".to_owned()
        }
    };
    Error::refused(
        Code::NOT_THIS_CLUSTER,
        format!("the registration {} ({}) is another cluster's", registration.name, registration.status),
    )
    .cause(cause)
    .fix(
        "check --context; if that cluster or its connector is lost, remove the registration alone with --aws-only, and \
         what is in this cluster with --cluster-only",
    )
}

fn elsewhere(arn: &str, account: &AccountSeen, cluster: &ClusterSeen) -> Error {
    Error::refused(
        Code::CONNECTOR_UNKNOWN,
        "the registration of this cluster is in another account or Region",
    )
    .cause(format!(
        "namespace {} says that it belongs to {arn}; this is account {}, {}",
        cluster.namespace, account.caller.account, account.region
    ))
    .fix("use that account and Region (--profile, --region); if they are lost, remove the connector alone with --cluster-only")
}

/// With a name nothing else is looked up, so that the connector may well have a registration.
fn not_looked_for(name: &str, account: &AccountSeen, cluster: &ClusterSeen) -> Error {
    Error::refused(
        Code::CONNECTOR_UNKNOWN,
        format!(
            "there is no registration {name} in account {}, {}, and this cluster has a connector",
            account.caller.account, account.region
        ),
    )
    .cause(format!(
        "the connector in namespace {} uses the activation {}; which registration has that was not looked for",
        cluster.namespace,
        cluster.told_activation().unwrap_or("that cannot be told"),
    ))
    .fix("leave --name out to look for the registration of this connector, or check --name and --region")
}

fn unknown_connector(account: &AccountSeen, cluster: &ClusterSeen) -> Error {
    let activation = cluster.told_activation().unwrap_or("that cannot be told");
    Error::refused(
        Code::CONNECTOR_UNKNOWN,
        format!(
            "the connector in namespace {} belongs to no registration of this account and Region",
            cluster.namespace
        ),
    )
    .cause(format!(
        "it uses the activation {activation}, which none in account {}, {} has",
        account.caller.account, account.region
    ))
    .fix("check --profile and --region; if its registration is gone, remove the connector alone with --cluster-only")
}
