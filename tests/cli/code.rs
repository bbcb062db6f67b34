//! The activation code is nowhere but in the cluster's Secret.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eksconnect_sandbox::aws::control::FaultKind;
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use tokio::io::AsyncReadExt;

use crate::failures::forbid;
use crate::interrupts::signal;
use crate::support::{NAMESPACE, PATIENCE, Run, Scene, until};

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
    assert!(code.len() >= 20, "this is no code: {code}");
    let encoded = STANDARD.encode(code);
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

/// Where any code that the account was ever given can be seen, as it is or in base64.
async fn leaks(scene: &Scene, said: &[String]) -> Vec<String> {
    let account = scene.lease.account().id.clone();
    let codes = scene.lease.aws().activation_codes(Some(&account)).await.unwrap();
    assert!(!codes.is_empty() && codes.iter().all(|code| code.len() >= 20), "no code was given");
    let files = contents(&scene.lease.home());
    let places = said.iter().map(String::as_str).chain([files.as_str()]);
    let mut found = Vec::new();
    for place in places {
        for code in &codes {
            let encoded = STANDARD.encode(code);
            let shown =
                [code.as_str(), encoded.trim_end_matches('=')].iter().any(|form| place.contains(form));
            found.extend(shown.then(|| place.to_owned()));
        }
    }
    found
}

/// How a run is made to end once the code was given.
#[derive(Clone, Copy, Debug)]
enum End {
    SecretRefused,
    SecretRefusedAndKept,
    AgentsRefused,
    TimeOut,
    Interrupt,
    InterruptTwice,
}

#[tokio::test]
async fn however_a_run_ends_after_it_was_given() {
    let mut scene = Scene::new().await;
    for end in [
        End::SecretRefused,
        End::SecretRefusedAndKept,
        End::AgentsRefused,
        End::TimeOut,
        End::Interrupt,
        End::InterruptTwice,
    ] {
        let client = scene.client().await;
        let mut wait = "2s";
        scene.fail("ssmmessages", "CreateControlChannel", FaultKind::Reset).await;
        match end {
            End::SecretRefused | End::SecretRefusedAndKept | End::AgentsRefused => {
                let namespace = json!({ "metadata": { "name": NAMESPACE } });
                let namespace: Namespace = serde_json::from_value(namespace).unwrap();
                Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
                let agents = matches!(end, End::AgentsRefused);
                forbid(&client, if agents { "count/statefulsets.apps" } else { "secrets" }).await;
                if matches!(end, End::SecretRefusedAndKept) {
                    scene.refuse("eks", "DeregisterCluster", 400, "ClientException", "no").await;
                }
            }
            End::TimeOut => {}
            End::Interrupt | End::InterruptTwice => wait = "5m",
        }
        let home = scene.lease.home();
        let mut command = scene.command(&["register", "--name", "onprem1", "-vvv", "--wait-timeout", wait]);
        let mut child = command.current_dir(&home).env("TMPDIR", &home).spawn().unwrap();
        let process = child.id().unwrap();
        let arguments = std::fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap();
        let (mut out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let reading = tokio::spawn(async move {
            let (mut stdout, mut stderr) = (String::new(), String::new());
            let (one, other) = tokio::join!(out.read_to_string(&mut stdout), err.read_to_string(&mut stderr));
            one.unwrap();
            other.unwrap();
            [stdout, stderr]
        });
        if matches!(end, End::Interrupt | End::InterruptTwice) {
            until("the code is in the cluster", || async { scene.activation_value().await.is_some() }).await;
            signal(process, "-INT").await;
            if matches!(end, End::InterruptTwice) {
                signal(process, "-INT").await;
            }
        }
        let status = tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
        let [stdout, stderr] = reading.await.unwrap();
        assert!(matches!(status.code(), Some(1 | 4 | 5 | 130)), "{end:?}: {status}\n{stderr}");
        assert!(stderr.contains("eks:RegisterCluster"), "{end:?}: nothing was logged: {stderr}");
        let plan = scene.register(&["-vvv", "-o", "json", "--dry-run"]).await;
        let said = [arguments, stdout, stderr, plan.stdout, plan.stderr];
        assert_eq!(leaks(&scene, &said).await, Vec::<String>::new(), "{end:?}");

        // It would be found.
        let account = scene.lease.account().id.clone();
        let codes = scene.lease.aws().activation_codes(Some(&account)).await.unwrap();
        assert_eq!(leaks(&scene, &[format!("x{}x", codes[0])]).await.len(), 1);
        let planted = scene.home_file("deep/er", &STANDARD.encode(&codes[0]));
        assert_eq!(leaks(&scene, &[]).await.len(), 1);
        std::fs::remove_file(planted).unwrap();
        scene.heal().await;
        scene.lease.start_over().await.unwrap();
    }
}
