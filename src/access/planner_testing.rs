//! Clusters as the tests of the planner have them, and what a plan makes of them.

use super::*;
use crate::access::objects::GrantScope;
use crate::access::objects::tests::applied;
use crate::access::observed::Constrains;
use crate::access::request::GrantRequest;
use crate::ports::PrincipalFacts;
use crate::rbac::{Binding, Meta, Role, RoleRef, Rule, Snapshot, Subject};
use crate::registration::observed::Caller;

pub(super) const NAMESPACE: &str = "eks-connector";
pub(super) const CLUSTER: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1";

pub(super) fn principal(short: &str) -> Principal {
    Principal::canonical(&format!("arn:aws:iam::111122223333:{short}")).unwrap()
}

pub(super) fn viewer() -> Principal {
    principal("role/Viewer")
}

pub(super) fn ana() -> Principal {
    principal("user/ana")
}

pub(super) fn users(verb: &str, names: &[&Principal]) -> Rule {
    Rule {
        verbs: vec![verb.into()],
        api_groups: vec![String::new()],
        resources: vec!["users".into()],
        resource_names: names.iter().map(|one| one.arn().to_owned()).collect(),
        ..Rule::default()
    }
}

pub(super) fn meta(name: &str) -> Meta {
    Meta { name: name.into(), uid: format!("uid-{name}"), resource_version: "1".into(), ..Meta::default() }
}

pub(super) fn connector() -> Subject {
    Subject::ServiceAccount { namespace: Some(NAMESPACE.into()), name: NAMESPACE.into() }
}

/// The official template, as it is after it was edited for these principals.
pub(super) fn template(names: &[&Principal]) -> Snapshot {
    let dashboard = "eks-connector-console-dashboard-full-access-clusterrole";
    let secrets = Rule {
        verbs: vec!["get".into(), "list".into()],
        api_groups: vec![String::new()],
        resources: vec!["pods".into(), "secrets".into()],
        ..Rule::default()
    };
    Snapshot {
        roles: vec![
            Role {
                meta: meta("eks-connector-service"),
                rules: vec![users("impersonate", names)],
                ..Role::default()
            },
            Role { meta: meta(dashboard), rules: vec![secrets], ..Role::default() },
        ],
        bindings: vec![
            Binding {
                meta: meta("eks-connector-service"),
                role: RoleRef::ClusterRole("eks-connector-service".into()),
                subjects: vec![connector()],
            },
            Binding {
                meta: meta(&format!("{dashboard}-binding")),
                role: RoleRef::ClusterRole(dashboard.into()),
                subjects: names.iter().map(|one| Subject::User(one.arn().to_owned())).collect(),
            },
        ],
    }
}

/// Lets the connector be anyone, as the chart does without ARNs.
pub(super) fn helm(names: &[&Principal]) -> Snapshot {
    let mut rules = template(names);
    rules.roles[0].rules = vec![users("impersonate", &[])];
    for meta in rules
        .roles
        .iter_mut()
        .map(|role| &mut role.meta)
        .chain(rules.bindings.iter_mut().map(|one| &mut one.meta))
    {
        meta.annotations.insert("meta.helm.sh/release-name".into(), "connect".into());
    }
    rules
}

pub(super) fn request(principals: &[Principal], scope: GrantScope) -> GrantRequest {
    GrantRequest {
        principals: principals.to_vec(),
        namespace: NAMESPACE.into(),
        scope,
        ..GrantRequest::default()
    }
}

pub(super) fn looked(rules: &Snapshot) -> Looked {
    let facts = |one: &Principal| {
        let facts = PrincipalFacts { arn: one.arn().to_owned(), viewer_policy: Permissions::Absent };
        (one.clone(), PrincipalSeen::Present(facts))
    };
    Looked {
        caller: Caller { account: "111122223333".into(), arn: "arn:aws:iam::111122223333:user/admin".into() },
        region: "eu-west-1".into(),
        cluster_uid: "uid".into(),
        version: "v1.36.3".into(),
        namespace: NAMESPACE.into(),
        connector: true,
        elsewhere: Vec::new(),
        cluster_arn: Some(CLUSTER.into()),
        rules: rules.clone(),
        constrains: Constrains::Yes,
        absent_namespaces: BTreeSet::new(),
        principals: [viewer(), ana()].iter().map(facts).collect(),
        warnings: Vec::new(),
        unverified: Vec::new(),
    }
}

pub(super) fn seen(wanted: &Desired, looked: Looked) -> Observed {
    let rules = looked.rules.clone();
    let mut observed = Observed::of(looked);
    for object in wanted_objects(wanted, NAMESPACE) {
        let after = applied(std::slice::from_ref(&object));
        let state = if let Some(role) = after.roles.first() {
            match rules
                .roles
                .iter()
                .find(|one| one.meta.name == role.meta.name && one.meta.namespace == role.meta.namespace)
            {
                None => ObjectState::Absent,
                Some(live) if live.rules == role.rules => ObjectState::Same,
                Some(_) => ObjectState::Differs,
            }
        } else {
            let binding = &after.bindings[0];
            let live = rules.bindings.iter().find(|one| {
                one.meta.name == binding.meta.name && one.meta.namespace == binding.meta.namespace
            });
            match live {
                None => ObjectState::Absent,
                Some(live) if live.role != binding.role => {
                    observed.fixed.insert(object.reference.clone(), live.meta.uid.clone());
                    ObjectState::Differs
                }
                Some(live) if live.subjects == binding.subjects => ObjectState::Same,
                Some(_) => ObjectState::Differs,
            }
        };
        observed.objects.insert(object.reference, state);
    }
    observed
}

pub(super) fn plan_of(request: &GrantRequest, looked: Looked) -> AccessPlan {
    let wanted = super::super::desired::desired(request, &looked, false).unwrap();
    plan_grants(&wanted, &seen(&wanted, looked)).unwrap()
}

/// What the world is after the steps of a plan, in an order that respects their needs.
pub(super) fn execute(planned: &AccessPlan, rules: &mut Snapshot) {
    for (_, planned) in planned.plan.iter() {
        match &planned.step {
            Step::Apply(object) => {
                remove(&object.reference, rules);
                let after = applied(std::slice::from_ref(object));
                rules.roles.extend(after.roles);
                rules.bindings.extend(after.bindings);
            }
            Step::Remove { object, .. } | Step::Change(removal::Removal::Delete { object, .. }) => {
                remove(object, rules);
            }
            Step::Change(removal::Removal::Amend { object, change, .. }) => {
                let mut changed = applied(&[Object {
                    reference: object.clone(),
                    body: match change.get("rules") {
                        Some(rules) => serde_json::json!({ "metadata": {}, "rules": rules }),
                        None => serde_json::json!({
                            "metadata": {}, "subjects": change["subjects"],
                            "roleRef": { "kind": "ClusterRole", "name": "" },
                        }),
                    },
                }]);
                for role in &mut rules.roles {
                    if role.meta.name == object.name && change.get("rules").is_some() {
                        role.rules = std::mem::take(&mut changed.roles[0].rules);
                    }
                }
                for binding in &mut rules.bindings {
                    if binding.meta.name == object.name && change.get("subjects").is_some() {
                        binding.subjects = std::mem::take(&mut changed.bindings[0].subjects);
                    }
                }
            }
            Step::AttachPolicy { .. }
            | Step::DetachPolicy { .. }
            | Step::AwaitAllowed { .. }
            | Step::Verify(_)
            | Step::VerifyRevoked { .. } => {}
        }
    }
    rules.roles.sort_by(|a, b| (&a.meta.namespace, &a.meta.name).cmp(&(&b.meta.namespace, &b.meta.name)));
    rules.bindings.sort_by(|a, b| (&a.meta.namespace, &a.meta.name).cmp(&(&b.meta.namespace, &b.meta.name)));
}

pub(super) fn remove(object: &ObjectRef, rules: &mut Snapshot) {
    let is_role = matches!(object.kind, ObjectKind::Role | ObjectKind::ClusterRole);
    let same = |meta: &Meta| meta.name == object.name && meta.namespace == object.namespace;
    rules.roles.retain(|one| !(is_role && same(&one.meta)));
    rules.bindings.retain(|one| is_role || !same(&one.meta));
}

pub(super) fn grant(request: &GrantRequest, rules: &mut Snapshot) -> AccessPlan {
    let planned = plan_of(request, looked(rules));
    execute(&planned, rules);
    planned
}

pub(super) fn actions(planned: &AccessPlan) -> Vec<String> {
    planned.plan.iter().map(|(_, planned)| planned.step.describe()).collect()
}

pub(super) fn in_namespaces(names: &[&str]) -> GrantScope {
    GrantScope::Namespaces(names.iter().map(|name| (*name).to_owned()).collect())
}

pub(super) fn check_of(planned: &AccessPlan) -> GrantCheck {
    let found = planned.plan.iter().find_map(|(_, planned)| match &planned.step {
        Step::Verify(check) => Some((**check).clone()),
        _ => None,
    });
    found.unwrap()
}
