//! The file that goes from one administrator to the other is not lost, whatever happens to the run that writes it.

use std::os::unix::fs::PermissionsExt;

use eksconnect_sandbox::aws::control::{CallerSpec, Fault, FaultKind, Selector, When};
use serde_json::json;

use crate::halves::{account_half, cluster_half, document, out};
use crate::support::{Scene, until};

/// The one instant that matters: EKS has registered, and the run dies before the answer is in the file.
#[tokio::test]
async fn a_run_that_dies_after_registering_is_finished_by_the_next() {
    for tagged in [true, false] {
        let mut scene = Scene::new().await;
        let file = out(&scene);
        // The roles are there, and EKS sees them.
        let first = scene.lease.home().join("first.json");
        let role = ["register", "--name", "first", "--provider", "OTHER", "--aws-only", "--activation-out"];
        scene.run(&[&role[..], &[first.to_str().unwrap()]].concat()).await.expect(0);
        if !tagged {
            let policy = json!({ "Version": "2012-10-17", "Statement": [
                { "Effect": "Allow", "Action": "*", "Resource": "*" },
                { "Effect": "Deny", "Action": "eks:TagResource", "Resource": "*" },
            ] });
            let account = scene.lease.account().id.clone();
            let spec = CallerSpec::user("plain", Some(policy));
            let caller = scene.lease.aws().add_caller(&account, spec).await.unwrap();
            scene.set("AWS_ACCESS_KEY_ID", &caller.access_key_id);
            scene.set("AWS_SECRET_ACCESS_KEY", &caller.secret_access_key);
        }
        let path = file.to_str().unwrap().to_owned();
        let arguments =
            ["register", "--name", "onprem1", "--provider", "OTHER", "--aws-only", "--activation-out", &path];
        let selector = Selector {
            service: Some("eks".to_owned()),
            operation: Some("RegisterCluster".to_owned()),
            account: Some(scene.lease.account().id.clone()),
        };
        let once = Fault::once("eks", "RegisterCluster", FaultKind::Hang);
        // Where tagging is denied, the first call says so.
        let nth = if tagged { 1 } else { 2 };
        let fault = Fault { selector, when: When::After, times: None, nth, ..once };
        scene.lease.aws().add_fault(fault).await.unwrap();
        let mut child = scene.command(&arguments).spawn().unwrap();
        until("it is registered", async || scene.registrations().await.contains_key("onprem1")).await;
        child.start_kill().unwrap();
        child.wait().await.unwrap();
        scene.heal().await;
        assert_eq!(document(&file)["kind"], "ActivationIntent");
        let lost = scene.registrations().await["onprem1"]["activation_id"].clone();
        let run = scene.run(&arguments).await.expect(0);
        run.says(&["the registration is removed and made anew"]);
        let registrations = scene.registrations().await;
        assert_eq!(registrations.len(), 2);
        assert_ne!(registrations["onprem1"]["activation_id"], lost);
        assert_eq!(registrations["onprem1"]["activation_id"], document(&file)["activationId"]);
        scene.env.clear();
        cluster_half(&mut scene, &file, &[]).await.expect(0);
    }
}

#[tokio::test]
async fn an_intent_proves_only_its_own_registration() {
    let mut scene = Scene::new().await;
    let file = out(&scene);
    account_half(&mut scene, &file, &[]).await.expect(0);
    let handed = document(&file);
    // As if another administrator, at the same time, had begun and died before registering.
    let intent = json!({ "apiVersion": "eksconnect/v1", "kind": "ActivationIntent", "arn": handed["arn"],
        "id": "another", "startedAt": handed["registeredAt"] });
    let other = scene.home_file("other.json", &intent.to_string());
    account_half(&mut scene, &other, &[]).await.expect_error("EKSC0402", 3);
    assert_eq!(scene.registrations().await["onprem1"]["activation_id"], handed["activationId"]);
}

#[tokio::test]
async fn what_cannot_be_kept_is_taken_back() {
    let mut scene = Scene::new().await;
    let directory = scene.lease.home().join("handover");
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("onprem1.json");
    // A directory where the new file would be written stands for a disk that is full or gone.
    std::fs::create_dir_all(directory.join(".onprem1.json.new")).unwrap();
    let run = account_half(&mut scene, &file, &[]).await.expect_error("EKSC0410", 5);
    let run = run.says(&["the registration was taken back", "role AmazonEKSConnectorAgentRole"]);
    assert!(!run.stderr.contains("deregister-cluster"), "{}", run.stderr);
    assert!(scene.registrations().await.is_empty() && !file.exists());

    scene.refuse("eks", "DeregisterCluster", 403, "AccessDeniedException", "no").await;
    let run = account_half(&mut scene, &file, &[]).await.expect_error("EKSC0410", 5);
    run.says(&["could not be taken back", "aws eks deregister-cluster --name onprem1"]);
    scene.heal().await;
    std::fs::remove_dir(directory.join(".onprem1.json.new")).unwrap();
    account_half(&mut scene, &file, &[]).await.expect(0).says(&["made anew"]);
    assert_eq!(scene.registrations().await.len(), 1);
}

#[tokio::test]
async fn a_directory_that_may_not_be_written_to_is_found_out_first() {
    let mut scene = Scene::new().await;
    let directory = scene.lease.home().join("locked");
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(directory.join("probe"), "").is_ok() {
        // Root may write everywhere; a file in place of the directory stops root too.
        std::fs::remove_file(directory.join("probe")).unwrap();
        let in_file = scene.home_file("plain", "").join("onprem1.json");
        account_half(&mut scene, &in_file, &[]).await.expect_error("EKSC0109", 2);
    } else {
        account_half(&mut scene, &directory.join("onprem1.json"), &[]).await.expect_error("EKSC0109", 1);
    }
    assert!(
        scene.account().await["accounts"][&scene.lease.account().id]["roles"].as_object().unwrap().is_empty()
    );
}
