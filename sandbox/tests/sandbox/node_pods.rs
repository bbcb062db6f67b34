//! The node runs pods as a kubelet does.

use eksconnect_sandbox::node::runtime::table;
use k8s_openapi::api::core::v1::{Event, Node as NodeObject, Pod, Secret};
use kube::{Api, api::DeleteParams};
use serde_json::{Value, json};

use super::node_cluster::{Playground, container, eventually, holds, phase, pod_text, waiting};

pub(crate) const BUSYBOX: &str = "registry.k8s.io/e2e-test-images/busybox:1.36.1-1";
pub(crate) const PAUSE: &str = "registry.k8s.io/pause:3.10";

/// A container that runs a script.
pub(crate) fn script(text: &str) -> Value {
    json!({ "name": "main", "image": BUSYBOX, "args": ["sh", "-c", text] })
}

#[tokio::test]
async fn a_workload_runs_and_is_deleted() {
    let here = Playground::new().await;
    here.pod("web", json!({ "containers": [{ "name": "main", "image": PAUSE }] })).await;
    let pod = here.pod_until("web", "ready pod", |pod| holds(pod, "Ready")).await;
    assert_eq!(phase(&pod), "Running");
    for condition in ["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady"] {
        assert!(holds(&pod, condition), "{condition}");
    }
    let status = container(&pod, "main").unwrap();
    assert!(status.ready && status.image_id.starts_with("registry.k8s.io/pause@sha256:"), "{status:?}");
    assert!(pod.status.as_ref().unwrap().pod_ip.is_some());
    here.event("web", "Scheduled", "Successfully assigned").await;
    here.event("web", "Created", "Container created").await;
    let started = here.event("web", "Started", "Container started").await;
    assert_eq!(started.involved_object.field_path.as_deref(), Some("spec.containers{main}"));

    let nodes: Api<NodeObject> = Api::all(here.client.clone());
    let node = nodes.get(pod.spec.unwrap().node_name.as_deref().unwrap()).await.unwrap();
    let info = node.status.unwrap().node_info.unwrap();
    assert_eq!(info.kubelet_version, here.client.apiserver_version().await.unwrap().git_version);

    here.delete_pod("web").await;
    here.event("web", "Killing", "Stopping container main").await;
}

#[tokio::test]
async fn a_pod_that_ignores_sigterm_is_killed() {
    let here = Playground::new().await;
    here.pod("stubborn", json!({ "containers": [script("sleep infinity")] })).await;
    here.pod_until("stubborn", "ready pod", |pod| holds(pod, "Ready")).await;
    here.delete_pod("stubborn").await;
}

#[tokio::test]
async fn a_namespace_with_pods_goes_away() {
    let here = Playground::new().await;
    here.pod("runs", json!({ "containers": [{ "name": "main", "image": PAUSE }] })).await;
    here.pod("waits", json!({ "containers": [{ "name": "main", "image": "registry.k8s.io/none:1" }] })).await;
    here.pod("done", json!({ "restartPolicy": "Never", "containers": [script("true")] })).await;
    here.pod_until("runs", "ready pod", |pod| holds(pod, "Ready")).await;
    here.pod_until("waits", "refused image", |pod| {
        waiting(pod, "main").is_some_and(|(r, _)| r != "ContainerCreating")
    })
    .await;
    here.pod_until("done", "finished pod", |pod| phase(pod) == "Succeeded").await;

    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(here.client.clone());
    namespaces.delete(&here.namespace, &DeleteParams::default()).await.unwrap();
    eventually("the namespace's end", async || match namespaces.get_opt(&here.namespace).await.unwrap() {
        None => Ok(()),
        Some(namespace) => Err(format!("{:#?}", namespace.status)),
    })
    .await;
}

#[tokio::test]
async fn an_unknown_image_is_not_pulled() {
    let here = Playground::new().await;
    let image = "public.ecr.aws/eks-connector/eks-connector:9.9.9";
    here.pod("unknown", json!({ "containers": [{ "name": "main", "image": image }] })).await;
    let pod = here
        .pod_until("unknown", "back-off", |pod| {
            waiting(pod, "main").is_some_and(|(reason, _)| reason == "ImagePullBackOff")
        })
        .await;
    assert_eq!(phase(&pod), "Pending");
    let (_, message) = waiting(&pod, "main").unwrap();
    assert!(message.starts_with(&format!("Back-off pulling image \"{image}\": ErrImagePull: ")), "{message}");
    here.event("unknown", "Pulling", image).await;
    here.event("unknown", "Failed", &format!("Failed to pull image \"{image}\": rpc error: code = NotFound"))
        .await;
    here.event("unknown", "Failed", "Error: ErrImagePull").await;
    here.event("unknown", "BackOff", "Back-off pulling image").await;
}

#[tokio::test]
async fn a_private_registry_wants_a_pull_secret() {
    let here = Playground::new().await;
    let image = format!("{}/eks-connector/eks-connector:0.0.11", table::PRIVATE_REGISTRY);
    let spec = json!({
        "imagePullSecrets": [{ "name": "registry" }],
        "restartPolicy": "Never",
        "containers": [{ "name": "main", "image": image }],
    });
    here.pod("private", spec).await;
    here.event("private", "Failed", "401 Unauthorized").await;
    here.event("private", "FailedToRetrieveImagePullSecret", "(registry)").await;
    let auths = json!({ "auths": { table::PRIVATE_REGISTRY: {
        "username": table::PULL_USER, "password": table::PULL_PASSWORD,
    } } });
    let _: Secret = here
        .create(json!({
            "metadata": { "name": "registry" },
            "type": "kubernetes.io/dockerconfigjson",
            "stringData": { ".dockerconfigjson": auths.to_string() },
        }))
        .await;
    here.pod_until("private", "finished pod", |pod| phase(pod) == "Succeeded").await;
}

#[tokio::test]
async fn a_missing_secret_holds_a_pod_up_until_it_is_there() {
    let here = Playground::new().await;
    let spec = json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "main", "image": BUSYBOX, "args": ["sh", "-c", "cat /data/key"],
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
        }],
        "volumes": [{ "name": "data", "secret": { "secretName": "late" } }],
    });
    here.pod("mounts", spec).await;
    here.event(
        "mounts",
        "FailedMount",
        "MountVolume.SetUp failed for volume \"data\" : secret \"late\" not found",
    )
    .await;
    let spec = json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "main", "image": BUSYBOX, "args": ["sh", "-c", "printenv KEY"],
            "env": [{ "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "late", "key": "key" } } }],
        }],
    });
    here.pod("reads", spec).await;
    let pod = here
        .pod_until("reads", "refused configuration", |pod| {
            waiting(pod, "main").is_some_and(|(reason, _)| reason == "CreateContainerConfigError")
        })
        .await;
    assert_eq!(waiting(&pod, "main").unwrap().1, "secret \"late\" not found");
    let mounting = here.pod_until("mounts", "status", |pod| waiting(pod, "main").is_some()).await;
    assert_eq!(waiting(&mounting, "main"), Some(("ContainerCreating", "")));

    let secret = json!({ "metadata": { "name": "late" }, "stringData": { "other": "x" } });
    let _: Secret = here.create(secret).await;
    here.event("reads", "Failed", &format!("Error: couldn't find key key in Secret {}/late", here.namespace))
        .await;
    let patch = kube::api::Patch::Merge(json!({ "stringData": { "key": "value" } }));
    here.api::<Secret>().patch("late", &kube::api::PatchParams::default(), &patch).await.unwrap();
    here.pod_until("reads", "finished pod", |pod| phase(pod) == "Succeeded").await;
    assert_eq!(here.logs("reads", "main").await, "value\n");
}

#[tokio::test]
async fn an_init_container_that_fails_is_restarted_with_back_off() {
    let here = Playground::new().await;
    let spec = json!({
        "initContainers": [{ "name": "first", "image": BUSYBOX, "args": ["sh", "-c", "echo trying; exit 7"] }],
        "containers": [{ "name": "main", "image": PAUSE }],
    });
    here.pod("fails", spec).await;
    let pod = here
        .pod_until("fails", "crash loop", |pod| {
            waiting(pod, "first").is_some_and(|(reason, _)| reason == "CrashLoopBackOff")
                && container(pod, "first").unwrap().restart_count >= 2
        })
        .await;
    assert_eq!(phase(&pod), "Pending");
    assert!(!holds(&pod, "Initialized"));
    assert_eq!(waiting(&pod, "main"), Some(("PodInitializing", "")));
    let last = container(&pod, "first").unwrap().last_state.clone().unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (7, Some("Error")));
    let (_, message) = waiting(&pod, "first").unwrap();
    let expected = format!("restarting failed container=first pod={}", pod_text(&pod));
    let pause = message.strip_prefix("back-off ").and_then(|rest| rest.split(' ').next());
    let doubled = ["400ms", "800ms", "1.6s", "3.2s", "5s"];
    assert!(pause.is_some_and(|pause| doubled.contains(&pause)), "{message}");
    assert!(message.ends_with(&expected), "{message}");
    here.event("fails", "BackOff", "Back-off restarting failed container first in pod fails_").await;
    assert_eq!(here.logs("fails", "first").await, "trying\n");

    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{ "name": "first", "image": BUSYBOX, "args": ["sh", "-c", "exit 7"] }],
        "containers": [{ "name": "main", "image": PAUSE }],
    });
    here.pod("gives-up", spec).await;
    here.pod_until("gives-up", "failed pod", |pod| phase(pod) == "Failed").await;
}

#[tokio::test]
async fn restart_policies_hold() {
    let here = Playground::new().await;
    for (name, policy, text, expected) in [
        ("never-fails", "Never", "exit 3", "Failed"),
        ("never-ends", "Never", "true", "Succeeded"),
        ("ends", "OnFailure", "true", "Succeeded"),
    ] {
        here.pod(name, json!({ "restartPolicy": policy, "containers": [script(text)] })).await;
        here.pod_until(name, expected, |pod| phase(pod) == expected).await;
    }
    here.pod("always", json!({ "containers": [script("exit 0")] })).await;
    here.pod_until("always", "restarts", |pod| {
        container(pod, "main").is_some_and(|status| status.restart_count >= 2)
    })
    .await;
}

#[tokio::test]
async fn logs_are_served_through_the_api_server() {
    use futures::{AsyncBufReadExt as _, TryStreamExt as _};
    let here = Playground::new().await;
    let spec = json!({ "restartPolicy": "Always", "containers": [script("echo one; echo two; sleep 1; echo three")] });
    here.pod("talks", spec).await;
    here.pod_until("talks", "restart", |pod| {
        container(pod, "main").is_some_and(|status| status.restart_count >= 1 && status.ready)
    })
    .await;
    let parameters = kube::api::LogParams { previous: true, tail_lines: Some(2), ..Default::default() };
    let pods: Api<Pod> = here.api();
    assert_eq!(pods.logs("talks", &parameters).await.unwrap(), "two\nthree\n");
    let parameters = kube::api::LogParams { timestamps: true, limit_bytes: Some(5), ..Default::default() };
    assert_eq!(pods.logs("talks", &parameters).await.unwrap().len(), 5);
    let parameters = kube::api::LogParams { follow: true, ..Default::default() };
    let lines: Vec<String> =
        pods.log_stream("talks", &parameters).await.unwrap().lines().try_collect().await.unwrap();
    assert_eq!(lines, ["one", "two", "three"]);
}

#[tokio::test]
async fn events_are_counted_up() {
    let here = Playground::new().await;
    here.pod("fails", json!({ "containers": [script("exit 1")] })).await;
    eventually("a counted event", async || {
        let events: Api<Event> = here.api();
        let list = events.list(&Default::default()).await.unwrap();
        let counted = list.iter().any(|event| {
            event.reason.as_deref() == Some("BackOff") && event.count.is_some_and(|count| count >= 3)
        });
        if counted { Ok(()) } else { Err(format!("{} events", list.items.len())) }
    })
    .await;
}

#[tokio::test]
async fn sidecars_run_beside_the_main_containers_and_end_after_them() {
    let here = Playground::new().await;
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{ "name": "beside", "image": PAUSE, "restartPolicy": "Always" }],
        "containers": [script("echo done")],
    });
    here.pod("two", spec).await;
    let pod = here
        .pod_until("two", "end of both", |pod| {
            let ended = |name| container(pod, name).and_then(|status| status.state.clone()?.terminated);
            phase(pod) == "Succeeded" && ended("main").is_some() && ended("beside").is_some()
        })
        .await;
    assert_eq!(container(&pod, "beside").unwrap().restart_count, 0);
}

#[tokio::test]
async fn a_container_that_has_not_begun_has_no_log() {
    let here = Playground::new().await;
    here.pod("waits", json!({ "containers": [{ "name": "main", "image": "registry.k8s.io/none:1" }] })).await;
    here.pod_until("waits", "back-off", |pod| {
        waiting(pod, "main").is_some_and(|(reason, _)| reason == "ImagePullBackOff")
    })
    .await;
    let pods: Api<Pod> = here.api();
    let refusal = pods.logs("waits", &Default::default()).await.unwrap_err().to_string();
    let trying = ["ErrImagePull", "ImagePullBackOff"];
    let expected = |reason| format!("container \"main\" in pod \"waits\" is waiting to start: {reason}");
    assert!(trying.into_iter().any(|reason| refusal.contains(&expected(reason))), "{refusal}");
}

#[tokio::test]
async fn a_program_that_the_image_does_not_have_cannot_start() {
    let here = Playground::new().await;
    let main = json!({ "name": "main", "image": PAUSE, "command": ["/bin/bash"] });
    here.pod("absent", json!({ "restartPolicy": "Never", "containers": [main] })).await;
    let pod = here.pod_until("absent", "failed pod", |pod| phase(pod) == "Failed").await;
    let ended = container(&pod, "main").unwrap().state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (128, Some("StartError")));
    assert!(ended.message.unwrap().ends_with("exec: \"/bin/bash\": executable file not found in $PATH"));
}
