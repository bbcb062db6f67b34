//! Events as the kubelet writes them: one object for each pod, container, reason and message, counted up when it repeats.

use std::collections::HashMap;

use k8s_openapi::{
    api::core::v1::{Event, EventSource, ObjectReference, Pod},
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Api, Client, ResourceExt,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Writes events in order, in the background.
#[derive(Clone)]
pub(super) struct Events {
    queue: mpsc::UnboundedSender<Note>,
}

/// Which container of a pod an event is about; `None` is the pod itself.
pub(super) type FieldPath = Option<String>;

struct Note {
    about: ObjectReference,
    warning: bool,
    reason: &'static str,
    message: String,
    at: Timestamp,
}

impl Events {
    /// The recorder, and the task that writes what it records.
    pub(super) fn new(client: Client, node: String) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (queue, notes) = mpsc::unbounded_channel();
        (Self { queue }, write(client, node, notes))
    }

    pub(super) fn normal(
        &self,
        pod: &Pod,
        field: FieldPath,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.record(pod, field, false, reason, message.into());
    }

    pub(super) fn warning(
        &self,
        pod: &Pod,
        field: FieldPath,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        self.record(pod, field, true, reason, message.into());
    }

    fn record(&self, pod: &Pod, field: FieldPath, warning: bool, reason: &'static str, message: String) {
        let about = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: pod.metadata.name.clone(),
            namespace: pod.metadata.namespace.clone(),
            uid: pod.metadata.uid.clone(),
            resource_version: pod.metadata.resource_version.clone(),
            field_path: field,
        };
        let note = Note { about, warning, reason, message, at: Timestamp::now() };
        if self.queue.send(note).is_err() {
            tracing::debug!(reason, pod = pod.name_any(), "event not written: the node has ended");
        }
    }
}

/// How many events are remembered to count them up, as by a kubelet.
const REMEMBERED: usize = 4096;

/// What makes two events the same: the pod's UID, the container, the reason and the message.
type Key = (Option<String>, FieldPath, &'static str, String);

async fn write(client: Client, node: String, mut notes: mpsc::UnboundedReceiver<Note>) {
    let mut written: HashMap<Key, (String, i32)> = HashMap::new();
    while let Some(note) = notes.recv().await {
        if written.len() >= REMEMBERED {
            written.clear();
        }
        let Some(namespace) = note.about.namespace.clone() else { continue };
        let events: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let key = (note.about.uid.clone(), note.about.field_path.clone(), note.reason, note.message.clone());
        let at = Time(note.at);
        let result = match written.get_mut(&key) {
            Some((name, count)) => {
                *count += 1;
                let change = json!({ "count": *count, "lastTimestamp": at });
                let counted = events.patch(name, &PatchParams::default(), &Patch::Merge(change)).await;
                if matches!(&counted, Err(kube::Error::Api(status)) if status.code == 404) {
                    // Somebody deleted it: the next one is written anew.
                    written.remove(&key);
                }
                counted
            }
            None => {
                let name =
                    format!("{}.{}", note.about.name.as_deref().unwrap_or_default(), Uuid::new_v4().simple());
                written.insert(key, (name.clone(), 1));
                let event = Event {
                    metadata: ObjectMeta {
                        name: Some(name),
                        namespace: Some(namespace),
                        ..Default::default()
                    },
                    involved_object: note.about,
                    type_: Some(if note.warning { "Warning" } else { "Normal" }.into()),
                    reason: Some(note.reason.into()),
                    message: Some(note.message),
                    source: Some(EventSource { component: Some("kubelet".into()), host: Some(node.clone()) }),
                    reporting_component: Some("kubelet".into()),
                    reporting_instance: Some(node.clone()),
                    first_timestamp: Some(at.clone()),
                    last_timestamp: Some(at),
                    count: Some(1),
                    ..Default::default()
                };
                events.create(&PostParams::default(), &event).await
            }
        };
        // A namespace that is being deleted takes no new events: nothing is lost that anyone could read.
        if let Err(error) = result {
            tracing::debug!(%error, "event not written");
        }
    }
}
