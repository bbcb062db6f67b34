//! Who may view: granted and taken away, and decided by the API server through the connector's own path.

use eksconnect_sandbox::aws::control::CallerSpec;
use eksconnect_sandbox::pool::LeaseOptions;
use eksconnect_sandbox::world::SiteSpec;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use crate::grants_of_others::{apply, template};
use crate::support::{NAMESPACE, Scene, until};

/// What the console asks for, and what it must not get.
const VIEWED: [(&str, &str); 12] = [
    ("/api/v1", "nodes"),
    ("/api/v1", "namespaces"),
    ("/api/v1", "pods"),
    ("/api/v1", "configmaps"),
    ("/api/v1", "events"),
    ("/api/v1", "services"),
    ("/api/v1", "serviceaccounts"),
    ("/apis/apps/v1", "deployments"),
    ("/apis/apps/v1", "statefulsets"),
    ("/apis/batch/v1", "jobs"),
    ("/apis/networking.k8s.io/v1", "ingresses"),
    ("/apis/rbac.authorization.k8s.io/v1", "roles"),
];
const NOT_VIEWED: [(&str, &str); 6] = [
    ("/api/v1", "secrets"),
    ("/api/v1", "persistentvolumes"),
    ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    ("/apis/storage.k8s.io/v1", "storageclasses"),
    ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    ("/apis/certificates.k8s.io/v1", "certificatesigningrequests"),
];

/// What the API server says where the connector may not act so.
const NOT_IMPERSONATED: &str = "cannot impersonate";

/// A role of the scene's account that IAM allows nothing; its ARN.
pub(crate) async fn role(scene: &Scene, name: &str) -> String {
    let account = scene.lease.account().id.clone();
    let nothing = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*" },
    ] });
    scene.lease.aws().add_caller(&account, CallerSpec::role(name, "x", Some(nothing))).await.unwrap();
    format!("arn:aws:iam::{account}:role/{name}")
}

/// Lets the principal do everything, as an administrator may have for other reasons.
pub(crate) async fn make_admin(scene: &Scene, arn: &str, name: &str) {
    let bindings: Api<ClusterRoleBinding> = Api::all(scene.client().await);
    let binding = json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": arn }],
    });
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
}

pub(crate) async fn namespace(scene: &Scene, name: &str) {
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    let namespace = json!({ "metadata": { "name": name } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
}

/// Asks as the console does: down the agent's control channel, through the connector's proxy.
pub(crate) async fn ask(scene: &Scene, place: &str, arn: &str, method: &str, path: &str) -> (u16, String) {
    let pod = format!("{place}/eks-connector-0");
    for node in scene.lease.nodes() {
        if let Ok(answer) = node.ask_connector(&pod, Some(arn), method, path).await {
            return answer;
        }
    }
    panic!("no node has {pod}");
}

/// Asks until the answer is as expected, since the API server remembers who may be impersonated for ten seconds.
pub(crate) async fn until_asked(
    scene: &Scene,
    arn: &str,
    method: &str,
    path: &str,
    expected: fn(u16, &str) -> bool,
) {
    until(&format!("{method} {path}"), || async {
        let (status, body) = ask(scene, NAMESPACE, arn, method, path).await;
        expected(status, &body)
    })
    .await;
}

pub(crate) fn refused(status: u16, body: &str) -> bool {
    status == 403 && body.contains(NOT_IMPERSONATED)
}

fn allowed(status: u16, _: &str) -> bool {
    status == 200 || status == 404
}

/// Every verb on what is viewed and on what is not, in the name of somebody who may do everything.
async fn decisions(scene: &Scene, arn: &str, scope: Option<&str>) -> usize {
    let mut asked = 0;
    let of_the_cluster = |resource: &str| {
        matches!(resource, "nodes" | "namespaces")
            || NOT_VIEWED[1..].iter().any(|(_, other)| *other == resource)
    };
    let namespaced = |resource: &str| !of_the_cluster(resource);
    for (root, resource) in VIEWED.into_iter().chain(NOT_VIEWED) {
        let listed = VIEWED.contains(&(root, resource));
        let places = if namespaced(resource) {
            vec![
                format!("{root}/namespaces/web/{resource}"),
                format!("{root}/namespaces/default/{resource}"),
                format!("{root}/{resource}"),
            ]
        } else {
            vec![format!("{root}/{resource}")]
        };
        for place in places {
            let in_scope = match scope {
                None => true,
                Some(scope) => !namespaced(resource) || place.contains(&format!("/namespaces/{scope}/")),
            };
            let whole = format!("{root}/{resource}");
            let one = format!("{place}/no-such-object");
            let mut questions = vec![
                ("GET", place.clone(), true),
                ("GET", format!("{place}?watch=true&timeoutSeconds=1"), false),
                ("DELETE", place.clone(), false),
            ];
            if place != whole || !namespaced(resource) {
                questions.extend([
                    ("GET", one.clone(), true),
                    ("POST", place.clone(), false),
                    ("PUT", one.clone(), false),
                    ("PATCH", one.clone(), false),
                    ("DELETE", one, false),
                ]);
            }
            for (method, path, reads) in questions {
                let expected = if listed && reads && in_scope { allowed } else { refused };
                until_asked(scene, arn, method, &path, expected).await;
                asked += 1;
            }
        }
    }
    asked
}

#[tokio::test]
async fn the_api_server_holds_the_connector_to_what_is_listed_even_for_a_cluster_admin() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    namespace(&scene, "web").await;
    let viewer = role(&scene, "Viewer").await;
    make_admin(&scene, &viewer, "viewer-is-admin").await;
    let grant = ["grant-view", "--principal", &viewer];

    let planned = scene.run(&[&grant[..], &["--dry-run", "--detailed-exitcode"]].concat()).await.expect(7);
    assert!(planned.stdout.contains("+ ClusterRole eksconnect:console-view"), "{}", planned.stdout);
    let (status, body) = ask(&scene, NAMESPACE, &viewer, "GET", "/api/v1/pods").await;
    assert!(refused(status, &body), "a dry run grants nothing: {status} {body}");

    let granted = scene.run(&[&grant[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!(granted["impersonation"], "constrained");
    assert_eq!(granted["principals"][0]["proof"]["held"], "view-only", "{granted:#}");
    assert_eq!(granted["principals"][0]["proof"]["allowed"], 28);
    let asked = decisions(&scene, &viewer, None).await;
    assert!(asked > 200, "{asked}");
    for (path, allowed) in
        [("/version", true), ("/apis/apps/v1", true), ("/metrics", false), ("/logs/", false)]
    {
        let (status, body) = ask(&scene, NAMESPACE, &viewer, "GET", path).await;
        assert_eq!(status == 200, allowed, "{path}: {status} {body}");
    }
    // Subresources are none of it: a log may hold a secret.
    let log = format!("/api/v1/namespaces/{NAMESPACE}/pods/eks-connector-0/log");
    let (status, body) = ask(&scene, NAMESPACE, &viewer, "GET", &log).await;
    assert!(refused(status, &body), "{status} {body}");

    let again = scene.run(&[&grant[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!((&again["changed"], &again["done"]), (&json!(false), &json!([])));
    scene.run(&[&grant[..], &["--dry-run", "--detailed-exitcode"]].concat()).await.expect(0);

    // Narrowed to a namespace, and then taken away.
    let scoped = [&grant[..], &["--namespace-scope", "web", "-o", "json"]].concat();
    let scoped = scene.run(&scoped).await.expect(0).json();
    assert_eq!(scoped["scope"], json!(["web"]));
    let asked = decisions(&scene, &viewer, Some("web")).await;
    assert!(asked > 200, "{asked}");

    let revoke = ["revoke-view", "--principal", &viewer];
    let revoked = scene.run(&[&revoke[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!(revoked["changed"], true);
    for path in ["/api/v1/pods", "/api/v1/namespaces/web/pods", "/version"] {
        // What the connector itself was allowed a moment ago the API server remembers for up to ten seconds.
        until_asked(&scene, &viewer, "GET", path, refused).await;
    }
    let again = scene.run(&[&revoke[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!(again["changed"], false);
    let roles: Api<ClusterRole> = Api::all(scene.client().await);
    let left: Vec<String> =
        roles.list(&Default::default()).await.unwrap().iter().map(ResourceExt::name_any).collect();
    assert!(!left.iter().any(|name| name.starts_with("eksconnect:impersonate")), "{left:?}");
    let bindings: Api<ClusterRoleBinding> = Api::all(scene.client().await);
    assert!(bindings.get_opt("viewer-is-admin").await.unwrap().is_some(), "not ours to take away");
}

#[tokio::test]
async fn without_constrained_impersonation_the_documented_form_is_taken_and_said() {
    let site = SiteSpec {
        feature_gates: [("ConstrainedImpersonation".to_owned(), false)].into(),
        ..SiteSpec::default()
    };
    let scene = Scene::with(LeaseOptions { site, ..LeaseOptions::default() }).await;
    scene.register(&[]).await.expect(0);
    let viewer = role(&scene, "Viewer").await;
    let grant = ["grant-view", "--principal", &viewer];
    let strict = [&grant[..], &["--impersonation", "constrained"]].concat();
    scene.run(&strict).await.expect_error("EKSC0624", 3).says(&["ConstrainedImpersonation"]);

    let granted =
        scene.run(&grant).await.expect(0).says(&["through the connector role/Viewer can do whatever"]);
    assert!(granted.stdout.contains("role/Viewer can view 28 kinds"), "{}", granted.stdout);
    let (status, _) = ask(&scene, NAMESPACE, &viewer, "GET", "/api/v1/pods").await;
    assert_eq!(status, 200);
    // What it may not do by itself is refused to it and not to the connector.
    let (status, body) = ask(&scene, NAMESPACE, &viewer, "GET", "/api/v1/secrets").await;
    assert!(status == 403 && !body.contains(NOT_IMPERSONATED), "{status} {body}");
    assert_eq!(scene.run(&[&grant[..], &["-o", "json"]].concat()).await.expect(0).json()["changed"], false);

    scene.run(&["revoke-view", "--principal", &viewer]).await.expect(0);
    let (status, body) = ask(&scene, NAMESPACE, &viewer, "GET", "/api/v1/pods").await;
    assert!(refused(status, &body), "{status} {body}");
}

#[tokio::test]
async fn a_documented_grant_is_tightened_and_what_others_gave_to_others_is_kept() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let (viewer, ops) = (role(&scene, "Viewer").await, role(&scene, "Ops").await);
    make_admin(&scene, &viewer, "viewer-is-admin").await;
    make_admin(&scene, &ops, "ops-is-admin").await;
    apply(&scene, &template(&[&viewer, &ops])).await;
    let documented = ["grant-view", "--impersonation", "documented", "--principal", &viewer];
    scene.run(&documented).await.expect(0).says(&["As asked for"]);
    until_asked(&scene, &viewer, "GET", "/api/v1/secrets", |status, _| status == 200).await;

    let granted = scene.run(&["grant-view", "--principal", &viewer, "-o", "json"]).await.expect(0).json();
    assert_eq!(granted["principals"][0]["proof"]["held"], "view-only", "{granted:#}");
    let (status, body) = ask(&scene, NAMESPACE, &viewer, "GET", "/api/v1/secrets").await;
    assert!(refused(status, &body), "{status} {body}");
    let (status, _) = ask(&scene, NAMESPACE, &ops, "GET", "/api/v1/secrets").await;
    assert_eq!(status, 200, "the template's other principals are kept");
}

#[tokio::test]
async fn what_iam_asks_for_is_checked_attached_and_detached() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let viewer = role(&scene, "Viewer").await;
    let grant = ["grant-view", "--principal", &viewer];
    scene.run(&grant).await.expect(0).says(&["IAM does not allow role/Viewer", "--attach-iam-policy"]);
    let attach = [&grant[..], &["--attach-iam-policy"]].concat();
    let attached = scene.run(&[&attach[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!(attached["principals"][0]["iam"]["state"], "allowed", "{attached:#}");
    assert_eq!(attached["done"].as_array().unwrap().len(), 2, "the cluster was in order: {attached:#}");
    let policy = |account: &Value| account.to_string().matches("EKSConnectorConsoleView").count();
    assert!(policy(&scene.account().await) > 0);
    assert_eq!(scene.run(&[&attach[..], &["-o", "json"]].concat()).await.expect(0).json()["changed"], false);

    let detach = ["revoke-view", "--principal", &viewer, "--detach-iam-policy"];
    scene.run(&detach).await.expect(0);
    assert_eq!(policy(&scene.account().await), 0);
    scene.run(&detach).await.expect(0);

    // A simulation that is denied is no denial.
    scene.refuse("iam", "SimulatePrincipalPolicy", 403, "AccessDenied", "no").await;
    scene.run(&grant).await.expect(0).says(&["could not be checked: iam:SimulatePrincipalPolicy is denied"]);
    scene.heal().await;
    let nobody = format!("arn:aws:iam::{}:role/Nobody", scene.lease.account().id);
    scene.run(&["grant-view", "--principal", &nobody]).await.expect_error("EKSC0621", 3);
}

#[tokio::test]
async fn what_is_refused_before_anything_is_changed() {
    let scene = Scene::new().await;
    let viewer = role(&scene, "Viewer").await;
    let grant = ["grant-view", "--principal", &viewer];
    scene.run(&grant).await.expect_error("EKSC0620", 3).says(&["eksconnect register"]);
    // Nothing to take away is no error, even without a connector.
    scene.run(&["revoke-view", "--principal", &viewer]).await.expect(0);
    scene.register(&["--namespace", "tools"]).await.expect(0);
    scene.run(&grant).await.expect_error("EKSC0620", 3).says(&["tools"]);
    let grant = [&grant[..], &["--namespace", "tools"]].concat();
    let with = |more: &[&'static str]| [&grant[..], more].concat();
    scene.run(&with(&["--namespace-scope", "nowhere"])).await.expect_error("EKSC0631", 3);
    scene.run(&with(&["--cluster-role", "nowhere"])).await.expect_error("EKSC0622", 3);
    let edit = with(&["--cluster-role", "edit"]);
    scene.run(&edit).await.expect_error("EKSC0623", 3).says(&["secrets", "--allow-beyond-view"]);
    let bindings: Api<ClusterRoleBinding> = Api::all(scene.client().await);
    let ours = |bindings: Vec<ClusterRoleBinding>| {
        bindings.into_iter().filter(|one| one.name_any().starts_with("eksconnect:")).count()
    };
    assert_eq!(ours(bindings.list(&Default::default()).await.unwrap().items), 0);

    // Its reading is the ceiling: no Secrets unless the role reads them, and never a write.
    scene.run(&with(&["--cluster-role", "view"])).await.expect(0);
    make_admin(&scene, &viewer, "viewer-is-admin").await;
    let pods = "/api/v1/namespaces/tools/pods";
    for (method, path, allowed) in [
        ("GET", pods.to_owned(), true),
        ("GET", format!("{pods}?watch=true&timeoutSeconds=1"), true),
        ("GET", format!("{pods}/eks-connector-0/log?container=connector-proxy"), true),
        ("DELETE", format!("{pods}/no-such-pod"), false),
        ("GET", "/api/v1/secrets".to_owned(), false),
        ("GET", "/api/v1/nodes".to_owned(), false),
    ] {
        let (status, body) = ask(&scene, "tools", &viewer, method, &path).await;
        assert_eq!(refused(status, &body), !allowed, "{method} {path}: {status} {body}");
    }
}

#[tokio::test]
async fn registering_grants_in_the_same_plan() {
    let scene = Scene::new().await;
    let (viewer, ops) = (role(&scene, "Viewer").await, role(&scene, "Ops").await);
    make_admin(&scene, &viewer, "viewer-is-admin").await;
    let register = ["--grant-view", &viewer, "--grant-view", &ops];
    let planned = scene.register(&[&register[..], &["--dry-run"]].concat()).await.expect(0);
    assert!(planned.stdout.contains("+ ClusterRole eksconnect:impersonate:viewer-"), "{}", planned.stdout);
    let registered = scene.register(&register).await.expect(0);
    assert!(
        registered.stdout.contains("role/Viewer") && registered.stdout.contains("role/Ops"),
        "{}",
        registered.stdout
    );
    for arn in [&viewer, &ops] {
        let (status, _) = ask(&scene, NAMESPACE, arn, "GET", "/api/v1/pods").await;
        assert_eq!(status, 200);
        let (status, body) = ask(&scene, NAMESPACE, arn, "GET", "/api/v1/secrets").await;
        assert!(refused(status, &body), "{status} {body}");
    }
    let again = scene.register(&[&register[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!((&again["changed"], &again["done"]), (&json!(false), &json!([])));
    // Something takes a part of it away: registering again mends it.
    let bindings: Api<ClusterRoleBinding> = Api::all(scene.client().await);
    let all = bindings.list(&Default::default()).await.unwrap();
    let view =
        all.iter().map(ResourceExt::name_any).find(|name| name.starts_with("eksconnect:view:ops-")).unwrap();
    bindings.delete(&view, &DeleteParams::default()).await.unwrap();
    let mended = scene.register(&[&register[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!(mended["changed"], true);
    until_asked(&scene, &ops, "GET", "/api/v1/pods", |status, _| status == 200).await;
}

#[tokio::test]
async fn a_server_that_turns_out_not_to_constrain_gets_the_documented_form() {
    let site = SiteSpec {
        feature_gates: [("ConstrainedImpersonation".to_owned(), false)].into(),
        ..SiteSpec::default()
    };
    let mut scene = Scene::with(LeaseOptions { site, ..LeaseOptions::default() }).await;
    scene.register(&[]).await.expect(0);
    let (viewer, ops) = (role(&scene, "Viewer").await, role(&scene, "Ops").await);
    // The metrics may not be read, and a documented grant makes the API server's refusal say nothing.
    apply(&scene, &template(&[&ops])).await;
    let rules: ClusterRole = serde_json::from_value(json!({
        "metadata": { "name": "all-but-metrics" },
        "rules": [{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }, { "nonResourceURLs": ["/version"], "verbs": ["get"] },
            { "nonResourceURLs": ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/readyz", "/openapi/v3"], "verbs": ["get"] }],
    }))
    .unwrap();
    let client = scene.client().await;
    Api::all(client.clone()).create(&PostParams::default(), &rules).await.unwrap();
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": { "name": "all-but-metrics" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "all-but-metrics" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "blind" }],
    }))
    .unwrap();
    Api::all(client).create(&PostParams::default(), &binding).await.unwrap();
    let kubeconfig = scene.lease.cluster().kubeconfig_for("blind", None).unwrap();
    scene.set("KUBECONFIG", kubeconfig.to_str().unwrap());

    let run = scene.run(&["grant-view", "--principal", &viewer, "-o", "json"]).await.expect(0);
    let run = run.says(&["as it turned out"]);
    let granted = run.json();
    assert_eq!(granted["impersonation"], "documented");
    assert_eq!(granted["principals"][0]["proof"]["held"], "anything", "{granted:#}");
    let (status, _) = ask(&scene, NAMESPACE, &viewer, "GET", "/api/v1/pods").await;
    assert_eq!(status, 200);
}
