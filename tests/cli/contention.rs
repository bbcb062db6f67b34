//! Two runs at once, from one machine and as from two; holders of the Lease that live, and such as do not.

use std::process::Stdio;

use eksconnect_sandbox::aws::control::FaultKind;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::process::Command;

use crate::support::{NAMESPACE, PATIENCE, Run, Scene, until};

/// A Lease that a process of another host holds.
async fn held_elsewhere(scene: &Scene, seconds: u32, renewed: &str) -> Api<Lease> {
    let client = scene.client().await;
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
    let lease: Lease = serde_json::from_value(json!({
        "metadata": { "name": "eksconnect" },
        "spec": {
            "holderIdentity": "build-7/another-boot/4711/1",
            "leaseDurationSeconds": seconds,
            "renewTime": renewed,
        },
    }))
    .unwrap();
    let leases: Api<Lease> = Api::namespaced(client, NAMESPACE);
    leases.create(&PostParams::default(), &lease).await.unwrap();
    leases
}

#[tokio::test]
async fn a_holder_that_does_not_renew_is_dead_whatever_its_clock_says() {
    let scene = Scene::new().await;
    held_elsewhere(&scene, 2, "2099-01-01T00:00:00.000000Z").await;
    let plan = scene.register(&["--dry-run", "-o", "json"]).await.expect(0).json();
    assert!(plan["notes"].to_string().contains("host build-7, process 4711"), "{plan}");
    let run = scene.register(&[]).await.expect(0);
    run.says(&["host build-7, process 4711", "waiting to see whether it is still alive"]);
}

#[tokio::test]
async fn a_holder_that_renews_lives_whatever_its_clock_says() {
    let scene = Scene::new().await;
    let leases = held_elsewhere(&scene, 600, "2001-01-01T00:00:00.000000Z").await;
    let renewing = tokio::spawn(async move {
        for second in (0..60).cycle() {
            let renewed = json!({ "spec": { "renewTime": format!("2001-01-01T00:00:{second:02}.000000Z") } });
            leases.patch("eksconnect", &PatchParams::default(), &Patch::Merge(&renewed)).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
    let run = scene.register(&[]).await.expect_error("EKSC0408", 3);
    run.says(&["host build-7, process 4711", "eks-connector/eksconnect"]);
    renewing.abort();
    assert_eq!(scene.registrations().await.len(), 0);
}

/// A run as from another host: with a host name and process ids of its own. `None` where this machine does not let
/// anybody make such.
#[expect(clippy::print_stdout, reason = "a test that is left out has to say so")]
fn from_another_host(scene: &Scene, arguments: &[&str]) -> Option<Command> {
    let apart = ["--uts", "--pid", "--fork", "--kill-child", "--map-root-user"];
    let mut command = std::process::Command::new("unshare");
    let possible = command.args(apart).arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !possible.is_ok_and(|status| status.success()) {
        println!("left out: unshare does not work here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(apart).args(["sh", "-c", "echo build-8 > /proc/sys/kernel/hostname && exec \"$@\"", "sh"]);
    command.arg(env!("CARGO_BIN_EXE_eksconnect")).args(arguments);
    command.env_clear().envs(scene.environment());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    Some(command)
}

async fn ended(mut command: Command) -> Run {
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").expect("it starts");
    Run {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// However two runs of a fresh cluster meet: one registration, made once, and each run says what it was.
async fn registered_once(scene: &Scene, runs: [Run; 2]) {
    for run in &runs {
        match run.code {
            Some(0) => assert!(run.stdout.contains("onprem1 is ACTIVE"), "{}", run.stdout),
            _ => assert!(run.stderr.contains("error[EKSC0408]"), "{:?}\n{}", run.code, run.stderr),
        }
    }
    assert!(runs.iter().any(|run| run.code == Some(0)), "{runs:?}");
    let calls = scene.calls().await;
    let made = calls.iter().filter(|call| call.operation == "RegisterCluster" && call.status == 200).count();
    let removed = calls.iter().filter(|call| call.operation == "DeregisterCluster").count();
    assert_eq!((made, removed), (1, 0), "{runs:?}");
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[tokio::test]
async fn two_runs_of_a_fresh_cluster_from_one_machine() {
    let scene = Scene::new().await;
    let (one, other) = tokio::join!(scene.register(&[]), scene.register(&[]));
    registered_once(&scene, [one, other]).await;
}

#[tokio::test]
async fn two_runs_of_a_fresh_cluster_from_two_machines() {
    let scene = Scene::new().await;
    let Some(there) = from_another_host(&scene, &["register", "--name", "onprem1"]) else { return };
    let (one, other) = tokio::join!(scene.register(&[]), ended(there));
    registered_once(&scene, [one, other]).await;
}

#[tokio::test]
async fn a_run_killed_on_another_machine_is_noticed_by_its_silence() {
    let scene = Scene::new().await;
    scene.fail("eks", "RegisterCluster", FaultKind::Hang).await;
    let Some(mut there) = from_another_host(&scene, &["register", "--name", "onprem1"]) else { return };
    let mut child = there.spawn().unwrap();
    until("it registers", || async {
        scene.calls().await.iter().any(|call| call.operation == "RegisterCluster")
    })
    .await;
    child.kill().await.unwrap();
    scene.heal().await;
    let run = scene.register(&[]).await.expect(0);
    run.says(&["host build-8, process", "waiting to see whether it is still alive"]);
    assert_eq!(scene.registrations().await.len(), 1);
}
