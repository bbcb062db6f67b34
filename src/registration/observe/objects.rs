//! How the objects in the cluster stand to what they should be.

use std::collections::BTreeMap;

use futures::future::try_join_all;
use jiff::Timestamp;

use super::{Ports, failing, is_ours};
use crate::error::Error;
use crate::manifest::{self, FieldChange, Object, ObjectKind, ObjectRef, RegistrationMark, difference};
use crate::registration::desired::Desired;
use crate::registration::observed::{NamespaceFacts, ObjectState, Registration, settled};

/// What would change in objects that differ.
type Changes = BTreeMap<ObjectRef, Vec<FieldChange>>;

/// Compares what is with what would be after applying. Without a registration nothing is known of the objects that name
/// the activation but whether the agents exist.
pub(in crate::registration) async fn object_states(
    ports: &Ports,
    desired: &Desired,
    registration: Option<&Registration>,
    set_exists: bool,
    namespace: Option<&NamespaceFacts>,
) -> Result<(BTreeMap<ObjectRef, ObjectState>, Changes), Error> {
    let mut states = BTreeMap::new();
    if namespace.is_some_and(|namespace| namespace.terminating) {
        // Nothing can be tried in a namespace that goes.
        return Ok((states, Changes::new()));
    }
    let mut objects = desired.base_objects();
    match registration.and_then(|registration| Some((registration, registration.activation_id.as_deref()?))) {
        Some((registration, id)) => {
            let created = registration.created_at.unwrap_or(Timestamp::UNIX_EPOCH);
            let mark = RegistrationMark::new(&registration.arn, id, created);
            objects.push(desired.namespace(Some(&mark)));
            objects.push(desired.stateful_set(id));
        }
        None if set_exists => {
            let set =
                ObjectRef::new(ObjectKind::StatefulSet, &desired.settings.namespace, manifest::STATEFUL_SET);
            states.insert(set, ObjectState::Differs);
        }
        None => {}
    }
    if namespace.is_none() {
        // What would be in it is absent, and the server would wait a little for the namespace to appear.
        objects.retain(|object| object.reference.kind.is_cluster_scoped());
    }
    let (seen, pull_secret) = tokio::try_join!(
        try_join_all(objects.iter().map(|object| object_state(ports, object))),
        pull_secret_state(ports, desired),
    )?;
    states.extend(pull_secret);
    let mut changes = Changes::new();
    for (object, (state, changed)) in objects.into_iter().zip(seen) {
        if state == ObjectState::Differs {
            changes.insert(object.reference.clone(), changed);
        }
        states.insert(object.reference, state);
    }
    Ok((states, changes))
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
) -> Result<Option<(ObjectRef, ObjectState)>, Error> {
    let (Some(object), Some(secret)) = (desired.pull_secret(), &desired.settings.workload.pull_secret) else {
        return Ok(None);
    };
    let attempting = format!("compare {}", object.reference);
    let state = failing(attempting, ports.cluster.pull_secret_state(&object, secret)).await?;
    Ok(Some((object.reference, state)))
}

async fn object_state(ports: &Ports, object: &Object) -> Result<(ObjectState, Vec<FieldChange>), Error> {
    let (live, applied) = tokio::try_join!(
        failing(format!("read {}", object.reference), ports.cluster.read(&object.reference)),
        failing(format!("check {} by a dry run", object.reference), ports.cluster.dry_run(object)),
    )?;
    let changed = match (&live, &applied) {
        (Some(live), Some(applied)) => difference(&settled(live.clone()), &settled(applied.clone())),
        _ => Vec::new(),
    };
    Ok((ObjectState::of(live, applied), changed))
}
