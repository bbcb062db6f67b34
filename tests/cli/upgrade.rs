//! Upgrading: only what is named changes, the agents keep their state, and what does not work is rolled back.

use eksconnect_sandbox::node::runtime::table::MIRROR_REGISTRY;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::by_hand::Activation;
use crate::deregister::{account, surplus};
use crate::support::{NAMESPACE, Scene};
use crate::takeover::{EKSCTL_GRANTS, OFFICIAL, kubectl_apply, until_active};

async fn set(scene: &Scene) -> Value {
    let sets: Api<StatefulSet> = Api::namespaced(scene.client().await, NAMESPACE);
    serde_json::to_value(sets.get("eks-connector").await.unwrap()).unwrap()
}

fn agent_image(set: &Value) -> &str {
    set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap()
}

/// How often an agent has registered with Systems Manager.
async fn instances(scene: &Scene) -> usize {
    scene.calls().await.iter().filter(|call| call.operation == "RegisterManagedInstance").count()
}

#[tokio::test]
async fn only_what_is_named_changes_and_the_agents_keep_their_state() {
    let scene = Scene::new().await;
    let options = ["--toleration", "dedicated=x:NoSchedule", "--network-policy", "egress", "--replicas", "2"];
    scene.register(&options).await.expect(0);
    let none = Activation { id: String::new(), code: String::new() };
    kubectl_apply(&scene, EKSCTL_GRANTS, &none).await;
    let (before, registered) = (set(&scene).await, instances(&scene).await);
    let run = scene.run(&["upgrade"]).await.expect(0);
    assert!(run.stdout.contains("nothing to do"), "{}", run.stdout);
    assert_eq!(set(&scene).await["metadata"]["generation"], before["metadata"]["generation"]);

    let mirrored = ["upgrade", "--image-registry", MIRROR_REGISTRY];
    let plan =
        scene.run(&[&mirrored[..], &["--dry-run", "--diff", "-o", "json"]].concat()).await.expect(0).json();
    let objects: Vec<&Value> = plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["object"]["kind"])
        .filter(|it| !it.is_null())
        .collect();
    assert_eq!(objects, ["StatefulSet"], "{plan:#}");
    scene.run(&[&mirrored[..], &["--dry-run", "--detailed-exitcode"]].concat()).await.expect(7);
    let run = scene.run(&mirrored).await.expect(0);
    assert!(run.stdout.contains("onprem1 is upgraded, and ACTIVE after"), "{}", run.stdout);
    assert!(run.stdout.contains("1 principal can view as before."), "{}", run.stdout);
    let after = set(&scene).await;
    assert!(agent_image(&after).starts_with(MIRROR_REGISTRY), "{after:#}");
    for field in ["tolerations", "nodeSelector", "volumes"] {
        let of = |set: &Value| set["spec"]["template"]["spec"][field].clone();
        assert_eq!(of(&after), of(&before), "{field}");
    }
    assert_eq!(instances(&scene).await, registered, "no agent registered anew");
    // The registry stays that one; the options that were not repeated stay too.
    let run = scene.run(&["upgrade", "-o", "json"]).await.expect(0).json();
    assert_eq!((&run["kind"], &run["changed"]), (&json!("UpgradeResult"), &json!(false)));
    let options = [&options[..], &["--image-registry", MIRROR_REGISTRY]].concat();
    let again = scene.register(&options).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    scene.run(&["upgrade", "--replicas", "1", "--toleration", "none"]).await.expect(0);
    let options = ["--network-policy", "egress", "--replicas", "1", "--image-registry", MIRROR_REGISTRY];
    let again = scene.register(&options).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    scene.run(&["upgrade", "--replicas", "3"]).await.expect_error("EKSC0416", 3).says(&["--renew"]);
    // As many as have their state come back.
    scene.run(&["upgrade", "--replicas", "2"]).await.expect(0);
    assert_eq!(instances(&scene).await, registered);
}

#[tokio::test]
async fn agents_that_do_not_work_are_rolled_back_and_that_is_said() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let before = set(&scene).await;
    let bad = ["upgrade", "--agent-image", "public.ecr.aws/amazon-ssm-agent/none:1", "--wait-timeout", "15s"];
    let run = scene.run(&bad).await.expect_error("EKSC0471", 1).says(&[
        "going back to the ones before",
        "onprem1 is ACTIVE as before",
        "public.ecr.aws/amazon-ssm-agent/none:1",
    ]);
    // Where it works is said once, and how the new agents stood is over.
    assert_eq!(run.stderr.matches("Account ").count(), 1, "{}", run.stderr);
    assert!(!run.stderr.contains("of 2 ready;"), "{}", run.stderr);
    let after = set(&scene).await;
    assert_eq!(after["spec"]["template"], before["spec"]["template"]);
    assert_eq!(after["status"]["readyReplicas"], 2);
    let run = scene.run(&["upgrade"]).await.expect(0);
    assert!(run.stdout.contains("nothing to do"), "{}", run.stdout);
}

#[tokio::test]
async fn agents_that_a_stopped_run_left_broken_are_not_in_order() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    // As if the run had been killed once it had applied.
    let broken = ["--agent-image", "registry.invalid/agent:1"];
    scene.register(&[&broken[..], &["--no-wait"]].concat()).await.expect(0);
    let waits = [&broken[..], &["--wait-timeout", "5s"]].concat();
    let again = [&["upgrade"], &waits[..]].concat();
    scene.run(&again).await.expect_error("EKSC0412", 4).says(&["registry.invalid/agent:1"]);
    scene.register(&waits).await.expect_error("EKSC0412", 4);
    let plan = scene.run(&[&again[..], &["--dry-run", "-o", "json"]].concat()).await.expect(0).json();
    assert_ne!(plan["steps"], json!([]), "{plan:#}");
    let standard = "public.ecr.aws/amazon-ssm-agent/amazon-ssm-agent:3.2.2303.0";
    let run = scene.run(&["upgrade", "--agent-image", standard]).await.expect(0);
    assert!(run.stdout.contains("is upgraded, and ACTIVE"), "{}", run.stdout);
}

#[tokio::test]
async fn what_cannot_be_rolled_back_is_said() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let secret = |registry: &str| {
        let document = json!({ "auths": { registry: { "auth": "b2xkOm9sZA==" } } });
        scene.home_file(&format!("{registry}.json"), &document.to_string())
    };
    let (old, new) = (secret("old.example.com"), secret("new.example.com"));
    scene.run(&["upgrade", "--pull-secret-file", old.to_str().unwrap()]).await.expect(0);
    let bad = [
        "upgrade",
        "--pull-secret-file",
        new.to_str().unwrap(),
        "--agent-image",
        "registry.invalid/agent:1",
        "--wait-timeout",
        "5s",
    ];
    let run = scene.run(&bad).await.expect_error("EKSC0471", 5);
    run.says(&[
        "Secret eks-connector/eks-connector-pull, with the new credentials",
        "--pull-secret-file FILE",
    ]);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let direct = ["upgrade", "--no-proxy", "intra.example.com"];
    scene.run(&direct).await.expect_error("EKSC0107", 2).says(&["--no-proxy needs a proxy"]);
    let sets: Api<StatefulSet> = Api::namespaced(scene.client().await, NAMESPACE);
    let none = json!({ "spec": { "replicas": 0 } });
    sets.patch("eks-connector", &PatchParams::default(), &Patch::Merge(none)).await.unwrap();
    scene.run(&["upgrade"]).await.expect_error("EKSC0470", 3).says(&["scaled to none", "--replicas N"]);
    scene.run(&["upgrade", "--replicas", "2"]).await.expect(0);
    assert_eq!(set(&scene).await["status"]["readyReplicas"], 2);
}

#[tokio::test]
async fn nothing_is_ever_registered_anew() {
    let scene = Scene::new().await;
    scene.run(&["upgrade"]).await.expect_error("EKSC0470", 3).says(&["register --name NAME"]);
    scene.register(&[]).await.expect(0);
    scene.run(&["upgrade", "--name", "onprem2"]).await.expect(3);
    scene.run(&["upgrade", "--region", "us-east-2"]).await.expect_error("EKSC0462", 3);
    scene.deregister_by_hand().await;
    let run = scene.run(&["upgrade"]).await.expect_error("EKSC0470", 3);
    run.says(&["there is no registration onprem1", "eksconnect register --name onprem1"]);
    assert_eq!(account(&scene).await["registrations"], json!([]));
}

#[tokio::test]
async fn what_others_installed_is_taken_over_first() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    until_active(&scene, NAMESPACE).await;
    scene.run(&["upgrade"]).await.expect_error("EKSC0503", 3).says(&["--adopt"]);
}

#[tokio::test]
async fn upgrading_and_deregistering_at_once_end_each_as_one_can_understand() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let upgrade = ["upgrade", "--name", "onprem1", "--image-registry", MIRROR_REGISTRY];
    let deregister = ["deregister", "--name", "onprem1", "--yes"];
    let (up, down) = tokio::join!(scene.run(&upgrade), scene.run(&deregister));
    for run in [&up, &down] {
        assert!(!run.stderr.contains("EKSC09"), "{run:?}");
        assert!(matches!(run.code, Some(0 | 1 | 3 | 5)), "{run:?}");
    }
    scene.run(&[&deregister[..], &["--allow-missing"]].concat()).await.expect(0);
    assert_eq!(surplus(&scene).await, Vec::<String>::new());
    assert_eq!(account(&scene).await["registrations"], json!([]));
}
