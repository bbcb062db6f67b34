//! The cluster's port.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use futures::stream::BoxStream;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::api::{Answer, Content, operation};
use super::client::Connected;
use crate::manifest::{ApiServer, Object, ObjectKind, ObjectRef, PullSecret, SECURITY_GROUP, Taint};
use crate::ports::{
    AgentState, Applied, Cluster, Failure, FailureKind, HeldLease, LiveObject, Nodes, Reply, ServerVersion,
    Side,
};
use crate::registration::activation::Activation;
use crate::registration::installed::Connector;
use crate::registration::observed::{ActivationSecretFacts, Intent, LeaseFacts, NodeFacts, ObjectState};
use crate::registration::rights::Right;

/// The field manager of everything but the activation's value.
pub(super) const MANAGER: &str = "eksconnect";

/// The field manager of the activation Secret, so that taking the value away is no drift of ours.
pub(super) const ACTIVATION_MANAGER: &str = "eksconnect-activation";

/// Nodes a page: large clusters are read in several requests, most in one.
const NODES_A_PAGE: u32 = 500;

/// As RBAC calls it.
const GET_SERVICE: &str = "get services in namespace default";

/// The cluster's adapter.
#[derive(Clone)]
pub struct KubernetesCluster {
    pub(super) connected: Connected,
}

impl KubernetesCluster {
    /// Over the given connection.
    pub fn new(connected: Connected) -> Self {
        Self { connected }
    }
}

/// What an apply did: 201 made the object, 200 found it.
pub(super) fn applied(answer: &Answer) -> Result<Applied, Failure> {
    let live = answer.json()?;
    Ok(Applied {
        created: answer.status == StatusCode::CREATED,
        repeated: answer.repeated,
        uid: live["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
    })
}

impl Connected {
    pub(super) async fn apply_object(&self, object: &Object, dry_run: bool) -> Result<Answer, Failure> {
        let dry_run = if dry_run { "&dryRun=All" } else { "" };
        let path = format!("{}?fieldManager={MANAGER}&force=true{dry_run}", object.reference.path());
        let content = Some(Content::apply(&object.body));
        self.call(&operation("patch", &object.reference), Method::PATCH, &path, content).await
    }

    pub(super) async fn delete_object(&self, object: &ObjectRef, uid: &str) -> Result<(), Failure> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": uid },
            "propagationPolicy": "Background",
        });
        let answer = self
            .call(&operation("delete", object), Method::DELETE, &object.path(), Some(Content::json(&body)))
            .await;
        match answer {
            Ok(_) => Ok(()),
            // Gone, or another object of that name: not ours to delete.
            Err(failure) if matches!(failure.kind, FailureKind::NotFound | FailureKind::Conflict) => Ok(()),
            Err(failure) => Err(failure),
        }
    }

    async fn list_nodes(&self) -> Result<Nodes, Failure> {
        let mut nodes = Nodes::default();
        let mut next = String::new();
        loop {
            let path = format!("/api/v1/nodes?limit={NODES_A_PAGE}{next}");
            let page = self.call("list nodes", Method::GET, &path, None).await?.json()?;
            for node in page["items"].as_array().into_iter().flatten() {
                nodes.nodes.push(node_facts(node));
                nodes.provider_ids.extend(node["spec"]["providerID"].as_str().map(str::to_owned));
                let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
                nodes.label_keys.extend(labels.map(|(key, _)| key.clone()));
            }
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={token}"),
                None => break,
            }
        }
        nodes.label_keys.sort_unstable();
        nodes.label_keys.dedup();
        Ok(nodes)
    }
}

fn node_facts(node: &Value) -> NodeFacts {
    let info = &node["status"]["nodeInfo"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    NodeFacts {
        name: text(&node["metadata"]["name"]),
        os: text(&info["operatingSystem"]),
        arch: text(&info["architecture"]),
        labels: node["metadata"]["labels"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| (key.clone(), text(value)))
            .collect(),
        taints: node["spec"]["taints"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|taint| Taint {
                key: text(&taint["key"]),
                value: text(&taint["value"]),
                effect: text(&taint["effect"]),
            })
            .collect(),
        cordoned: node["spec"]["unschedulable"] == true,
    }
}

/// `36+` of `1.36+`, as some providers write it, is 36.
fn minor_of(version: &Value) -> Option<u32> {
    let digits: String = version["minor"].as_str()?.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

pub(super) fn malformed(operation: &str, message: &str) -> Failure {
    Failure {
        side: Side::Cluster,
        kind: FailureKind::Malformed,
        operation: operation.to_owned(),
        message: message.to_owned(),
    }
}

impl Cluster for KubernetesCluster {
    fn version(&self) -> Reply<'_, ServerVersion> {
        Box::pin(async {
            let version = self.connected.call("get /version", Method::GET, "/version", None).await?.json()?;
            match (version["gitVersion"].as_str(), minor_of(&version)) {
                (Some(text), Some(minor)) => Ok(ServerVersion { text: text.to_owned(), minor }),
                _ => {
                    Err(malformed("get /version", "this is not a Kubernetes API server: it tells no version"))
                }
            }
        })
    }

    fn uid(&self) -> Reply<'_, String> {
        Box::pin(async {
            let path = "/api/v1/namespaces/kube-system";
            let namespace = self.connected.call("get namespaces", Method::GET, path, None).await?.json()?;
            let uid = namespace["metadata"]["uid"].as_str().map(str::to_owned);
            uid.ok_or_else(|| malformed("get namespaces", "the namespace kube-system has no UID"))
        })
    }

    fn nodes(&self) -> Reply<'_, Nodes> {
        Box::pin(self.connected.list_nodes())
    }

    fn api_groups(&self) -> Reply<'_, Vec<String>> {
        Box::pin(async {
            let list = self.connected.call("get /apis", Method::GET, "/apis", None).await?.json()?;
            let groups = list["groups"].as_array().into_iter().flatten();
            Ok(groups.filter_map(|group| group["name"].as_str().map(str::to_owned)).collect())
        })
    }

    fn api_server(&self) -> Reply<'_, ApiServer> {
        Box::pin(async {
            let path = "/api/v1/namespaces/default/services/kubernetes";
            let service = self.connected.call(GET_SERVICE, Method::GET, path, None).await?.json()?;
            let addresses = service["spec"]["clusterIPs"].as_array().into_iter().flatten();
            let ports = service["spec"]["ports"].as_array().into_iter().flatten();
            Ok(ApiServer {
                addresses: addresses.filter_map(|address| address.as_str().map(str::to_owned)).collect(),
                ports: ports.filter_map(|port| u16::try_from(port["targetPort"].as_u64()?).ok()).collect(),
            })
        })
    }

    fn denied<'a>(&'a self, rights: &'a [Right]) -> Reply<'a, BTreeSet<Right>> {
        Box::pin(self.connected.denied_rights(rights))
    }

    fn read<'a>(&'a self, object: &'a ObjectRef) -> Reply<'a, Option<LiveObject>> {
        Box::pin(async move {
            match self.connected.get(&operation("get", object), &object.path()).await {
                Ok(Some(answer)) => answer.json().map(Some),
                Ok(None) => Ok(None),
                // Who may not read a kind is told so also where there is no such kind.
                Err(failure)
                    if object.kind == ObjectKind::SecurityContextConstraints
                        && failure.kind == FailureKind::Denied =>
                {
                    let group = self.connected.get("get /apis", &format!("/apis/{SECURITY_GROUP}")).await;
                    if let Ok(None) = group { Ok(None) } else { Err(failure) }
                }
                Err(failure) => Err(failure),
            }
        })
    }

    fn dry_run<'a>(&'a self, object: &'a Object) -> Reply<'a, Option<LiveObject>> {
        Box::pin(async move {
            match self.connected.apply_object(object, true).await {
                Ok(answer) => answer.json().map(Some),
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
                Err(failure) => Err(failure),
            }
        })
    }

    fn apply<'a>(&'a self, object: &'a Object) -> Reply<'a, Applied> {
        Box::pin(async move { applied(&self.connected.apply_object(object, false).await?) })
    }

    fn replace<'a>(&'a self, object: &'a Object, seen: &'a str) -> Reply<'a, Applied> {
        Box::pin(self.connected.replace_object(object, seen))
    }

    fn delete<'a>(&'a self, object: &'a ObjectRef, uid: &'a str) -> Reply<'a, ()> {
        Box::pin(self.connected.delete_object(object, uid))
    }

    fn activation_secret<'a>(&'a self, namespace: &'a str) -> Reply<'a, Option<ActivationSecretFacts>> {
        Box::pin(self.connected.read_activation_secret(namespace))
    }

    fn keep_activation<'a>(&'a self, object: &'a Object, activation: &'a Activation) -> Reply<'a, Applied> {
        Box::pin(self.connected.write_activation(object, activation))
    }

    fn mark_activation<'a>(&'a self, object: &'a Object) -> Reply<'a, Applied> {
        Box::pin(self.connected.mark_activation_secret(object))
    }

    fn spend_activation<'a>(&'a self, namespace: &'a str, seen: &'a str) -> Reply<'a, ()> {
        Box::pin(self.connected.spend_activation(namespace, seen))
    }

    fn pull_secret_state<'a>(&'a self, object: &'a Object, secret: &'a PullSecret) -> Reply<'a, ObjectState> {
        Box::pin(self.connected.read_pull_secret(object, secret))
    }

    fn keep_pull_secret<'a>(&'a self, object: &'a Object, secret: &'a PullSecret) -> Reply<'a, Applied> {
        Box::pin(async move { applied(&self.connected.write_pull_secret(object, secret, false).await?) })
    }

    fn secret_metadata<'a>(&'a self, object: &'a ObjectRef) -> Reply<'a, Option<LiveObject>> {
        Box::pin(self.connected.read_secret_metadata(object))
    }

    fn states<'a>(
        &'a self,
        namespace: &'a str,
        prefix: &'a str,
        ordinals: Range<u32>,
    ) -> Reply<'a, BTreeMap<u32, String>> {
        Box::pin(self.connected.read_states(namespace, prefix, ordinals))
    }

    fn connectors(&self) -> Reply<'_, Vec<Connector>> {
        Box::pin(self.connected.list_connectors())
    }

    fn lease<'a>(&'a self, namespace: &'a str) -> Reply<'a, Option<LeaseFacts>> {
        Box::pin(self.connected.read_lease(namespace))
    }

    fn hold_lease<'a>(
        &'a self,
        namespace: &'a str,
        seen: Option<&'a str>,
        intent: &'a Intent,
    ) -> Reply<'a, Arc<dyn HeldLease>> {
        Box::pin(self.connected.take_lease(namespace, seen, intent))
    }

    fn watch_agents<'a>(&'a self, namespace: &'a str) -> BoxStream<'a, Result<AgentState, Failure>> {
        self.connected.agent_states(namespace)
    }

    fn diagnose<'a>(&'a self, namespace: &'a str) -> Reply<'a, Option<String>> {
        Box::pin(self.connected.first_cause(namespace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minors_as_providers_write_them() {
        for (text, minor) in [("36", Some(36)), ("27+", Some(27)), ("", None), ("x", None)] {
            assert_eq!(minor_of(&json!({ "minor": text })), minor, "{text}");
        }
    }
}
