//! Deregistering where the connector that is found is not the one that is meant: refused, with the way out.

use aws_sdk_eks::types::{ConnectorConfigProvider, ConnectorConfigRequest};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;

use crate::deregister::surplus;
use crate::support::{NAMESPACE, Scene};
use crate::takeover::{OFFICIAL, kubectl_apply, until_active};

#[tokio::test]
async fn the_connector_of_another_registration_or_of_another_namespace_is_not_forgotten() {
    let scene = Scene::new().await;
    scene.run(&["register", "--name", "one"]).await.expect(0);
    // The registration is found by its tag, and where its connector was said to be there is none.
    let misplaced = ["deregister", "--namespace", "default", "--yes"];
    let names: [&[&str]; 2] = [&[], &["--name", "one"]];
    for name in names {
        let run = scene.run(&[&misplaced[..], name].concat()).await.expect_error("EKSC0461", 3);
        run.says(&["namespace default has no connector of the registration one", NAMESPACE, "--aws-only"]);
    }
    assert_eq!(scene.registrations().await.len(), 1);

    // Both registrations carry this cluster's tag then, and the connector is that of the second.
    scene.run(&["deregister", "--name", "one", "--cluster-only", "--yes"]).await.expect(0);
    scene.run(&["register", "--name", "two"]).await.expect(0);
    let run = scene.run(&["deregister", "--name", "one", "--yes"]).await.expect_error("EKSC0461", 3);
    run.says(&["cluster/two", "eksconnect deregister --name one --aws-only"]);
    assert_eq!(scene.registrations().await.len(), 2);
    scene.run(&["deregister", "--name", "one", "--aws-only", "--yes"]).await.expect(0);
    let again = scene.run(&["register", "--name", "two"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    scene.run(&["deregister", "--yes"]).await.expect(0);
    assert_eq!(surplus(&scene).await, Vec::<String>::new());
    assert!(scene.registrations().await.is_empty());
}

#[tokio::test]
async fn a_registration_of_that_name_in_another_region_is_told_apart() {
    let scene = Scene::new().await;
    scene.register(&["--region", "us-east-1", "--no-wait"]).await.expect(0);
    let deregister = ["deregister", "--name", "onprem1", "--yes"];
    let run = scene.run(&deregister).await.expect_error("EKSC0462", 3).says(&["us-east-1", "--region"]);
    assert!(!run.stderr.contains("use --name"), "that is what was given:\n{}", run.stderr);

    // One of the Region in use that only says that it is this cluster's.
    let namespaces: Api<Namespace> = Api::all(scene.client().await);
    let uid = namespaces.get("kube-system").await.unwrap().metadata.uid.unwrap();
    let account = &scene.lease.account().id;
    let config = ConnectorConfigRequest::builder()
        .role_arn(format!("arn:aws:iam::{account}:role/AmazonEKSConnectorAgentRole"))
        .provider(ConnectorConfigProvider::Other)
        .build()
        .unwrap();
    let register = scene.eks().register_cluster().name("onprem1").connector_config(config);
    register.tags("eksconnect:cluster-uid", uid).send().await.unwrap();
    let run = scene.run(&deregister).await.expect_error("EKSC0461", 3);
    run.says(&["us-east-1", "eksconnect deregister --name onprem1 --aws-only"]);
    assert!(scene.namespace_exists().await);
    assert_eq!(scene.registrations().await.len(), 1);
}

#[tokio::test]
async fn a_wrong_name_does_not_make_an_orphan_of_the_connector() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    until_active(&scene, NAMESPACE).await;
    let run = scene.run(&["deregister", "--name", "wrong", "--dry-run"]).await.expect_error("EKSC0462", 3);
    let run = run.says(&["there is no registration wrong", &activation.id, "leave --name out"]);
    assert!(!run.stderr.contains("--cluster-only"), "it has a registration:\n{}", run.stderr);
    let plan = scene.run(&["deregister", "--dry-run"]).await.expect(0);
    assert!(plan.stdout.contains("registration onprem1"), "{}", plan.stdout);
}
