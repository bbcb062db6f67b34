//! What the node hands to containers: files, environment, arguments, tokens.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, api::PostParams};
use serde_json::json;

use super::node_cluster::{Playground, eventually, holds, phase};
use super::node_pods::{BUSYBOX, script};

#[tokio::test]
async fn files_environment_and_arguments_are_resolved() {
    let here = Playground::new().await;
    let _: ConfigMap = here
        .create(json!({ "metadata": { "name": "settings" }, "data": { "a.json": "{}", "b": "two", "GREETING": "hi" } }))
        .await;
    let _: Secret =
        here.create(json!({ "metadata": { "name": "hidden" }, "stringData": { "code": "secret" } })).await;
    let shell = "cat /etc/app/a.json; cat /renamed/x/y; cat /projected/name; cat /projected/code; \
                 echo written; printenv JOINED; printenv ESCAPED; printenv p_GREETING; printenv WHO; \
                 printenv OPTIONAL; printenv KUBERNETES_SERVICE_HOST; test -f /etc/app/b && echo wrong";
    let spec = json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "main", "image": BUSYBOX, "command": ["sh", "-c"], "args": [format!("{shell}; echo $(CODE)")],
            "env": [
                { "name": "CODE", "valueFrom": { "secretKeyRef": { "name": "hidden", "key": "code" } } },
                { "name": "JOINED", "value": "$(CODE)-$(KUBERNETES_SERVICE_PORT)-$(LATER)" },
                { "name": "ESCAPED", "value": "$$(CODE)" },
                { "name": "LATER", "value": "x" },
                { "name": "WHO", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } },
                { "name": "OPTIONAL", "valueFrom": {
                    "configMapKeyRef": { "name": "none", "key": "k", "optional": true } } },
            ],
            "envFrom": [{ "prefix": "p_", "configMapRef": { "name": "settings" } }],
            "volumeMounts": [
                { "name": "settings", "mountPath": "/etc/app/a.json", "subPath": "a.json" },
                { "name": "renamed", "mountPath": "/renamed" },
                { "name": "projected", "mountPath": "/projected" },
            ],
        }],
        "volumes": [
            { "name": "settings", "configMap": { "name": "settings" } },
            { "name": "renamed", "configMap": {
                "name": "settings", "items": [{ "key": "b", "path": "x/y" }] } },
            { "name": "projected", "projected": { "sources": [
                { "downwardAPI": { "items": [{ "path": "name", "fieldRef": { "fieldPath": "metadata.name" } }] } },
                { "secret": { "name": "hidden" } },
                { "configMap": { "name": "none", "optional": true } },
            ] } },
        ],
    });
    here.pod("resolves", spec).await;
    here.pod_until("resolves", "finished pod", |pod| phase(pod) == "Succeeded").await;
    let logs = here.logs("resolves", "main").await;
    let lines: Vec<&str> = logs.lines().collect();
    assert_eq!(
        lines,
        [
            "{}",
            "two",
            "resolves",
            "secret",
            "written",
            "secret-443-$(LATER)",
            "$(CODE)",
            "hi",
            "resolves",
            "10.96.0.1",
            "secret"
        ],
        "subPath shows one file only, and an optional reference to nothing sets nothing"
    );
}

#[tokio::test]
async fn a_projected_token_is_bound_to_its_pod() {
    let here = Playground::new().await;
    let base = "/var/run/secrets/kubernetes.io/serviceaccount";
    let text =
        format!("cat {base}/token; cat {base}/namespace; test -f {base}/ca.crt && echo ca; sleep infinity");
    here.pod("holds-token", json!({ "containers": [script(&text)] })).await;
    let pod = here.pod_until("holds-token", "ready pod", |pod| holds(pod, "Ready")).await;
    let logs = eventually("three lines", async || {
        let logs = here.logs("holds-token", "main").await;
        if logs.lines().count() == 3 { Ok(logs) } else { Err(logs) }
    })
    .await;
    let lines: Vec<&str> = logs.lines().collect();
    assert_eq!(lines[1..], [here.namespace.as_str(), "ca"]);

    use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
    let review = TokenReview {
        spec: TokenReviewSpec { token: lines[0].to_owned(), audiences: None },
        ..Default::default()
    };
    let reviews: Api<TokenReview> = Api::all(here.client.clone());
    let reviewed = reviews.create(&PostParams::default(), &review).await.unwrap().status.unwrap();
    let user = reviewed.user.unwrap();
    assert_eq!(user.username, Some(format!("system:serviceaccount:{}:default", here.namespace)));
    assert_eq!(user.extra.unwrap()["authentication.kubernetes.io/pod-uid"], [pod.metadata.uid.unwrap()]);
}

#[tokio::test]
async fn mounted_files_are_kept_up_to_date_but_for_sub_paths() {
    let here = Playground::new().await;
    let _: ConfigMap =
        here.create(json!({ "metadata": { "name": "changes" }, "data": { "a": "old", "gone": "" } })).await;
    let text = "echo started; until test -f /whole/new; do sleep 1; done; cat /whole/a; cat /single/a; \
                test -f /whole/gone && echo left";
    let mut main = script(text);
    main["volumeMounts"] = json!([
        { "name": "changes", "mountPath": "/whole" },
        { "name": "changes", "mountPath": "/single/a", "subPath": "a" },
    ]);
    let spec = json!({
        "restartPolicy": "Never", "containers": [main],
        "volumes": [{ "name": "changes", "configMap": { "name": "changes" } }],
    });
    here.pod("reads", spec).await;
    here.pod_until("reads", "ready pod", |pod| holds(pod, "Ready")).await;
    let patch = kube::api::Patch::Merge(json!({ "data": { "a": "changed", "new": "", "gone": null } }));
    here.api::<ConfigMap>().patch("changes", &kube::api::PatchParams::default(), &patch).await.unwrap();
    here.pod_until("reads", "finished pod", |pod| !matches!(phase(pod), "Pending" | "Running")).await;
    assert_eq!(here.logs("reads", "main").await, "started\nchanged\nold\n");
}
