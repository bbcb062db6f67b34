use super::*;

fn right(namespace: Option<&str>, kind: (&str, &str), name: Option<&str>, verb: &str) -> Right {
    Right {
        namespace: namespace.map(str::to_owned),
        group: kind.0.to_owned(),
        resource: kind.1.to_owned(),
        name: name.map(str::to_owned),
        verb: verb.to_owned(),
    }
}

const HERE: Option<&str> = Some("eks-connector");
const SECRETS: (&str, &str) = ("", "secrets");

#[test]
fn one_rule_for_what_belongs_together_and_no_secret_more_than_needed() {
    let missing: BTreeSet<Right> = [
        right(None, ("", "namespaces"), Some("eks-connector"), "patch"),
        right(None, ("", "namespaces"), Some("eks-connector"), "create"),
        right(HERE, ("apps", "statefulsets"), Some("eks-connector"), "create"),
        right(HERE, ("", "configmaps"), Some("eks-connector-agent"), "create"),
        right(HERE, ("", "serviceaccounts"), Some("eks-connector"), "create"),
        right(HERE, SECRETS, Some("a"), "get"),
        right(HERE, SECRETS, Some("b"), "get"),
        right(HERE, SECRETS, Some("c"), "create"),
        right(HERE, SECRETS, None, "create"),
    ]
    .into();
    insta::assert_snapshot!(rules(&missing).join("\n"), @r#"
    in a ClusterRole, for the whole cluster:
    - {apiGroups: [""], resources: [namespaces], verbs: [create, patch]}
    in a Role of namespace eks-connector:
    - {apiGroups: [""], resources: [configmaps, secrets, serviceaccounts], verbs: [create]}
    - {apiGroups: [""], resources: [secrets], resourceNames: [c], verbs: [create]}
    - {apiGroups: [""], resources: [secrets], resourceNames: [a, b], verbs: [get]}
    - {apiGroups: [apps], resources: [statefulsets], verbs: [create]}
    "#);
    insta::assert_snapshot!(words(&missing).join("\n"), @r"
    create, patch namespaces
    create configmaps in namespace eks-connector
    create, get secrets in namespace eks-connector
    create serviceaccounts in namespace eks-connector
    create statefulsets.apps in namespace eks-connector
    ");
}

#[test]
fn a_role_takes_its_rights_or_the_right_to_escalate() {
    let rules = serde_json::json!([{
        "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "update"], "resourceNames": ["a"],
    }]);
    let object = |kind, body| Object { reference: ObjectRef::new(kind, "eks-connector", "r"), body };
    let role = object(ObjectKind::Role, serde_json::json!({ "rules": rules }));
    let binding = object(ObjectKind::RoleBinding, serde_json::json!({ "roleRef": { "name": "r" } }));
    let all = [role.clone(), binding.clone()];
    for (object, instead) in [(role, "escalate"), (binding, "bind")] {
        let needs = to_give_away(&object, &all);
        let verbs: Vec<&str> = needs.iter().map(|need| need.right.verb.as_str()).collect();
        assert_eq!(verbs, ["get", "update"]);
        let roles = ("rbac.authorization.k8s.io", "roles");
        assert!(needs.iter().all(|need| need.unless == Some(right(HERE, roles, Some("r"), instead))));
    }
}
