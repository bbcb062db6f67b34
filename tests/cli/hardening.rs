//! What makes the agents safer than the official manifest does, each by what the API server or a node does because of it.

use std::collections::BTreeSet;

use http::header::CONTENT_TYPE;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Pod, Secret, Taint};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{EvictParams, ListParams, Patch, PatchParams, PostParams};
use kube::client::Body;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tempfile::TempDir;

use eksconnect_sandbox::pool::LeaseOptions;
use eksconnect_sandbox::world::{NodeSpec, SiteSpec};

use crate::support::{NAMESPACE, Scene, until};

async fn pods(client: &Client) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    pods.list(&ListParams::default().labels("app=eks-connector")).await.unwrap().items
}

/// A pod with these containers' settings, as the service account of the agents.
fn pod_of(spec: &Value) -> Value {
    let mut spec = spec.clone();
    spec["containers"] = json!([{ "name": "it", "image": "registry.k8s.io/pause:3.10" }]);
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "tried" }, "spec": spec })
}

/// What the API server would make of a pod: its answer, and its warnings.
async fn tried(client: &Client, pod: &Value) -> (Value, String) {
    let request = http::Request::post(format!("/api/v1/namespaces/{NAMESPACE}/pods?dryRun=All"))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(pod.to_string().into_bytes()))
        .unwrap();
    let answer = client.send(request).await.unwrap();
    let warnings = answer.headers().get_all("warning").iter();
    let warnings =
        warnings.map(|warning| warning.to_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n");
    let body = answer.into_body().collect_bytes().await.unwrap();
    (serde_json::from_slice(&body).unwrap(), warnings)
}

#[tokio::test]
async fn pods_that_want_more_are_refused_and_the_agents_want_little_more_than_restricted_ones() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let client = scene.client().await;
    for spec in [json!({ "hostNetwork": true }), json!({ "hostPID": true })] {
        let (answer, _) = tried(&client, &pod_of(&spec)).await;
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains("violates PodSecurity \"baseline:latest\""), "{spec}: {message}");
    }
    // Who pulls pods in here, or changes ours, is told what it lacks: of the agents that is two things.
    let sets: Api<StatefulSet> = Api::namespaced(client.clone(), NAMESPACE);
    let template =
        serde_json::to_value(sets.get("eks-connector").await.unwrap().spec.unwrap().template).unwrap();
    let agent = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "tried" }, "spec": template["spec"] });
    let (_, warnings) = tried(&client, &agent).await;
    let said = |what: &str| warnings.contains(what);
    assert!(said("would violate PodSecurity") && said("restricted:latest"), "{warnings}");
    assert!(said("DAC_OVERRIDE") && said("runAsNonRoot"), "{warnings}");
    assert!(!said("seccompProfile") && !said("allowPrivilegeEscalation") && !said("drop"), "{warnings}");
    // It is the profile that makes the difference.
    let mut without = agent.clone();
    without["spec"]["securityContext"] = json!({});
    assert!(tried(&client, &without).await.1.contains("seccompProfile"), "nothing was looked at");
}

#[tokio::test]
async fn tokens_are_the_pods_own_and_none_outlives_them() {
    let directory = TempDir::new().unwrap();
    let (policy, audit) = (directory.path().join("policy.yaml"), directory.path().join("audit.log"));
    let of_agents = json!({ "apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [
        { "level": "Metadata", "users": ["system:serviceaccount:eks-connector:eks-connector"] },
        { "level": "None" },
    ] });
    std::fs::write(&policy, of_agents.to_string()).unwrap();
    let site = SiteSpec {
        api_server_arguments: vec![
            format!("--audit-policy-file={}", policy.display()),
            format!("--audit-log-path={}", audit.display()),
        ],
        ..SiteSpec::default()
    };
    let scene = Scene::with(LeaseOptions { site, ..LeaseOptions::default() }).await;
    scene.register(&[]).await.expect(0);
    let client = scene.client().await;

    // Whatever the agents asked the API server, each asked as itself: a token that got out tells from where.
    let log = std::fs::read_to_string(&audit).unwrap();
    let events: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pods_that_asked: BTreeSet<&str> = events
        .iter()
        .map(|event| {
            event["user"]["extra"]["authentication.kubernetes.io/pod-name"][0].as_str().unwrap_or("nobody")
        })
        .collect();
    assert_eq!(pods_that_asked, ["eks-connector-0", "eks-connector-1"].into(), "{log}");
    let of_state = |event: &&Value| event["objectRef"]["resource"] == "secrets" && event["verb"] == "create";
    assert!(events.iter().filter(of_state).count() >= 2, "their states were not saved with it: {log}");

    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let secrets = secrets.list(&ListParams::default()).await.unwrap();
    let types: BTreeSet<&str> = secrets.items.iter().filter_map(|secret| secret.type_.as_deref()).collect();
    assert_eq!(types, ["Opaque"].into(), "a token that never expires lies in the cluster");
    // Nobody who makes a pod with that account is given one unasked.
    let (pod, _) = tried(&client, &pod_of(&json!({ "serviceAccountName": "eks-connector" }))).await;
    assert_eq!(pod["spec"].get("volumes"), None, "{pod}");
    let (pod, _) = tried(&client, &pod_of(&json!({ "serviceAccountName": "default" }))).await;
    assert!(pod["spec"]["volumes"].to_string().contains("serviceAccountToken"), "{pod}");
}

#[tokio::test]
async fn a_drain_takes_one_agent_at_a_time() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let client = scene.client().await;
    let api: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let allowed = async || {
        let budgets: Api<k8s_openapi::api::policy::v1::PodDisruptionBudget> =
            Api::namespaced(client.clone(), NAMESPACE);
        budgets.get("eks-connector").await.unwrap().status.and_then(|status| status.disruptions_allowed)
    };
    until("the budget counts both agents", async || allowed().await == Some(1)).await;
    // Who holds on to it does not come back soon.
    let hold = json!({ "metadata": { "finalizers": ["example.com/held"] } });
    api.patch("eks-connector-0", &PatchParams::default(), &Patch::Merge(&hold)).await.unwrap();
    api.evict("eks-connector-0", &EvictParams::default()).await.unwrap();
    let refused = api.evict("eks-connector-1", &EvictParams::default()).await.unwrap_err();
    assert!(refused.to_string().contains("disruption budget"), "{refused}");
    let release = json!({ "metadata": { "finalizers": null } });
    api.patch("eks-connector-0", &PatchParams::default(), &Patch::Merge(&release)).await.unwrap();
}

#[tokio::test]
async fn agents_that_do_not_work_hold_up_no_drain() {
    let scene = Scene::new().await;
    let run = scene.register(&["--image-registry", "nowhere.example.com", "--wait-timeout", "3s"]).await;
    run.expect_error("EKSC0412", 4);
    let api: Api<Pod> = Api::namespaced(scene.client().await, NAMESPACE);
    // The default policy for such pods would refuse: as few are healthy as the budget wants at least.
    for pod in ["eks-connector-0", "eks-connector-1"] {
        api.evict(pod, &EvictParams::default()).await.unwrap();
    }
}

#[tokio::test]
async fn each_agent_has_a_node_of_its_own_and_nobody_may_connect() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let client = scene.client().await;
    let agents = pods(&client).await;
    let nodes: BTreeSet<_> = agents.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone()).collect();
    assert_eq!(nodes.len(), 2, "{nodes:?}");

    let policies: Api<NetworkPolicy> = Api::namespaced(client, NAMESPACE);
    let policy = policies.get("eks-connector").await.unwrap().spec.unwrap();
    let selected = policy.pod_selector.unwrap().match_labels.unwrap();
    for agent in &agents {
        let labels = agent.labels();
        assert!(selected.iter().all(|(key, value)| labels.get(key) == Some(value)), "{labels:?}");
    }
    assert_eq!((policy.policy_types.unwrap(), policy.ingress), (vec!["Ingress".to_owned()], None));
}

#[tokio::test]
async fn of_a_mixed_cluster_only_amd64_control_planes_are_left() {
    let taint = Taint {
        key: "node-role.kubernetes.io/control-plane".into(),
        effect: "NoSchedule".into(),
        ..Taint::default()
    };
    let control_plane = NodeSpec { taints: vec![taint], ..NodeSpec::default() };
    let arm = NodeSpec { arch: "arm64".into(), ..NodeSpec::default() };
    let site = SiteSpec { nodes: vec![control_plane, arm], ..SiteSpec::default() };
    let scene = Scene::with(LeaseOptions { site, ..LeaseOptions::default() }).await;
    let run = scene.register(&[]).await.expect(0);
    run.says(&["2 nodes linux/amd64 linux/arm64"]);
    for pod in pods(&scene.client().await).await {
        assert!(pod.spec.unwrap().node_name.unwrap().ends_with("-node-1"));
    }
}

#[tokio::test]
async fn a_namespace_with_stricter_rules_of_its_own_is_respected_and_explained() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    let label = "pod-security.kubernetes.io/enforce";
    let strict = json!({ "metadata": { "name": NAMESPACE, "labels": { label: "restricted" } } });
    namespaces.create(&PostParams::default(), &serde_json::from_value(strict).unwrap()).await.unwrap();
    let run = scene.register(&[]).await.expect_error("EKSC0310", 3);
    run.says(&["would reject the agent's pods", "DAC_OVERRIDE", &format!("{label}=baseline"), "--namespace"]);
    let live = namespaces.get(NAMESPACE).await.unwrap();
    assert_eq!(live.labels()[label], "restricted");
    assert_eq!(scene.registrations().await.len(), 0);
    assert_eq!(scene.objects_in(NAMESPACE).await, Vec::<String>::new());

    // What it says helps.
    let baseline = json!({ "metadata": { "labels": { label: "baseline" } } });
    namespaces.patch(NAMESPACE, &PatchParams::default(), &Patch::Merge(&baseline)).await.unwrap();
    scene.register(&[]).await.expect(0);
}
