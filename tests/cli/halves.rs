//! Two administrators: one makes the registration, the other connects the cluster, and neither needs the other's access.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use eksconnect_sandbox::aws::control::{CallerSpec, SettingsPatch};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{NAMESPACE, Run, Scene, until};

/// The scene with AWS and no cluster.
pub(crate) async fn account_half(scene: &mut Scene, file: &Path, more: &[&str]) -> Run {
    scene.set("KUBECONFIG", "/nowhere");
    let mut arguments =
        vec!["register", "--name", "onprem1", "--provider", "OTHER", "--aws-only", "--activation-out"];
    arguments.push(file.to_str().unwrap());
    arguments.extend(more);
    let run = scene.run(&arguments).await;
    scene.env.clear();
    run
}

fn without_aws(scene: &mut Scene) {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"] {
        scene.unset(name);
    }
    scene.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
}

/// The scene with a cluster and no AWS.
pub(crate) async fn cluster_half(scene: &mut Scene, file: &Path, more: &[&str]) -> Run {
    without_aws(scene);
    let mut arguments = vec!["register", "--cluster-only", "--activation-file", file.to_str().unwrap()];
    arguments.extend(more);
    let run = scene.run(&arguments).await;
    scene.env.clear();
    run
}

pub(crate) fn out(scene: &Scene) -> PathBuf {
    scene.lease.home().join("onprem1.json")
}

pub(crate) fn document(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn code_in(path: &Path) -> String {
    document(path)["activationCode"].as_str().unwrap().to_owned()
}

pub(crate) fn says_nothing_of(code: &str, runs: &[&Run]) {
    assert!(code.len() >= 20, "this is no code: {code}");
    for run in runs {
        assert!(!run.stdout.contains(code) && !run.stderr.contains(code), "{}{}", run.stdout, run.stderr);
    }
}

/// Everything beside the file in its directory.
pub(crate) fn others(path: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(path.parent().unwrap()).unwrap().map(|entry| entry.unwrap());
    let names = entries.map(|entry| entry.file_name().into_string().unwrap());
    names.filter(|name| name.contains("onprem1.json") && name != "onprem1.json").collect()
}

pub(crate) fn aws_eks(scene: &Scene) -> aws_sdk_eks::Client {
    let environment = scene.environment();
    let keys = aws_sdk_eks::config::Credentials::new(
        &environment["AWS_ACCESS_KEY_ID"],
        &environment["AWS_SECRET_ACCESS_KEY"],
        None,
        None,
        "test",
    );
    let config = aws_sdk_eks::Config::builder()
        .behavior_version(aws_sdk_eks::config::BehaviorVersion::latest())
        .region(aws_sdk_eks::config::Region::new("eu-west-1"))
        .endpoint_url(&environment["AWS_ENDPOINT_URL"])
        .credentials_provider(keys);
    aws_sdk_eks::Client::from_conf(config.build())
}

#[tokio::test]
async fn each_makes_its_half_and_again_there_is_nothing_to_do() {
    for format in ["text", "json"] {
        let mut scene = Scene::new().await;
        let file = out(&scene);
        let flags = ["-vvv", "-o", format];
        let planned = account_half(&mut scene, &file, &["-vvv", "--dry-run"]).await.expect(0);
        assert!(planned.stdout.contains("+ registration onprem1 (OTHER)"), "{}", planned.stdout);
        assert!(!file.exists() && scene.registrations().await.is_empty());
        let made = account_half(&mut scene, &file, &flags).await.expect(0);
        let handed = document(&file);
        assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!((&handed["kind"], &handed["name"]), (&json!("Activation"), &json!("onprem1")));
        let tags = scene.registrations().await["onprem1"]["tags"].clone();
        assert_eq!((&tags["eksconnect:managed"], tags.get("eksconnect:cluster-uid")), (&json!("true"), None));
        let calls = scene.last_call().await;
        let again = account_half(&mut scene, &file, &flags).await.expect(0);
        assert!(again.stdout.contains(if format == "json" { "\"changed\": false" } else { "nothing to do" }));
        let since = scene.calls_since(calls).await;
        assert!(!since.iter().any(|call| call.contains("Register")), "{since:?}");

        let calls = scene.last_call().await;
        let shown = cluster_half(&mut scene, &file, &["-vvv", "--dry-run", "--diff"]).await.expect(0);
        assert!(
            shown.stdout.contains("+ Secret eks-connector/eks-connector-activation-config"),
            "{}",
            shown.stdout
        );
        let early = cluster_half(&mut scene, &file, &["-vvv", "--no-wait"]).await.expect(0);
        let code = code_in(&file);
        assert_eq!(scene.activation_value().await.as_deref(), Some(code.as_str()));
        let connected = cluster_half(&mut scene, &file, &flags).await.expect(0);
        assert_eq!(scene.calls_since(calls).await, [""; 0], "AWS was asked");
        assert_eq!(scene.activation_value().await.as_deref(), Some("spent"));
        let twice = cluster_half(&mut scene, &file, &flags).await.expect(0);
        if format == "text" {
            assert!(connected.stdout.contains("cannot be asked without AWS"), "{}", connected.stdout);
            assert!(twice.stdout.contains("nothing to do"), "{}", twice.stdout);
        } else {
            assert_eq!(
                (connected.json()["ready"].clone(), twice.json()["changed"].clone()),
                (json!(true), json!(false))
            );
        }
        let done = account_half(&mut scene, &file, &flags).await.expect(0);
        assert!(done.stdout.contains("ACTIVE"), "{}", done.stdout);
        says_nothing_of(&code, &[&planned, &made, &again, &shown, &early, &connected, &twice, &done]);
        assert_eq!(others(&file), [""; 0]);
        // To somebody who has both, it is a registration like any other.
        let whole = scene.register(&[]).await.expect(0);
        assert!(whole.stdout.contains("nothing to do"), "{}", whole.stdout);
        if format == "text" {
            // What was deleted or drifted is repaired without a code and without AWS.
            let maps: Api<ConfigMap> = Api::namespaced(scene.client().await, NAMESPACE);
            maps.delete("eks-connector-agent", &DeleteParams::default()).await.unwrap();
            cluster_half(&mut scene, &file, &[]).await.expect(0);
            maps.get("eks-connector-agent").await.unwrap();
        }
    }
}

/// What `aws eks register-cluster` prints, in each form, and by standard input.
#[tokio::test]
async fn what_the_aws_cli_prints_is_taken_too() {
    let mut scene = Scene::new().await;
    let file = out(&scene);
    account_half(&mut scene, &file, &[]).await.expect(0);
    let ours = document(&file);
    let printed = json!({ "cluster": {
        "name": ours["name"], "arn": ours["arn"], "status": "PENDING", "tags": {},
        "createdAt": ours["registeredAt"].as_str().unwrap().replace('Z', ".123000+00:00"),
        "connectorConfig": {
            "activationId": ours["activationId"], "activationCode": ours["activationCode"],
            "activationExpiry": ours["activationExpiry"], "provider": "OTHER", "roleArn": ours["roleArn"],
        },
    } });
    let yaml = scene.home_file("printed.yaml", &serde_yaml::to_string(&printed).unwrap());
    let wide = cluster_half(&mut scene, &yaml, &["--no-wait"]).await.expect(0);
    let wide = wide.says(&["can be read by others (mode 644)", "chmod 600"]);

    without_aws(&mut scene);
    let mut command = scene.command(&["register", "--cluster-only", "--activation-file", "-", "-vv"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(printed.to_string().as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let run = Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    let run = run.expect(0);
    assert!(!run.stderr.contains("can be read by others"), "{}", run.stderr);
    says_nothing_of(&code_in(&file), &[&wide, &run]);
    assert_eq!(scene.activation_value().await.as_deref(), Some("spent"));
}

#[tokio::test]
async fn wrong_command_lines_and_files_ask_nobody() {
    let mut scene = Scene::new().await;
    let account = ["register", "--name", "a", "--aws-only", "--provider", "OTHER"];
    let with = |more: &[&'static str]| [&account[..], more].concat();
    for arguments in [
        with(&[]),
        with(&["--activation-out", "x.json", "--cluster-only"]),
        with(&["--activation-out", "x.json", "--activation-file", "y.json"]),
        with(&["--activation-out", "x.json", "--namespace", "b"]),
        with(&["--activation-out", "x.json", "--replicas", "1"]),
        with(&["--activation-out", "x.json", "--no-wait"]),
        vec!["register", "--name", "a", "--aws-only", "--activation-out", "x.json"],
        vec!["register", "--name", "a", "--activation-out", "x.json"],
        vec!["register", "--name", "a", "--activation-file", "x.json"],
        vec!["register", "--cluster-only"],
        vec!["register", "--cluster-only", "--activation-file", "x.json", "--role-name", "R"],
        vec!["register", "--cluster-only", "--activation-file", "x.json", "--provider", "GKE"],
        vec!["register", "--cluster-only", "--activation-file", "x.json", "--tag", "a=b"],
    ] {
        let run = scene.run(&arguments).await;
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.stderr);
        assert!(run.stderr.contains("error[EKSC0107]"), "{arguments:?}: {}", run.stderr);
    }
    for out in ["-", "/", "/nowhere/x.json"] {
        scene.run(&with(&["--activation-out", out][..])).await.expect_error("EKSC0109", 2);
    }
    let secret = "a-code-that-must-not-be-shown";
    let precious = scene.home_file("precious", secret);
    let run = account_half(&mut scene, &precious, &[]).await.expect_error("EKSC0425", 3);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), secret);
    let missing = cluster_half(&mut scene, Path::new("/nowhere/x"), &[]).await.expect_error("EKSC0114", 2);
    let wrong = cluster_half(&mut scene, &precious, &["-vv"]).await.expect_error("EKSC0114", 2);
    says_nothing_of(secret, &[&run, &missing, &wrong]);
    assert_eq!(scene.calls().await, []);

    let file = out(&scene);
    account_half(&mut scene, &file, &[]).await.expect(0);
    cluster_half(&mut scene, &file, &["--name", "onprem1", "--dry-run"]).await.expect(0);
    cluster_half(&mut scene, &file, &["--name", "other"])
        .await
        .expect_error("EKSC0114", 2)
        .says(&["onprem1"]);
    let region = ["--region", "eu-west-2"];
    cluster_half(&mut scene, &file, &region).await.expect_error("EKSC0114", 2).says(&["eu-west-1"]);
    assert!(!scene.namespace_exists().await);
}

#[tokio::test]
async fn a_file_of_something_else_is_refused() {
    let mut scene = Scene::new().await;
    let file = out(&scene);
    account_half(&mut scene, &file, &[]).await.expect(0);
    let before = std::fs::read(&file).unwrap();
    // The registration is there, and its code is not here.
    let elsewhere = scene.lease.home().join("elsewhere.json");
    let run = account_half(&mut scene, &elsewhere, &[]).await.expect_error("EKSC0402", 3);
    run.says(&["an activation code is given once", "aws eks deregister-cluster --name onprem1"]);
    assert!(!elsewhere.exists());
    // Another registration, with a file that is taken.
    scene.set("KUBECONFIG", "/nowhere");
    let path = file.to_str().unwrap();
    let other =
        ["register", "--name", "onprem2", "--provider", "OTHER", "--aws-only", "--activation-out", path];
    scene.run(&other).await.expect_error("EKSC0425", 3).says(&["cluster/onprem1"]);
    scene.env.clear();
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn an_activation_past_its_time_is_refused_by_both() {
    let mut scene = Scene::new().await;
    let file = out(&scene);
    scene.settings(SettingsPatch { activation_expiry_seconds: Some(1), ..SettingsPatch::default() }).await;
    account_half(&mut scene, &file, &[]).await.expect(0);
    let expiry: jiff::Timestamp = document(&file)["activationExpiry"].as_str().unwrap().parse().unwrap();
    until("it has expired", async || jiff::Timestamp::now() > expiry).await;
    let run = cluster_half(&mut scene, &file, &[]).await.expect_error("EKSC0426", 3);
    run.says(&["eks-connector-state-0", "register anew"]);
    assert!(!scene.namespace_exists().await);
    account_half(&mut scene, &file, &[]).await.expect_error("EKSC0426", 3).says(&["rm "]);
}

#[tokio::test]
async fn a_cluster_of_another_registration_is_refused() {
    let mut scene = Scene::new().await;
    let file = out(&scene);
    scene.run(&["register", "--name", "first"]).await.expect(0);
    account_half(&mut scene, &file, &[]).await.expect(0);
    let run = cluster_half(&mut scene, &file, &[]).await.expect_error("EKSC0403", 3);
    run.says(&["cluster/first", "--context"]);
    assert_eq!(scene.activation_value().await.as_deref(), Some("spent"));
}

#[tokio::test]
async fn another_activation_of_the_same_registration_is_taken_after_asking() {
    let mut scene = Scene::new().await;
    let file = out(&scene);
    account_half(&mut scene, &file, &[]).await.expect(0);
    cluster_half(&mut scene, &file, &[]).await.expect(0);
    let old = code_in(&file);
    let client = aws_eks(&scene);
    client.deregister_cluster().name("onprem1").send().await.unwrap();
    std::fs::remove_file(&file).unwrap();
    account_half(&mut scene, &file, &[]).await.expect(0);
    assert_ne!(code_in(&file), old);
    let run = cluster_half(&mut scene, &file, &[]).await.expect_error("EKSC0112", 3);
    run.says(&["belong to another activation"]);
    cluster_half(&mut scene, &file, &["--yes"]).await.expect(0);
    let done = account_half(&mut scene, &file, &[]).await.expect(0);
    assert!(done.stdout.contains("ACTIVE"), "{}", done.stdout);
}

#[tokio::test]
async fn agents_that_do_not_come_up_are_explained_and_the_code_stays() {
    let mut scene = Scene::new().await;
    let file = out(&scene);
    account_half(&mut scene, &file, &[]).await.expect(0);
    let options = ["--connector-image", "mirror.invalid/connector:1", "--wait-timeout", "3s"];
    let run = cluster_half(&mut scene, &file, &options).await.expect_error("EKSC0427", 4);
    let run = run.says(&["0 of 2 ready", "mirror.invalid/connector:1"]);
    let code = code_in(&file);
    says_nothing_of(&code, &[&run]);
    assert_eq!(scene.activation_value().await.as_deref(), Some(code.as_str()));
    cluster_half(&mut scene, &file, &[]).await.expect(0);
    // Without its state and without a code no agent can start.
    let secrets: Api<Secret> = Api::namespaced(scene.client().await, NAMESPACE);
    secrets.delete("eks-connector-state-1", &DeleteParams::default()).await.unwrap();
    let run = cluster_half(&mut scene, &file, &["--dry-run"]).await.expect(0);
    assert!(run.stdout.contains("Secret eks-connector/eks-connector-activation-config"), "{}", run.stdout);
}

#[tokio::test]
async fn the_documented_policy_suffices_for_the_accounts_half() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    let documented: Value =
        serde_json::from_str(include_str!("../../policies/caller-register.json")).unwrap();
    let spec = CallerSpec::user("least", Some(documented));
    let caller = scene.lease.aws().add_caller(&account, spec).await.unwrap();
    let file = out(&scene);
    let arguments =
        ["register", "--name", "onprem1", "--provider", "OTHER", "--aws-only", "--activation-out"];
    let arguments = [&arguments[..], &[file.to_str().unwrap()]].concat();
    for said in ["RegisterAccountResult", "\"changed\": false"] {
        scene.set("AWS_ACCESS_KEY_ID", &caller.access_key_id);
        scene.set("AWS_SECRET_ACCESS_KEY", &caller.secret_access_key);
        let run = scene.run(&[&arguments[..], &["-o", "json"]].concat()).await.expect(0);
        assert!(run.stdout.contains(said), "{}", run.stdout);
    }
    let tags = scene.registrations().await["onprem1"]["tags"].clone();
    assert!(tags["eksconnect:intent"].is_string(), "{tags}");
}
