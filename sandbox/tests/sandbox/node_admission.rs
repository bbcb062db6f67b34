//! Which pods come to the node at all.

use std::collections::BTreeMap;

use eksconnect_sandbox::node::Node;
use k8s_openapi::api::core::v1::{Node as NodeObject, Pod, Taint};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use super::node_cluster::{Playground, container, holds, pod_text, waiting};
use super::node_pods::{BUSYBOX, PAUSE};

#[tokio::test]
async fn architecture_and_taints_are_respected() {
    let here = Playground::new().await;
    let mut options = here.node_options(&format!("arm-{}", here.namespace));
    options.arch = "arm64".to_owned();
    options.labels = BTreeMap::from([("of".to_owned(), here.namespace.clone())]);
    options.taints = vec![Taint {
        key: "arm".into(),
        value: Some("only".into()),
        effect: "NoSchedule".into(),
        ..Default::default()
    }];
    options.provider_id = Some("gce://project/zone/arm".to_owned());
    let node = Node::start(options).await.unwrap();
    let nodes: Api<NodeObject> = Api::all(here.client.clone());
    assert_eq!(
        nodes.get(node.name()).await.unwrap().spec.unwrap().provider_id.as_deref(),
        Some("gce://project/zone/arm")
    );

    let unscheduled = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions
            .filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
            .any(|condition| condition.reason.as_deref() == Some("Unschedulable"))
    };
    let pause = json!([{ "name": "main", "image": PAUSE }]);
    let at_node = json!({ "of": here.namespace });
    here.pod("intolerant", json!({ "nodeSelector": at_node, "containers": pause })).await;
    let pod = here.pod_until("intolerant", "unscheduled pod", unscheduled).await;
    assert!(pod.spec.unwrap().node_name.is_none());
    here.event("intolerant", "FailedScheduling", "untolerated taint").await;

    let tolerations = json!([{ "key": "arm", "operator": "Exists" }]);
    let wrong = json!({ "of": here.namespace, "kubernetes.io/arch": "amd64" });
    here.pod("elsewhere", json!({ "nodeSelector": wrong, "tolerations": tolerations, "containers": pause }))
        .await;
    here.pod_until("elsewhere", "unscheduled pod", unscheduled).await;

    let spec = |image: &str| {
        json!({
            "nodeSelector": at_node, "tolerations": tolerations,
            "containers": [{ "name": "main", "image": image, "args": ["server"] }],
        })
    };
    here.pod("tolerant", spec(PAUSE)).await;
    here.pod_until("tolerant", "ready pod", |pod| holds(pod, "Ready")).await;
    here.pod("foreign", spec("public.ecr.aws/eks-connector/eks-connector:0.0.11")).await;
    let foreign = here
        .pod_until("foreign", "crash loop", |pod| {
            waiting(pod, "main").is_some_and(|(reason, _)| reason == "CrashLoopBackOff")
        })
        .await;
    let last = container(&foreign, "main").unwrap().last_state.clone().unwrap().terminated.unwrap();
    assert_eq!(last.exit_code, 255);
    assert_eq!(here.logs("foreign", "main").await, "exec /var/eks/connector: exec format error\n");
    here.pod("unbuilt", spec("public.ecr.aws/amazon-ssm-agent/amazon-ssm-agent:3.2.2303.0")).await;
    here.event("unbuilt", "Failed", "no match for platform in manifest: not found").await;

    // The pods go while the node is here to finish them.
    for pod in ["tolerant", "foreign", "unbuilt"] {
        here.delete_pod(pod).await;
    }
    node.stop().await;
    nodes.delete(&format!("arm-{}", here.namespace), &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn pod_security_refuses_what_it_must() {
    let here = Playground::with_labels(json!({ "pod-security.kubernetes.io/enforce": "restricted" })).await;
    let pod: Pod = serde_json::from_value(json!({
        "metadata": { "name": "refused" },
        "spec": { "containers": [{ "name": "main", "image": PAUSE }] },
    }))
    .unwrap();
    let refusal = here.api::<Pod>().create(&PostParams::default(), &pod).await.unwrap_err().to_string();
    assert!(refusal.contains("violates PodSecurity \"restricted:latest\""), "{refusal}");

    let spec = |image: &str| {
        json!({
            "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
            "containers": [{
                "name": "main", "image": image,
                "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
            }],
        })
    };
    here.pod("allowed", spec(PAUSE)).await;
    here.pod_until("allowed", "ready pod", |pod| holds(pod, "Ready")).await;
    let root = here.pod("root", spec(BUSYBOX)).await;
    let text = pod_text(&root);
    here.event(
        "root",
        "Failed",
        &format!(
            "Error: container has runAsNonRoot and image will run as root (pod: \"{text}\", container: main)"
        ),
    )
    .await;
}
