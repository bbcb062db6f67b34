//! A wait that times out names its cause, whatever the node can come up with.

use std::time::Duration;

use eksconnect::kubernetes::{ClusterSettings, KubernetesCluster, connect};
use eksconnect::ports::Cluster;
use eksconnect_sandbox::aws::control::{FaultKind, SettingsPatch};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::failures::allow_only;
use crate::support::{NAMESPACE, PATIENCE, Scene, until};

/// What is done to the world before the run.
enum Trouble {
    None,
    Aws(&'static str, &'static str, FaultKind),
    /// The namespace may have so many of a kind of objects.
    Quota(&'static str, &'static str),
    /// So many agents may register.
    Registrations(u64),
}

struct Case {
    trouble: Trouble,
    options: &'static [&'static str],
    /// What the error says: the cause, and the way out.
    says: &'static [&'static str],
}

fn denied() -> FaultKind {
    FaultKind::Error { status: 400, code: "AccessDeniedException".into(), message: "an SCP says no".into() }
}

fn cases() -> Vec<Case> {
    vec![
        Case {
            trouble: Trouble::None,
            options: &["--image-registry", "nowhere.example.com"],
            says: &[
                "connector-init",
                "ImagePull",
                "lookup nowhere.example.com: no such host",
                "--image-registry",
            ],
        },
        Case {
            trouble: Trouble::None,
            options: &["--connector-image", "public.ecr.aws/eks-connector/eks-connector:9.9.9"],
            says: &["connector-init", "ImagePull", "eks-connector:9.9.9: not found"],
        },
        Case {
            trouble: Trouble::None,
            options: &["--agent-image", "registry.k8s.io/e2e-test-images/busybox-arm64:1.36.1-1"],
            says: &["connector-agent", "ImagePull", "no match for platform in manifest"],
        },
        Case {
            trouble: Trouble::None,
            options: &["--connector-image", "registry.k8s.io/e2e-test-images/busybox:1.36.1-1"],
            says: &[
                "connector-init",
                "(StartError), exit code 128",
                "executable file not found",
                "remove the cause",
            ],
        },
        Case {
            trouble: Trouble::Aws("ssm", "RegisterManagedInstance", denied()),
            options: &[],
            says: &[
                "connector-init",
                "exit code 255",
                "AccessDeniedException: an SCP says no",
                "the agent role",
            ],
        },
        Case {
            trouble: Trouble::Aws("ssm", "RegisterManagedInstance", FaultKind::Reset),
            options: &[],
            says: &[
                "connector-init",
                "exit code 255",
                "ssmmessages.eu-west-1.amazonaws.com",
                "--https-proxy",
            ],
        },
        Case {
            trouble: Trouble::Registrations(1),
            options: &[],
            says: &["1 of 2 ready", "connector-init", "RegistrationLimitExceeded", "(--renew)"],
        },
        Case {
            trouble: Trouble::Aws("ssm", "RequestManagedInstanceRoleToken", denied()),
            options: &[],
            says: &["is up, and its agent says", "AccessDeniedException", "the agent role"],
        },
        Case {
            trouble: Trouble::Aws("ssmmessages", "CreateControlChannel", denied()),
            options: &[],
            says: &["is up, and its agent says", "controlchannel", "AccessDeniedException", "the agent role"],
        },
        Case {
            trouble: Trouble::Quota("secrets", "1"),
            options: &[],
            says: &["connector-init", "exceeded quota", "--namespace"],
        },
        Case {
            trouble: Trouble::Quota("pods", "0"),
            options: &[],
            says: &["the StatefulSet cannot make its pods", "exceeded quota", "--namespace"],
        },
    ]
}

async fn namespace(scene: &Scene) {
    let namespace: Namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    Api::all(scene.client().await).create(&PostParams::default(), &namespace).await.unwrap();
}

async fn registrations(scene: &Scene, limit: u64) {
    let limit = SettingsPatch { activation_registration_limit: Some(limit), ..SettingsPatch::default() };
    scene.settings(limit).await;
}

/// Runs until a time-out names the cause: a busy node may not have got that far within the first one.
async fn explains(scene: &Scene, case: &Case) {
    let options = [case.options, &["--wait-timeout", "4s"]].concat();
    let mut last = String::new();
    let explained = async {
        loop {
            let run = scene.register(&options).await;
            assert_eq!(run.code, Some(4), "{:?}: {}", case.says, run.stderr);
            let run = run.expect_error("EKSC0412", 4);
            if case.says.iter().all(|word| run.stderr.contains(word)) {
                return;
            }
            last = run.stderr;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, explained).await;
    assert!(ended.is_ok(), "it never says {:?}:\n{last}", case.says);
}

#[tokio::test]
async fn of_agents_that_do_not_come_up() {
    let mut scene = Scene::new().await;
    for case in cases() {
        // An agent that cannot keep its state registers again and again.
        registrations(&scene, 1_000).await;
        match &case.trouble {
            Trouble::None => {}
            Trouble::Aws(service, operation, kind) => scene.fail(service, operation, kind.clone()).await,
            Trouble::Quota(kind, number) => {
                namespace(&scene).await;
                allow_only(&scene.client().await, kind, number).await;
            }
            Trouble::Registrations(number) => registrations(&scene, *number).await,
        }
        explains(&scene, &case).await;
        scene.heal().await;
        scene.lease.start_over().await.unwrap();
    }
}

/// A pod that passes for an agent.
fn agent(spec: &Value) -> Pod {
    let pod = json!({
        "metadata": { "name": "eks-connector-0", "labels": { "app": "eks-connector" } },
        "spec": spec,
    });
    serde_json::from_value(pod).unwrap()
}

fn main_container(more: &Value) -> Value {
    let mut container =
        json!({ "name": "main", "image": "registry.k8s.io/e2e-test-images/busybox:1.36.1-1" });
    for (key, value) in more.as_object().unwrap() {
        container[key] = value.clone();
    }
    container
}

/// What no run of ours brings about, but somebody who meddles with the agents may.
#[tokio::test]
async fn of_pods_that_others_have_changed() {
    let mut scene = Scene::new().await;
    for (spec, says) in [
        (
            json!({ "nodeSelector": { "pool": "none" }, "containers": [main_container(&json!({}))] }),
            "pod eks-connector-0 is not scheduled: 0/2 nodes are available",
        ),
        (
            json!({
                "containers": [main_container(&json!({}))],
                "volumes": [{ "name": "config", "configMap": { "name": "eks-connector-agent" } }],
            }),
            "MountVolume.SetUp failed for volume \"config\" : configmap \"eks-connector-agent\" not found",
        ),
        (
            json!({ "containers": [main_container(&json!({
                "env": [{ "name": "CODE", "valueFrom": { "secretKeyRef": { "name": "gone", "key": "code" } } }],
            }))] }),
            "container main: CreateContainerConfigError: secret \"gone\" not found",
        ),
        (
            json!({ "containers": [main_container(&json!({ "securityContext": { "runAsNonRoot": true } }))] }),
            "container main: CreateContainerConfigError: container has runAsNonRoot and image will run as root",
        ),
        (
            json!({ "containers": [main_container(&json!({ "image": "No:such:name" }))] }),
            "container main: InvalidImageName: ",
        ),
        (
            json!({ "containers": [main_container(&json!({ "args": ["sh", "-c", "echo so it goes; exit 3"] }))] }),
            "exit code 3:\nso it goes",
        ),
    ] {
        namespace(&scene).await;
        let settings = ClusterSettings {
            kubeconfig: Some(scene.lease.kubeconfig()),
            attempt_timeout: Duration::from_secs(30),
            plugin_timeout: Duration::from_secs(30),
            ..ClusterSettings::default()
        };
        let cluster = KubernetesCluster::new(connect(&settings).await.unwrap());
        let accounts: Api<ServiceAccount> = Api::namespaced(scene.client().await, NAMESPACE);
        until("pods can be made", || async { accounts.get_opt("default").await.unwrap().is_some() }).await;
        let pods: Api<Pod> = Api::namespaced(scene.client().await, NAMESPACE);
        pods.create(&PostParams::default(), &agent(&spec)).await.unwrap();
        until(says, || async {
            let cause = cluster.diagnose(NAMESPACE).await.unwrap();
            cause.is_some_and(|cause| cause.contains(says))
        })
        .await;
        scene.lease.start_over().await.unwrap();
    }
}
