//! What becomes of requests in another's name: the evaluator says it, and a real API server does it, with and without
//! constrained impersonation.

use std::collections::BTreeMap;

use eksconnect::rbac::{Evaluator, Mode, Request, Through, Who};
use eksconnect_sandbox::Progress;
use eksconnect_sandbox::pool::{LeaseOptions, lease_together};
use eksconnect_sandbox::world::SiteSpec;
use futures::stream::{self, StreamExt};
use http::Method;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use secrecy::SecretString;
use serde_json::json;

use super::objects::{ACCOUNTS, ARN, NAMESPACES, Objects, impersonation, typed};
use super::seed;
use super::world::{AT_ONCE, load, snapshot};
use crate::numbers::{Numbers, setting};
use crate::support::Scene;

/// How many requests are sent to each of the two API servers.
const REQUESTS: usize = 1_200;

const NAMES: [&str; 7] = [
    ARN,
    "arn:aws:iam::111122223333:user/team/ana",
    "ana",
    "system:serviceaccount:web:shop",
    "system:serviceaccount:Web:shop",
    "system:node:n1",
    "system:anonymous",
];

/// A request as it goes over the wire, and as an authorizer sees it.
#[derive(Clone, Debug)]
struct Wire {
    method: Method,
    path: String,
    request: Request,
}

#[derive(Clone, Debug)]
struct Case {
    /// Namespace and name of the service account that asks.
    from: (&'static str, &'static str),
    name: &'static str,
    wire: Wire,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evaluator_and_the_impersonation_filter_agree() {
    let gates = BTreeMap::from([("ConstrainedImpersonation".to_owned(), false)]);
    let off = SiteSpec { feature_gates: gates, ..SiteSpec::default() };
    let options = [SiteSpec::default(), off].map(|site| LeaseOptions { site, ..LeaseOptions::default() });
    let mut leases = lease_together(options.to_vec()).await.unwrap();
    let (off, on) = (leases.pop().unwrap(), leases.pop().unwrap());
    for (lease, constrained) in [(on, true), (off, false)] {
        compare(&Scene { lease, env: BTreeMap::new() }, constrained).await;
    }
}

async fn compare(scene: &Scene, constrained: bool) {
    let (seed, count) = (seed(), setting("RBAC_REQUESTS", REQUESTS));
    let mut numbers = Numbers::seeded(seed);
    let client = scene.client().await;
    let mut objects = Objects::random(&mut numbers);
    let granted = grants(&mut numbers);
    objects.cluster_roles.extend(granted.cluster_roles);
    objects.cluster_bindings.extend(granted.cluster_bindings);
    objects.bindings.extend(granted.bindings);
    load(scene, &client, &objects).await;
    let snapshot = snapshot(scene).await;
    let evaluator = Evaluator::new(&snapshot);
    let clients = service_accounts(scene, &client).await;

    let cases: Vec<Case> = (0..count).map(|_| case(&mut numbers)).collect();
    let answers: Vec<(u16, String)> = stream::iter(&cases)
        .map(|case| sent(&clients[&case.from], case.name, &case.wire))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut wrong = Vec::new();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for (case, (status, message)) in cases.iter().zip(&answers) {
        let (namespace, account) = case.from;
        let who = Who::service_account(namespace, account);
        let through = evaluator.through(&who, case.name, &case.wire.request, constrained);
        let refused = *status == 403 && message.contains("cannot impersonate");
        let (outcome, agree) = match &through {
            Through::NotImpersonated { .. } => ("not impersonated".to_owned(), refused),
            // The authorizer of nodes may allow a node what no rule does.
            Through::Forbidden(as_whom) if as_whom.mode == Mode::ArbitraryNode => {
                ("forbidden as a node".to_owned(), !refused)
            }
            Through::Forbidden(as_whom) => {
                (format!("forbidden, {:?}", as_whom.mode), *status == 403 && !refused)
            }
            Through::Allowed(as_whom, _) => (format!("allowed, {:?}", as_whom.mode), *status != 403),
        };
        *outcomes.entry(outcome).or_default() += 1;
        if !agree {
            wrong.push(format!("{case:?}\n    API server: {status} {message}\n    evaluator:  {through:?}"));
        }
    }
    Progress::stderr().say(&format!(
        "The evaluator and the impersonation filter ({}) were given {count} requests with seed {seed} and agree on {}: \
         {outcomes:?}.",
        if constrained { "constrained" } else { "not constrained" },
        count - wrong.len()
    ));
    for mode in [Mode::UserInfo, Mode::ServiceAccount, Mode::Legacy] {
        let tried = outcomes.contains_key(&format!("allowed, {mode:?}"));
        assert_eq!(tried, constrained || mode == Mode::Legacy, "{mode:?}: {outcomes:?}");
    }
    wrong.truncate(5);
    assert!(wrong.is_empty(), "RBAC_SEED={seed}\n{}", wrong.join("\n"));
}

/// More rules about acting as others, for the service accounts that ask: of the random ones few fit together.
fn grants(numbers: &mut Numbers) -> Objects {
    let mut objects = Objects {
        cluster_roles: Vec::new(),
        roles: Vec::new(),
        cluster_bindings: Vec::new(),
        bindings: Vec::new(),
    };
    let on = |mode: &str| {
        json!([
            { "verbs": [format!("impersonate:{mode}")], "apiGroups": ["authentication.k8s.io"],
              "resources": ["users", "serviceaccounts", "nodes"] },
            { "verbs": [format!("impersonate-on:{mode}:get"), format!("impersonate-on:{mode}:list")],
              "apiGroups": ["", "apps"], "resources": ["pods", "deployments", "nodes", "configmaps"] },
            { "verbs": [format!("impersonate-on:{mode}:get")], "nonResourceURLs": ["/version", "/apis/*"] },
        ])
    };
    let read = json!([{ "verbs": ["get", "list", "delete"], "apiGroups": ["", "apps"], "resources": ["pods", "deployments"] }]);
    for (name, rules) in [
        ("c-user", on("user-info")),
        ("c-account", on("serviceaccount")),
        ("c-node", on("arbitrary-node")),
        ("c-legacy", json!([{ "verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"] }])),
        ("c-read", read),
    ] {
        objects.cluster_roles.push(typed(json!({ "metadata": { "name": name }, "rules": rules })));
    }
    for index in 0..12 {
        let rules: Vec<_> = (0..3).map(|_| impersonation(numbers, true)).collect();
        objects
            .cluster_roles
            .push(typed(json!({ "metadata": { "name": format!("c-{index}") }, "rules": rules })));
    }
    let bound = |name: String, role: &str, namespace: Option<&str>, subject| {
        json!({
            "metadata": { "name": name, "namespace": namespace },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [subject],
        })
    };
    let roles = ["c-user", "c-account", "c-node", "c-legacy"];
    for (index, name) in
        NAMESPACES.iter().flat_map(|namespace| ACCOUNTS.map(|name| (*namespace, name))).enumerate()
    {
        let subject = json!({ "kind": "ServiceAccount", "namespace": name.0, "name": name.1 });
        // The last one has nothing.
        if let Some(role) = roles.get(index) {
            let binding = bound(format!("c-{index}"), role, None, subject.clone());
            objects.cluster_bindings.push(typed(binding));
        } else if index < 8 {
            let role = format!("c-{}", numbers.below(12));
            objects.cluster_bindings.push(typed(bound(format!("c-{index}"), &role, None, subject.clone())));
            let local = roles[numbers.below(roles.len())];
            objects.bindings.push(typed(bound(format!("c-{index}"), local, Some("web"), subject)));
        }
    }
    for (index, name) in [ARN, "ana", "system:serviceaccount:web:shop"].into_iter().enumerate() {
        let subject = json!({ "kind": "User", "name": name, "apiGroup": "rbac.authorization.k8s.io" });
        let binding = bound(format!("c-reads-{index}"), "c-read", None, subject);
        objects.cluster_bindings.push(typed(binding));
    }
    objects
}

type Clients = BTreeMap<(&'static str, &'static str), Client>;

/// Each service account with a token of its own.
async fn service_accounts(scene: &Scene, client: &Client) -> Clients {
    let mut clients = Clients::new();
    for from in NAMESPACES.into_iter().flat_map(|namespace| ACCOUNTS.map(|name| (namespace, name))) {
        let api: Api<ServiceAccount> = Api::namespaced(client.clone(), from.0);
        let account = serde_json::from_value(json!({ "metadata": { "name": from.1 } })).unwrap();
        api.create(&PostParams::default(), &account).await.unwrap();
        let request: TokenRequest = serde_json::from_value(json!({ "spec": { "audiences": [] } })).unwrap();
        let answer = api.create_token_request(from.1, &PostParams::default(), &request).await.unwrap();
        let file = Kubeconfig::read_from(scene.lease.kubeconfig()).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        config.proxy_url = None;
        config.auth_info = kube::config::AuthInfo {
            token: Some(SecretString::from(answer.status.unwrap().token.unwrap())),
            ..Default::default()
        };
        clients.insert(from, Client::try_from(config).unwrap());
    }
    clients
}

/// The status and, of a refusal, what it says.
async fn sent(client: &Client, name: &str, wire: &Wire) -> (u16, String) {
    let mut request = http::Request::builder()
        .method(&wire.method)
        .uri(&wire.path)
        .header("Impersonate-User", name)
        .header("Accept", "application/json");
    let body = if wire.method == Method::GET || wire.method == Method::DELETE { "" } else { "{}" };
    if !body.is_empty() {
        let content =
            if wire.method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        request = request.header("Content-Type", content);
    }
    let response = client.send(request.body(Body::from(body.as_bytes().to_vec())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    // The body of a watch does not end.
    if status != 403 {
        return (status, String::new());
    }
    let body = response.into_body().collect_bytes().await.unwrap();
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn case(numbers: &mut Numbers) -> Case {
    Case {
        from: (numbers.one(&NAMESPACES), numbers.one(&ACCOUNTS)),
        name: numbers.one(&NAMES),
        wire: wire(numbers),
    }
}

/// Nothing is changed by it: what is written is a dry run, and nothing of it is there.
fn wire(numbers: &mut Numbers) -> Wire {
    if numbers.once_in(5) {
        let path =
            numbers.one(&["/version", "/apis", "/apis/apps", "/api", "/healthz", "/metrics", "/openapi/v3"]);
        return Wire { method: Method::GET, path: path.to_owned(), request: Request::path("get", path) };
    }
    let (group, resource) =
        [("", "pods"), ("", "configmaps"), ("", "secrets"), ("apps", "deployments"), ("", "nodes")]
            [numbers.below(5)];
    let root = if group.is_empty() { "/api/v1".to_owned() } else { format!("/apis/{group}/v1") };
    let namespace = if resource == "nodes" { "" } else { numbers.one(&["", "web", "db"]) };
    let base = match namespace {
        "" => format!("{root}/{resource}"),
        namespace => format!("{root}/namespaces/{namespace}/{resource}"),
    };
    let on = |verb: &str| Request::on(verb, group, resource).within(namespace);
    // Objects have names in namespaces only.
    let has_names = resource == "nodes" || !namespace.is_empty();
    let (method, path, request) = match numbers.below(if has_names { 9 } else { 3 }) {
        0 => (Method::GET, base, on("list")),
        1 => (Method::GET, format!("{base}?watch=true&timeoutSeconds=1"), on("watch")),
        2 => (Method::GET, format!("{base}?fieldSelector=metadata.name%3Da"), on("list").named("a")),
        3 => (Method::GET, format!("{base}/b"), on("get").named("b")),
        4 => (Method::DELETE, format!("{base}/a?dryRun=All"), on("delete").named("a")),
        // Of what is listed a field selector may be the name; of what is deleted together it is not.
        5 => (
            Method::DELETE,
            format!("{base}?dryRun=All&fieldSelector=metadata.name%3Da"),
            on("deletecollection"),
        ),
        6 => (Method::POST, format!("{base}?dryRun=All"), on("create")),
        7 => (Method::PATCH, format!("{base}/a?dryRun=All"), on("patch").named("a")),
        _ if resource == "pods" => {
            let log = Request::on("get", "", "pods/log").within(namespace).named("a");
            (Method::GET, format!("{base}/a/log"), log)
        }
        _ => (Method::PUT, format!("{base}/a?dryRun=All"), on("update").named("a")),
    };
    Wire { method, path, request }
}
