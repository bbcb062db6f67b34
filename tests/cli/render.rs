//! Rendering for GitOps: what comes out is applied by kubectl and becomes ACTIVE, without a code ever being in it.

use std::process::Stdio;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::support::{NAMESPACE, Scene, until};

const ID: &str = "0b6a8c8e-3f6e-4c9e-9d55-0f4a3c1f7a10";

/// Nothing to ask: no cluster, no credentials, no network.
fn alone(scene: &mut Scene) {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "KUBECONFIG", "AWS_REGION"] {
        scene.unset(name);
    }
    scene.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
}

async fn kubectl(scene: &Scene, arguments: &[&str]) -> String {
    let environment = scene.environment();
    let program =
        environment["PATH"].split(':').map(|directory| std::path::Path::new(directory).join("kubectl"));
    let program = program.into_iter().find(|program| program.exists()).expect("kubectl");
    let mut command = tokio::process::Command::new(program);
    let output =
        command.args(arguments).env_clear().envs(environment).stdin(Stdio::null()).output().await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{arguments:?}: {stdout}{stderr}");
    stdout
}

#[tokio::test]
async fn it_is_pinned_and_asks_nobody() {
    let mut scene = Scene::new().await;
    alone(&mut scene);
    let base = ["render", "--activation-id", ID, "--region", "eu-west-1"];
    let run = scene.run(&base).await.expect(0);
    insta::assert_snapshot!("rendered", run.stdout);
    run.says(&[
        "Secret eks-connector/eks-connector-activation-config is not part of this",
        "Kubernetes 1.26",
    ]);
    let list = scene.run(&[&base[..], &["-o", "json", "-q"]].concat()).await.expect(0);
    assert_eq!(list.stderr, "");
    let kinds: Vec<Value> =
        list.json()["items"].as_array().unwrap().iter().map(|item| item["kind"].clone()).collect();
    assert_eq!(kinds.first(), Some(&json!("Namespace")));
    assert!(!kinds.contains(&json!("Secret")), "{kinds:?}");

    let options = [
        "--activation-secret",
        "handed.over/the_code",
        "--pull-secret",
        "mirror",
        "--openshift",
        "--replicas",
        "1",
        "--namespace",
        "elsewhere",
        "--https-proxy",
        "http://proxy:3128",
        "--network-policy",
        "egress",
        "--api-server-port",
        "8443",
        "-o",
        "json",
    ];
    let items = scene.run(&[&base[..], &options].concat()).await.expect(0).json()["items"].clone();
    let find =
        |kind: &str| items.as_array().unwrap().iter().find(|item| item["kind"] == kind).unwrap().clone();
    let pod = find("StatefulSet")["spec"]["template"]["spec"].clone();
    let variables = pod["initContainers"][0]["env"].as_array().unwrap().clone();
    let variable = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap().clone();
    let reference = &variable("EKS_ACTIVATION_CODE")["valueFrom"]["secretKeyRef"];
    assert_eq!(*reference, json!({ "name": "handed.over", "key": "the_code" }));
    let direct = variable("NO_PROXY")["value"].as_str().unwrap().to_owned();
    assert!(direct.starts_with("$(KUBERNETES_SERVICE_HOST),.svc"), "{direct}");
    assert_eq!(pod["imagePullSecrets"], json!([{ "name": "mirror" }]));
    let ports = find("NetworkPolicy")["spec"]["egress"][0]["ports"].to_string();
    assert!(ports.contains("8443") && ports.contains("3128") && !ports.contains("6443"), "{ports}");
    assert_eq!(find("SecurityContextConstraints")["metadata"]["name"], "eks-connector-elsewhere");
    assert_eq!(scene.calls().await, []);
}

#[tokio::test]
async fn wrong_options() {
    let mut scene = Scene::new().await;
    alone(&mut scene);
    let base = ["render", "--activation-id", ID];
    scene.run(&base).await.expect_error("EKSC0201", 2);
    let secret = scene.home_file("config.json", r#"{"auths":{"m.example":{"auth":"YTpwYXNz"}}}"#);
    for more in [
        vec!["--activation-secret", "noslash"],
        vec!["--activation-secret", "Upper/code"],
        vec!["--activation-secret", "a/"],
        vec!["--kubernetes-version", "1.21"],
        vec!["--kubernetes-version", "new"],
        vec!["--force"],
        vec!["--pull-secret", "UPPER"],
        vec!["--pull-secret-file", secret.to_str().unwrap()],
    ] {
        let arguments = [&base[..], &["--region", "eu-west-1"], &more].concat();
        let run = scene.run(&arguments).await.expect_error("EKSC0107", 2);
        assert!(!run.stderr.contains("YTpwYXNz"), "{}", run.stderr);
    }
    scene
        .run(&["render", "--region", "eu-west-1", "--activation-id", "short"])
        .await
        .expect_error("EKSC0107", 2);
    scene.run(&[&base[..], &["--region", "cn-north-1"]].concat()).await.expect_error("EKSC0104", 2);
}

#[tokio::test]
async fn a_directory_is_written_once_and_overwritten_only_when_told() {
    let mut scene = Scene::new().await;
    alone(&mut scene);
    let directory = scene.lease.home().join("clusters/onprem1");
    let path = directory.to_str().unwrap();
    let base = ["render", "--activation-id", ID, "--region", "eu-west-1", "--kustomize", path];
    let first = scene.run(&base).await.expect(0);
    assert!(first.stdout.contains("kubectl apply --server-side -k"), "{}", first.stdout);
    let again = scene.run(&[&base[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!((&again["kind"], &again["written"]), (&json!("RenderResult"), &json!([])));
    let other = [&base[..], &["--replicas", "3"]].concat();
    let run = scene.run(&other).await.expect_error("EKSC0115", 3);
    run.says(&["role-eks-connector-secret-access.yaml", "statefulset-eks-connector.yaml"]);
    let set = directory.join("statefulset-eks-connector.yaml");
    assert!(std::fs::read_to_string(&set).unwrap().contains("replicas: 2"));
    scene.run(&[&other[..], &["--force"]].concat()).await.expect(0);
    assert!(std::fs::read_to_string(&set).unwrap().contains("replicas: 3"));
}

/// As a GitOps tool does it: server-side apply of what was rendered, the Secret from somewhere else.
#[tokio::test]
async fn what_is_rendered_becomes_active() {
    for kustomize in [true, false] {
        let scene = Scene::new().await;
        let file = scene.lease.home().join("handed.json");
        let path = file.to_str().unwrap();
        let half =
            ["register", "--name", "onprem1", "--provider", "OTHER", "--aws-only", "--activation-out", path];
        scene.run(&half).await.expect(0);
        let handed: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let code = handed["activationCode"].as_str().unwrap();
        let id = handed["activationId"].as_str().unwrap();
        let directory = scene.lease.home().join("rendered");
        let target = directory.to_str().unwrap();
        let base = ["render", "--activation-id", id, "--region", scene.lease.region()];
        if kustomize {
            let own = ["--activation-secret", "sealed/code", "--kustomize", target];
            scene.run(&[&base[..], &own].concat()).await.expect(0);
            kubectl(&scene, &["apply", "--server-side", "-k", target]).await;
        } else {
            let run = scene.run(&base).await.expect(0);
            let stream = scene.home_file("connector.yaml", &run.stdout);
            kubectl(&scene, &["apply", "--server-side", "-f", stream.to_str().unwrap()]).await;
        }
        let name = if kustomize { "sealed" } else { "eks-connector-activation-config" };
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "stringData": { "code": code } });
        let secret: Secret = serde_json::from_value(secret).unwrap();
        let secrets: Api<Secret> = Api::namespaced(scene.client().await, NAMESPACE);
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        until("it is ACTIVE", async || !scene.registrations().await["onprem1"]["connected_at"].is_null())
            .await;
        until("each agent has its state", async || {
            secrets.get_opt("eks-connector-state-0").await.unwrap().is_some()
                && secrets.get_opt("eks-connector-state-1").await.unwrap().is_some()
        })
        .await;
        // A Secret of somebody else's under the name of its own is a reason to ask for --adopt.
        let mut again = vec!["--dry-run", "-o", "json"];
        if !kustomize {
            let refused = scene.register(&again).await.expect(3).json();
            assert_eq!(refused["code"], "EKSC0503");
            again.push("--adopt");
        }
        let plan = scene.register(&again).await.expect(0).json();
        let steps = plan["steps"].as_array().unwrap().iter();
        let applied: Vec<String> =
            steps.filter_map(|step| step["object"]["kind"].as_str().map(str::to_owned)).collect();
        // Of a Secret that others keep it knows only for rendering: registering has one of its own.
        // The very objects that registering would apply, but for what says whose they are.
        let expected: &[&str] =
            if kustomize { &["Namespace", "Secret", "StatefulSet"] } else { &["Namespace", "Secret"] };
        assert_eq!(applied, expected);
        assert_eq!(secrets.get(name).await.unwrap().data.unwrap()["code"].0, code.as_bytes());
    }
}
