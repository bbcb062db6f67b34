//! OpenShift: the agents get constraints of their own, and the right to use them.

use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use k8s_openapi::api::rbac::v1::Role;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::{Api, Client};
use serde_json::json;

use crate::support::{NAMESPACE, Scene, until};

const CRD: &str = "securitycontextconstraints.security.openshift.io";

/// OpenShift's kind, as strict as its own definition about what must be there.
async fn become_openshift(client: &Client) {
    let required = [
        "allowHostDirVolumePlugin",
        "allowHostIPC",
        "allowHostNetwork",
        "allowHostPID",
        "allowHostPorts",
        "allowPrivilegedContainer",
        "allowedCapabilities",
        "defaultAddCapabilities",
        "priority",
        "readOnlyRootFilesystem",
        "requiredDropCapabilities",
        "volumes",
    ];
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": CRD },
        "spec": {
            "group": "security.openshift.io",
            "scope": "Cluster",
            "names": {
                "kind": "SecurityContextConstraints",
                "listKind": "SecurityContextConstraintsList",
                "plural": "securitycontextconstraints",
                "singular": "securitycontextconstraints",
            },
            "versions": [{
                "name": "v1",
                "served": true,
                "storage": true,
                "schema": { "openAPIV3Schema": {
                    "type": "object",
                    "required": required,
                    "x-kubernetes-preserve-unknown-fields": true,
                } },
            }],
        },
    });
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.patch(CRD, &PatchParams::apply("test"), &Patch::Apply(&definition)).await.unwrap();
    let groups = async || client.list_api_groups().await.unwrap().groups;
    until("the group is served", async || {
        groups().await.iter().any(|group| group.name == "security.openshift.io")
    })
    .await;
}

fn constraints(client: &Client) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("security.openshift.io", "v1", "SecurityContextConstraints");
    Api::all_with(client.clone(), &ApiResource::from_gvk_with_plural(&kind, "securitycontextconstraints"))
}

/// Whether a service account of a namespace may use constraints, for pods there.
async fn may_use(client: &Client, account: &str, name: &str) -> bool {
    let review = json!({ "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": {
        "user": format!("system:serviceaccount:{NAMESPACE}:{account}"),
        "resourceAttributes": {
            "group": "security.openshift.io", "resource": "securitycontextconstraints", "verb": "use",
            "name": name, "namespace": NAMESPACE,
        },
    } });
    let review: SubjectAccessReview = serde_json::from_value(review).unwrap();
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

#[tokio::test]
async fn the_agents_get_constraints_of_their_own() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    become_openshift(&client).await;
    let plan = scene.register(&["--dry-run"]).await.expect(0);
    assert!(plan.stdout.contains("+ SecurityContextConstraints eks-connector\n"), "{}", plan.stdout);
    scene.register(&[]).await.expect(0);
    let made = constraints(&client).get("eks-connector").await.unwrap();
    assert_eq!(made.data["allowedCapabilities"], json!(["DAC_OVERRIDE"]));
    assert_eq!(made.metadata.labels.unwrap()["app.kubernetes.io/managed-by"], "eksconnect");
    until("the right is known", async || may_use(&client, "eks-connector", "eks-connector").await).await;
    assert!(!may_use(&client, "default", "eks-connector").await);
    assert!(!may_use(&client, "eks-connector", "privileged").await);
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    // A change is repaired.
    let change = json!({ "allowPrivilegedContainer": true });
    constraints(&client)
        .patch("eks-connector", &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap();
    scene.register(&[]).await.expect(0);
    let mended = constraints(&client).get("eks-connector").await.unwrap();
    assert_eq!(mended.data["allowPrivilegedContainer"], false);
}

#[tokio::test]
async fn the_constraints_of_a_connector_elsewhere_carry_its_namespace() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    become_openshift(&client).await;
    scene.register(&["--namespace", "second", "--no-wait"]).await.expect(0);
    constraints(&client).get("eks-connector-second").await.unwrap();
    assert!(constraints(&client).get_opt("eks-connector").await.unwrap().is_none());
}

#[tokio::test]
async fn what_openshift_needed_goes_when_it_is_none_any_more() {
    let scene = Scene::new().await;
    let client = scene.client().await;
    let roles: Api<Role> = Api::namespaced(client.clone(), NAMESPACE);
    become_openshift(&client).await;
    scene.register(&[]).await.expect(0);
    roles.get("eks-connector-scc").await.unwrap();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.delete(CRD, &DeleteParams::default()).await.unwrap();
    until("the group is gone", async || {
        let groups = client.list_api_groups().await.unwrap().groups;
        !groups.iter().any(|group| group.name == "security.openshift.io")
    })
    .await;
    scene.register(&[]).await.expect(0);
    assert!(roles.get_opt("eks-connector-scc").await.unwrap().is_none());
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}
