//! Looks at the cluster's access rules and at IAM: reads only, all at once, but for those that depend on an answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::{join_all, try_join_all};

use super::constraining::{CAN_CONSTRAIN, NOBODY, constrains, metrics};
use super::desired::{Desired, desired, refuse_no_connector};
use super::objects::GrantScope;
use super::observed::{IamState, Looked, Observed, PrincipalSeen};
use super::planner::{AccessPlan, plan_grants, plan_revoking, wanted_objects};
use super::principal::{Principal, Resolved, check_account};
use super::request::{GrantRequest, ImpersonationChoice, RevokeRequest};
use crate::error::{Code, Error};
use crate::manifest::{self, Object, ObjectKind, ObjectRef, VIEWER_ACTIONS, VIEWER_LIST_ACTION};
use crate::ports::{
    Access, Acting, Cluster, Decision, Failure, FailureKind, Identity, LiveObject, Principals,
};
use crate::registration::desired::cluster_arn;
use crate::registration::observe::{Standing, aid, failing, mark_of, object_state, refuse_old};
use crate::registration::observed::ObjectState;

/// Everything that granting and revoking talk to.
#[derive(Clone)]
pub struct AccessPorts {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// IAM.
    pub principals: Arc<dyn Principals>,
    /// The cluster.
    pub cluster: Arc<dyn Cluster>,
    /// Its access rules.
    pub access: Arc<dyn Access>,
    /// The Region in use.
    pub region: String,
}

/// A plan and what it rests on.
#[derive(Clone)]
pub struct AccessPreview {
    /// The grants that are wanted; none where some are revoked.
    pub desired: Option<Desired>,
    /// What was seen.
    pub observed: Observed,
    /// What would be done.
    pub plan: AccessPlan,
    /// The connector, if we may act as it and it is there.
    pub acting: Option<Arc<dyn Acting>>,
}

impl std::fmt::Debug for AccessPreview {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("AccessPreview");
        shown.field("desired", &self.desired).field("observed", &self.observed).field("plan", &self.plan);
        shown.finish_non_exhaustive()
    }
}

/// Observes and plans grants. Whether the connector has yet to be installed is `awaited`; whether an earlier try has shown that the API
/// server does not constrain impersonation is `refuted`.
///
/// # Errors
/// Whatever must be known and could not be read, and what is refused.
pub async fn observe_grants(
    ports: &AccessPorts,
    request: &GrantRequest,
    awaited: bool,
    refuted: bool,
) -> Result<AccessPreview, Error> {
    let places = match &request.scope {
        GrantScope::Cluster => &[][..],
        GrantScope::Namespaces(places) => places,
    };
    let what = Wanted {
        principals: &request.principals,
        namespace: &request.namespace,
        name: request.name.as_deref(),
        places,
        iam: true,
        constrains: request.impersonation != ImpersonationChoice::Documented,
    };
    let (mut looked, acting) = look(ports, &what).await?;
    looked.warnings = foreign(&request.principals, &looked.caller.account)?;
    if !awaited {
        refuse_no_connector(&looked)?;
    }
    let desired = desired(request, &looked, refuted)?;
    let objects = wanted_objects(&desired, &request.namespace);
    let (standings, iam) = tokio::try_join!(
        try_join_all(objects.iter().map(|object| object_state(ports.cluster.as_ref(), object))),
        iam(ports, &request.principals, &looked),
    )?;
    let observed = Observed { iam, ..standing(looked, &objects, standings) };
    let plan = plan_grants(&desired, &observed)?;
    Ok(AccessPreview { desired: Some(desired), observed, plan, acting })
}

/// Observes and plans revoking.
///
/// # Errors
/// Whatever must be known and could not be read, and what is refused.
pub async fn observe_revoking(ports: &AccessPorts, request: &RevokeRequest) -> Result<AccessPreview, Error> {
    let what = Wanted {
        principals: &request.principals,
        namespace: &request.namespace,
        name: request.name.as_deref(),
        places: &[],
        iam: request.detach_policy,
        constrains: false,
    };
    let (looked, acting) = look(ports, &what).await?;
    let plan = plan_revoking(request, &looked)?;
    let observed = Observed::of(looked);
    Ok(AccessPreview { desired: None, observed, plan, acting })
}

/// Makes sure that the account and the cluster still are those that were seen.
///
/// # Errors
/// They are not, or it cannot be said.
pub async fn check_identity(ports: &AccessPorts, looked: &Looked) -> Result<(), Error> {
    let (caller, uid) = tokio::try_join!(
        failing("find out who is calling AWS", ports.identity.caller()),
        failing("read the namespace kube-system", ports.cluster.uid()),
    )?;
    if caller.account == looked.caller.account && uid == looked.cluster_uid {
        return Ok(());
    }
    Err(Error::refused(Code::IDENTITY_CHANGED, "the account or the cluster changed after the question")
        .cause(format!(
            "the account was {} and is {}; the cluster had the UID {} and has {uid}",
            looked.caller.account, caller.account, looked.cluster_uid
        ))
        .fix("check the credentials and --context, then run the same command again"))
}

/// What is to be looked at.
struct Wanted<'a> {
    principals: &'a [Principal],
    namespace: &'a str,
    name: Option<&'a str>,
    /// Namespaces that have to exist.
    places: &'a [String],
    /// Whether IAM is asked about the principals.
    iam: bool,
    /// Whether it matters that the API server constrains impersonation.
    constrains: bool,
}

async fn look(ports: &AccessPorts, what: &Wanted<'_>) -> Result<(Looked, Option<Arc<dyn Acting>>), Error> {
    let (namespace, cluster) = (what.namespace, ports.cluster.as_ref());
    let namespace_ref = ObjectRef::new(ObjectKind::Namespace, namespace, namespace);
    let set_ref = ObjectRef::new(ObjectKind::StatefulSet, namespace, manifest::STATEFUL_SET);
    let server = async {
        let version = failing("read the version of the API server", cluster.version()).await?;
        let known = if what.constrains && version.minor >= CAN_CONSTRAIN {
            metrics(ports.access.as_ref()).await
        } else {
            None
        };
        Ok::<_, Error>((version, known))
    };
    let connector = async {
        let acting = ports.access.act_as_connector(namespace).await;
        // Nobody waits for the answer where the metrics tell; the connection will be wanted in any case.
        let probe = acting.as_ref().ok().filter(|_| what.constrains).map(|acting| {
            let acting = Arc::clone(acting);
            tokio::spawn(async move { acting.ask(NOBODY, "/api/v1/namespaces?limit=1").await.ok() })
        });
        Ok::<_, Error>((acting, probe))
    };
    let (caller, uid, (version, known), live_namespace, live_set, rules, (acting, probe), principals, absent) =
        tokio::try_join!(
            failing("find out who is calling AWS", ports.identity.caller()),
            failing("read the namespace kube-system", cluster.uid()),
            server,
            failing(format!("read the namespace {namespace}"), cluster.read(&namespace_ref)),
            failing(format!("read {set_ref}"), cluster.read(&set_ref)),
            failing("read the roles and bindings of the cluster", ports.access.rules()),
            connector,
            principals(ports, what),
            absent_namespaces(cluster, what.places),
        )?;
    refuse_old(&version)?;
    let probe = match probe.filter(|_| known.is_none()) {
        Some(probe) => probe.await.ok().flatten(),
        None => None,
    };
    let mut unverified = Vec::new();
    let acting = acting_or_none(acting, &mut unverified)?;
    let elsewhere = if live_set.is_some() { Vec::new() } else { elsewhere(cluster).await };
    let principals = principals
        .into_iter()
        .map(|(principal, seen)| {
            let seen = if principal.account() == caller.account { seen } else { another_account(&principal) };
            (principal, seen)
        })
        .collect();
    let arn = match what.name {
        Some(name) => Some(cluster_arn(&ports.region, &caller.account, name)),
        None => live_namespace.as_ref().and_then(registered_as),
    };
    let looked = Looked {
        constrains: constrains(&version, known, probe.as_ref(), &rules, namespace),
        caller,
        region: ports.region.clone(),
        cluster_uid: uid,
        version: version.text,
        namespace: namespace.to_owned(),
        connector: live_set.is_some(),
        elsewhere,
        cluster_arn: arn,
        rules,
        absent_namespaces: absent,
        principals,
        warnings: Vec::new(),
        unverified,
    };
    Ok((looked, acting))
}

fn registered_as(namespace: &LiveObject) -> Option<String> {
    mark_of(&namespace["metadata"]).map(|mark| mark.cluster_arn)
}

/// Warns of principals of another account, to whom the console does not show this one's clusters.
///
/// # Errors
/// The account is that of an example.
fn foreign(principals: &[Principal], account: &str) -> Result<Vec<String>, Error> {
    let unchecked = |principal: &Principal| Resolved {
        principal: principal.clone(),
        named: principal.arn().to_owned(),
        changes: Vec::new(),
        warnings: Vec::new(),
    };
    let mut checked: Vec<Resolved> = principals.iter().map(unchecked).collect();
    check_account(&mut checked, account)?;
    let said = |one: &Resolved| -> Vec<String> {
        let who = &one.principal;
        one.warnings.iter().map(|warning| format!("{who}: {} ({})", warning.text, warning.code)).collect()
    };
    Ok(checked.iter().flat_map(said).collect())
}

fn another_account(principal: &Principal) -> PrincipalSeen {
    PrincipalSeen::Unknown(format!(
        "it is in account {}, which only its own administrators may ask",
        principal.account()
    ))
}

/// The connector, if we may act as it. Without it nothing is proven, which is said.
fn acting_or_none(
    acting: Result<Arc<dyn Acting>, Failure>,
    unverified: &mut Vec<String>,
) -> Result<Option<Arc<dyn Acting>>, Error> {
    match acting {
        Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
        answer => aid(answer, "act as the connector, so nothing is proven", unverified),
    }
}

async fn elsewhere(cluster: &dyn Cluster) -> Vec<String> {
    match cluster.connectors().await {
        Ok(connectors) => connectors.into_iter().map(|connector| connector.namespace).collect(),
        Err(failure) => {
            tracing::debug!("{}: {failure}", failure.operation);
            Vec::new()
        }
    }
}

async fn absent_namespaces(cluster: &dyn Cluster, places: &[String]) -> Result<BTreeSet<String>, Error> {
    let looked = places.iter().map(|place| async move {
        let object = ObjectRef::new(ObjectKind::Namespace, place, place);
        let live = failing(format!("read the namespace {place}"), cluster.read(&object)).await?;
        let goes = live.as_ref().is_some_and(|live| live["metadata"].get("deletionTimestamp").is_some());
        Ok::<_, Error>((live.is_none() || goes).then(|| place.clone()))
    });
    Ok(try_join_all(looked).await?.into_iter().flatten().collect())
}

async fn principals(
    ports: &AccessPorts,
    what: &Wanted<'_>,
) -> Result<BTreeMap<Principal, PrincipalSeen>, Error> {
    let asked = what.principals.iter().filter(|_| what.iam);
    let answers =
        join_all(asked.map(|principal| async move {
            (principal.clone(), ports.principals.principal(principal).await)
        }))
        .await;
    let mut seen = BTreeMap::new();
    for (principal, answer) in answers {
        let one = match answer {
            Ok(Some(facts)) => PrincipalSeen::Present(facts),
            Ok(None) => PrincipalSeen::Absent,
            Err(failure) if failure.kind == FailureKind::Denied => {
                PrincipalSeen::Unknown(format!("{} is denied", failure.operation))
            }
            Err(failure) => return Err(failure.into_error(&format!("look for {principal} in IAM"))),
        };
        seen.insert(principal, one);
    }
    Ok(seen)
}

/// How the objects stand that are there and should be.
fn standing(looked: Looked, objects: &[Object], standings: Vec<Standing>) -> Observed {
    let mut observed = Observed::of(looked);
    for (object, one) in objects.iter().zip(standings) {
        let reference = object.reference.clone();
        if one.state == ObjectState::Differs {
            observed.changes.insert(reference.clone(), one.changes);
        }
        observed.fixed.extend(one.fixed.map(|uid| (reference.clone(), uid)));
        observed.objects.insert(reference, one.state);
    }
    observed
}

async fn iam(
    ports: &AccessPorts,
    principals: &[Principal],
    looked: &Looked,
) -> Result<BTreeMap<Principal, IamState>, Error> {
    let states = principals.iter().map(|principal| async move {
        let facts = match looked.principal(principal) {
            PrincipalSeen::Present(facts) => facts,
            PrincipalSeen::Unknown(why) => return Ok((principal.clone(), IamState::Unknown(why))),
            PrincipalSeen::Absent => {
                return Ok((principal.clone(), IamState::Unknown("IAM does not know it".to_owned())));
            }
        };
        let Some(arn) = &looked.cluster_arn else {
            let why = "it is not known which registration this cluster is (--name)".to_owned();
            return Ok((principal.clone(), IamState::Unknown(why)));
        };
        let state = iam_state(ports.principals.as_ref(), &facts.arn, arn).await;
        let state = match state {
            Ok(state) => state,
            Err(failure) if failure.kind == FailureKind::Denied => {
                IamState::Unknown(format!("{} is denied", failure.operation))
            }
            Err(failure) => {
                return Err(failure.into_error(&format!("ask IAM what {} may do", principal.short())));
            }
        };
        Ok((principal.clone(), state))
    });
    Ok(try_join_all(states).await?.into_iter().collect())
}

/// What IAM allows a viewer of a cluster; `arn` is the viewer's, path included.
pub(super) async fn iam_state(
    principals: &dyn Principals,
    arn: &str,
    cluster_arn: &str,
) -> Result<IamState, Failure> {
    let (mut decided, listing) = tokio::try_join!(
        principals.simulate(arn, &VIEWER_ACTIONS, cluster_arn),
        principals.simulate(arn, &[VIEWER_LIST_ACTION], "*"),
    )?;
    decided.extend(listing);
    let lacks: Vec<(String, Decision)> =
        decided.into_iter().filter(|(_, decision)| *decision != Decision::Allowed).collect();
    Ok(if lacks.is_empty() { IamState::Allowed } else { IamState::Lacks(lacks) })
}
