//! Who runs a cluster, told from objects as each platform has them.

use futures::future::join_all;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use crate::support::{Scene, until};

const FIXTURES: [(&str, &str); 9] = [
    ("eks-anywhere", include_str!("../fixtures/providers/eks-anywhere.json")),
    ("anthos", include_str!("../fixtures/providers/anthos.json")),
    ("gke", include_str!("../fixtures/providers/gke.json")),
    ("aks", include_str!("../fixtures/providers/aks.json")),
    ("openshift", include_str!("../fixtures/providers/openshift.json")),
    ("tanzu", include_str!("../fixtures/providers/tanzu.json")),
    ("rancher", include_str!("../fixtures/providers/rancher.json")),
    ("ec2", include_str!("../fixtures/providers/ec2.json")),
    ("other", include_str!("../fixtures/providers/other.json")),
];

/// The objects of a fixture, in the cluster.
struct Platform {
    nodes: Vec<Node>,
    definitions: Vec<CustomResourceDefinition>,
}

impl Platform {
    async fn create(client: &Client, items: &[Value]) -> Self {
        let of = |kind: &'static str| items.iter().filter(move |item| item["kind"] == kind).cloned();
        let nodes: Vec<Node> = of("Node").map(|node| serde_json::from_value(node).unwrap()).collect();
        let definitions: Vec<CustomResourceDefinition> = of("CustomResourceDefinition")
            .map(|definition| serde_json::from_value(definition).unwrap())
            .collect();
        for node in &nodes {
            Api::all(client.clone()).create(&PostParams::default(), node).await.unwrap();
        }
        for definition in &definitions {
            Api::all(client.clone()).create(&PostParams::default(), definition).await.unwrap();
        }
        let platform = Self { nodes, definitions };
        platform.serves(client, true).await;
        platform.lists(client).await;
        platform
    }

    /// Until the API server can list what each definition defines. One that is deleted while its storage is still being
    /// set up stays for minutes: its finalizer ends with "could not list instances: storage is (re)initializing".
    async fn lists(&self, client: &Client) {
        let listed = self.definitions.iter().map(|definition| async move {
            let spec = &definition.spec;
            let kind = GroupVersionKind::gvk(&spec.group, &spec.versions[0].name, &spec.names.kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, &spec.names.plural);
            let instances: &Api<DynamicObject> = &Api::all_with(client.clone(), &resource);
            until("what a definition defines can be listed", || async {
                instances.list(&ListParams::default()).await.is_ok()
            })
            .await;
        });
        join_all(listed).await;
    }

    /// Until the API server has all of the groups, or none.
    async fn serves(&self, client: &Client, all: bool) {
        until("the API groups come or go", || async {
            let groups = client.list_api_groups().await.unwrap();
            let has = |definition: &CustomResourceDefinition| {
                groups.groups.iter().any(|group| group.name == definition.spec.group)
            };
            self.definitions.iter().all(|definition| has(definition) == all)
        })
        .await;
    }

    async fn delete(self, client: &Client) {
        let nodes: Api<Node> = Api::all(client.clone());
        for node in &self.nodes {
            nodes.delete(&node.name_any(), &DeleteParams::default()).await.unwrap();
        }
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in &self.definitions {
            definitions.delete(&definition.name_any(), &DeleteParams::default()).await.unwrap();
        }
        self.serves(client, false).await;
    }
}

#[tokio::test]
async fn each_platform_is_told_from_its_own_nodes_and_api_groups_and_says_by_what() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    for (name, fixture) in FIXTURES {
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let platform = Platform::create(&client, fixture["items"].as_array().unwrap()).await;
        let run = scene.register(&["--dry-run"]).await.expect(0);
        let (provider, because) =
            (fixture["provider"].as_str().unwrap(), fixture["because"].as_str().unwrap());
        let line = format!("Provider  {provider} ({because})");
        assert!(run.stderr.contains(&line), "{name}: no {line:?}:\n{}", run.stderr);
        // Whoever knows better says so.
        let told = scene.register(&["--dry-run", "--provider", "gke"]).await.expect(0);
        assert!(told.stderr.contains("Provider  GKE"), "{name}: {}", told.stderr);
        platform.delete(&client).await;
    }
}
