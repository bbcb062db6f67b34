use proptest::prelude::*;

use super::*;

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

fn rule(verbs: &[&str], groups: &[&str], resources: &[&str], names: &[&str]) -> Rule {
    Rule {
        verbs: strings(verbs),
        api_groups: strings(groups),
        resources: strings(resources),
        resource_names: strings(names),
        non_resource_urls: Vec::new(),
    }
}

fn paths(verbs: &[&str], urls: &[&str]) -> Rule {
    Rule { verbs: strings(verbs), non_resource_urls: strings(urls), ..Rule::default() }
}

fn meta(namespace: Option<&str>, name: &str) -> Meta {
    Meta { namespace: namespace.map(str::to_owned), name: name.to_owned(), ..Meta::default() }
}

fn role(namespace: Option<&str>, name: &str, rules: Vec<Rule>) -> Role {
    Role { meta: meta(namespace, name), rules, ..Role::default() }
}

fn binding(namespace: Option<&str>, name: &str, role: RoleRef, subjects: Vec<Subject>) -> Binding {
    Binding { meta: meta(namespace, name), role, subjects }
}

fn user(name: &str) -> Subject {
    Subject::User(name.to_owned())
}

fn group(name: &str) -> Subject {
    Subject::Group(name.to_owned())
}

fn account(namespace: Option<&str>, name: &str) -> Subject {
    Subject::ServiceAccount { namespace: namespace.map(str::to_owned), name: name.to_owned() }
}

fn cluster_role(name: &str) -> RoleRef {
    RoleRef::ClusterRole(name.to_owned())
}

#[test]
fn what_a_rule_allows() {
    let get = |resource: &str| Request::on("get", "", resource);
    let cases = [
        (rule(&["get"], &[""], &["pods"], &[]), get("pods"), true),
        (rule(&["get"], &[""], &["pods"], &[]), get("nodes"), false),
        (rule(&["list"], &[""], &["pods"], &[]), get("pods"), false),
        (rule(&["*"], &["*"], &["*"], &[]), get("pods").named("a"), true),
        // Groups.
        (rule(&["get"], &["apps"], &["pods"], &[]), get("pods"), false),
        (rule(&["get"], &["*"], &["deployments"], &[]), Request::on("get", "apps", "deployments"), true),
        // Subresources.
        (rule(&["get"], &[""], &["pods"], &[]), get("pods/log"), false),
        (rule(&["get"], &[""], &["pods/log"], &[]), get("pods"), false),
        (rule(&["get"], &[""], &["pods/log"], &[]), get("pods/log"), true),
        (rule(&["get"], &[""], &["pods/*"], &[]), get("pods/log"), false),
        (rule(&["get"], &[""], &["*"], &[]), get("pods/log"), true),
        (rule(&["get"], &["*"], &["*/scale"], &[]), Request::on("get", "apps", "deployments/scale"), true),
        (
            rule(&["get"], &["*"], &["*/scale"], &[]),
            Request::on("get", "apps", "deployments/subscale"),
            false,
        ),
        (rule(&["get"], &["*"], &["*/scale"], &[]), Request::on("get", "apps", "scale"), false),
        // Names.
        (rule(&["get"], &[""], &["pods"], &["a"]), get("pods").named("a"), true),
        (rule(&["get"], &[""], &["pods"], &["a"]), get("pods").named("b"), false),
        (rule(&["list"], &[""], &["pods"], &["a"]), Request::on("list", "", "pods"), false),
        (rule(&["get"], &[""], &["pods"], &["*"]), get("pods").named("a"), false),
        (rule(&["get"], &[""], &["pods"], &["*"]), get("pods").named("*"), true),
        (rule(&["get"], &[""], &["pods"], &[""]), get("pods"), true),
        // Paths.
        (paths(&["get"], &["/version"]), Request::path("get", "/version"), true),
        (paths(&["get"], &["/version"]), Request::path("get", "/version/"), false),
        (paths(&["get"], &["/apis/*"]), Request::path("get", "/apis/apps"), true),
        (paths(&["get"], &["/apis/*"]), Request::path("get", "/apis"), false),
        (paths(&["get"], &["/apis**"]), Request::path("get", "/apis"), true),
        (paths(&["get"], &["/a*b"]), Request::path("get", "/axb"), false),
        (paths(&["get"], &["*"]), Request::path("get", "/anything"), true),
        (paths(&["*"], &["*"]), get("pods"), false),
        (rule(&["*"], &["*"], &["*"], &[]), Request::path("get", "/version"), false),
    ];
    for (rule, request, allowed) in cases {
        assert_eq!(rule.allows(&request), allowed, "{rule}: {request}");
    }
}

#[test]
fn where_and_to_whom_a_binding_gives_its_role() {
    let read = vec![rule(&["get", "list"], &[""], &["pods"], &[])];
    let snapshot = Snapshot {
        roles: vec![
            role(None, "everywhere", read.clone()),
            role(Some("web"), "local", read),
            role(None, "paths", vec![paths(&["get"], &["/version"])]),
        ],
        bindings: vec![
            binding(None, "a", cluster_role("everywhere"), vec![user("ana")]),
            binding(Some("web"), "b", cluster_role("everywhere"), vec![user("ben"), account(None, "shop")]),
            binding(
                Some("web"),
                "c",
                RoleRef::Role("local".into()),
                vec![group("system:serviceaccounts:db")],
            ),
            binding(Some("db"), "d", RoleRef::Role("local".into()), vec![user("cat")]),
            binding(None, "e", cluster_role("gone"), vec![user("dan")]),
            binding(None, "f", cluster_role("everywhere"), vec![account(None, "nowhere")]),
            binding(Some("web"), "g", cluster_role("paths"), vec![user("eve")]),
        ],
    };
    let evaluator = Evaluator::new(&snapshot);
    let list = |namespace: &str| Request::on("list", "", "pods").within(namespace);
    let cases = [
        // A ClusterRoleBinding counts everywhere.
        (Who::named("ana"), list(""), Some("a")),
        (Who::named("ana"), list("web"), Some("a")),
        // A RoleBinding in its namespace alone, also of a ClusterRole.
        (Who::named("ben"), list("web"), Some("b")),
        (Who::named("ben"), list("db"), None),
        (Who::named("ben"), list(""), None),
        // A service account without a namespace is one of the binding's.
        (Who::service_account("web", "shop"), list("web"), Some("b")),
        (Who::named("system:serviceaccount:web:shop"), list("web"), Some("b")),
        (Who::service_account("db", "shop"), list("web"), Some("c")),
        (Who::service_account("web", "nowhere"), list("db"), None),
        // The Role of that name is in another namespace; the ClusterRole does not exist.
        (Who::named("cat"), list("db"), None),
        (Who::named("dan"), list("web"), None),
        // A namespace gives no paths.
        (Who::named("eve"), Request::path("get", "/version"), None),
    ];
    for (who, request, expected) in cases {
        let by = evaluator.permits(&who, &request).map(|permit| match permit {
            Permit::Rule(chain) => chain.binding.meta.name.as_str(),
            Permit::Masters => panic!("{who:?} is no master"),
        });
        assert_eq!(by, expected, "{}: {request}", who.name);
    }
    let admin = Who { name: "x".to_owned(), groups: strings(&["system:masters"]) };
    assert_eq!(evaluator.permits(&admin, &list("")), Some(Permit::Masters));

    let can: Vec<String> =
        evaluator.who_can(&list("web")).map(|chain| format!("{:?}", chain.subject)).collect();
    assert_eq!(
        can,
        [
            r#"User("ana")"#,
            r#"User("ben")"#,
            r#"ServiceAccount { namespace: None, name: "shop" }"#,
            r#"Group("system:serviceaccounts:db")"#,
            r#"ServiceAccount { namespace: None, name: "nowhere" }"#,
        ]
    );
    let named: Vec<_> = evaluator.bindings_of(&Who::named("dan")).collect();
    assert!(matches!(named.as_slice(), [(binding, None)] if binding.meta.name == "e"), "{named:?}");
}

#[test]
fn a_chain_reads_well() {
    let snapshot = Snapshot {
        roles: vec![role(
            None,
            "r",
            vec![rule(&["get", "list"], &["", "apps"], &["pods", "deployments"], &["a"])],
        )],
        bindings: vec![binding(Some("web"), "b", cluster_role("r"), vec![user("ana")])],
    };
    let evaluator = Evaluator::new(&snapshot);
    let request = Request::on("get", "apps", "deployments").within("web").named("a");
    let Some(Permit::Rule(chain)) = evaluator.permits(&Who::named("ana"), &request) else {
        panic!("refused")
    };
    assert_eq!(
        chain.to_string(),
        "RoleBinding web/b → ClusterRole r → get, list on pods, deployments (core, apps) named a"
    );
    assert_eq!(request.to_string(), "get deployments.apps a in namespace web");
    assert_eq!(Request::on("get", "", "pods/log").to_string(), "get pods/log");
}

fn one_of(items: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(items).prop_map(str::to_owned)
}

fn some_of(items: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(one_of(items), 0..3)
}

fn any_rule() -> impl Strategy<Value = Rule> {
    (
        some_of(&["get", "list", "*"]),
        some_of(&["", "apps", "*"]),
        some_of(&["pods", "pods/log", "*/log", "*"]),
        some_of(&["a", "b"]),
        some_of(&["/version", "/apis*"]),
    )
        .prop_map(|(verbs, api_groups, resources, resource_names, non_resource_urls)| Rule {
            verbs,
            api_groups,
            resources,
            resource_names,
            non_resource_urls,
        })
}

fn any_subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        one_of(&["ana", "ben", "system:serviceaccount:web:shop"]).prop_map(Subject::User),
        one_of(&["system:authenticated", "system:serviceaccounts:web"]).prop_map(Subject::Group),
        (prop::option::of(one_of(&["web", "db", ""])), one_of(&["shop", "bank"]))
            .prop_map(|(namespace, name)| Subject::ServiceAccount { namespace, name }),
    ]
}

fn any_namespace() -> impl Strategy<Value = Option<String>> {
    prop::option::of(one_of(&["web", "db"]))
}

fn any_binding() -> impl Strategy<Value = Binding> {
    let role = prop_oneof![
        one_of(&["r", "s", "gone"]).prop_map(RoleRef::ClusterRole),
        one_of(&["r", "s"]).prop_map(RoleRef::Role),
    ];
    (any_namespace(), role, prop::collection::vec(any_subject(), 0..3))
        .prop_map(|(namespace, role, subjects)| binding(namespace.as_deref(), "b", role, subjects))
}

fn any_snapshot() -> impl Strategy<Value = Snapshot> {
    let rules = || prop::collection::vec(any_rule(), 0..3);
    let names = [(None, "r"), (None, "s"), (Some("web"), "r"), (Some("db"), "s")];
    (rules(), rules(), rules(), rules(), prop::collection::vec(any_binding(), 0..5)).prop_map(
        move |(a, b, c, d, bindings)| {
            let rules = [a, b, c, d].into_iter();
            let roles =
                names.iter().zip(rules).map(|((namespace, name), rules)| role(*namespace, name, rules));
            Snapshot { roles: roles.collect(), bindings }
        },
    )
}

fn any_who() -> impl Strategy<Value = Who> {
    one_of(&[
        "ana",
        "ben",
        "system:serviceaccount:web:shop",
        "system:serviceaccount:db:bank",
        "system:anonymous",
    ])
    .prop_map(|name| Who::named(&name))
}

fn any_request() -> impl Strategy<Value = Request> {
    let resource = (
        one_of(&["get", "list"]),
        one_of(&["", "apps"]),
        one_of(&["pods", "pods/log"]),
        one_of(&["", "web", "db"]),
        one_of(&["", "a"]),
    );
    prop_oneof![
        resource.prop_map(|(verb, group, resource, namespace, name)| {
            Request::on(&verb, &group, &resource).within(&namespace).named(&name)
        }),
        one_of(&["/version", "/apis/apps", "/other"]).prop_map(|path| Request::path("get", &path)),
    ]
}

proptest! {
    #[test]
    fn more_bindings_never_allow_less(snapshot in any_snapshot(), more in any_binding(), who in any_who(), request in any_request()) {
        let mut larger = snapshot.clone();
        larger.bindings.insert(0, more);
        let before = Evaluator::new(&snapshot).permits(&who, &request).is_some();
        prop_assert!(!before || Evaluator::new(&larger).permits(&who, &request).is_some());
    }

    #[test]
    fn who_may_is_among_those_who_can(snapshot in any_snapshot(), who in any_who(), request in any_request()) {
        let evaluator = Evaluator::new(&snapshot);
        let allowed = evaluator.permits(&who, &request).is_some();
        let listed = evaluator.who_can(&request).any(|chain| {
            let alone = Binding { subjects: vec![chain.subject.clone()], ..chain.binding.clone() };
            let alone = Snapshot { bindings: vec![alone], roles: snapshot.roles.clone() };
            Evaluator::new(&alone).permits(&who, &request).is_some()
        });
        prop_assert_eq!(allowed, listed);
    }

    #[test]
    fn every_chain_holds_link_by_link(snapshot in any_snapshot(), who in any_who(), request in any_request()) {
        let evaluator = Evaluator::new(&snapshot);
        for chain in evaluator.chains(&who, &request) {
            prop_assert!(chain.binding.subjects.contains(chain.subject));
            prop_assert_eq!(chain.binding.role.name(), chain.role.meta.name.as_str());
            prop_assert!(chain.role.rules.contains(chain.rule));
            prop_assert!(chain.rule.allows(&request));
            if let Some(namespace) = &chain.binding.meta.namespace {
                prop_assert_eq!(namespace.as_str(), request.namespace());
            }
        }
    }
}
