//! The activation code is nowhere but in the cluster's Secret.

use std::path::Path;

use eksconnect_sandbox::aws::control::FaultKind;

use crate::support::{Run, Scene};

/// Every byte of every file below a directory.
fn contents(directory: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.push_str(&contents(&path));
        } else {
            all.push_str(&String::from_utf8_lossy(&std::fs::read(&path).unwrap()));
        }
    }
    all
}

fn must_not_show(code: &str, scene: &Scene, runs: &[&Run]) {
    use base64::Engine;
    assert!(code.len() >= 20, "this is no code: {code}");
    let encoded = base64::engine::general_purpose::STANDARD.encode(code);
    for run in runs {
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains(code) && !text.contains(&encoded), "{text}");
        }
    }
    let files = contents(&scene.lease.home());
    assert!(!files.contains(code) && !files.contains(&encoded), "it is in a file");
}

#[tokio::test]
async fn with_all_verbosity_and_in_every_format() {
    for format in ["text", "json", "yaml"] {
        let scene = Scene::new().await;
        let first = scene.register(&["-vvv", "-o", format, "--no-wait"]).await.expect(0);
        let code = scene.activation_value().await.unwrap();
        assert!(
            first.stderr.contains("patch secrets in namespace eks-connector"),
            "nothing was logged: {}",
            first.stderr
        );
        let planned = scene.register(&["-vvv", "-o", format, "--dry-run"]).await.expect(0);
        let finished = scene.register(&["-vvv", "-o", format]).await.expect(0);
        assert_eq!(scene.activation_value().await.as_deref(), Some("spent"));
        must_not_show(&code, &scene, &[&first, &planned, &finished]);
    }
}

#[tokio::test]
async fn with_a_timeout() {
    let scene = Scene::new().await;
    scene.fail("ssmmessages", "CreateControlChannel", FaultKind::Reset).await;
    let run = scene.register(&["-vvv", "--wait-timeout", "2s"]).await.expect(4);
    let code = scene.activation_value().await.unwrap();
    must_not_show(&code, &scene, &[&run]);
}

#[tokio::test]
async fn with_a_malformed_answer_that_holds_it() {
    let scene = Scene::new().await;
    scene.fail("eks", "RegisterCluster", FaultKind::MalformedBody).await;
    let run = scene.register(&["-vvv"]).await;
    let run = run.expect(5).says(&["registration onprem1 (it may have been made"]);
    let account = scene.lease.account().id.clone();
    let codes = scene.lease.aws().activation_codes(Some(&account)).await.unwrap();
    assert!(!codes.is_empty(), "no answer held a code");
    for code in &codes {
        must_not_show(code, &scene, &[&run]);
    }
    scene.heal().await;
    scene.register(&[]).await.expect(0);
}
