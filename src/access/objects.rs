//! The objects of a grant: one set a principal. `templates/access/`, with the rules of [`super::ceiling`].

use k8s_openapi::api::rbac::v1::{
    ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject,
};

use super::ceiling::{path_rule, reading, viewing};
use super::grants::{AUTHENTICATION, BE_USER, Form, IMPERSONATE, ON_USER};
use super::names::{
    CONSOLE_VIEW_ROLE, PRINCIPAL_ANNOTATION, PRINCIPAL_LABEL, SCOPED_VIEW_ROLE, impersonation_name,
    principal_hash, view_name,
};
use super::principal::Principal;
use crate::manifest::{Object, ObjectKind, object_in, template};
use crate::rbac::{self, Rule};

/// Where a grant counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GrantScope {
    /// In the whole cluster.
    #[default]
    Cluster,
    /// In these namespaces, in order. For what viewers get of the cluster as a whole see [`SCOPED_VIEW_ROLE`].
    Namespaces(Vec<String>),
}

/// Which rights a grant gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GrantRole {
    /// Those of [`CONSOLE_VIEW_ROLE`].
    #[default]
    ConsoleView,
    /// Those of a ClusterRole that others made; its reading is the ceiling.
    Given(rbac::Role),
}

/// A grant as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantDesign {
    /// To whom.
    pub principal: Principal,
    /// In which form the connector may be the principal.
    pub form: Form,
    /// Where.
    pub scope: GrantScope,
    /// What.
    pub role: GrantRole,
}

/// The roles of viewers that all grants share, as far as this one needs them.
pub fn shared_objects(design: &GrantDesign) -> Vec<Object> {
    if matches!(design.role, GrantRole::Given(_)) {
        return Vec::new();
    }
    let mut role: ClusterRole = template(include_str!("../../templates/access/console-view.yaml"));
    role.rules = Some(policy(viewing(|_| true, true)));
    let mut objects = vec![object_in(ObjectKind::ClusterRole, "", &role)];
    if matches!(design.scope, GrantScope::Namespaces(_)) {
        let mut role: ClusterRole = template(include_str!("../../templates/access/console-view-scoped.yaml"));
        role.rules = Some(policy(of_the_cluster()));
        objects.push(object_in(ObjectKind::ClusterRole, "", &role));
    }
    objects
}

/// The objects of this grant alone, for the connector of `namespace`.
pub fn grant_objects(design: &GrantDesign, namespace: &str) -> Vec<Object> {
    let principal = &design.principal;
    let mut objects = impersonation(design, namespace);
    let user = Subject {
        api_group: Some("rbac.authorization.k8s.io".to_owned()),
        kind: "User".to_owned(),
        name: principal.arn().to_owned(),
        namespace: None,
    };
    let (of_cluster, of_namespaces) = bound_roles(design);
    if let Some(role) = of_cluster {
        let yaml = include_str!("../../templates/access/view-cluster-role-binding.yaml");
        let mut binding: ClusterRoleBinding = template(yaml);
        binding.metadata.name = Some(view_name(principal));
        binding.subjects = Some(vec![user.clone()]);
        binding.role_ref.name = role;
        objects.push(object_in(ObjectKind::ClusterRoleBinding, "", &binding));
    }
    for (place, role) in of_namespaces {
        let mut binding: RoleBinding =
            template(include_str!("../../templates/access/view-role-binding.yaml"));
        binding.metadata.name = Some(view_name(principal));
        binding.subjects = Some(vec![user.clone()]);
        binding.role_ref.name = role;
        objects.push(object_in(ObjectKind::RoleBinding, place, &binding));
    }
    objects.into_iter().map(|object| marked(object, principal)).collect()
}

/// What the connector may ask for in this principal's name: in the cluster as a whole, and in each namespace of the scope.
pub fn ceiling_of(design: &GrantDesign) -> (Vec<Rule>, Vec<Rule>) {
    let given = match &design.role {
        GrantRole::ConsoleView => None,
        GrantRole::Given(role) => Some(reading(role).ceiling),
    };
    match (&design.scope, given) {
        (GrantScope::Cluster, None) => (viewing(|_| true, true), Vec::new()),
        (GrantScope::Cluster, Some(mut rules)) => {
            rules.push(path_rule());
            (rules, Vec::new())
        }
        (GrantScope::Namespaces(_), None) => (of_the_cluster(), viewing(|one| one.namespaced, false)),
        // What a RoleBinding gives of it.
        (GrantScope::Namespaces(_), Some(mut rules)) => {
            rules.retain(|rule| rule.non_resource_urls.is_empty());
            (vec![path_rule()], rules)
        }
    }
}

/// The role that is bound in the cluster, and those that are bound in namespaces.
fn bound_roles(design: &GrantDesign) -> (Option<String>, Vec<(&str, String)>) {
    let role = match &design.role {
        GrantRole::ConsoleView => CONSOLE_VIEW_ROLE.to_owned(),
        GrantRole::Given(role) => role.meta.name.clone(),
    };
    match &design.scope {
        GrantScope::Cluster => (Some(role), Vec::new()),
        GrantScope::Namespaces(namespaces) => {
            let scoped = matches!(design.role, GrantRole::ConsoleView).then(|| SCOPED_VIEW_ROLE.to_owned());
            (scoped, namespaces.iter().map(|place| (place.as_str(), role.clone())).collect())
        }
    }
}

fn of_the_cluster() -> Vec<Rule> {
    viewing(|one| !one.namespaced, true)
}

fn impersonation(design: &GrantDesign, namespace: &str) -> Vec<Object> {
    let name = impersonation_name(&design.principal);
    let (of_cluster, of_namespaces) = ceiling_of(design);
    let mut role: ClusterRole =
        template(include_str!("../../templates/access/impersonation-cluster-role.yaml"));
    role.metadata.name = Some(name.clone());
    let mut rules = vec![identity(design)];
    if design.form == Form::Constrained {
        rules.extend(of_cluster.into_iter().map(on_user));
    }
    role.rules = Some(policy(rules));
    let yaml = include_str!("../../templates/access/impersonation-cluster-role-binding.yaml");
    let mut binding: ClusterRoleBinding = template(yaml);
    binding.metadata.name = Some(name.clone());
    bind(&mut binding.subjects, &mut binding.role_ref, &name, namespace);
    let mut objects = vec![
        object_in(ObjectKind::ClusterRole, "", &role),
        object_in(ObjectKind::ClusterRoleBinding, "", &binding),
    ];
    let GrantScope::Namespaces(places) = &design.scope else { return objects };
    // The documented form has no ceiling.
    for place in places.iter().filter(|_| design.form == Form::Constrained) {
        let mut role: Role = template(include_str!("../../templates/access/impersonation-role.yaml"));
        role.metadata.name = Some(name.clone());
        role.rules = Some(policy(of_namespaces.iter().cloned().map(on_user).collect()));
        let yaml = include_str!("../../templates/access/impersonation-role-binding.yaml");
        let mut binding: RoleBinding = template(yaml);
        binding.metadata.name = Some(name.clone());
        bind(&mut binding.subjects, &mut binding.role_ref, &name, namespace);
        objects.push(object_in(ObjectKind::Role, place, &role));
        objects.push(object_in(ObjectKind::RoleBinding, place, &binding));
    }
    objects
}

/// The rule that lets the connector be the principal.
fn identity(design: &GrantDesign) -> Rule {
    let (verb, group) = match design.form {
        Form::Constrained => (BE_USER, AUTHENTICATION),
        Form::Documented => (IMPERSONATE, ""),
    };
    Rule {
        verbs: vec![verb.to_owned()],
        api_groups: vec![group.to_owned()],
        resources: vec!["users".to_owned()],
        // Never empty: that would be everybody.
        resource_names: vec![design.principal.arn().to_owned()],
        non_resource_urls: Vec::new(),
    }
}

/// A rule about asking, as a rule about asking as somebody.
fn on_user(rule: Rule) -> Rule {
    let verbs = rule.verbs.iter().map(|verb| format!("{ON_USER}{verb}")).collect();
    Rule { verbs, ..rule }
}

fn bind(subjects: &mut Option<Vec<Subject>>, role: &mut RoleRef, name: &str, namespace: &str) {
    name.clone_into(&mut role.name);
    for subject in subjects.iter_mut().flatten() {
        subject.namespace = Some(namespace.to_owned());
    }
}

fn policy(rules: Vec<Rule>) -> Vec<PolicyRule> {
    let some = |list: Vec<String>| (!list.is_empty()).then_some(list);
    rules
        .into_iter()
        .map(|rule| PolicyRule {
            verbs: rule.verbs,
            api_groups: some(rule.api_groups),
            resources: some(rule.resources),
            resource_names: some(rule.resource_names),
            non_resource_urls: some(rule.non_resource_urls),
        })
        .collect()
}

fn marked(object: Object, principal: &Principal) -> Object {
    object
        .with_metadata("labels", &[(PRINCIPAL_LABEL, &principal_hash(principal))])
        .with_metadata("annotations", &[(PRINCIPAL_ANNOTATION, principal.arn())])
}

#[cfg(test)]
#[path = "objects_tests.rs"]
pub(in crate::access) mod tests;
