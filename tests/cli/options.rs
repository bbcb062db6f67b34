//! The options of the agents' workload: what each changes in the live objects, and in what the agents do.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use eksconnect_sandbox::node::runtime::table::{PRIVATE_REGISTRY, PULL_PASSWORD, PULL_USER};
use eksconnect_sandbox::pool::LeaseOptions;
use eksconnect_sandbox::world::{NodeSpec, SiteSpec};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Node, Pod, Secret, Service, Taint};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::support::{NAMESPACE, Scene, until};

async fn stateful_set(scene: &Scene) -> StatefulSet {
    Api::namespaced(scene.client().await, NAMESPACE).get("eks-connector").await.expect("the StatefulSet")
}

async fn pods(scene: &Scene) -> Vec<Pod> {
    let pods: Api<Pod> = Api::namespaced(scene.client().await, NAMESPACE);
    pods.list(&ListParams::default()).await.expect("the pods").items
}

#[tokio::test]
async fn replicas_may_only_be_as_many_as_can_register() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client.clone(), NAMESPACE);
    scene.register(&["--replicas", "0"]).await.expect(2).says(&["1..=10"]);
    scene.register(&["--replicas", "11"]).await.expect(2);

    scene.register(&["--replicas", "3"]).await.expect(0);
    assert_eq!(pods(&scene).await.len(), 3);
    secrets.get("eks-connector-state-2").await.unwrap();
    let roles: Api<Role> = Api::namespaced(client.clone(), NAMESPACE);
    let rules = roles.get("eks-connector-secret-access").await.unwrap().rules.unwrap();
    assert_eq!(rules[0].resource_names.as_ref().unwrap().len(), 3);
    assert_eq!(scene.activation_value().await.as_deref(), Some("spent"));
    let again = scene.register(&["--replicas", "3"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    // Fewer, and the budget that would then protect nothing goes too.
    budgets.get("eks-connector").await.unwrap();
    let fewer = scene.register(&["--replicas", "1", "-o", "json"]).await.expect(0).json();
    let done = fewer["done"].to_string();
    assert!(done.contains("delete PodDisruptionBudget eks-connector/eks-connector: deleted"), "{done}");
    assert!(budgets.get_opt("eks-connector").await.unwrap().is_none());
    until("one pod is left", async || pods(&scene).await.len() == 1).await;
    let again = scene.register(&["--replicas", "1"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    // As many as have their state come back without a code; one more cannot.
    scene.register(&["--replicas", "3"]).await.expect(0);
    let run = scene.register(&["--replicas", "4"]).await.expect_error("EKSC0416", 3);
    run.says(&["eks-connector-state-3", "use --replicas 3"]);
    secrets.delete("eks-connector-state-1", &DeleteParams::default()).await.unwrap();
    scene.register(&["--replicas", "3"]).await.expect_error("EKSC0416", 3).says(&["use --replicas 1"]);
    assert_eq!(stateful_set(&scene).await.spec.unwrap().replicas, Some(3), "nothing was changed");
    assert_eq!(pods(&scene).await.iter().map(ResourceExt::name_any).count(), 3);
}

/// The images of all containers of the StatefulSet.
fn images(set: StatefulSet) -> Vec<String> {
    let pod = set.spec.unwrap().template.spec.unwrap();
    let containers = pod.init_containers.into_iter().flatten().chain(pod.containers);
    containers.filter_map(|container| container.image).collect()
}

#[tokio::test]
async fn images_come_from_where_the_options_say() {
    let scene = Scene::new().await;
    scene.register(&["--image-registry", "mirror.example.com"]).await.expect(0);
    let connector = "mirror.example.com/eks-connector/eks-connector:0.0.11";
    let agent = "mirror.example.com/amazon-ssm-agent/amazon-ssm-agent:3.2.2303.0";
    assert_eq!(images(stateful_set(&scene).await), [connector, agent, connector]);

    // Newer ones are rolled out; the agents keep their state, since the code is spent.
    let (connector, agent) = (
        "public.ecr.aws/eks-connector/eks-connector:0.0.12",
        "mirror.example.com/amazon-ssm-agent/amazon-ssm-agent:3.3.1611.0",
    );
    let options = ["--connector-image", connector, "--agent-image", agent];
    scene.register(&options).await.expect(0);
    assert_eq!(images(stateful_set(&scene).await), [connector, agent, connector]);
    let again = scene.register(&options).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    let both = ["--connector-image", connector, "--image-registry", "mirror.example.com"];
    scene.register(&both).await.expect(2).says(&["cannot be used with"]);
}

#[tokio::test]
async fn a_private_registry_needs_the_pull_secret_which_is_never_shown() {
    let scene = Scene::new().await;
    let without = scene.register(&["--image-registry", PRIVATE_REGISTRY, "--wait-timeout", "5s"]).await;
    without.expect_error("EKSC0412", 4).says(&["401 Unauthorized"]);

    let config =
        json!({ "auths": { PRIVATE_REGISTRY: { "username": PULL_USER, "password": PULL_PASSWORD } } });
    let file = scene.home_file("pull.json", &config.to_string());
    let file = file.to_str().unwrap();
    let options = ["--image-registry", PRIVATE_REGISTRY, "--pull-secret-file", file, "-vv", "-o", "json"];
    let dry: Vec<&str> = options.iter().copied().chain(["--dry-run"]).collect();
    let runs = [scene.register(&dry).await.expect(0), scene.register(&options).await.expect(0)];
    let secrets: Api<Secret> = Api::namespaced(scene.client().await, NAMESPACE);
    let secret = secrets.get("eks-connector-pull").await.unwrap();
    assert_eq!(secret.type_.as_deref(), Some("kubernetes.io/dockerconfigjson"));
    let held =
        |secret: Secret| String::from_utf8(secret.data.unwrap()[".dockerconfigjson"].0.clone()).unwrap();
    assert_eq!(held(secret), config.to_string());
    assert_eq!(scene.register(&options).await.expect(0).json()["changed"], false);

    // What somebody changes is put right, without a word of what it is.
    let changed = json!({ "stringData": { ".dockerconfigjson": r#"{"auths":{}}"# } });
    secrets.patch("eks-connector-pull", &PatchParams::default(), &Patch::Merge(&changed)).await.unwrap();
    let repaired = scene.register(&options).await.expect(0);
    let done = repaired.json()["done"].to_string();
    assert!(done.contains("apply Secret eks-connector/eks-connector-pull: changed"), "{done}");
    assert_eq!(held(secrets.get("eks-connector-pull").await.unwrap()), config.to_string());
    let encoded = STANDARD.encode(config.to_string());
    for run in runs.iter().chain([&repaired]) {
        for text in [&run.stdout, &run.stderr] {
            assert!(!text.contains(PULL_PASSWORD) && !text.contains(&encoded), "{text}");
        }
    }

    // No longer asked for, it goes.
    let gone = scene.register(&["-o", "json"]).await.expect(0).json()["done"].to_string();
    assert!(gone.contains("delete Secret eks-connector/eks-connector-pull: deleted"), "{gone}");
    assert!(secrets.get_opt("eks-connector-pull").await.unwrap().is_none());
    let pod = stateful_set(&scene).await.spec.unwrap().template.spec.unwrap();
    assert_eq!(pod.image_pull_secrets.unwrap_or_default(), []);
}

#[tokio::test]
async fn the_agents_run_where_the_options_let_them() {
    // No node is without the taint, and only one has the label.
    let taint = Taint {
        key: "dedicated".into(),
        value: Some("connect".into()),
        effect: "NoSchedule".into(),
        ..Taint::default()
    };
    let node = NodeSpec { taints: vec![taint], ..NodeSpec::default() };
    let edge = NodeSpec { labels: [("pool".to_owned(), "edge".to_owned())].into(), ..node.clone() };
    let site = SiteSpec { nodes: vec![node, edge], ..SiteSpec::default() };
    let scene = Scene::with(LeaseOptions { site, ..LeaseOptions::default() }).await;
    let nodes: Api<Node> = Api::all(scene.client().await);
    let chosen = nodes.list(&ListParams::default().labels("pool=edge")).await.unwrap().items[0].name_any();

    scene.register(&[]).await.expect_error("EKSC0501", 3).says(&["tainted dedicated", "--toleration"]);
    let bears = ["--toleration", "dedicated=connect:NoSchedule"];
    let nowhere = [bears[0], bears[1], "--node-selector", "pool=none"];
    scene.register(&nowhere).await.expect_error("EKSC0501", 3).says(&["not labelled pool=none"]);
    let options = [bears[0], bears[1], "--node-selector", "pool=edge"];
    scene.register(&options).await.expect(0);
    for pod in pods(&scene).await {
        assert_eq!(pod.spec.unwrap().node_name.as_ref(), Some(&chosen));
    }
    let pod = stateful_set(&scene).await.spec.unwrap().template.spec.unwrap();
    let selector = pod.node_selector.unwrap();
    assert_eq!((&*selector["pool"], &*selector["kubernetes.io/arch"]), ("edge", "amd64"));
    let again = scene.register(&options).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[tokio::test]
async fn a_proxy_is_for_aws_alone() {
    let scene = Scene::new().await;
    // Nothing answers there: that the cause names AWS' host shows that the API server was reached without it.
    let dead = ["--https-proxy", "http://127.0.0.1:9"];
    let run = scene.register(&[dead[0], dead[1], "--wait-timeout", "10s"]).await.expect_error("EKSC0412", 4);
    run.says(&["ssm.eu-west-1.amazonaws.com", "proxyconnect tcp: dial tcp 127.0.0.1:9"]);

    let ca = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let file = scene.home_file("ca.pem", ca);
    let around = ["--no-proxy", ".amazonaws.com,10.1.0.0/16", "--proxy-ca-file", file.to_str().unwrap()];
    let options: Vec<&str> = dead.into_iter().chain(around).collect();
    scene.register(&options).await.expect(0);
    let pod = stateful_set(&scene).await.spec.unwrap().template.spec.unwrap();
    let values = |container: &Container| -> Vec<(String, String)> {
        let all = container.env.iter().flatten().cloned();
        let of_interest =
            all.filter(|one| one.name.to_lowercase().contains("proxy") || one.name.contains("SSL"));
        of_interest.map(|one| (one.name, one.value.unwrap_or_default())).collect()
    };
    let direct = "10.96.0.1,.svc,.cluster.local,localhost,127.0.0.1,.amazonaws.com,10.1.0.0/16";
    let expected = [
        ("HTTPS_PROXY", dead[1]),
        ("https_proxy", dead[1]),
        ("NO_PROXY", direct),
        ("no_proxy", direct),
        ("SSL_CERT_DIR", "/etc/ssl/certs:/etc/pki/tls/certs:/etc/eks-connector/proxy-ca"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let init = &pod.init_containers.as_ref().unwrap()[0];
    for container in pod.containers.iter().chain([init]) {
        if container.name == "connector-proxy" {
            assert_eq!(values(container), []);
        } else {
            assert_eq!(values(container), expected, "{}", container.name);
        }
    }
    let maps: Api<ConfigMap> = Api::namespaced(scene.client().await, NAMESPACE);
    assert_eq!(maps.get("eks-connector-proxy-ca").await.unwrap().data.unwrap()["ca.crt"], ca);
    let again = scene.register(&options).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    // Other certificates need other pods; none, and the map goes.
    let uids = async || pods(&scene).await.iter().filter_map(ResourceExt::uid).collect::<Vec<_>>();
    let before = uids().await;
    scene.home_file("ca.pem", &ca.repeat(2));
    scene.register(&options).await.expect(0);
    assert!(uids().await.iter().all(|uid| !before.contains(uid)));
    scene.register(&[]).await.expect(0);
    assert!(maps.get_opt("eks-connector-proxy-ca").await.unwrap().is_none());
}

#[tokio::test]
async fn the_network_policy_is_what_the_option_says() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let policies: Api<NetworkPolicy> = Api::namespaced(client.clone(), NAMESPACE);
    let services: Api<Service> = Api::namespaced(client, "default");
    let service = services.get("kubernetes").await.unwrap().spec.unwrap();
    let port = service.ports.unwrap()[0].target_port.clone().unwrap();
    scene.register(&["--network-policy", "egress"]).await.expect(0);
    let spec = policies.get("eks-connector").await.unwrap().spec.unwrap();
    assert_eq!(spec.policy_types, Some(vec!["Ingress".to_owned(), "Egress".to_owned()]));
    let ports: Vec<_> = spec
        .egress
        .unwrap()
        .into_iter()
        .flat_map(|rule| rule.ports.unwrap())
        .filter_map(|port| port.port)
        .collect();
    assert_eq!(ports, [IntOrString::Int(53), IntOrString::Int(53), IntOrString::Int(443), port]);

    scene.register(&[]).await.expect(0);
    let spec = policies.get("eks-connector").await.unwrap().spec.unwrap();
    assert_eq!(spec.policy_types, Some(vec!["Ingress".to_owned()]));
    assert_eq!((spec.ingress.unwrap_or_default(), spec.egress.unwrap_or_default()), (Vec::new(), Vec::new()));

    scene.register(&["--network-policy", "none"]).await.expect(0);
    assert!(policies.get_opt("eks-connector").await.unwrap().is_none());
    let again = scene.register(&["--network-policy", "none"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[tokio::test]
async fn a_pipeline_can_tell_a_pending_change_by_the_exit_code() {
    let scene = Scene::new().await;
    let dry_run = ["--dry-run", "--detailed-exitcode"];
    scene.register(&["--detailed-exitcode"]).await.expect(2).says(&["--dry-run"]);
    let run = scene.register(&dry_run).await.expect(7);
    assert!(run.stdout.contains("Nothing was changed."), "{}", run.stdout);
    assert!(!scene.namespace_exists().await);
    scene.register(&[]).await.expect(0);
    scene.register(&dry_run).await.expect(0);
    let document =
        scene.register(&["--dry-run", "--detailed-exitcode", "--replicas", "1", "-o", "json"]).await;
    assert_eq!(document.expect(7).json()["changes"], true);
    // A refusal is no pending change.
    scene
        .register(&["--dry-run", "--detailed-exitcode", "--replicas", "3"])
        .await
        .expect_error("EKSC0416", 3);
}
