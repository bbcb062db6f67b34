//! Errors that take a world of their own: each by what brings it about, with its code and its exit code.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use eksconnect_sandbox::aws::control::FaultKind;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{NAMESPACE, Scene, until};

#[tokio::test]
async fn of_aws() {
    let mut scene = Scene::new().await;
    let error = |status: u16, code: &str, message: &str| FaultKind::Error {
        status,
        code: code.to_owned(),
        message: message.to_owned(),
    };
    for (service, operation, kind, code, exit, says) in [
        (
            "sts",
            "GetCallerIdentity",
            error(400, "Throttling", "Rate exceeded"),
            "EKSC0208",
            1,
            "Rate exceeded",
        ),
        ("eks", "DescribeCluster", error(503, "ServiceUnavailableException", "down"), "EKSC0208", 1, "down"),
        ("eks", "DescribeCluster", FaultKind::MalformedBody, "EKSC0209", 1, "eks:DescribeCluster"),
        // The service-linked role stays.
        ("iam", "CreateRole", error(400, "MalformedPolicyDocument", "no good"), "EKSC0211", 5, "no good"),
        ("eks", "RegisterCluster", error(400, "InvalidRequestException", "odd"), "EKSC0411", 5, "odd"),
    ] {
        scene.fail(service, operation, kind).await;
        let run = scene.register(&[]).await.expect_error(code, exit);
        run.says(&[says, &format!("eksconnect explain {code}")]);
        assert!(!scene.namespace_exists().await, "{code}");
        scene.heal().await;
        scene.lease.start_over().await.unwrap();
    }
}

/// A policy engine that lets nobody write the agents' configuration. `reason` is that of its answers.
async fn forbid_configuration(client: &Client, reason: &str) {
    let policy = json!({
        "metadata": { "name": "no-configuration" },
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
                "resources": ["configmaps"],
            }] },
            "validations": [{
                "expression": "object.metadata.name != 'eks-connector-agent' && object.metadata.name != 'probe'",
                "message": "the board has not approved of it",
                "reason": reason,
            }],
        },
    });
    let binding = json!({
        "metadata": { "name": "no-configuration" },
        "spec": { "policyName": "no-configuration", "validationActions": ["Deny"] },
    });
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(client.clone());
    policies.create(&PostParams::default(), &serde_json::from_value(policy).unwrap()).await.unwrap();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    bindings.create(&PostParams::default(), &serde_json::from_value(binding).unwrap()).await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    let probe: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": "probe" } })).unwrap();
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    until("the policy is in force", || async { maps.create(&dry, &probe).await.is_err() }).await;
}

#[tokio::test]
async fn of_a_policy_engine_that_refuses_an_object() {
    let mut scene = Scene::new().await;
    // Whatever the engine answers with: it is not the caller's rights that lack.
    for reason in ["Invalid", "Forbidden"] {
        let client = scene.client().await;
        forbid_configuration(&client, reason).await;
        let run = scene.register(&[]).await.expect_error("EKSC0310", 5);
        let said = run.stderr.clone();
        run.says(&[
            "the board has not approved of it",
            "eks-connector-agent",
            "role AmazonEKSConnectorAgentRole",
        ]);
        // Whether the registration was made before that or not: it is undone, or listed, with all that belongs to it.
        let registered = !scene.registrations().await.is_empty();
        assert_eq!(said.contains("registration onprem1"), registered, "{said}");
        assert_eq!(scene.namespace_exists().await, registered, "{said}");
        scene.lease.start_over().await.unwrap();
        let client = scene.client().await;
        forbid_configuration(&client, reason).await;

        // Where the namespace exists the dry run finds it out, and nothing at all is changed.
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = json!({ "metadata": { "name": NAMESPACE } });
        namespaces.create(&PostParams::default(), &serde_json::from_value(namespace).unwrap()).await.unwrap();
        let before = scene.account().await;
        let run = scene.register(&[]).await;
        assert!(matches!(run.code, Some(1 | 3)), "{}", run.stderr);
        run.says(&["the board has not approved of it"]);
        assert_eq!(scene.account().await, before);
        assert_eq!(scene.objects_in(NAMESPACE).await, Vec::<String>::new());
        scene.lease.start_over().await.unwrap();
    }
}

#[tokio::test]
async fn of_a_namespace_that_is_going() {
    let scene = Scene::new().await;
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    let held = json!({ "metadata": { "name": NAMESPACE, "finalizers": ["example.com/held"] } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(held).unwrap()).await.unwrap();
    namespaces.delete(NAMESPACE, &DeleteParams::default()).await.unwrap();
    scene
        .register(&[])
        .await
        .expect_error("EKSC0502", 3)
        .says(&["is being deleted", "kubectl get namespace"]);
    assert_eq!(scene.registrations().await.len(), 0);
    let free = json!({ "metadata": { "finalizers": null } });
    namespaces.patch(NAMESPACE, &PatchParams::default(), &Patch::Merge(&free)).await.unwrap();
    until("it is gone", || async { namespaces.get_opt(NAMESPACE).await.unwrap().is_none() }).await;
    scene.register(&[]).await.expect(0);
}

/// Something that listens where an API server should, and answers as `answers` says, by path, else that there is no
/// such thing.
async fn instead_of_an_api_server(answers: BTreeMap<&'static str, (u16, String)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, answers.clone()));
        }
    });
    address
}

async fn serve(client: TcpStream, answers: BTreeMap<&'static str, (u16, String)>) {
    let mut client = BufReader::new(client);
    loop {
        let (mut path, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if client.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if path.is_empty() {
                let target = line.split_whitespace().nth(1).unwrap_or_default();
                target.split('?').next().unwrap_or_default().clone_into(&mut path);
            }
            if let Some(bytes) = line.to_lowercase().strip_prefix("content-length:") {
                length = bytes.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        client.read_exact(&mut body).await.unwrap();
        let missing = (404, json!({ "kind": "Status", "reason": "NotFound", "code": 404 }).to_string());
        let (status, answer) = answers.get(path.as_str()).or_else(|| answers.get("*")).unwrap_or(&missing);
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        if client.write_all(format!("{head}{answer}").as_bytes()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn of_a_server_that_is_too_old_unwell_or_no_api_server() {
    let scene = Scene::new().await;
    let namespace = json!({ "metadata": { "name": "kube-system", "uid": "a-uid" } }).to_string();
    let review = json!({ "status": { "allowed": true } }).to_string();
    let list = json!({ "items": [], "groups": [] }).to_string();
    let version =
        |minor: &str| json!({ "major": "1", "minor": minor, "gitVersion": format!("v1.{minor}.9") });
    let unwell = json!({ "kind": "Status", "code": 503, "message": "etcd has no leader" }).to_string();
    let old = [
        ("/version", (200, version("21").to_string())),
        ("/api/v1/namespaces/kube-system", (200, namespace)),
        ("/api/v1/nodes", (200, list.clone())),
        ("/apis", (200, list.clone())),
        ("/apis/apps/v1/statefulsets", (200, list)),
        ("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", (201, review)),
    ];
    for (answers, code, exit, says) in [
        (BTreeMap::from(old), "EKSC0306", 3, "Kubernetes v1.21.9 is too old"),
        (BTreeMap::from([("*", (503, unwell))]), "EKSC0309", 1, "etcd has no leader"),
        (
            BTreeMap::from([("*", (200, "{}".to_owned()))]),
            "EKSC0308",
            1,
            "this is not a Kubernetes API server",
        ),
    ] {
        let address = instead_of_an_api_server(answers).await;
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "x",
            "contexts": [{ "name": "x", "context": { "cluster": "c", "user": "u" } }],
            "clusters": [{ "name": "c", "cluster": { "server": format!("http://{address}") } }],
            "users": [{ "name": "u", "user": { "token": "t" } }],
        });
        let file = scene.home_file("instead", &Value::to_string(&kubeconfig));
        let run = scene.register(&["--kubeconfig", file.to_str().unwrap()]).await.expect_error(code, exit);
        run.says(&[says]);
    }
    let calls = scene.calls().await;
    assert!(
        calls
            .iter()
            .all(|call| ["Get", "Describe", "List"].iter().any(|verb| call.operation.starts_with(verb)))
    );
}
