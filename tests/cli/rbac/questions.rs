//! Random questions about who may do what.

use eksconnect::rbac::{Binding, Request, Role, RoleRef, Rule, Snapshot, Subject, Target, Who};
use serde_json::{Value, json};

use super::objects::{API_GROUPS, GROUPS, MODES, NAMES, NAMESPACES, PATHS, RESOURCES, USERS, VERBS};
use crate::numbers::Numbers;

/// Somebody and something.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) who: Who,
    pub(super) request: Request,
}

impl Question {
    /// Half of them are about what a binding gives, changed in at most one place: of questions about anything almost
    /// every one would be answered with no.
    pub(super) fn random(numbers: &mut Numbers, snapshot: &Snapshot) -> Self {
        let own: Vec<&Binding> =
            snapshot.bindings.iter().filter(|binding| binding.meta.name.starts_with("t-")).collect();
        let binding = own[numbers.below(own.len())];
        if numbers.once_in(2)
            && let Some(question) = about(numbers, snapshot, binding)
        {
            return question;
        }
        Self { who: anybody(numbers), request: anything(numbers) }
    }

    /// As a SubjectAccessReview asks it.
    pub(super) fn spec(&self) -> Value {
        let mut spec = json!({ "user": self.who.name, "groups": self.who.groups });
        match &self.request.target {
            Target::Path(path) => {
                spec["nonResourceAttributes"] = json!({ "path": path, "verb": self.request.verb });
            }
            Target::Resource { group, resource, subresource, namespace, name } => {
                spec["resourceAttributes"] = json!({
                    "verb": self.request.verb, "group": group, "resource": resource, "subresource": subresource,
                    "namespace": namespace, "name": name,
                });
            }
        }
        spec
    }
}

fn about(numbers: &mut Numbers, snapshot: &Snapshot, binding: &Binding) -> Option<Question> {
    let (name, namespace) = match &binding.role {
        RoleRef::ClusterRole(name) => (name, None),
        RoleRef::Role(name) => (name, binding.meta.namespace.as_ref()),
    };
    let same = |role: &&Role| role.meta.name == *name && role.meta.namespace.as_ref() == namespace;
    let rules = &snapshot.roles.iter().find(same)?.rules;
    let rule = rules.get(numbers.below(rules.len()))?;
    let subject = binding.subjects.get(numbers.below(binding.subjects.len()))?;
    let namespace = binding.meta.namespace.as_deref();
    let mut question =
        Question { who: member(numbers, subject, namespace), request: allowed(numbers, rule, namespace) };
    if numbers.once_in(2) {
        change(numbers, &mut question);
    }
    Some(question)
}

fn change(numbers: &mut Numbers, question: &mut Question) {
    match (numbers.below(6), &mut question.request.target) {
        (0, _) => question.who = anybody(numbers),
        (1, _) => question.request.verb = verb(numbers),
        (_, Target::Path(path)) => *path = some_path(numbers),
        (2, Target::Resource { group, .. }) => numbers.one(&API_GROUPS).clone_into(group),
        (3, Target::Resource { resource, subresource, .. }) => {
            let (of, sub) = some_resource(numbers);
            (*resource, *subresource) = (of, sub);
        }
        (4, Target::Resource { namespace, .. }) => *namespace = some_namespace(numbers),
        (_, Target::Resource { name, .. }) => numbers.one(&NAMES).clone_into(name),
    }
}

/// Somebody whom the subject means.
fn member(numbers: &mut Numbers, subject: &Subject, own: Option<&str>) -> Who {
    match subject {
        Subject::User(name) => {
            // What RBAC is told is a name; groups come from elsewhere.
            if numbers.once_in(4) { Who { name: name.clone(), groups: Vec::new() } } else { Who::named(name) }
        }
        Subject::Group(group) => Who { name: "cat".to_owned(), groups: vec![group.clone()] },
        Subject::ServiceAccount { namespace, name } => {
            let namespace = namespace.as_deref().filter(|namespace| !namespace.is_empty()).or(own);
            Who::service_account(namespace.unwrap_or("web"), name)
        }
    }
}

fn allowed(numbers: &mut Numbers, rule: &Rule, namespace: Option<&str>) -> Request {
    let verb = rule.verbs[numbers.below(rule.verbs.len())].clone();
    let verb = if verb == "*" { self::verb(numbers) } else { verb };
    if !rule.non_resource_urls.is_empty() {
        let url = &rule.non_resource_urls[numbers.below(rule.non_resource_urls.len())];
        let path = if numbers.once_in(3) { url.clone() } else { format!("{}x", url.trim_end_matches('*')) };
        return Request::path(&verb, &path);
    }
    let group = &rule.api_groups[numbers.below(rule.api_groups.len())];
    let group = if group == "*" { numbers.one(&API_GROUPS) } else { group };
    let resource = rule.resources[numbers.below(rule.resources.len())].replace("*/", "pods/");
    let resource = if resource == "*" { "pods".to_owned() } else { resource };
    let request = Request::on(&verb, group, &resource);
    let request = match rule.resource_names.get(numbers.below(rule.resource_names.len())) {
        Some(name) => request.named(name),
        None => request,
    };
    match namespace {
        Some(namespace) => request.within(namespace),
        None if numbers.once_in(2) => request.within(numbers.one(&NAMESPACES)),
        None => request,
    }
}

fn anybody(numbers: &mut Numbers) -> Who {
    match numbers.below(6) {
        0 => Who::service_account(numbers.one(&NAMESPACES), numbers.one(&super::objects::ACCOUNTS)),
        1 => {
            let groups = numbers.some(&GROUPS, 3).into_iter().map(str::to_owned).collect();
            Who { name: numbers.one(&USERS).to_owned(), groups }
        }
        // The authorizer of nodes has its own mind about system:nodes; nobody else has about masters.
        2 if numbers.once_in(4) => Who { name: "root".to_owned(), groups: vec!["system:masters".to_owned()] },
        _ => Who::named(numbers.one(&USERS)),
    }
}

fn anything(numbers: &mut Numbers) -> Request {
    let verb = verb(numbers);
    if numbers.once_in(5) {
        return Request::path(&verb, &some_path(numbers));
    }
    if numbers.once_in(5) {
        return somebody(numbers);
    }
    let (resource, subresource) = some_resource(numbers);
    Request {
        verb,
        target: Target::Resource {
            group: numbers.one(&API_GROUPS).to_owned(),
            resource,
            subresource,
            namespace: some_namespace(numbers),
            name: if numbers.once_in(2) { String::new() } else { numbers.one(&NAMES).to_owned() },
        },
    }
}

/// To act as somebody, in either form.
fn somebody(numbers: &mut Numbers) -> Request {
    let resource = numbers.one(&["users", "groups", "serviceaccounts", "nodes"]);
    let name = numbers.one(&USERS);
    if numbers.once_in(2) {
        return Request::on("impersonate", "", resource).named(name).within(&some_namespace(numbers));
    }
    let mode = numbers.one(&MODES);
    Request::on(&format!("impersonate:{mode}"), "authentication.k8s.io", resource).named(name)
}

fn verb(numbers: &mut Numbers) -> String {
    if numbers.once_in(5) {
        return format!("impersonate-on:{}:{}", numbers.one(&MODES), numbers.one(&VERBS));
    }
    numbers.one(&VERBS).to_owned()
}

fn some_path(numbers: &mut Numbers) -> String {
    match numbers.below(4) {
        0 => format!("{}/x", numbers.one(&PATHS).trim_end_matches('*')),
        1 => numbers.one(&["/", "/version", "/apis", "/apis/apps/v1", "/healthz/ping", "/x"]).to_owned(),
        _ => numbers.one(&PATHS).to_owned(),
    }
}

/// A resource and a subresource; some are written into one, as only a SubjectAccessReview can.
fn some_resource(numbers: &mut Numbers) -> (String, String) {
    let resource = numbers.one(&RESOURCES);
    match resource.split_once('/') {
        Some((of, sub)) if !numbers.once_in(10) => (of.to_owned(), sub.to_owned()),
        _ if numbers.once_in(20) => ("pods".to_owned(), "a/log".to_owned()),
        _ => (resource.to_owned(), String::new()),
    }
}

fn some_namespace(numbers: &mut Numbers) -> String {
    numbers.one(&["", "web", "db", "ops", "default", "nowhere"]).to_owned()
}
