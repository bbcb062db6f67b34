//! The cluster as one principal may see it: as text, as a document, as a page.

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::documents::Schema;
use crate::support::{NAMESPACE, Run, Scene, until};
use crate::viewers::{ANA, VIEWER};

async fn view(scene: &Scene, principal: &str, more: &[&str]) -> Run {
    scene.run(&[&["view", "--principal", principal], more].concat()).await
}

fn schema() -> Schema {
    Schema::new(include_str!("../../docs/schemas/view.json"))
}

/// Something to look at: a workload that runs, one whose image cannot be pulled, and a CronJob.
pub(crate) async fn inhabit(scene: &Scene) {
    let deployment = |name: &str, image: &str| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "namespace": "web" },
            "spec": {
                "replicas": 1,
                "selector": { "matchLabels": { "app": name } },
                "template": {
                    "metadata": { "labels": { "app": name } },
                    "spec": { "containers": [{ "name": "main", "image": image }] },
                },
            },
        })
    };
    scene
        .apply_all(&[
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "web" } }),
            deployment("shop", "registry.k8s.io/pause:3.10"),
            deployment("broken", "registry.example/nothing:1"),
            json!({
                "apiVersion": "batch/v1", "kind": "CronJob",
                "metadata": { "name": "nightly", "namespace": "web" },
                "spec": {
                    "schedule": "0 3 * * *",
                    "jobTemplate": { "spec": { "template": { "spec": {
                        "restartPolicy": "Never",
                        "containers": [{ "name": "main", "image": "registry.k8s.io/pause:3.10" }],
                    } } } },
                },
            }),
        ])
        .await;
    let pods: Api<Pod> = Api::namespaced(scene.client().await, "web");
    until("one pod runs and one does not", || async {
        let pods = pods.list(&kube::api::ListParams::default()).await.unwrap();
        let texts: Vec<String> = pods.items.iter().map(|pod| serde_json::to_string(pod).unwrap()).collect();
        texts.iter().any(|pod| pod.contains("\"ready\":true"))
            && texts.iter().any(|pod| pod.contains("ImagePull"))
    })
    .await;
}

async fn event(scene: &Scene, name: &str, at: &str, reason: &str, message: &str) {
    let events: Api<Event> = Api::namespaced(scene.client().await, "web");
    let event: Event = serde_json::from_value(json!({
        "metadata": { "name": name, "namespace": "web" },
        "involvedObject": { "kind": "Pod", "namespace": "web", "name": "shop-0" },
        "type": "Warning", "reason": reason, "message": message, "count": 3, "lastTimestamp": at,
    }))
    .unwrap();
    events.create(&PostParams::default(), &event).await.unwrap();
}

#[tokio::test]
async fn a_viewer_sees_nodes_namespaces_workloads_pods_and_events() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    inhabit(&scene).await;
    event(&scene, "newest", "2036-01-01T00:00:00Z", "FromTheFuture", "it is newest").await;
    scene.ceiling(VIEWER, &[]).await;
    scene.rights(VIEWER, &[]).await;
    let run = view(&scene, VIEWER, &[]).await.expect(0);
    for words in [
        "as role/Viewer may see it: all namespaces",
        "1.36.3      healthy",
        "1 not as they should be",
        "Deployments (2)",
        "CronJobs (1)",
        "0 3 * * *",
        "ImagePullBackOff",
        "Namespaces (",
        "it is newest (×3)",
        "not a picture of the AWS console",
    ] {
        assert!(run.stdout.contains(words), "no {words:?}:\n{}", run.stdout);
    }
    assert!(!run.stdout.contains("orbidden"), "{}", run.stdout);
    assert!(run.stdout.lines().all(|line| line == line.trim_end()), "{}", run.stdout);

    let seen = view(&scene, VIEWER, &["-o", "json"]).await.expect(0).json();
    schema().fits(&seen);
    schema().refuses_other_members(&seen);
    assert_eq!(seen["status"]["ready"], true);
    let node = &seen["parts"]["nodes"]["items"][0];
    assert!(node["capacity"]["cpu"].as_f64().unwrap() > 0.0, "{node:#}");
    assert_eq!(seen["parts"]["workloads"]["replicasets"]["items"], json!([]), "they are the Deployments'");
    assert_eq!(seen["parts"]["events"]["items"][0]["reason"], "FromTheFuture");
    let yaml = view(&scene, VIEWER, &["-o", "yaml"]).await.expect(0).stdout;
    assert!(yaml.contains("kind: View\n"), "{yaml}");
}

#[tokio::test]
async fn what_is_forbidden_is_shown_as_forbidden() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    inhabit(&scene).await;
    scene.ceiling(VIEWER, &["web"]).await;
    // A ceiling without any right: the connector may ask, and the principal may not see.
    let run = view(&scene, VIEWER, &["--namespace-scope", "web"]).await.expect(0);
    for words in [
        "Forbidden: the principal has no right to list nodes.",
        "Forbidden: the principal has no right to list pods in web.",
        "Nodes       forbidden",
    ] {
        assert!(run.stdout.contains(words), "no {words:?}:\n{}", run.stdout);
    }
    scene.rights(VIEWER, &["web"]).await;
    let seen = view(&scene, VIEWER, &["-o", "json"]).await.expect(0).json();
    schema().fits(&seen);
    assert_eq!(seen["namespaces"], json!(["web"]), "found by the rules");
    assert_eq!(seen["parts"]["workloads"]["deployments"]["items"].as_array().unwrap().len(), 2);

    let run = view(&scene, VIEWER, &["--all-namespaces"]).await.expect(0);
    let words = "Forbidden: the connector may not list pods in the principal's name.";
    assert!(run.stdout.contains(words), "{}", run.stdout);
    // Nobody's view is empty, and that is no error: it is what there is to see.
    let run = view(&scene, "arn:aws:iam::111122223333:role/Nobody", &[]).await.expect(0);
    assert!(
        run.stdout.contains("Kubernetes  ") || run.stdout.contains("API server  forbidden"),
        "{}",
        run.stdout
    );
}

#[tokio::test]
async fn a_page_needs_nothing_from_elsewhere_and_no_name_can_break_it() {
    let mut scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    inhabit(&scene).await;
    scene.grant_as_eksctl().await;
    scene.rights(ANA, &[]).await;
    let hostile = r#"<script>alert(1)</script><img src=x onerror="alert(2)">'"&"#;
    event(&scene, "hostile", "2036-01-01T00:00:00Z", "\"><b>Reason", hostile).await;
    let kubeconfig = std::fs::read_to_string(scene.lease.kubeconfig()).unwrap();
    let mut kubeconfig: Value = serde_yaml::from_str(&kubeconfig).unwrap();
    for place in ["/current-context", "/contexts/0/name"] {
        *kubeconfig.pointer_mut(place).unwrap() = json!("</title><svg onload=alert(3)>");
    }
    let renamed = scene.home_file("renamed", &kubeconfig.to_string());
    scene.set("KUBECONFIG", renamed.to_str().unwrap());

    let file = scene.lease.home().join("view.html");
    let path = file.to_str().unwrap().to_owned();
    let run = view(&scene, ANA, &["--html", &path]).await.expect(0);
    assert!(run.stdout.contains(&path) && run.stdout.lines().count() == 1, "{}", run.stdout);
    let page = std::fs::read_to_string(&file).unwrap();
    for hostile in ["<script", "<img", "<svg", "<b>", "</title><", "onerror=\"alert"] {
        assert!(!page.contains(hostile), "{hostile} is in the page");
    }
    assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown as text");
    // The event's message is text, whatever it looks like.
    let page = page.replace("&lt;img src=x", "");
    for reference in ["src=", "href=", "url(", "@import", "<link", "<iframe", "<script"] {
        assert!(!page.contains(reference), "{reference} refers to something else");
    }
    assert!(page.contains("default-src 'none'"), "nor would the browser follow one");
    assert!(page.contains("prefers-color-scheme: dark"));
    for words in ["ImagePullBackOff", "shop", "nightly", "not a picture of the AWS console"] {
        assert!(page.contains(words), "{words}");
    }

    view(&scene, ANA, &["--html", &path]).await.expect_error("EKSC0652", 3).says(&["--force"]);
    let run = view(&scene, ANA, &["--html", &path, "--force", "-o", "json"]).await.expect(0).json();
    schema().fits(&run);
    assert_eq!(run["page"], path);
    view(&scene, ANA, &["--html", "/nowhere/view.html"]).await.expect_error("EKSC0109", 1);
    view(&scene, ANA, &["--force"]).await.expect(2).says(&["--html"]);
}

#[tokio::test]
async fn many_objects_are_read_in_pages_and_few_are_shown() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    scene.grant_as_eksctl().await;
    scene
        .apply_all(&[json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "web" } })])
        .await;
    let one = |index: usize| {
        let scene = &scene;
        async move {
            let (name, at) =
                (format!("event-{index:04}"), format!("2036-01-01T00:{:02}:{:02}Z", index / 60, index % 60));
            event(scene, &name, &at, "Many", &format!("message {index}")).await;
        }
    };
    for some in (0..620).collect::<Vec<usize>>().chunks(62) {
        futures::future::join_all(some.iter().map(|index| one(*index))).await;
    }
    let seen = view(&scene, ANA, &["--limit", "3", "-o", "json"]).await.expect(0).json();
    let events = &seen["parts"]["events"];
    let messages: Vec<&str> =
        events["items"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(messages, ["message 619", "message 618", "message 617"], "the newest are on the last page");
    assert!(events["more"].as_u64().unwrap() >= 617, "{events:#}");
    let run = view(&scene, ANA, &["--limit", "3"]).await.expect(0);
    assert!(run.stdout.contains("more are not shown (--limit 0 shows more)"), "{}", run.stdout);
    let all = view(&scene, ANA, &["--limit", "0", "-o", "json"]).await.expect(0).json();
    assert_eq!(all["parts"]["events"]["more"], 0);
}

#[tokio::test]
async fn without_a_connector_or_the_right_to_act_as_it_there_is_nothing_to_see() {
    let mut scene = Scene::new().await;
    view(&scene, VIEWER, &[]).await.expect_error("EKSC0620", 3).says(&["eksconnect register"]);
    scene.connector_in(NAMESPACE).await;
    scene.become_user("nobody", &[]).await;
    let run = view(&scene, VIEWER, &[]).await.expect_error("EKSC0305", 1);
    run.says(&["create serviceaccounts/token in namespace eks-connector", "eksconnect verify-view"]);
}
