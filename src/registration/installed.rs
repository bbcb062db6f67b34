//! A connector as it stands in a cluster, whoever installed it: what its StatefulSet tells.

use k8s_openapi::api::apps::v1::StatefulSet;
use serde_json::Value;

use super::step::Step;
use crate::manifest::{
    AGENT_CONTAINER, DEFAULT_NAMESPACE, FixedFields, Inherited, ObjectRef, STATE_PREFIX, STATEFUL_SET,
    ready_replicas,
};

/// A StatefulSet that runs a connector, seen from afar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// Where it stands.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether eksconnect made it.
    pub ours: bool,
}

/// The StatefulSet that stands where ours would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// Its UID.
    pub uid: String,
    /// For replacing it only as it was seen.
    pub resource_version: String,
    /// Whether eksconnect made it.
    pub ours: bool,
    /// The Helm release that it belongs to.
    pub release: Option<String>,
    /// The activation that its agents use.
    pub activation_id: Option<String>,
    /// What a StatefulSet in its place keeps.
    pub inherited: Inherited,
    /// Whether all its agents are ready, so that Kubernetes would replace them one by one.
    pub steady: bool,
    /// Whether all its agents are of the newest template, and ready.
    pub rolled_out: bool,
    /// Why it cannot be adopted, if it cannot.
    pub obstacle: Option<String>,
}

/// The Pod management policy of our own template, with which an agent that does not work holds up no other.
const OWN_POLICY: &str = "Parallel";

impl Installed {
    /// What a live StatefulSet tells.
    pub fn of(live: &Value, ours: bool) -> Self {
        let (metadata, spec) = (&live["metadata"], &live["spec"]);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let fixed = FixedFields {
            service_name: text(&spec["serviceName"]).unwrap_or_default(),
            pod_management_policy: text(&spec["podManagementPolicy"]).unwrap_or_default(),
        };
        let as_ours = fixed.service_name == STATEFUL_SET && fixed.pod_management_policy == OWN_POLICY;
        let init = container(live, "connector-init");
        let prefix = init.and_then(|init| argument(init, "--state.secretNamePrefix"));
        let replicas = spec["replicas"].as_u64().unwrap_or(0);
        Self {
            uid: text(&metadata["uid"]).unwrap_or_default(),
            resource_version: text(&metadata["resourceVersion"]).unwrap_or_default(),
            ours,
            release: text(&metadata["annotations"]["meta.helm.sh/release-name"]),
            activation_id: init.and_then(|init| {
                argument(init, "--activation.id").or_else(|| variable(init, "EKS_ACTIVATION_ID"))
            }),
            inherited: Inherited {
                state_prefix: prefix.filter(|prefix| prefix != STATE_PREFIX),
                fixed: (!as_ours).then_some(fixed),
            },
            steady: live["status"]["readyReplicas"].as_u64().unwrap_or(0) >= replicas,
            rolled_out: serde_json::from_value::<StatefulSet>(live.clone())
                .is_ok_and(|set| u64::from(ready_replicas(&set)) >= replicas),
            obstacle: obstacle(live, init),
        }
    }
}

impl Installed {
    /// Whether Kubernetes would hold back a change until agents work that do not: it replaces ordered pods only while
    /// all are ready.
    pub(super) fn waits_for_broken_agents(&self) -> bool {
        let ordered =
            self.inherited.fixed.as_ref().is_some_and(|fixed| fixed.pod_management_policy != OWN_POLICY);
        ordered && !self.steady
    }

    /// The step that removes it.
    pub(super) fn removal(&self, set: &ObjectRef) -> Step {
        Step::Remove { object: set.clone(), uid: self.uid.clone() }
    }
}

/// Whether a StatefulSet runs the connector, by the names of its containers.
pub fn runs_connector(live: &Value) -> bool {
    ["connector-init", AGENT_CONTAINER, "connector-proxy"].iter().all(|name| container(live, name).is_some())
}

fn obstacle(live: &Value, init: Option<&Value>) -> Option<String> {
    let spec = &live["spec"];
    let namespace = live["metadata"]["namespace"].as_str().unwrap_or_default();
    if !runs_connector(live) {
        return Some("it does not run the connector".to_owned());
    }
    if let Some(owner) = live["metadata"]["ownerReferences"][0]["kind"].as_str() {
        return Some(format!("it belongs to an object of the kind {owner}, which would change it back"));
    }
    if spec["selector"] != serde_json::json!({ "matchLabels": { "app": "eks-connector" } }) {
        return Some("it selects its pods by other labels than app=eks-connector".to_owned());
    }
    if spec["volumeClaimTemplates"].as_array().is_some_and(|claims| !claims.is_empty()) {
        return Some("its agents have volumes of their own".to_owned());
    }
    let kept_in = init.and_then(|init| argument(init, "--state.secretNamespace"));
    let kept_in = kept_in.unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    // What is no value of a variable names the pod's own namespace.
    (kept_in != namespace && !kept_in.starts_with("$("))
        .then(|| format!("its agents keep their state in namespace {kept_in}"))
}

fn container<'a>(live: &'a Value, name: &str) -> Option<&'a Value> {
    let pod = &live["spec"]["template"]["spec"];
    let lists = [&pod["initContainers"], &pod["containers"]];
    lists.into_iter().filter_map(Value::as_array).flatten().find(|container| container["name"] == name)
}

/// The Region that the agents of a connector are told.
pub fn region_of(live: &Value) -> Option<String> {
    let init = container(live, "connector-init")?;
    argument(init, "--agent.region").or_else(|| variable(init, "AWS_REGION"))
}

/// The value of a variable that is written down as it is.
fn variable(container: &Value, name: &str) -> Option<String> {
    let mut variables = container["env"].as_array().into_iter().flatten();
    variables.find(|variable| variable["name"] == name)?["value"].as_str().map(str::to_owned)
}

/// The value of a flag `--name=value`, with a variable that it is in full replaced by its value.
fn argument(container: &Value, flag: &str) -> Option<String> {
    let arguments = container["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let value = arguments.filter_map(|argument| argument.split_once('=')).find(|(name, _)| *name == flag)?.1;
    let named = value.strip_prefix("$(").and_then(|name| name.strip_suffix(')'));
    Some(named.and_then(|name| variable(container, name)).unwrap_or_else(|| value.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn helm() -> Value {
        json!({
            "metadata": {
                "uid": "u", "resourceVersion": "7", "namespace": "tools",
                "annotations": { "meta.helm.sh/release-name": "connect" },
            },
            "spec": {
                "replicas": 1,
                "serviceName": "eks-connector",
                "podManagementPolicy": "OrderedReady",
                "selector": { "matchLabels": { "app": "eks-connector" } },
                "template": { "spec": {
                    "initContainers": [{
                        "name": "connector-init",
                        "args": ["init", "--activation.code=CODE", "--activation.id=id-1",
                            "--state.secretNamespace=tools", "--state.secretNamePrefix=ours"],
                    }],
                    "containers": [{ "name": "connector-agent" }, { "name": "connector-proxy", "args": ["server"] }],
                } },
            },
            "status": { "readyReplicas": 1 },
        })
    }

    #[test]
    fn a_helm_release_tells_its_prefix_and_activation_and_never_its_code() {
        let installed = Installed::of(&helm(), false);
        assert_eq!(installed.activation_id.as_deref(), Some("id-1"));
        assert_eq!(installed.inherited.state_prefix(), "ours");
        assert_eq!(installed.inherited.fixed.as_ref().unwrap().pod_management_policy, "OrderedReady");
        assert_eq!((installed.release.as_deref(), installed.steady), (Some("connect"), true));
        assert_eq!(installed.obstacle, None);
        assert!(!format!("{installed:?}").contains("CODE"));
    }

    #[test]
    fn an_activation_id_in_a_variable_is_found() {
        let mut live = helm();
        let init = &mut live["spec"]["template"]["spec"]["initContainers"][0];
        init["args"] = json!(["init", "--activation.id=$(ID)", "--state.secretNamespace=$(POD_NAMESPACE)"]);
        init["env"] =
            json!([{ "name": "ID", "value": "id-2" }, { "name": "POD_NAMESPACE", "valueFrom": {} }]);
        let installed = Installed::of(&live, false);
        assert_eq!(installed.activation_id.as_deref(), Some("id-2"));
        assert_eq!((installed.inherited.state_prefix, installed.obstacle), (None, None));
    }

    #[test]
    fn what_cannot_be_adopted() {
        type Change = fn(&mut Value);
        let cases: [(Change, &str); 5] = [
            (|live| live["spec"]["template"]["spec"]["containers"] = json!([]), "does not run the connector"),
            (|live| live["metadata"]["ownerReferences"] = json!([{ "kind": "Operator" }]), "Operator"),
            (|live| live["spec"]["selector"]["matchLabels"]["more"] = json!("x"), "other labels"),
            (|live| live["spec"]["volumeClaimTemplates"] = json!([{}]), "volumes of their own"),
            // Without the flag the connector keeps it where the official manifest has it.
            (
                |live| live["spec"]["template"]["spec"]["initContainers"][0]["args"] = json!(["init"]),
                "in namespace eks-connector",
            ),
        ];
        for (change, why) in cases {
            let mut live = helm();
            change(&mut live);
            let obstacle = Installed::of(&live, false).obstacle.expect(why);
            assert!(obstacle.contains(why), "{obstacle}");
        }
    }

    #[test]
    fn an_agent_that_is_not_ready_makes_it_unsteady() {
        let mut live = helm();
        live["status"]["readyReplicas"] = json!(0);
        assert!(!Installed::of(&live, false).steady);
    }
}
