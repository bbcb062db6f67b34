//! Many who grant and revoke at the same time.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, RoleBinding};
use kube::{Api, ResourceExt};

use crate::grants::{ask, role};
use crate::support::{NAMESPACE, Scene};

#[tokio::test]
async fn grants_at_once_do_not_overwrite_each_other() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let mut arns = Vec::new();
    for name in ["One", "Two", "Three"] {
        arns.push(role(&scene, name).await);
    }
    let runs = arns.iter().map(|arn| async { scene.run(&["grant-view", "--principal", arn]).await });
    for run in futures::future::join_all(runs).await {
        run.expect(0);
    }
    for arn in &arns {
        let (status, _) = ask(&scene, NAMESPACE, arn, "GET", "/api/v1/pods").await;
        assert_eq!(status, 200, "{arn}");
    }
    let several = ["revoke-view", "--principal", &arns[0], "--principal", &arns[1]];
    scene.run(&several).await.expect(0);
    let (status, _) = ask(&scene, NAMESPACE, &arns[2], "GET", "/api/v1/pods").await;
    assert_eq!(status, 200);
    let left: Api<RoleBinding> = Api::all(scene.client().await);
    let ours = left.list(&Default::default()).await.unwrap();
    assert!(ours.iter().all(|one| !one.name_any().starts_with("eksconnect:view")));
}

/// How many grants are made, and taken away, at once.
const AT_ONCE: usize = 50;

/// Each of them waits for all: on two cores that others use too, more than the two minutes of a run alone.
const ALL_OF_THEM: Duration = Duration::from_secs(300);

#[tokio::test]
async fn fifty_processes_at_once_lose_no_grant_and_leave_none() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let mut arns = Vec::new();
    for number in 0..AT_ONCE {
        arns.push(role(&scene, &format!("Viewer{number}")).await);
    }
    let at_once = |command: &'static str| {
        let scene = &scene;
        let run = async move |arn: &String| {
            scene.run_within(ALL_OF_THEM, &[command, "--principal", arn.as_str()]).await
        };
        futures::future::join_all(arns.iter().map(run))
    };
    for run in at_once("grant-view").await {
        run.expect(0);
    }
    assert_eq!(granted(&scene).await, arns.iter().cloned().collect());
    for arn in [&arns[0], &arns[AT_ONCE / 2], &arns[AT_ONCE - 1]] {
        let (status, _) = ask(&scene, NAMESPACE, arn, "GET", "/api/v1/pods").await;
        assert_eq!(status, 200, "{arn}");
    }
    for run in at_once("revoke-view").await {
        run.expect(0);
    }
    assert_eq!(granted(&scene).await, BTreeSet::new());
}

/// Whom both a rule of ours lets the connector be, and a binding of ours lets view.
async fn granted(scene: &Scene) -> BTreeSet<String> {
    let client = scene.client().await;
    let (roles, bindings) = (Api::<ClusterRole>::all(client.clone()), Api::<ClusterRoleBinding>::all(client));
    let roles = roles.list(&Default::default()).await.unwrap();
    let bindings = bindings.list(&Default::default()).await.unwrap();
    let rules = roles
        .iter()
        .filter(|role| role.name_any().starts_with("eksconnect:impersonate:"))
        .flat_map(|role| role.rules.iter().flatten());
    let names = rules.flat_map(|rule| rule.resource_names.iter().flatten().cloned());
    let impersonated: BTreeSet<String> = names.collect();
    let viewing: BTreeSet<String> = bindings
        .iter()
        .filter(|binding| binding.name_any().starts_with("eksconnect:view:"))
        .flat_map(|binding| binding.subjects.iter().flatten().map(|subject| subject.name.clone()))
        .collect();
    assert_eq!(impersonated, viewing);
    impersonated
}
