//! Collecting what nobody needs any more, and nothing else.

use eksconnect_sandbox::aws::control::SettingsPatch;
use serde_json::json;

use crate::deregister::{account, surplus};
use crate::support::{NAMESPACE, Scene, until};
use crate::takeover::{OFFICIAL, kubectl_apply, until_active};

const GC: [&str; 4] = ["gc", "--yes", "--older-than", "1s"];

/// A registration of ours whose agents never connect; its activation is in a file.
async fn half(scene: &Scene, name: &str, more: &[&str]) {
    let file = scene.lease.home().join(format!("{name}.json"));
    let run = ["register", "--name", name, "--provider", "GKE", "--aws-only", "--activation-out"];
    scene.run(&[&run[..], &[file.to_str().unwrap()], more].concat()).await.expect(0);
}

#[tokio::test]
async fn dead_registrations_and_unused_roles_of_ours_go() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    // A role of ours that nothing uses.
    half(&scene, "short", &["--role-name", "Unused"]).await;
    scene.run(&["deregister", "--name", "short", "--aws-only", "--yes"]).await.expect(0);
    let run = scene.run(&["gc", "--yes"]).await.expect(0);
    assert!(run.stdout.contains("nothing to do"), "nothing is old enough: {}", run.stdout);

    scene.settings(SettingsPatch { activation_expiry_seconds: Some(1), ..SettingsPatch::default() }).await;
    half(&scene, "dead", &[]).await;
    scene.settings(SettingsPatch { activation_expiry_seconds: Some(3600), ..SettingsPatch::default() }).await;
    half(&scene, "young", &[]).await;
    until("both are of no use", || async {
        let plan = scene.run(&["gc", "--dry-run", "--older-than", "1s", "-o", "json"]).await.expect(0).json();
        assert_eq!(plan["kind"], "GcPlan");
        let steps = plan["steps"].to_string();
        steps.contains("deregister dead") && steps.contains("delete role Unused")
    })
    .await;
    let run = scene.run(&["gc", "--older-than", "1s"]).await.expect_error("EKSC0112", 3);
    run.says(&["registration dead", "role         Unused"]);
    scene.run(&["gc", "--older-than", "1s", "--dry-run", "--detailed-exitcode"]).await.expect(7);
    let run = scene.run(&[&GC[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!((&run["kind"], &run["changed"]), (&json!("GcResult"), &json!(true)));
    let left = account(&scene).await;
    assert_eq!(left["registrations"], json!(["onprem1", "young"]));
    assert_eq!(left["roles"], json!(["amazoneksconnectoragentrole", "awsserviceroleforamazoneksconnector"]));
    // The cluster's own registration lives, so its connector does too.
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    let run = scene.run(&GC).await.expect(0);
    assert!(run.stdout.contains("nothing to do"), "{}", run.stdout);
}

#[tokio::test]
async fn what_failed_a_moment_ago_stays_and_elsewhere_the_same_age_is_asked_for() {
    let scene = Scene::new().await;
    scene.settings(SettingsPatch { activation_expiry_seconds: Some(1), ..SettingsPatch::default() }).await;
    half(&scene, "here", &[]).await;
    half(&scene, "there", &["--region", "us-east-2"]).await;
    let look = ["gc", "--aws-only", "--dry-run", "-o", "json"];
    let command = "eksconnect gc --region us-east-2 --aws-only --older-than 1s";
    until("both have failed", || async {
        let plan = scene.run(&[&look[..], &["--older-than", "1s"]].concat()).await.expect(0).json();
        plan["steps"].to_string().contains("deregister here") && plan["notes"].to_string().contains(command)
    })
    .await;
    let list = scene.run(&["list", "-o", "json"]).await.expect(0);
    assert!(list.stdout.contains("FAILED"), "{}", list.stdout);
    // An hour is what is left alone where nothing else is said.
    let plan = scene.run(&look).await.expect(0).json();
    assert_eq!((&plan["steps"], &plan["notes"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_connector_of_ours_without_its_registration_goes() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    scene.deregister_by_hand().await;
    let run = scene.run(&["gc", "--aws-only", "--yes"]).await.expect(0);
    assert!(run.stdout.contains("nothing to do"), "{}", run.stdout);
    scene.run(&GC).await.expect(0);
    assert_eq!(surplus(&scene).await, Vec::<String>::new());
    // A role is looked at by its age.
    until("it is old enough", || async {
        scene.run(&GC).await.expect(0);
        account(&scene).await["roles"] == json!(["awsserviceroleforamazoneksconnector"])
    })
    .await;
}

#[tokio::test]
async fn nothing_of_others_goes() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    until_active(&scene, NAMESPACE).await;
    scene.deregister_by_hand().await;
    let (before, objects) = (account(&scene).await, surplus(&scene).await);
    let run = scene.run(&GC).await.expect(0);
    assert!(run.stdout.contains("nothing to do"), "{}", run.stdout);
    assert_eq!((account(&scene).await, surplus(&scene).await), (before, objects));
}
