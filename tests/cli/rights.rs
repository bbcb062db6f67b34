//! What a user of the cluster may not do is said at once, and before anything is changed.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::support::{NAMESPACE, Run, Scene};

/// Lets the scene be a user of the cluster who may do nothing yet.
fn become_user(scene: &mut Scene, user: &str) {
    let kubeconfig = scene.lease.cluster().kubeconfig_for(user, None).unwrap();
    scene.set("KUBECONFIG", kubeconfig.to_str().unwrap());
}

/// Gives the user rules for the whole cluster.
async fn allow(scene: &Scene, user: &str, name: &str, rules: &[Value]) {
    let client = scene.client().await;
    let rules: Vec<PolicyRule> = serde_json::from_value(json!(rules)).unwrap();
    let role = ClusterRole { rules: Some(rules), ..named(name) };
    Api::all(client.clone()).create(&PostParams::default(), &role).await.unwrap();
    let binding: ClusterRoleBinding = serde_json::from_value(json!({
        "metadata": { "name": name },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user }],
    }))
    .unwrap();
    Api::all(client).create(&PostParams::default(), &binding).await.unwrap();
}

fn named(name: &str) -> ClusterRole {
    serde_json::from_value(json!({ "metadata": { "name": name } })).unwrap()
}

/// The rules that an error asks for, and their headings.
fn rules_of(run: &Run) -> (Vec<String>, Vec<Value>) {
    let lines: Vec<&str> = run.stderr.lines().map(str::trim).collect();
    let rules = lines.iter().filter_map(|line| line.strip_prefix("- {"));
    let rules = rules.map(|rule| serde_yaml::from_str(&format!("{{{rule}")).unwrap()).collect();
    let headings = lines.iter().filter(|line| line.starts_with("in a ") && line.ends_with(':'));
    (headings.map(ToString::to_string).collect(), rules)
}

async fn nothing_was_changed(scene: &Scene) {
    assert_eq!(scene.registrations().await.len(), 0);
    assert!(!scene.namespace_exists().await);
    let writes = ["CreateRole", "RegisterCluster", "CreateServiceLinkedRole", "PutRolePolicy"];
    assert!(!scene.calls().await.iter().any(|call| writes.contains(&call.operation.as_str())));
}

#[tokio::test]
async fn all_that_is_missing_is_named_at_once_and_the_printed_rules_suffice() {
    let mut scene = Scene::new().await;
    become_user(&mut scene, "nobody");
    let run = scene.register(&[]).await.expect_error("EKSC0312", 3);
    let run = run.says(&["create, get, list, patch, watch statefulsets.apps in namespace eks-connector"]);
    let (headings, rules) = rules_of(&run);
    assert_eq!(
        headings,
        ["in a ClusterRole, for the whole cluster:", "in a Role of namespace eks-connector:"]
    );
    nothing_was_changed(&scene).await;

    allow(&scene, "nobody", "as-printed", &rules).await;
    let run = scene.register(&[]).await.expect(0);
    assert!(run.stderr.contains("could not list the nodes: list nodes is denied"), "{}", run.stderr);
    assert!(run.stderr.contains("nor get pods/log in namespace eks-connector"), "{}", run.stderr);
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert!(!again.stderr.contains("pods/log"), "there is nothing to be waited for: {}", again.stderr);
}

/// All that registering needs, as docs/permissions.md has it.
fn documented() -> Vec<Value> {
    let page = include_str!("../../docs/permissions.md");
    let yaml = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let role: Value = serde_yaml::from_str(yaml).unwrap();
    role["rules"].as_array().unwrap().clone()
}

/// The documented rules, without a verb on a resource.
fn documented_without(resource: &str, verb: &str) -> Vec<Value> {
    let mut rules = documented();
    for rule in &mut rules {
        if rule["resources"].as_array().is_some_and(|all| all.contains(&json!(resource))) {
            rule["verbs"].as_array_mut().unwrap().retain(|one| *one != verb);
        }
    }
    rules.retain(|rule| rule["verbs"] != json!([]));
    rules
}

#[tokio::test]
async fn a_single_missing_right_is_found_before_any_change() {
    let mut scene = Scene::new().await;
    // In a namespace that does not exist nothing can be tried out: asking is all there is.
    for (user, resource, verb, word) in [
        ("one", "statefulsets", "create", "create statefulsets.apps in namespace eks-connector"),
        ("two", "secrets", "patch", "patch secrets in namespace eks-connector"),
        ("three", "leases", "update", "update leases.coordination.k8s.io in namespace eks-connector"),
        ("four", "pods", "watch", "watch pods in namespace eks-connector"),
        // Not to be used, but to be given to the connector.
        ("five", "secrets", "update", "update secrets in namespace eks-connector"),
    ] {
        allow(&scene, user, user, &documented_without(resource, verb)).await;
        become_user(&mut scene, user);
        let run = scene.register(&[]).await.expect_error("EKSC0312", 3);
        let run = run.says(&["onprem1 cannot be registered", word]);
        assert_eq!(rules_of(&run).1.len(), 1, "nothing else is missing: {}", run.stderr);
        nothing_was_changed(&scene).await;
    }
    scene.register(&["--dry-run"]).await.expect_error("EKSC0312", 3);
    allow(&scene, "all", "all", &documented()).await;
    become_user(&mut scene, "all");
    scene.register(&[]).await.expect(0);
}

#[tokio::test]
async fn who_holds_what_a_binding_gives_needs_no_right_to_bind() {
    let mut scene = Scene::new().await;
    allow(&scene, "holder", "holder", &documented_without("roles", "bind")).await;
    become_user(&mut scene, "holder");
    scene.register(&[]).await.expect(0);
}

#[tokio::test]
async fn what_exists_does_not_have_to_be_made() {
    let mut scene = Scene::new().await;
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    let theirs = json!({ "metadata": { "name": NAMESPACE } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(theirs).unwrap()).await.unwrap();
    let mut rules = documented();
    for rule in rules.iter_mut().filter(|rule| rule["resources"].to_string().contains("namespaces")) {
        let mut namespaces = rule.clone();
        namespaces["resources"] = json!(["namespaces"]);
        namespaces["verbs"] = json!(["get", "patch"]);
        rule["resources"] = json!(["serviceaccounts", "configmaps"]);
        allow(&scene, "guest", "guest-of-the-namespace", &[namespaces]).await;
    }
    // One right too few: what is there already is not among what is named.
    let few: Vec<Value> = rules
        .iter()
        .filter(|rule| !rule["resources"].to_string().contains("networkpolicies"))
        .cloned()
        .collect();
    allow(&scene, "guest", "guest-few", &few).await;
    become_user(&mut scene, "guest");
    let run = scene.register(&[]).await.expect_error("EKSC0312", 3);
    let (headings, printed) = rules_of(&run);
    assert_eq!(headings, ["in a Role of namespace eks-connector:"], "{}", run.stderr);
    assert!(printed.iter().all(|rule| rule["resources"] == json!(["networkpolicies"])), "{printed:?}");
    let role: Role = serde_json::from_value(json!({
        "metadata": { "name": "guest", "namespace": NAMESPACE }, "rules": printed,
    }))
    .unwrap();
    let client = scene.client().await;
    Api::namespaced(client.clone(), NAMESPACE).create(&PostParams::default(), &role).await.unwrap();
    let binding: k8s_openapi::api::rbac::v1::RoleBinding = serde_json::from_value(json!({
        "metadata": { "name": "guest", "namespace": NAMESPACE },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "guest" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "guest" }],
    }))
    .unwrap();
    Api::namespaced(client, NAMESPACE).create(&PostParams::default(), &binding).await.unwrap();
    scene.register(&[]).await.expect(0);
}
