use super::*;

const ARN: &str = "arn:aws:iam::111122223333:role/Viewer";

fn rule(verbs: &[&str], group: &str, resources: &[&str], names: &[&str]) -> Rule {
    let strings = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    Rule {
        verbs: strings(verbs),
        api_groups: vec![group.to_owned()],
        resources: strings(resources),
        resource_names: strings(names),
        non_resource_urls: Vec::new(),
    }
}

fn connector() -> Who {
    Who::service_account("eks-connector", "eks-connector")
}

/// The connector has `rules` in the whole cluster and `local` in the namespace web; the principal is cluster-admin.
fn world(rules: Vec<Rule>, local: Vec<Rule>) -> Snapshot {
    let meta = |namespace: Option<&str>, name: &str| Meta {
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
        ..Meta::default()
    };
    let agent =
        Subject::ServiceAccount { namespace: Some("eks-connector".into()), name: "eks-connector".into() };
    let bind = |namespace: Option<&str>, role: &str, subject: Subject| Binding {
        meta: meta(namespace, role),
        role: RoleRef::ClusterRole(role.to_owned()),
        subjects: vec![subject],
    };
    let admin = vec![rule(&["*"], "*", &["*"], &[])];
    Snapshot {
        roles: vec![
            Role { meta: meta(None, "connector"), rules, ..Role::default() },
            Role { meta: meta(None, "local"), rules: local, ..Role::default() },
            Role { meta: meta(None, "admin"), rules: admin, ..Role::default() },
        ],
        bindings: vec![
            bind(None, "connector", agent.clone()),
            bind(Some("web"), "local", agent),
            bind(None, "admin", Subject::User(ARN.to_owned())),
        ],
    }
}

/// The mode by which it is allowed, or what is missing.
fn ask(snapshot: &Snapshot, name: &str, request: &Request, constrained: bool) -> Result<Mode, Vec<String>> {
    match Evaluator::new(snapshot).through(&connector(), name, request, constrained) {
        Through::Allowed(as_whom, _) => Ok(as_whom.mode),
        Through::Forbidden(as_whom) => Err(vec![format!("{} may not", as_whom.who.name)]),
        Through::NotImpersonated { missing } => Err(missing.iter().map(ToString::to_string).collect()),
    }
}

#[test]
fn constrained_only_what_is_listed() {
    let identity = rule(&["impersonate:user-info"], "authentication.k8s.io", &["users"], &[ARN]);
    let on = rule(&["impersonate-on:user-info:list"], "", &["pods"], &[]);
    let snapshot = world(vec![identity.clone(), on.clone()], Vec::new());
    let list = Request::on("list", "", "pods");
    assert_eq!(ask(&snapshot, ARN, &list, true), Ok(Mode::UserInfo));
    for (refused, first) in [
        (Request::on("delete", "", "pods"), "impersonate-on:user-info:delete pods"),
        (Request::on("list", "", "secrets"), "impersonate-on:user-info:list secrets"),
    ] {
        let legacy = format!("impersonate users {ARN}");
        assert_eq!(ask(&snapshot, ARN, &refused, true), Err(vec![first.to_owned(), legacy]));
    }
    // A server that does not know the verbs.
    assert_eq!(ask(&snapshot, ARN, &list, false), Err(vec![format!("impersonate users {ARN}")]));
    // Another principal.
    let other = ask(&snapshot, "arn:aws:iam::111122223333:role/Other", &list, true).unwrap_err();
    assert!(other[0].starts_with("impersonate:user-info users.authentication.k8s.io arn:"), "{other:?}");

    // What is bound in a namespace holds there, but nobody is impersonated by it.
    let snapshot = world(vec![identity.clone()], vec![on.clone()]);
    assert_eq!(ask(&snapshot, ARN, &list.clone().within("web"), true), Ok(Mode::UserInfo));
    assert!(ask(&snapshot, ARN, &list.clone().within("db"), true).is_err());
    let snapshot = world(vec![on], vec![identity]);
    assert!(ask(&snapshot, ARN, &list.within("web"), true).is_err());
}

#[test]
fn a_leftover_documented_grant_undoes_the_constraint() {
    let snapshot = world(vec![rule(&["impersonate"], "", &["users"], &[ARN])], Vec::new());
    for constrained in [true, false] {
        let delete = Request::on("delete", "", "namespaces").named("web");
        assert_eq!(ask(&snapshot, ARN, &delete, constrained), Ok(Mode::Legacy));
    }
}

#[test]
fn the_impersonated_one_must_be_allowed_too() {
    let other = "arn:aws:iam::111122223333:role/Other";
    let snapshot = world(vec![rule(&["impersonate"], "", &["users"], &[])], Vec::new());
    let refused = ask(&snapshot, other, &Request::on("list", "", "pods"), true);
    assert_eq!(refused, Err(vec![format!("{other} may not")]));
}

#[test]
fn service_accounts_and_nodes_are_resources_of_their_own() {
    let list = Request::on("list", "", "pods");
    let users =
        world(vec![rule(&["impersonate", "impersonate:user-info"], "*", &["users"], &[])], Vec::new());
    let account = "system:serviceaccount:web:shop";
    assert_eq!(
        ask(&users, account, &list, true),
        Err(vec![
            "impersonate-on:serviceaccount:list pods".to_owned(),
            "impersonate serviceaccounts shop in namespace web".to_owned()
        ])
    );
    // In its namespace a RoleBinding is enough.
    let accounts = world(Vec::new(), vec![rule(&["impersonate"], "", &["serviceaccounts"], &["shop"])]);
    let evaluator = Evaluator::new(&accounts);
    match evaluator.through(&connector(), account, &list, true) {
        Through::Forbidden(impersonated) => assert_eq!(impersonated.who, Who::service_account("web", "shop")),
        other => panic!("{other:?}"),
    }
    let nodes = world(
        vec![
            rule(&["impersonate:arbitrary-node"], "authentication.k8s.io", &["nodes"], &["n1"]),
            rule(&["impersonate-on:arbitrary-node:list"], "", &["pods"], &[]),
        ],
        Vec::new(),
    );
    match Evaluator::new(&nodes).through(&connector(), "system:node:n1", &list, true) {
        Through::Forbidden(impersonated) => {
            assert_eq!(impersonated.mode, Mode::ArbitraryNode);
            assert_eq!(impersonated.who.groups, ["system:nodes", "system:authenticated"]);
        }
        other => panic!("{other:?}"),
    }
}
