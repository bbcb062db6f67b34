//! How the objects in the cluster stand to what they should be: reads and dry runs only.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use jiff::Timestamp;
use serde_json::Value;

use super::{Ports, failing, is_ours};
use crate::error::Error;
use crate::manifest::{self, FieldChange, Object, ObjectKind, ObjectRef, RegistrationMark, difference};
use crate::ports::Cluster;
use crate::registration::desired::Desired;
use crate::registration::installed::Installed;
use crate::registration::observed::{NamespaceFacts, ObjectState, Registration, settled};
use crate::registration::takeover::{Foreign, kept_by};

/// How the objects stand that are there and should be.
#[derive(Default)]
pub(in crate::registration) struct Objects {
    /// Each of them.
    pub(in crate::registration) states: BTreeMap<ObjectRef, ObjectState>,
    /// What would change in those that differ.
    pub(in crate::registration) changes: BTreeMap<ObjectRef, Vec<FieldChange>>,
    /// Those of other owners.
    pub(in crate::registration) foreign: Vec<Foreign>,
    /// Those that differ in what cannot be changed, each with its UID.
    pub(in crate::registration) fixed: BTreeMap<ObjectRef, String>,
}

/// Compares what is with what would be after applying. Without a registration nothing is known of the objects that name
/// the activation but whether the agents exist.
pub(in crate::registration) async fn object_states(
    ports: &Ports,
    desired: &Desired,
    registration: Option<&Registration>,
    installed: Option<&Installed>,
    namespace: Option<&NamespaceFacts>,
) -> Result<Objects, Error> {
    let mut seen = Objects::default();
    if namespace.is_some_and(|namespace| namespace.terminating) {
        // Nothing can be tried in a namespace that goes.
        return Ok(seen);
    }
    let mut objects = desired.base_objects();
    let activation = registration.and_then(|it| Some((it, it.activation_id.as_deref()?)));
    if let Some((registration, id)) = activation {
        let created = registration.created_at.unwrap_or(Timestamp::UNIX_EPOCH);
        objects.push(desired.namespace(Some(&RegistrationMark::new(&registration.arn, id, created))));
    }
    match (activation, installed) {
        // Applying would mix it with what another tool made, so it is not tried either.
        (Some((_, id)), installed) if installed.is_none_or(|installed| installed.ours) => {
            objects.push(desired.stateful_set(id));
        }
        (Some(_) | None, Some(_)) => {
            seen.states.insert(set_of(desired), ObjectState::Differs);
        }
        (Some(_) | None, None) => {}
    }
    if namespace.is_none() {
        // What would be in it is absent, and the server would wait a little for the namespace to appear.
        objects.retain(|object| object.reference.kind.is_cluster_scoped());
    }
    let (each, pull_secret) = tokio::try_join!(
        try_join_all(objects.iter().map(|object| object_state(ports.cluster.as_ref(), object))),
        pull_secret_state(ports, desired),
    )?;
    if let Some((object, state, foreign)) = pull_secret {
        seen.states.insert(object, state);
        seen.foreign.extend(foreign);
    }
    for (object, one) in objects.into_iter().zip(each) {
        let reference = object.reference;
        if one.state == ObjectState::Differs {
            seen.changes.insert(reference.clone(), one.changes);
        }
        seen.foreign.extend(one.foreign);
        seen.fixed.extend(one.fixed.map(|uid| (reference.clone(), uid)));
        seen.states.insert(reference, one.state);
    }
    Ok(seen)
}

fn set_of(desired: &Desired) -> ObjectRef {
    ObjectRef::new(ObjectKind::StatefulSet, &desired.settings.namespace, manifest::STATEFUL_SET)
}

/// The objects of ours that are no longer wanted.
pub(in crate::registration) async fn obsolete(
    ports: &Ports,
    desired: &Desired,
) -> Result<Vec<(ObjectRef, String)>, Error> {
    let unwanted = desired.unwanted();
    let live = try_join_all(unwanted.iter().map(|object| async move {
        let live = match object.kind {
            ObjectKind::Secret => ports.cluster.secret_metadata(object),
            _ => ports.cluster.read(object),
        };
        failing(format!("read {object}"), live).await
    }))
    .await?;
    let ours = unwanted.into_iter().zip(live).filter_map(|(object, live)| {
        let live = live.filter(is_ours)?;
        Some((object, live["metadata"]["uid"].as_str()?.to_owned()))
    });
    Ok(ours.collect())
}

async fn pull_secret_state(
    ports: &Ports,
    desired: &Desired,
) -> Result<Option<(ObjectRef, ObjectState, Option<Foreign>)>, Error> {
    let (Some(object), Some(secret)) = (desired.pull_secret(), &desired.settings.workload.pull_secret) else {
        return Ok(None);
    };
    let attempting = format!("compare {}", object.reference);
    let (state, live) = tokio::try_join!(
        failing(attempting.clone(), ports.cluster.pull_secret_state(&object, secret)),
        failing(attempting, ports.cluster.secret_metadata(&object.reference)),
    )?;
    let foreign = foreign(&object.reference, live.as_ref());
    Ok(Some((object.reference, state, foreign)))
}

/// How one object stands.
pub(crate) struct Standing {
    pub(crate) state: ObjectState,
    /// What applying would change, if it differs.
    pub(crate) changes: Vec<FieldChange>,
    /// It is another owner's.
    pub(crate) foreign: Option<Foreign>,
    /// Its UID, if it differs in what cannot be changed.
    pub(crate) fixed: Option<String>,
}

/// Compares one object with what it would be after applying.
///
/// # Errors
/// It could not be read, or the dry run was refused.
pub(crate) async fn object_state(cluster: &dyn Cluster, object: &Object) -> Result<Standing, Error> {
    let (live, tried) = tokio::join!(cluster.read(&object.reference), cluster.dry_run(object));
    let live = live.map_err(|failure| failure.into_error(&format!("read {}", object.reference)))?;
    let foreign = foreign(&object.reference, live.as_ref());
    let other_role = live.as_ref().filter(|live| live["roleRef"] != object.body["roleRef"]);
    if let Some(live) = other_role {
        // The dry run says that this cannot be changed.
        let fixed = live["metadata"]["uid"].as_str().map(str::to_owned);
        return Ok(Standing { state: ObjectState::Differs, changes: Vec::new(), foreign, fixed });
    }
    let tried =
        tried.map_err(|failure| failure.into_error(&format!("check {} by a dry run", object.reference)))?;
    let changes = match (&live, &tried) {
        (Some(live), Some(applied)) => difference(&settled(live.clone()), &settled(applied.clone())),
        _ => Vec::new(),
    };
    Ok(Standing { state: ObjectState::of(live, tried), changes, foreign, fixed: None })
}

/// A namespace may be others'; anything else that they made is in the way.
fn foreign(object: &ObjectRef, live: Option<&Value>) -> Option<Foreign> {
    let live = live.filter(|live| object.kind != ObjectKind::Namespace && !is_ours(live))?;
    Some(Foreign { object: object.clone(), kept_by: kept_by(&live["metadata"]) })
}

/// The long-lived token of an adopted connector: ours takes one that is renewed.
pub(in crate::registration) async fn superfluous(
    ports: &Ports,
    desired: &Desired,
) -> Result<Option<(ObjectRef, String)>, Error> {
    if !desired.takeover.adopt {
        return Ok(None);
    }
    let object = ObjectRef::new(ObjectKind::Secret, &desired.settings.namespace, manifest::TOKEN_SECRET);
    let live = failing(format!("read {object}"), ports.cluster.secret_metadata(&object)).await?;
    let metadata = live.map(|live| live["metadata"].clone()).unwrap_or_default();
    let is_token = metadata["annotations"]["kubernetes.io/service-account.name"] == "eks-connector";
    let uid = metadata["uid"].as_str().filter(|_| is_token && kept_by(&metadata).is_none());
    Ok(uid.map(|uid| (object, uid.to_owned())))
}
