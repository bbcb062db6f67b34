//! The connector's objects. They differ from the official manifest where that is unsafe or wrong; docs/security.md says
//! where and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::inherited::Inherited;
use super::network_policy::network_policy;
use super::openshift::{USE_CONSTRAINTS, openshift_objects};
use super::workload::{ApiServer, Workload};
use super::{Object, ObjectKind, ObjectRef};

/// Name of the StatefulSet, as of the official manifest.
pub const STATEFUL_SET: &str = "eks-connector";

/// Name of the agent's container.
pub const AGENT_CONTAINER: &str = "connector-agent";

/// Name of the Lease that a run holds while it works on a cluster.
pub const LEASE: &str = "eksconnect";

/// Name of the Secret that holds the activation code under the key `code`, as of the official manifest.
pub const ACTIVATION_SECRET: &str = "eks-connector-activation-config";

/// Name of the Secret with a long-lived token, as of the official manifest. Ours needs none.
pub const TOKEN_SECRET: &str = "eks-connector-token";

/// Name of the Secret with credentials for the images' registry.
pub const PULL_SECRET: &str = "eks-connector-pull";

/// Name of the ConfigMap with certificates that the agents trust too.
pub const PROXY_CA: &str = "eks-connector-proxy-ca";

/// Name of the agents' ConfigMap, as of the official manifest.
pub const AGENT_CONFIG: &str = "eks-connector-agent";

/// Name of the ClusterRole, and of its binding, that lets the connector read the server's version, as of the official
/// manifest.
pub const VERSION_ROLE: &str = "eks-connector-cluster-meta-access";

/// The annotation of the namespace that tells how the names of the state Secrets begin, where that is not the default.
pub const STATE_PREFIX_ANNOTATION: &str = "eksconnect/state-prefix";

/// The service account of the agents, whoever made them: the official manifest and the chart call it so as well.
pub const SERVICE_ACCOUNT: &str = "eks-connector";

/// Where the official manifest installs the connector.
pub const DEFAULT_NAMESPACE: &str = "eks-connector";

/// The first Kubernetes minor version (1.x) whose PodDisruptionBudget knows `unhealthyPodEvictionPolicy`. To an older
/// server, server-side apply of it is an error.
const UNHEALTHY_POD_EVICTION_POLICY_SINCE: u32 = 26;

/// What the objects depend on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Where the connector lives.
    pub namespace: String,
    /// The Region that the agent registers in.
    pub region: String,
    /// The API server's minor version (1.x).
    pub server_minor: u32,
    /// Where pods reach the API server; known where the workload depends on it.
    pub api_server: ApiServer,
    /// What the user chose about the agents.
    pub workload: Workload,
    /// Whether the cluster is OpenShift, which has a say in what pods may do.
    pub openshift: bool,
    /// What the agents keep from those that stand there.
    pub inherited: Inherited,
    /// The Secrets that the pods read.
    pub secrets: SecretNames,
}

impl Settings {
    /// The Secret in which the replica of that ordinal keeps its state.
    pub fn state_secret(&self, ordinal: u32) -> String {
        state_secret(self.inherited.state_prefix(), ordinal)
    }
}

/// The Secrets that the pods read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretNames {
    /// The one that holds the activation code.
    pub activation: String,
    /// The key under which it holds it.
    pub activation_key: String,
    /// One with credentials for the images' registry that others manage.
    pub pull: Option<String>,
}

impl Default for SecretNames {
    /// Those that registering makes.
    fn default() -> Self {
        Self { activation: ACTIVATION_SECRET.to_owned(), activation_key: "code".to_owned(), pull: None }
    }
}

/// The namespace, saying whose it is once that is known.
pub fn namespace(settings: &Settings, registration: Option<&RegistrationMark<'_>>) -> Object {
    let mut namespace: Namespace = template(include_str!("../../templates/connector/namespace.yaml"));
    namespace.metadata.name = Some(settings.namespace.clone());
    let object = object(ObjectKind::Namespace, settings, &namespace);
    let Some(mark) = registration else { return object };
    let object = object.with_metadata("annotations", &mark.annotations());
    match &settings.inherited.state_prefix {
        // So that it is still known when the StatefulSet is lost.
        Some(prefix) => object.with_metadata("annotations", &[(STATE_PREFIX_ANNOTATION, prefix)]),
        None => object,
    }
}

/// Which registration an object belongs to, as annotations.
#[derive(Clone, Debug)]
pub struct RegistrationMark<'a> {
    /// The registration's ARN.
    pub cluster_arn: &'a str,
    /// Its activation.
    pub activation_id: &'a str,
    /// When EKS made it.
    pub registered_at: String,
}

impl<'a> RegistrationMark<'a> {
    /// A mark for the registration that EKS made at `created_at`.
    pub fn new(cluster_arn: &'a str, activation_id: &'a str, created_at: Timestamp) -> Self {
        Self { cluster_arn, activation_id, registered_at: created_at.to_string() }
    }

    fn annotations(&self) -> [(&'static str, &str); 3] {
        [
            ("eksconnect/cluster-arn", self.cluster_arn),
            ("eksconnect/activation-id", self.activation_id),
            ("eksconnect/registered-at", &self.registered_at),
        ]
    }
}

/// Everything but the namespace, the activation Secret and the StatefulSet: what needs no registration.
pub fn base_objects(settings: &Settings) -> Vec<Object> {
    let account: ServiceAccount = template(include_str!("../../templates/connector/service-account.yaml"));
    let mut state_role: Role = template(include_str!("../../templates/connector/state-role.yaml"));
    for rule in state_role.rules.iter_mut().flatten().filter(|rule| rule.resource_names.is_some()) {
        rule.resource_names =
            Some((0..settings.workload.replicas).map(|ordinal| settings.state_secret(ordinal)).collect());
    }
    let mut state_binding: RoleBinding =
        template(include_str!("../../templates/connector/state-role-binding.yaml"));
    place_subjects(&mut state_binding.subjects, settings);
    let mut version_role: ClusterRole =
        template(include_str!("../../templates/connector/version-cluster-role.yaml"));
    let mut version_binding: ClusterRoleBinding =
        template(include_str!("../../templates/connector/version-cluster-role-binding.yaml"));
    place_subjects(&mut version_binding.subjects, settings);
    for name in [
        version_role.metadata.name.as_mut(),
        version_binding.metadata.name.as_mut(),
        Some(&mut version_binding.role_ref.name),
    ]
    .into_iter()
    .flatten()
    {
        *name = own_name(name, settings);
    }
    let config: ConfigMap = template(include_str!("../../templates/connector/agent-config-map.yaml"));

    let mut objects = vec![
        object(ObjectKind::ServiceAccount, settings, &account),
        object(ObjectKind::Role, settings, &state_role),
        object(ObjectKind::RoleBinding, settings, &state_binding),
        object(ObjectKind::ClusterRole, settings, &version_role),
        object(ObjectKind::ClusterRoleBinding, settings, &version_binding),
        object(ObjectKind::ConfigMap, settings, &config),
    ];
    objects.extend(openshift_objects(settings));
    objects.extend(network_policy(settings));
    if let Some(authorities) = &settings.workload.proxy.authorities {
        let mut map: ConfigMap = template(include_str!("../../templates/connector/proxy-ca-config-map.yaml"));
        map.data.get_or_insert_default().insert("ca.crt".to_owned(), authorities.clone());
        objects.push(object(ObjectKind::ConfigMap, settings, &map));
    }
    // With one replica a budget of one would block nothing, and with none unavailable it would block every drain.
    if settings.workload.replicas > 1 {
        let mut budget: PodDisruptionBudget =
            template(include_str!("../../templates/connector/pod-disruption-budget.yaml"));
        if let Some(spec) =
            budget.spec.as_mut().filter(|_| settings.server_minor < UNHEALTHY_POD_EVICTION_POLICY_SINCE)
        {
            spec.unhealthy_pod_eviction_policy = None;
        }
        objects.push(object(ObjectKind::PodDisruptionBudget, settings, &budget));
    }
    objects
}

/// The objects that are there for some choices and not for others. One that is ours and no longer wanted is deleted.
pub fn optional_objects(namespace: &str) -> Vec<ObjectRef> {
    [
        (ObjectKind::PodDisruptionBudget, STATEFUL_SET),
        (ObjectKind::NetworkPolicy, STATEFUL_SET),
        (ObjectKind::Secret, PULL_SECRET),
        (ObjectKind::ConfigMap, PROXY_CA),
        // The constraints themselves can only be there where they are wanted.
        (ObjectKind::RoleBinding, USE_CONSTRAINTS),
        (ObjectKind::Role, USE_CONSTRAINTS),
    ]
    .map(|(kind, name)| ObjectRef::new(kind, namespace, name))
    .into()
}

/// The activation Secret without its value: the adapter that may see the code adds that.
pub fn activation_secret(settings: &Settings, mark: &RegistrationMark<'_>) -> Object {
    let reference = ObjectRef::new(ObjectKind::Secret, &settings.namespace, ACTIVATION_SECRET);
    let body = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": ACTIVATION_SECRET, "namespace": settings.namespace },
        "type": "Opaque",
    });
    labelled(Object { reference, body }).with_metadata("annotations", &mark.annotations())
}

/// The activation Secret once its code is used up. Agents that have their state do not start without it either.
pub fn spent_activation_secret(settings: &Settings, mark: &RegistrationMark<'_>) -> Object {
    let mut object = activation_secret(settings, mark);
    object.body["data"] = json!({ "code": STANDARD.encode(spent_mark()) });
    object
}

/// The Secret with credentials for the images' registry, without them: the adapter that may see them adds them.
pub fn pull_secret(settings: &Settings) -> Object {
    let reference = ObjectRef::new(ObjectKind::Secret, &settings.namespace, PULL_SECRET);
    let body = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": { "name": PULL_SECRET, "namespace": settings.namespace },
        "type": "kubernetes.io/dockerconfigjson",
    });
    labelled(Object { reference, body })
}

/// What stands in the activation Secret in place of a code that every replica has used. Not a code: EKS' codes have at
/// least 20 characters (SSM `RegisterManagedInstance`, ActivationCode).
pub fn spent_mark() -> &'static str {
    "spent"
}

/// The Secret in which the replica of that ordinal keeps its state.
pub fn state_secret(prefix: &str, ordinal: u32) -> String {
    format!("{prefix}-{ordinal}")
}

/// Selects the agents' pods.
pub fn agent_selector() -> &'static str {
    "app=eks-connector"
}

/// The name of a cluster-scoped object: two connectors in one cluster must not take each other's.
pub(super) fn own_name(official: &str, settings: &Settings) -> String {
    cluster_wide_name(official, &settings.namespace)
}

/// What a cluster-scoped object of the connector in `namespace` is called, which the official manifest calls `official`.
pub fn cluster_wide_name(official: &str, namespace: &str) -> String {
    if namespace == DEFAULT_NAMESPACE { official.to_owned() } else { format!("{official}-{namespace}") }
}

pub(super) fn place_subjects(subjects: &mut Option<Vec<Subject>>, settings: &Settings) {
    for subject in subjects.iter_mut().flatten() {
        subject.namespace = Some(settings.namespace.clone());
    }
}

/// Reads an embedded template, once: the objects are rendered again and again. By way of JSON: reading YAML straight into Kubernetes' types makes a YAML reader for each
/// of them, which is several megabytes of the binary.
#[expect(
    clippy::expect_used,
    reason = "the templates are part of the binary, and a test renders every one of them"
)]
pub(crate) fn template<T: DeserializeOwned>(yaml: &'static str) -> T {
    static READ: Mutex<BTreeMap<&'static str, Value>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap_or_else(PoisonError::into_inner);
    let value = read
        .entry(yaml)
        .or_insert_with(|| serde_yaml::from_str(yaml).expect("an embedded template is YAML"))
        .clone();
    serde_json::from_value(value).expect("an embedded template is an object of its kind")
}

pub(super) fn object<T: Resource + Serialize>(kind: ObjectKind, settings: &Settings, typed: &T) -> Object {
    object_in(kind, &settings.namespace, typed)
}

#[expect(
    clippy::expect_used,
    reason = "Kubernetes' types serialise to JSON, and a test renders every object"
)]
pub(crate) fn object_in<T: Resource + Serialize>(kind: ObjectKind, namespace: &str, typed: &T) -> Object {
    let mut body = serde_json::to_value(typed).expect("a Kubernetes object serialises");
    let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let reference = ObjectRef::new(kind, namespace, &name);
    if let Some(namespace) = &reference.namespace {
        body["metadata"]["namespace"] = Value::String(namespace.clone());
    }
    labelled(Object { reference, body })
}

fn labelled(object: Object) -> Object {
    object.with_metadata(
        "labels",
        &[("app.kubernetes.io/managed-by", "eksconnect"), ("app.kubernetes.io/part-of", "eks-connector")],
    )
}

#[cfg(test)]
#[path = "connector_tests.rs"]
mod tests;
