//! What a principal may view is decided by the API server, or from its rules, and both say the same.

use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

use crate::documents::Schema;
use crate::support::{NAMESPACE, Run, Scene};
use crate::viewers::{ANA, VIEWER};

/// The verdicts of a run, each with its question.
fn verdicts(document: &Value) -> Vec<(String, String)> {
    let checks = document["checks"].as_array().unwrap().iter().chain(document["beyond"].as_array().unwrap());
    checks
        .map(|check| {
            let mut question = check.clone();
            for answer in ["verdict", "because"] {
                question.as_object_mut().unwrap().remove(answer);
            }
            (question.to_string(), check["verdict"].as_str().unwrap().to_owned())
        })
        .collect()
}

fn count(document: &Value, verdict: &str) -> usize {
    verdicts(document).iter().filter(|(_, said)| said == verdict).count()
}

async fn verify(scene: &Scene, principal: &str, more: &[&str]) -> Run {
    scene.run(&[&["verify-view", "--principal", principal], more].concat()).await
}

#[tokio::test]
async fn a_whole_grant_is_proven_in_both_directions() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    scene.ceiling(VIEWER, &[]).await;
    scene.rights(VIEWER, &[]).await;
    // Whatever else it may do, through the connector it only views.
    scene.make_admin(VIEWER).await;
    let run = verify(&scene, VIEWER, &[]).await.expect(0);
    insta::assert_snapshot!("whole", run.stdout);
    let run = run.says(&["Principal", VIEWER, "connector in eks-connector"]);
    assert!(!run.stderr.contains('‼'), "{}", run.stderr);

    let found = verify(&scene, VIEWER, &["-o", "json"]).await.expect(0).json();
    let schema = Schema::new(include_str!("../../docs/schemas/view-verification.json"));
    schema.fits(&found);
    schema.refuses_other_members(&found);
    assert_eq!((&found["decidedBy"], &found["complete"]), (&json!("acting"), &json!(true)));
    assert_eq!((&found["heldToViewing"], &found["mendWith"]), (&json!(true), &Value::Null));
    assert_eq!(count(&found, "refusedByImpersonation"), 4, "what is beyond viewing");
}

#[tokio::test]
async fn what_is_missing_is_found_and_the_command_that_mends_it_is_printed() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    scene.grant_as_eksctl().await;
    let run = verify(&scene, ANA, &[]).await.expect(6);
    insta::assert_snapshot!("documented", run.stdout);
    let mend = format!("eksconnect grant-view --principal {ANA}");
    let found = verify(&scene, ANA, &["-o", "json"]).await.expect(6).json();
    Schema::new(include_str!("../../docs/schemas/view-verification.json")).fits(&found);
    assert_eq!((&found["mendWith"], &found["heldToViewing"]), (&json!(mend), &json!(false)));
    assert_eq!(count(&found, "refusedByImpersonation"), 0, "the connector may ask for anything");

    let nobody = "arn:aws:iam::111122223333:role/Nobody";
    let found = verify(&scene, nobody, &["-o", "json"]).await.expect(6).json();
    assert_eq!(count(&found, "refusedByImpersonation"), verdicts(&found).len());
}

#[tokio::test]
async fn the_documented_grant_of_an_admin_is_more_than_viewing_and_nothing_is_done_with_it() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    scene.grant_as_eksctl().await;
    scene.make_admin(ANA).await;
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    let secrets: Api<Secret> = Api::namespaced(scene.client().await, "default");
    let secret = json!({ "metadata": { "name": "precious" }, "stringData": { "word": "do-not-show" } });
    secrets.create(&PostParams::default(), &serde_json::from_value(secret).unwrap()).await.unwrap();
    let before = namespaces.list(&ListParams::default()).await.unwrap().items.len();

    let run = verify(&scene, ANA, &["-vv"]).await.expect(0);
    let exceeded = "can also get secrets, list secrets, delete pods, delete namespaces";
    assert!(run.stdout.contains(exceeded), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("eksconnect grant-view --principal {ANA}")), "{}", run.stdout);
    assert!(!run.stderr.contains("do-not-show") && !run.stdout.contains("do-not-show"));
    assert_eq!(namespaces.list(&ListParams::default()).await.unwrap().items.len(), before);
}

#[tokio::test]
async fn with_fewer_rights_it_is_asked_about_or_evaluated_and_the_answer_is_the_same() {
    let mut scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    scene.grant_as_eksctl().await;
    scene.ceiling(VIEWER, &[]).await;
    scene.make_admin(VIEWER).await;
    let both = async |scene: &Scene, how: &str, more: &[&str]| {
        let mut all = Vec::new();
        for (principal, code) in [(VIEWER, 0), (ANA, 6)] {
            let arguments = [&["-o", "json"], more].concat();
            let found = verify(scene, principal, &arguments).await.expect(code).json();
            assert_eq!(found["decidedBy"], how, "{found:#}");
            all.push(verdicts(&found));
        }
        all
    };
    let by_acting = both(&scene, "acting", &[]).await;
    let rules = json!({
        "verbs": ["list"], "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["clusterroles", "roles", "clusterrolebindings", "rolebindings"],
    });
    let reviews = json!({
        "verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"],
    });
    scene.become_user("reviewer", &[reviews]).await;
    assert_eq!(both(&scene, "reviews", &[]).await, by_acting);
    let run = verify(&scene, VIEWER, &[]).await.expect(0);
    assert!(run.stdout.contains("SubjectAccessReview"), "{}", run.stdout);
    run.says(&["create serviceaccounts/token in namespace eks-connector is denied", "--namespace-scope"]);

    scene.become_user("reader", &[rules]).await;
    assert_eq!(both(&scene, "rules", &[]).await, by_acting);
    assert_eq!(both(&scene, "rules", &["--all-namespaces"]).await, by_acting);
    let run = verify(&scene, VIEWER, &[]).await.expect(0);
    assert!(run.stdout.contains("the API server was not asked"), "{}", run.stdout);

    scene.become_user("nobody", &[]).await;
    let run = verify(&scene, VIEWER, &[]).await.expect_error("EKSC0651", 1);
    run.says(&["create serviceaccounts/token", "create subjectaccessreviews", "rbac.authorization.k8s.io"]);
}

#[tokio::test]
async fn a_grant_of_namespaces_is_verified_there() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    for namespace in ["web", "db", "other"] {
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
        scene.apply_all(&[namespace]).await;
    }
    scene.ceiling(VIEWER, &["web", "db"]).await;
    scene.rights(VIEWER, &["web", "db"]).await;
    let run = verify(&scene, VIEWER, &[]).await.expect(0);
    let head = run.stdout.lines().find(|line| line.contains("KIND")).unwrap_or_default().to_owned();
    assert!(head.contains("CLUSTER") && head.contains("db, web"), "{}", run.stdout);

    let found = verify(&scene, VIEWER, &["--namespace-scope", "other", "-o", "json"]).await.expect(6).json();
    assert_eq!(found["namespaces"], json!(["other"]));
    let mend = format!("eksconnect grant-view --principal {VIEWER} --namespace-scope other");
    assert_eq!(found["mendWith"], mend);
    let whole = verify(&scene, VIEWER, &["--all-namespaces", "-o", "json"]).await.expect(6).json();
    assert_eq!(whole["namespaces"], Value::Null);
    assert_eq!(whole["mendWith"], format!("eksconnect grant-view --principal {VIEWER}"));
}

#[tokio::test]
async fn without_a_connector_there_is_nothing_to_verify() {
    let scene = Scene::new().await;
    let run = verify(&scene, VIEWER, &[]).await.expect_error("EKSC0620", 3);
    run.says(&["namespace eks-connector has no connector", "eksconnect register"]);
    let found = verify(&scene, VIEWER, &["-o", "json"]).await.expect(3).json();
    assert_eq!(found["code"], "EKSC0620");
    verify(&scene, "role/Viewer", &[]).await.expect(2);
    verify(&scene, VIEWER, &["--namespace-scope", "Not/One"]).await.expect_error("EKSC0105", 2);
    verify(&scene, VIEWER, &["--namespace-scope", "a", "--all-namespaces"]).await.expect(2);
}

#[tokio::test]
async fn a_connector_in_another_namespace_is_named() {
    let scene = Scene::new().await;
    scene.connector_in("tools").await;
    let set = include_str!("fixtures/helm.yaml").split("---\n").find(|one| one.contains("kind: StatefulSet"));
    // Its pods need not run.
    scene.kubectl_apply(&set.unwrap().replace("replicas: 2", "replicas: 0")).await;
    let run = verify(&scene, VIEWER, &[]).await.expect_error("EKSC0620", 3);
    run.says(&["a connector in namespace tools", "add --namespace tools"]);
    let found = verify(&scene, VIEWER, &["--namespace", "tools", "-o", "json"]).await.expect(6).json();
    let mend = format!("eksconnect grant-view --principal {VIEWER} --namespace tools");
    assert_eq!((&found["namespace"], &found["mendWith"]), (&json!("tools"), &json!(mend)));
}
