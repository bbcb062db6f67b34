//! Connectors, grants and callers, laid down by hand.

use std::process::Stdio;

use eksconnect::access::viewable::{RESOURCES, VERBS, paths};
use k8s_openapi::api::authorization::v1::SubjectAccessReview;
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{NAMESPACE, Scene, until};

pub(crate) const VIEWER: &str = "arn:aws:iam::111122223333:role/Viewer";

/// Whom eksctl's objects name.
pub(crate) const ANA: &str = "arn:aws:iam::111122223333:user/ana";

const EKSCTL_GRANTS: &str = include_str!("fixtures/eksctl-grants.yaml");

/// The group of RBAC's kinds.
const RBAC: &str = "rbac.authorization.k8s.io";

impl Scene {
    /// Applies objects with kubectl, as somebody who may do everything.
    pub(crate) async fn kubectl_apply(&self, manifest: &str) {
        let mut kubectl = tokio::process::Command::new("kubectl");
        kubectl.args(["apply", "-f", "-"]).env_clear().envs(self.lease.env());
        kubectl.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = kubectl.spawn().unwrap();
        child.stdin.take().unwrap().write_all(manifest.as_bytes()).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) async fn apply_all(&self, objects: &[Value]) {
        self.kubectl_apply(&json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string())
            .await;
    }

    /// What access needs of a connector: its service account.
    pub(crate) async fn connector_in(&self, namespace: &str) {
        self.apply_all(&[
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }),
            json!({
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": { "name": "eks-connector", "namespace": namespace },
            }),
        ])
        .await;
    }

    /// The grant that eksctl makes, to [`ANA`].
    pub(crate) async fn grant_as_eksctl(&self) {
        self.kubectl_apply(EKSCTL_GRANTS).await;
        self.until_may(&connector(), &json!({ "verb": "impersonate", "resource": "users", "name": ANA }))
            .await;
        self.until_may(ANA, &json!({ "verb": "list", "resource": "pods" })).await;
    }

    /// Lets the connector ask for what is viewable in a principal's name: in the whole cluster, or in namespaces.
    pub(crate) async fn ceiling(&self, principal: &str, namespaces: &[&str]) {
        let on: Vec<String> = VERBS.iter().map(|verb| format!("impersonate-on:user-info:{verb}")).collect();
        let account = json!({ "kind": "ServiceAccount", "name": "eks-connector", "namespace": NAMESPACE });
        let be = json!({
            "verbs": ["impersonate:user-info"], "apiGroups": ["authentication.k8s.io"], "resources": ["users"],
            "resourceNames": [principal],
        });
        let whole = namespaces.is_empty();
        let mut objects = vec![
            role(&named("be", principal), &[be]),
            role("ceiling", &viewable_rules(&on, |namespaced| namespaced || whole)),
            role("ceiling-of-the-cluster", &viewable_rules(&on, |namespaced| !namespaced)),
            binding(&named("be", principal), &named("be", principal), None, &account),
            binding("ceiling-of-the-cluster", "ceiling-of-the-cluster", None, &account),
        ];
        objects.extend(
            places(namespaces).into_iter().map(|place| binding("ceiling", "ceiling", place, &account)),
        );
        self.apply_all(&objects).await;
        for place in places(namespaces) {
            let on_pods = json!({
                "verb": "impersonate-on:user-info:list", "resource": "pods", "namespace": place,
            });
            self.until_may(&connector(), &on_pods).await;
        }
        let be = json!({
            "verb": "impersonate:user-info", "group": "authentication.k8s.io", "resource": "users",
            "name": principal,
        });
        self.until_may(&connector(), &be).await;
        let version = json!({ "verb": "impersonate-on:user-info:get", "path": "/version" });
        self.until_may(&connector(), &version).await;
    }

    /// Lets the connector do in a principal's name whatever the principal may.
    pub(crate) async fn impersonation(&self, principal: &str) {
        let account = json!({ "kind": "ServiceAccount", "name": "eks-connector", "namespace": NAMESPACE });
        let be = json!({
            "verbs": ["impersonate"], "apiGroups": [""], "resources": ["users"], "resourceNames": [principal],
        });
        let name = named("be-anything", principal);
        self.apply_all(&[role(&name, &[be]), binding(&name, &name, None, &account)]).await;
        let be = json!({ "verb": "impersonate", "resource": "users", "name": principal });
        self.until_may(&connector(), &be).await;
    }

    /// Gives a principal the right to what is viewable, in the whole cluster or in namespaces.
    pub(crate) async fn rights(&self, principal: &str, namespaces: &[&str]) {
        let verbs: Vec<String> = VERBS.iter().map(ToString::to_string).collect();
        let user = json!({ "kind": "User", "name": principal, "apiGroup": RBAC });
        let (viewing, of_cluster) = (named("viewing", principal), named("viewing-of-the-cluster", principal));
        let mut objects = vec![
            role("viewing", &viewable_rules(&verbs, |_| true)),
            role("viewing-of-the-cluster", &viewable_rules(&verbs, |namespaced| !namespaced)),
            binding(&of_cluster, "viewing-of-the-cluster", None, &user),
        ];
        objects
            .extend(places(namespaces).into_iter().map(|place| binding(&viewing, "viewing", place, &user)));
        self.apply_all(&objects).await;
        for place in places(namespaces) {
            let pods = json!({ "verb": "list", "resource": "pods", "namespace": place });
            self.until_may(principal, &pods).await;
        }
        self.until_may(principal, &json!({ "verb": "list", "resource": "nodes" })).await;
        self.until_may(principal, &json!({ "verb": "get", "path": "/apis/apps" })).await;
    }

    /// Makes somebody cluster-admin.
    pub(crate) async fn make_admin(&self, principal: &str) {
        let user = json!({ "kind": "User", "name": principal, "apiGroup": RBAC });
        self.apply_all(&[binding(&named("admin", principal), "cluster-admin", None, &user)]).await;
        self.until_may(principal, &json!({ "verb": "delete", "resource": "namespaces" })).await;
    }

    /// Lets the runs be of a user of the cluster who has these rules and no others.
    pub(crate) async fn become_user(&mut self, user: &str, rules: &[Value]) {
        let kubeconfig = self.lease.cluster().kubeconfig_for(user, None).unwrap();
        self.set("KUBECONFIG", kubeconfig.to_str().unwrap());
        if rules.is_empty() {
            return;
        }
        let subject = json!({ "kind": "User", "name": user, "apiGroup": RBAC });
        self.apply_all(&[role(user, rules), binding(user, user, None, &subject)]).await;
        for rule in rules {
            let (resource, subresource) = rule["resources"][0]
                .as_str()
                .map(|resource| resource.split_once('/').unwrap_or((resource, "")))
                .unwrap();
            let wanted = json!({
                "verb": rule["verbs"][0], "group": rule["apiGroups"][0], "resource": resource,
                "subresource": subresource,
            });
            self.until_may(user, &wanted).await;
        }
    }

    /// Waits until the API server's authorizer has seen what was applied.
    async fn until_may(&self, user: &str, attributes: &Value) {
        let reviews: Api<SubjectAccessReview> = Api::all(self.client().await);
        let path = attributes["path"].is_string();
        let key = if path { "nonResourceAttributes" } else { "resourceAttributes" };
        let review: SubjectAccessReview = serde_json::from_value(json!({
            "metadata": {},
            "spec": { "user": user, "groups": ["system:authenticated"], key: attributes },
        }))
        .unwrap();
        until(&format!("{user} may {attributes}"), || async {
            let answer = reviews.create(&PostParams::default(), &review).await.unwrap();
            answer.status.is_some_and(|status| status.allowed)
        })
        .await;
    }
}

fn connector() -> String {
    format!("system:serviceaccount:{NAMESPACE}:eks-connector")
}

/// A name for an object that is about a principal.
fn named(what: &str, principal: &str) -> String {
    format!("{what}-{}", principal.rsplit('/').next().unwrap_or_default().to_lowercase().replace('_', "-"))
}

fn places<'a>(namespaces: &[&'a str]) -> Vec<Option<&'a str>> {
    if namespaces.is_empty() { vec![None] } else { namespaces.iter().map(|name| Some(*name)).collect() }
}

/// Rules for all that is viewable and wanted; for the paths too.
fn viewable_rules(verbs: &[String], wanted: impl Fn(bool) -> bool) -> Vec<Value> {
    let of_kinds = RESOURCES.iter().filter(|viewable| wanted(viewable.namespaced)).map(
        |viewable| json!({ "verbs": verbs, "apiGroups": [viewable.group], "resources": [viewable.resource] }),
    );
    let mut rules: Vec<Value> = of_kinds.collect();
    if wanted(false) {
        rules.push(json!({ "verbs": verbs, "nonResourceURLs": paths() }));
    }
    rules
}

fn role(name: &str, rules: &[Value]) -> Value {
    json!({ "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": { "name": name }, "rules": rules })
}

fn binding(name: &str, role: &str, namespace: Option<&str>, subject: &Value) -> Value {
    let kind = if namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" };
    json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": kind,
        "metadata": { "name": name, "namespace": namespace },
        "roleRef": { "apiGroup": RBAC, "kind": "ClusterRole", "name": role },
        "subjects": [subject],
    })
}
