//! The whole life of a registration: nothing of it is left.

use eksconnect_sandbox::node::runtime::table::MIRROR_REGISTRY;
use serde_json::json;

use crate::deregister::dumps_are_equal;
use crate::grants::role;
use crate::support::Scene;

#[tokio::test]
async fn from_registering_to_deregistering_nothing_is_left() {
    let scene = Scene::new().await;
    let viewer = role(&scene, "Viewer").await;
    let mut before = scene.account().await;
    let principal = ["--principal", &viewer];

    scene.register(&[]).await.expect(0);
    scene.run(&[&["grant-view", "--attach-iam-policy"], &principal[..]].concat()).await.expect(0);
    scene.run(&[&["verify-view"], &principal[..]].concat()).await.expect(0);

    let upgrade = ["upgrade", "--image-registry", MIRROR_REGISTRY, "--replicas", "1"];
    let run = scene.run(&upgrade).await.expect(0);
    assert!(run.stdout.contains("1 principal can view as before."), "{}", run.stdout);
    scene.run(&[&["verify-view"], &principal[..]].concat()).await.expect(0);
    let seen = scene.run(&["status", "-o", "json"]).await.expect(0).json();
    assert_eq!(seen["verdict"]["health"], json!("good"), "{seen:#}");

    scene.run(&[&["revoke-view", "--detach-iam-policy"], &principal[..]].concat()).await.expect(0);
    scene.run(&[&["verify-view"], &principal[..]].concat()).await.expect(6);
    scene.run(&["deregister", "--yes", "--delete-role", "--delete-service-linked-role"]).await.expect(0);
    // IAM keeps a record of the service-linked role's deletion.
    let id = &scene.lease.account().id;
    let record = scene.account().await["accounts"][id]["deletions"].clone();
    assert_eq!(record.as_object().unwrap().len(), 1, "{record:#}");
    before["accounts"][id]["deletions"] = record;
    dumps_are_equal(&scene, &before, &[]).await;
}
