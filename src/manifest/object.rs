//! A Kubernetes object to be applied, and where the API server keeps objects of its kind.

use serde_json::{Map, Value, json};

use super::openshift::SECURITY_GROUP;

/// The kinds of objects that eksconnect applies. Known at compile time, so that nothing has to be discovered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectKind {
    /// v1 Namespace.
    Namespace,
    /// v1 ServiceAccount.
    ServiceAccount,
    /// v1 ConfigMap.
    ConfigMap,
    /// v1 Secret. Only metadata of Secrets is ever handled as an [`Object`].
    Secret,
    /// rbac.authorization.k8s.io/v1 Role.
    Role,
    /// rbac.authorization.k8s.io/v1 RoleBinding.
    RoleBinding,
    /// rbac.authorization.k8s.io/v1 ClusterRole.
    ClusterRole,
    /// rbac.authorization.k8s.io/v1 ClusterRoleBinding.
    ClusterRoleBinding,
    /// networking.k8s.io/v1 NetworkPolicy.
    NetworkPolicy,
    /// policy/v1 PodDisruptionBudget.
    PodDisruptionBudget,
    /// apps/v1 StatefulSet.
    StatefulSet,
    /// coordination.k8s.io/v1 Lease.
    Lease,
    /// security.openshift.io/v1 SecurityContextConstraints, on OpenShift alone.
    SecurityContextConstraints,
}

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Namespace,
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Secret,
        Self::Role,
        Self::RoleBinding,
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::StatefulSet,
        Self::Lease,
        Self::SecurityContextConstraints,
    ];

    /// API group (empty for the core group), version, kind and resource name.
    fn coordinates(self) -> (&'static str, &'static str, &'static str, &'static str) {
        const RBAC: &str = "rbac.authorization.k8s.io";
        match self {
            Self::Namespace => ("", "v1", "Namespace", "namespaces"),
            Self::ServiceAccount => ("", "v1", "ServiceAccount", "serviceaccounts"),
            Self::ConfigMap => ("", "v1", "ConfigMap", "configmaps"),
            Self::Secret => ("", "v1", "Secret", "secrets"),
            Self::Role => (RBAC, "v1", "Role", "roles"),
            Self::RoleBinding => (RBAC, "v1", "RoleBinding", "rolebindings"),
            Self::ClusterRole => (RBAC, "v1", "ClusterRole", "clusterroles"),
            Self::ClusterRoleBinding => (RBAC, "v1", "ClusterRoleBinding", "clusterrolebindings"),
            Self::NetworkPolicy => ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            Self::PodDisruptionBudget => ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::Lease => ("coordination.k8s.io", "v1", "Lease", "leases"),
            Self::SecurityContextConstraints => {
                (SECURITY_GROUP, "v1", "SecurityContextConstraints", "securitycontextconstraints")
            }
        }
    }

    /// The kind as manifests write it.
    pub fn name(self) -> &'static str {
        self.coordinates().2
    }

    /// The API group; empty for the core group.
    pub fn group(self) -> &'static str {
        self.coordinates().0
    }

    /// The resource as a rule of RBAC names it: `statefulsets`.
    pub fn plural(self) -> &'static str {
        self.coordinates().3
    }

    /// The resource as `kubectl` writes it, with its group: `statefulsets.apps`.
    pub fn resource(self) -> String {
        let (group, plural) = (self.group(), self.plural());
        if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") }
    }

    /// `apiVersion` as manifests write it.
    pub fn api_version(self) -> String {
        let (group, version, _, _) = self.coordinates();
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
    }

    /// Whether objects of this kind belong to no namespace.
    pub fn is_cluster_scoped(self) -> bool {
        matches!(
            self,
            Self::Namespace | Self::ClusterRole | Self::ClusterRoleBinding | Self::SecurityContextConstraints
        )
    }
}

/// Names one object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its namespace; `None` for the cluster-scoped kinds.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// Names an object; `namespace` is left out for cluster-scoped kinds.
    pub fn new(kind: ObjectKind, namespace: &str, name: &str) -> Self {
        let namespace = (!kind.is_cluster_scoped()).then(|| namespace.to_owned());
        Self { kind, namespace, name: name.to_owned() }
    }

    /// The path below the API server's address that holds all objects of this kind (in this namespace).
    pub fn collection_path(&self) -> String {
        let (group, version, _, plural) = self.kind.coordinates();
        let root =
            if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
        match &self.namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{plural}"),
            None => format!("{root}/{plural}"),
        }
    }

    /// The object's own path.
    pub fn path(&self) -> String {
        format!("{}/{}", self.collection_path(), self.name)
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind.name(), self.name),
            None => write!(f, "{} {}", self.kind.name(), self.name),
        }
    }
}

/// An object as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Which object.
    pub reference: ObjectRef,
    /// The whole object, `apiVersion` and `kind` included.
    pub body: Value,
}

impl Object {
    /// Adds labels or annotations (`field`) to those that the object has.
    pub fn with_metadata(mut self, field: &'static str, entries: &[(&str, &str)]) -> Self {
        if let Some(metadata) = self.body.get_mut("metadata").and_then(Value::as_object_mut) {
            let map = metadata.entry(field).or_insert_with(|| Value::Object(Map::new()));
            for (key, value) in entries {
                map[*key] = json!(value);
            }
        }
        self
    }
}
