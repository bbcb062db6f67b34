//! The connector's whole life: the objects of AWS's manifest on the node, and the emulator. Only what is right turns
//! ACTIVE, and what is wrong says so where it does in life.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::node_cluster::{Playground, container, eventually, holds, waiting};
use super::node_manifest::{Activation, find, manifest, pod_spec};
use crate::support::aws_caller::{AwsCaller, TRUST};

const POLICY: &str = include_str!("fixtures/eks-connector-agent-policy.json");

/// A registration in an account of its own.
struct Registration {
    aws: AwsCaller,
    activation: Activation,
}

impl Registration {
    async fn new(here: &Playground) -> Self {
        let aws = here.aws().await;
        let role = [("RoleName", "Agent"), ("AssumeRolePolicyDocument", TRUST)];
        let arn = aws.iam("CreateRole", &role).await.ok().xml("Arn").unwrap().to_owned();
        let policy = [("RoleName", "Agent"), ("PolicyName", "Channel"), ("PolicyDocument", POLICY)];
        aws.iam("PutRolePolicy", &policy).await.ok();
        let body = json!({ "name": "onprem1", "connectorConfig": { "roleArn": arn, "provider": "OTHER" } });
        let answer = aws.eks("POST", "/cluster-registrations", Some(body)).await.ok().json();
        let config = &answer["cluster"]["connectorConfig"];
        let text = |name: &str| config[name].as_str().unwrap().to_owned();
        let activation =
            Activation { id: text("activationId"), code: text("activationCode"), region: aws.region.clone() };
        Self { activation, aws }
    }

    async fn status(&self) -> String {
        let answer = self.aws.eks("GET", "/clusters/onprem1", None).await.ok().json();
        answer["cluster"]["status"].as_str().unwrap().to_owned()
    }

    async fn until_active(&self) {
        eventually("an ACTIVE registration", async || match self.status().await.as_str() {
            "ACTIVE" => Ok(()),
            other => Err(other.to_owned()),
        })
        .await;
    }
}

async fn apply(here: &Playground, objects: &[Value]) {
    for object in objects {
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let types = object.types.clone().unwrap();
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(types).unwrap());
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(here.client.clone(), &namespace, &resource),
            None => Api::all_with(here.client.clone(), &resource),
        };
        let parameters = PatchParams::apply("test").force();
        api.patch(&object.name_any(), &parameters, &Patch::Apply(&object)).await.unwrap();
    }
}

/// Waits for a line in a container's log, of the present or the previous run.
async fn log_with(here: &Playground, container: &str, part: &str) -> String {
    let pods: Api<Pod> = here.api();
    eventually(&format!("log of {container} with {part}"), async || {
        let mut all = String::new();
        for previous in [true, false] {
            let container = Some(container.to_owned());
            let parameters = kube::api::LogParams { container, previous, ..Default::default() };
            // There is no log before the container began.
            all.push_str(&pods.logs("eks-connector-0", &parameters).await.unwrap_or_default());
        }
        if all.contains(part) { Ok(all) } else { Err(all) }
    })
    .await
}

/// Makes a registration and applies its manifest with changes.
async fn install(spoil: impl FnOnce(&mut Vec<Value>, &mut Registration)) -> (Playground, Registration) {
    let here = Playground::new().await;
    let mut registration = Registration::new(&here).await;
    let mut objects = manifest(&here.namespace, &registration.activation);
    spoil(&mut objects, &mut registration);
    apply(&here, &objects).await;
    (here, registration)
}

/// Waits until the init container is in its crash loop.
async fn crash_loop(here: &Playground) -> Pod {
    here.pod_until("eks-connector-0", "crash loop", |pod| {
        waiting(pod, "connector-init").is_some_and(|(reason, _)| reason == "CrashLoopBackOff")
    })
    .await
}

#[tokio::test]
async fn the_manifest_turns_a_registration_active() {
    let (here, registration) = install(|_, _| {}).await;
    registration.until_active().await;
    let pod = here.pod_until("eks-connector-0", "ready pod", |pod| holds(pod, "Ready")).await;

    let logs = here.logs("eks-connector-0", "connector-init").await;
    let messages: Vec<&str> = logs.lines().map(|line| line.split_once("] ").unwrap().1).collect();
    assert_eq!(messages.len(), 13, "{logs}");
    assert_eq!(messages.last(), Some(&"persisting state information to filesystem..."));
    assert!(logs.starts_with('I') && logs.contains("       1 initializer.go:37] "), "{logs}");

    let secrets: Api<Secret> = here.api();
    let state = secrets.get("eks-connector-state-0").await.unwrap();
    assert_eq!(state.labels()["name"], "eks-connector-state-0");
    let data = state.data.unwrap();
    let document = |key: &str| serde_json::from_slice::<Value>(&data[key].0).unwrap();
    assert_eq!(document("connector-config"), json!({ "activationId": registration.activation.id }));
    let key = document("regkey");
    assert!(key["instanceID"].as_str().unwrap().starts_with("eks_c:onprem1_"), "{key}");
    assert_eq!((&key["region"], &key["privateKeyType"]), (&json!("eu-west-1"), &json!("Rsa")));
    assert_eq!(document("fingerprint")["similarityThreshold"], -1);
    assert!(data.contains_key("manifest"));

    log_with(&here, "connector-agent", "amazon-ssm-agent - v3.2.2303.0").await;
    log_with(&here, "connector-agent", "Successfully opened websocket connection").await;
    log_with(&here, "connector-proxy", "listening on &{unix /var/eks/shared/connector.sock").await;

    // A pod with state never uses the code again.
    let instance = key["instanceID"].clone();
    let _: Secret = {
        let change = json!({ "stringData": { "code": "taken-away-afterwards" } });
        secrets
            .patch("eks-connector-activation-config", &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap()
    };
    here.api::<Pod>().delete("eks-connector-0", &DeleteParams::default()).await.unwrap();
    here.pod_until("eks-connector-0", "another pod", |other| {
        other.uid() != pod.uid() && holds(other, "Ready")
    })
    .await;
    log_with(&here, "connector-init", "eks connector is inheriting previous state...").await;
    let again = secrets.get("eks-connector-state-0").await.unwrap().data.unwrap();
    let again: Value = serde_json::from_slice(&again["regkey"].0).unwrap();
    assert_eq!(again["instanceID"], instance);
}

#[tokio::test]
async fn the_connector_impersonates_whom_eks_names() {
    let (here, registration) = install(|_, _| {}).await;
    registration.until_active().await;
    let pod = here.pod_until("eks-connector-0", "ready pod", |pod| holds(pod, "Ready")).await;
    log_with(&here, "connector-proxy", "listening on").await;

    let (status, body) = here.ask_connector(&pod, None, "/version?timeout=5s").await;
    assert!(status == 200 && body.contains("gitVersion"), "{status} {body}");
    let pods = format!("/api/v1/namespaces/{}/pods", here.namespace);
    let (status, body) = here.ask_connector(&pod, None, &pods).await;
    let account = format!("system:serviceaccount:{}:eks-connector", here.namespace);
    assert!(status == 403 && body.contains(&format!("User \\\"{account}\\\" cannot list")), "{body}");

    let arn = format!("arn:aws:iam::{}:role/viewer", registration.aws.account);
    let (status, body) = here.ask_connector(&pod, Some(&arn), &pods).await;
    assert!(status == 403 && body.contains("cannot impersonate"), "{body}");

    let name = format!("impersonate-{}", here.namespace);
    apply(
        &here,
        &[
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": name },
                "rules": [{ "apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"], "resourceNames": [arn] }],
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": { "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": "eks-connector", "namespace": here.namespace }],
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name },
            }),
            json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": { "name": "view", "namespace": here.namespace },
                "subjects": [{ "kind": "User", "name": arn, "apiGroup": "rbac.authorization.k8s.io" }],
                "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
            }),
        ],
    )
    .await;
    eventually("an impersonated answer", async || match here.ask_connector(&pod, Some(&arn), &pods).await {
        (200, body) if body.contains("eks-connector-0") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn a_wrong_code_is_refused() {
    let (here, registration) = install(|objects, _| {
        let secret = find(objects, "Secret", "eks-connector-activation-config");
        secret["data"]["code"] = json!(STANDARD.encode("x".repeat(20)));
    })
    .await;
    let pod = crash_loop(&here).await;
    let last = container(&pod, "connector-init").unwrap().last_state.clone().unwrap().terminated.unwrap();
    assert_eq!(last.exit_code, 255);
    let log = log_with(&here, "connector-init", "init.go:44] failed to initiate eks-connector: ").await;
    assert!(log.contains("eks-connector: InvalidActivation: \n\tstatus code: 400, request id: "), "{log}");
    assert_eq!(registration.status().await, "PENDING");
}

#[tokio::test]
async fn rights_that_lack_are_named() {
    let (here, _) = install(|objects, _| {
        find(objects, "Role", "eks-connector-secret-access")["rules"] = json!([]);
    })
    .await;
    let user = format!("system:serviceaccount:{}:eks-connector", here.namespace);
    let cause = format!(
        "init.go:44] failed to initiate eks-connector: secrets \"eks-connector-state-0\" is forbidden: User \
         \"{user}\" cannot get"
    );
    log_with(&here, "connector-init", &cause).await;
}

#[tokio::test]
async fn what_the_init_container_needs_it_needs() {
    let (here, _) = install(|objects, _| {
        let init = &mut pod_spec(objects)["initContainers"][0];
        init["env"].as_array_mut().unwrap().remove(0);
    })
    .await;
    let cause = "init.go:32] failed to initiate kubernetes client: cannot get pod name from env POD_NAME";
    log_with(&here, "connector-init", cause).await;

    let (here, _) = install(|objects, _| {
        let init = &mut pod_spec(objects)["initContainers"][0];
        init["volumeMounts"].as_array_mut().unwrap().remove(0);
    })
    .await;
    let cause = "open /var/run/secrets/kubernetes.io/serviceaccount/token: no such file or directory";
    log_with(&here, "connector-init", cause).await;

    let (here, _) = install(|objects, _| {
        pod_spec(objects)["initContainers"][0]["args"].as_array_mut().unwrap().remove(2);
    })
    .await;
    log_with(&here, "connector-init", "required flag(s) \"activation.code\" not set").await;
}

#[tokio::test]
async fn a_proxy_is_used_as_the_environment_says() {
    let proxied = |exceptions: &str| {
        let exceptions = exceptions.to_owned();
        move |objects: &mut Vec<Value>, _: &mut Registration| {
            let env = pod_spec(objects)["initContainers"][0]["env"].as_array_mut().unwrap();
            env.push(json!({ "name": "HTTPS_PROXY", "value": "http://127.0.0.1:9" }));
            env.push(json!({ "name": "NO_PROXY", "value": exceptions }));
        }
    };
    // Not even the API server is reached.
    let (here, _) = install(proxied("")).await;
    log_with(&here, "connector-init", "Get \"https://10.96.0.1:443/api/v1/namespaces/").await;
    let (here, registration) = install(proxied("10.96.0.0/16")).await;
    let cause = "proxyconnect tcp: dial tcp 127.0.0.1:9: connect: connection refused";
    log_with(&here, "connector-init", cause).await;
    assert_eq!(registration.status().await, "PENDING");
    let (_here, registration) = install(proxied("10.96.0.1,.amazonaws.com")).await;
    registration.until_active().await;
}

#[tokio::test]
async fn an_agent_that_may_not_connect_stays_up_and_says_so() {
    let here = Playground::new().await;
    let registration = Registration::new(&here).await;
    let policy = [("RoleName", "Agent"), ("PolicyName", "Channel")];
    registration.aws.iam("DeleteRolePolicy", &policy).await.ok();
    apply(&here, &manifest(&here.namespace, &registration.activation)).await;
    let cause = "failed to get controlchannel token, error: AccessDeniedException: ";
    log_with(&here, "connector-agent", cause).await;
    let pod = here.pod_until("eks-connector-0", "ready pod", |pod| holds(pod, "Ready")).await;
    assert_eq!(container(&pod, "connector-agent").unwrap().restart_count, 0);
    assert_eq!(registration.status().await, "PENDING");

    // It goes on trying: once it may, it connects.
    let policy = [("RoleName", "Agent"), ("PolicyName", "Channel"), ("PolicyDocument", POLICY)];
    registration.aws.iam("PutRolePolicy", &policy).await.ok();
    registration.until_active().await;
}

#[tokio::test]
async fn an_agent_without_its_files_never_connects() {
    let (here, registration) = install(|objects, _| {
        pod_spec(objects)["containers"][0]["volumeMounts"].as_array_mut().unwrap().remove(1);
    })
    .await;
    log_with(&here, "connector-agent", "failed to find agent identity").await;
    assert_eq!(registration.status().await, "PENDING");

    let (here, registration) = install(|objects, _| {
        find(objects, "ConfigMap", "eks-connector-agent")["data"]
            .as_object_mut()
            .unwrap()
            .remove("seelog.xml");
    })
    .await;
    log_with(&here, "connector-agent", "Error occurred fetching the seelog config file path").await;
    assert_eq!(registration.status().await, "PENDING");
}

/// The manifest's own namespace and flags, with a token that expires in place of the one that stays.
#[tokio::test]
async fn the_connector_takes_its_defaults_and_a_projected_token() {
    let here = Playground::named("eks-connector".to_owned(), json!({})).await;
    let registration = Registration::new(&here).await;
    let mut objects = manifest(&here.namespace, &registration.activation);
    let spec = pod_spec(&mut objects);
    for path in ["/initContainers/0/args", "/containers/1/args"] {
        let arguments = spec.pointer_mut(path).unwrap().as_array_mut().unwrap();
        arguments.retain(|argument| !argument.as_str().unwrap().starts_with("--state"));
    }
    spec["volumes"][3] = json!({ "name": "service-account-token", "projected": { "sources": [
        { "serviceAccountToken": { "path": "token", "expirationSeconds": 600 } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [
            { "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } }] } },
    ] } });
    apply(&here, &objects).await;
    registration.until_active().await;
    let pod = here.pod_until("eks-connector-0", "ready pod", |pod| holds(pod, "Ready")).await;
    log_with(&here, "connector-proxy", "listening on").await;
    assert_eq!(here.ask_connector(&pod, None, "/version").await.0, 200);
}

#[tokio::test]
async fn the_state_secrets_prefix_is_a_flag() {
    let (here, registration) = install(|objects, _| {
        find(objects, "Role", "eks-connector-secret-access")["rules"][0]["resourceNames"] =
            json!(["other-0"]);
        let spec = pod_spec(objects);
        for path in ["/initContainers/0/args", "/containers/1/args"] {
            let arguments = spec.pointer_mut(path).unwrap().as_array_mut().unwrap();
            arguments.extend([json!("--state.secretNamePrefix"), json!("other")]);
        }
    })
    .await;
    registration.until_active().await;
    let secrets: Api<Secret> = here.api();
    assert!(secrets.get_opt("other-0").await.unwrap().is_some());
    log_with(&here, "connector-proxy", "listening on").await;
}
