//! What in a cluster is the connector's, and what is not.

use std::collections::BTreeSet;

use super::seen::{ClusterSeen, Content};
use crate::access::names::{PRINCIPAL_LABEL, is_impersonation};
use crate::manifest::{
    ACTIVATION_SECRET, AGENT_CONFIG, LEASE, ObjectKind, ObjectRef, PROXY_CA, PULL_SECRET, SERVICE_ACCOUNT,
    STATEFUL_SET, TOKEN_SECRET, VERSION_ROLE, cluster_wide_name,
};
use crate::rbac::{Binding, Meta, Role, RoleRef, Subject};
use crate::registration::observe::is_ours;

/// The role and the binding with which AWS' templates let the connector impersonate.
const IMPERSONATION: &str = "eks-connector-service";

/// How the names of the roles and bindings begin with which AWS' templates let principals view.
const DASHBOARD: &str = "eks-connector-console-dashboard-";

/// What a service account of Kubernetes or of OpenShift is called that every namespace has.
const EVERY_NAMESPACES: [&str; 3] = ["default", "builder", "deployer"];

/// Something that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Which object.
    pub object: ObjectRef,
    /// The one that was seen.
    pub uid: String,
    /// Whether it is about access: it lets the connector act as others, or others see.
    pub access: bool,
}

/// What of the cluster's access rules goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The bindings by which the connector impersonates: the first to go.
    pub impersonation: Vec<Doomed>,
    /// The other bindings, and the roles.
    pub others: Vec<Doomed>,
    /// What stays although it has to do with it, as sentences.
    pub notes: Vec<String>,
}

impl Rules {
    /// All that goes.
    pub fn all(&self) -> impl Iterator<Item = &Doomed> {
        self.impersonation.iter().chain(&self.others)
    }
}

/// Sorts the access rules. `theirs`: what other tools made for this connector goes too.
pub fn rules(cluster: &ClusterSeen, theirs: bool) -> Rules {
    let mut rules = Rules::default();
    let snapshot = &cluster.rules;
    let (going, staying): (Vec<&Binding>, Vec<&Binding>) =
        snapshot.bindings.iter().partition(|binding| binding_goes(binding, cluster, theirs));
    for binding in &going {
        let role = role_of(&snapshot.roles, binding);
        let impersonates = serves(binding, cluster) == Serves::Alone && role.is_none_or(impersonates);
        let access =
            impersonates || !is_version(&binding.meta, cluster) && serves(binding, cluster) == Serves::Not;
        let doomed = doomed(binding_kind(binding), &binding.meta, access);
        if impersonates { rules.impersonation.push(doomed) } else { rules.others.push(doomed) }
    }
    for role in &snapshot.roles {
        let bound = |binding: &&&Binding| gives(binding, role);
        if staying.iter().any(|binding| bound(&binding)) {
            continue;
        }
        let was_bound = going.iter().any(|binding| bound(&binding));
        if role_goes(role, was_bound, cluster, theirs) {
            let kind = if role.meta.namespace.is_some() { ObjectKind::Role } else { ObjectKind::ClusterRole };
            let access = impersonates(role) || is_view(&role.meta);
            rules.others.push(doomed(kind, &role.meta, access));
        }
    }
    rules.notes = staying.iter().filter_map(|binding| kept_note(binding, cluster)).collect();
    rules
}

fn doomed(kind: ObjectKind, meta: &Meta, access: bool) -> Doomed {
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    Doomed { object: ObjectRef::new(kind, namespace, &meta.name), uid: meta.uid.clone(), access }
}

fn binding_kind(binding: &Binding) -> ObjectKind {
    if binding.meta.namespace.is_some() { ObjectKind::RoleBinding } else { ObjectKind::ClusterRoleBinding }
}

/// Whom a binding serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serves {
    /// The connector and nobody else.
    Alone,
    /// The connector among others.
    Among,
    /// Others.
    Not,
}

fn serves(binding: &Binding, cluster: &ClusterSeen) -> Serves {
    let connector = |subject: &&Subject| match subject {
        Subject::ServiceAccount { namespace, name } => {
            let namespace = namespace.as_ref().or(binding.meta.namespace.as_ref());
            name == SERVICE_ACCOUNT && namespace == Some(&cluster.namespace)
        }
        Subject::User(name) => {
            *name == format!("system:serviceaccount:{}:{SERVICE_ACCOUNT}", cluster.namespace)
        }
        Subject::Group(_) => false,
    };
    match binding.subjects.iter().filter(connector).count() {
        0 => Serves::Not,
        count if count == binding.subjects.len() => Serves::Alone,
        _ => Serves::Among,
    }
}

fn is_labelled(meta: &Meta) -> bool {
    meta.labels.get("app.kubernetes.io/managed-by").is_some_and(|tool| tool == "eksconnect")
}

/// Whether it is one of those by which principals view.
fn is_view(meta: &Meta) -> bool {
    meta.name.starts_with(DASHBOARD)
        || meta.name.starts_with("eksconnect:")
        || meta.labels.contains_key(PRINCIPAL_LABEL)
}

fn is_version(meta: &Meta, cluster: &ClusterSeen) -> bool {
    meta.name == VERSION_ROLE || meta.name == cluster_wide_name(VERSION_ROLE, &cluster.namespace)
}

fn binding_goes(binding: &Binding, cluster: &ClusterSeen, theirs: bool) -> bool {
    let ours = is_labelled(&binding.meta);
    match serves(binding, cluster) {
        Serves::Alone => ours || theirs,
        Serves::Among => false,
        // Another connector of this cluster may live by it.
        Serves::Not if !cluster.elsewhere.is_empty() => false,
        Serves::Not if names_a_service_account(binding) => false,
        Serves::Not if ours => true,
        Serves::Not => {
            let principals = !binding.subjects.is_empty() && binding.subjects.iter().all(is_principal);
            theirs && binding.meta.name.starts_with(DASHBOARD) && principals
        }
    }
}

fn names_a_service_account(binding: &Binding) -> bool {
    binding.subjects.iter().any(|subject| matches!(subject, Subject::ServiceAccount { .. }))
}

/// An IAM principal, as the connector impersonates it.
fn is_principal(subject: &Subject) -> bool {
    matches!(subject, Subject::User(name) if name.starts_with("arn:") && name.contains(":iam::"))
}

/// Whether a role goes that no binding gives which stays.
fn role_goes(role: &Role, was_bound: bool, cluster: &ClusterSeen, theirs: bool) -> bool {
    if is_labelled(&role.meta) {
        // A run that was interrupted may have deleted the binding already; one that nothing gives serves nobody.
        let alone = is_impersonation(&role.meta.name)
            || role.meta.name == cluster_wide_name(VERSION_ROLE, &cluster.namespace);
        return was_bound || alone || cluster.elsewhere.is_empty();
    }
    if !theirs {
        return false;
    }
    let name = &role.meta.name;
    let official = name == IMPERSONATION || is_version(&role.meta, cluster) || name.starts_with(DASHBOARD);
    if official && (was_bound || cluster.elsewhere.is_empty()) {
        return true;
    }
    // A role that lets act as others and was the connector's alone. Any other may be of use to somebody by itself.
    let here = role.meta.namespace.as_ref() == Some(&cluster.namespace);
    was_bound && (only_impersonates(role) || (here && name == "eks-connector-secret-access"))
}

fn role_of<'a>(roles: &'a [Role], binding: &Binding) -> Option<&'a Role> {
    roles.iter().find(|role| gives(binding, role))
}

fn gives(binding: &Binding, role: &Role) -> bool {
    match &binding.role {
        RoleRef::ClusterRole(name) => role.meta.namespace.is_none() && role.meta.name == *name,
        RoleRef::Role(name) => role.meta.namespace == binding.meta.namespace && role.meta.name == *name,
    }
}

fn impersonates(role: &Role) -> bool {
    role.rules.iter().flat_map(|rule| &rule.verbs).any(|verb| verb == "*" || verb.starts_with("impersonate"))
}

fn only_impersonates(role: &Role) -> bool {
    let mut verbs = role.rules.iter().flat_map(|rule| &rule.verbs).peekable();
    verbs.peek().is_some() && verbs.all(|verb| verb.starts_with("impersonate"))
}

fn kept_note(binding: &Binding, cluster: &ClusterSeen) -> Option<String> {
    let object = doomed(binding_kind(binding), &binding.meta, true).object;
    match serves(binding, cluster) {
        Serves::Among => Some(format!(
            "{object} names the connector's service account beside others and is kept; take that subject out of it."
        )),
        Serves::Not if binding.subjects.iter().any(is_principal) && serves_others(binding, cluster) => {
            Some(format!(
                "{object} lets an IAM principal view and is kept: the connector in namespace {} may need it.",
                cluster.namespaces_elsewhere()
            ))
        }
        Serves::Not if binding.subjects.iter().any(is_principal) => Some(format!(
            "{object} gives {} to an IAM principal and is kept: it is not the connector's.",
            binding.role.name()
        )),
        Serves::Alone | Serves::Not => None,
    }
}

/// Whether it is a grant that would go too, if it were not for another connector of this cluster.
fn serves_others(binding: &Binding, cluster: &ClusterSeen) -> bool {
    let grant = is_labelled(&binding.meta) || binding.meta.name.starts_with(DASHBOARD);
    grant && !cluster.elsewhere.is_empty()
}

/// What is in the connector's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inside {
    /// The connector's own, without its StatefulSet, its Lease, and its access rules.
    pub own: Vec<Doomed>,
    /// What is somebody else's.
    pub foreign: Vec<String>,
}

/// Sorts what is in the namespace. `going`: the access rules that go.
pub fn inside(cluster: &ClusterSeen, going: &Rules, theirs: bool) -> Inside {
    let rules: BTreeSet<&str> = going.all().map(|doomed| doomed.uid.as_str()).collect();
    let mut inside = Inside::default();
    for content in &cluster.contents.objects {
        if rules.contains(content.uid()) || is_every_namespaces(content) {
            continue;
        }
        let kind = ObjectKind::ALL.into_iter().find(|kind| {
            kind.name() == content.kind
                && content.api_version.split('/').next() == kind.api_version().split('/').next()
        });
        match kind.filter(|kind| is_own(*kind, content, cluster, theirs)) {
            Some(ObjectKind::Lease | ObjectKind::StatefulSet) => {}
            Some(kind) => inside.own.push(Doomed {
                object: ObjectRef::new(kind, &cluster.namespace, content.name()),
                uid: content.uid().to_owned(),
                access: false,
            }),
            None => inside.foreign.push(format!("{} {}", content.kind, content.name())),
        }
    }
    inside
}

/// What Kubernetes and its like put into every namespace, and what goes by itself with something else.
fn is_every_namespaces(content: &Content) -> bool {
    let metadata = &content.metadata;
    let has_owner = metadata["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty());
    let account = metadata["annotations"]["kubernetes.io/service-account.name"].as_str();
    let name = content.name();
    has_owner
        || match content.kind.as_str() {
            "Event" | "Endpoints" | "EndpointSlice" | "PodMetrics" => true,
            "ServiceAccount" => EVERY_NAMESPACES.contains(&name),
            "ConfigMap" => matches!(name, "kube-root-ca.crt" | "openshift-service-ca.crt"),
            "RoleBinding" => name.starts_with("system:"),
            "Secret" => account.is_some_and(|account| EVERY_NAMESPACES.contains(&account)),
            _ => false,
        }
}

fn is_own(kind: ObjectKind, content: &Content, cluster: &ClusterSeen, theirs: bool) -> bool {
    let name = content.name();
    if is_ours(&serde_json::json!({ "metadata": content.metadata })) {
        return true;
    }
    if kind == ObjectKind::Lease {
        return name == LEASE;
    }
    if !theirs {
        return false;
    }
    match kind {
        ObjectKind::ServiceAccount => name == SERVICE_ACCOUNT,
        ObjectKind::ConfigMap => matches!(name, AGENT_CONFIG | PROXY_CA),
        ObjectKind::StatefulSet | ObjectKind::NetworkPolicy | ObjectKind::PodDisruptionBudget => {
            name == STATEFUL_SET
        }
        ObjectKind::Secret => {
            let labels = &content.metadata["labels"];
            let release = cluster.installed.as_ref().and_then(|installed| installed.release.as_deref());
            let of_account =
                content.metadata["annotations"]["kubernetes.io/service-account.name"] == SERVICE_ACCOUNT;
            matches!(name, ACTIVATION_SECRET | TOKEN_SECRET | PULL_SECRET)
                || of_account
                || is_state(name, cluster.state_prefix())
                || (labels["owner"] == "helm" && release.is_some() && labels["name"].as_str() == release)
        }
        ObjectKind::Namespace
        | ObjectKind::Role
        | ObjectKind::RoleBinding
        | ObjectKind::ClusterRole
        | ObjectKind::ClusterRoleBinding
        | ObjectKind::Lease
        | ObjectKind::SecurityContextConstraints => false,
    }
}

fn is_state(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('-'))
        .is_some_and(|ordinal| !ordinal.is_empty() && ordinal.bytes().all(|byte| byte.is_ascii_digit()))
}
