//! Signals and kills: the same command finishes.

use eksconnect_sandbox::aws::control::{FaultKind, SettingsPatch};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{PATIENCE, Scene, until};

pub(crate) async fn signal(process: u32, name: &str) {
    let status =
        tokio::process::Command::new("kill").args([name, &process.to_string()]).status().await.unwrap();
    assert!(status.success());
}

/// Starts a registration that cannot become ACTIVE, and waits until it waits.
async fn waiting(
    scene: &Scene,
) -> (tokio::process::Child, tokio::io::Lines<BufReader<tokio::process::ChildStderr>>) {
    scene.fail("ssmmessages", "CreateControlChannel", FaultKind::Reset).await;
    let mut child = scene.command(&["register", "--name", "onprem1"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let seen = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("Waiting until ACTIVE") {
                return;
            }
        }
        panic!("it never waited");
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap();
    (child, lines)
}

#[tokio::test]
async fn an_interrupted_wait_says_what_remains_and_the_same_command_finishes() {
    for name in ["-INT", "-TERM"] {
        let scene = Scene::new().await;
        let (mut child, mut lines) = waiting(&scene).await;
        signal(child.id().unwrap(), name).await;
        let mut said = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            said.push_str(&line);
            said.push('\n');
        }
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(130), "{said}");
        for word in
            ["EKSC0414", "run the same command again", "Left in place, to be resumed", "registration onprem1"]
        {
            assert!(said.contains(word), "{word}: {said}");
        }
        scene.heal().await;
        scene.register(&[]).await.expect(0);
        assert_eq!(scene.registrations().await.len(), 1);
    }
}

#[tokio::test]
async fn an_interrupt_before_the_registration_undoes_what_was_made() {
    for name in ["-INT", "-TERM"] {
        let scene = Scene::new().await;
        // EKS sees the new role in ten minutes.
        let late = SettingsPatch { iam_propagation_ms: Some(600_000), ..SettingsPatch::default() };
        scene.settings(late).await;
        let mut child = scene.command(&["register", "--name", "onprem1"]).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains("waiting until EKS can see the agent role") {
                assert!(scene.namespace_exists().await, "there is nothing to be undone");
                signal(child.id().unwrap(), name).await;
            }
            said.push_str(&line);
            said.push('\n');
        }
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(130), "{said}");
        for word in ["EKSC0414", "run the same command again", "role AmazonEKSConnectorAgentRole"] {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("kubectl delete"), "{said}");
        assert!(!scene.namespace_exists().await);
        assert_eq!(scene.lease.surplus().await.unwrap().len(), 0);
        scene.settings(SettingsPatch { iam_propagation_ms: Some(0), ..SettingsPatch::default() }).await;
    }
}

#[tokio::test]
async fn a_killed_run_is_continued_at_once() {
    let scene = Scene::new().await;
    let (mut child, _lines) = waiting(&scene).await;
    child.kill().await.unwrap();
    scene.heal().await;
    // The Lease is still held, by a process of this host that is dead.
    let run = scene.register(&[]).await.expect(0);
    assert!(!run.stderr.contains("still alive"), "{}", run.stderr);
    let registered = scene.calls().await.iter().filter(|call| call.operation == "RegisterCluster").count();
    assert_eq!(registered, 1);
}

#[tokio::test]
async fn a_living_run_is_not_disturbed() {
    let scene = Scene::new().await;
    let (mut child, _lines) = waiting(&scene).await;
    let run = scene.register(&["--namespace", "eks-connector"]).await.expect_error("EKSC0408", 3);
    run.says(&["another run of eksconnect", "process"]);
    child.kill().await.unwrap();
}

#[tokio::test]
async fn a_second_signal_ends_at_once_and_says_what_may_remain() {
    let scene = Scene::new().await;
    scene.fail("eks", "RegisterCluster", FaultKind::Hang).await;
    let mut child = scene.command(&["register", "--name", "onprem1"]).spawn().unwrap();
    let process = child.id().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    until("it registers", || async {
        scene.calls().await.iter().any(|call| call.operation == "RegisterCluster")
    })
    .await;
    let mut said = String::new();
    signal(process, "-INT").await;
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("interrupt again to end at once") {
            signal(process, "-INT").await;
        }
        said.push_str(&line);
        said.push('\n');
    }
    let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(130), "{said}");
    for word in [
        "registering onprem1 was ended at once",
        "in flight, with an effect that is not known: ",
        "register onprem1\n",
        "registration onprem1 (it may have been made; the next run finds out)",
        " of the connector in the cluster",
        "kubectl delete namespace eks-connector",
        "role AmazonEKSConnectorAgentRole",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(scene.namespace_exists().await, "nothing was undone");
    scene.heal().await;
    scene.register(&[]).await.expect(0);
}
