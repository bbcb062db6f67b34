//! The access rules of the cluster, and acting as its connector does.

use std::sync::Arc;

use futures::future::try_join_all;
use http::{HeaderName, HeaderValue, Method, Request as HttpRequest, header};
use http_body_util::BodyExt;
use k8s_openapi::api::rbac::v1;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement, ObjectMeta};
use kube::client::Body;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::api::{Content, TEXT, operation, refusal, transport};
use super::client::Connected;
use super::port::{KubernetesCluster, MANAGER, malformed};
use crate::manifest::{ObjectRef, SERVICE_ACCOUNT};
use crate::ports::{Access, Acting, Asked, Failure, FailureKind, Reply, Side};
use crate::rbac::{
    Binding, Expression, Meta, Operator, Request, Role, RoleRef, Rule, Selector, Snapshot, Subject, Target,
    Who,
};

/// Roles or bindings a page.
const A_PAGE: u32 = 500;

/// As RBAC calls it.
const REVIEW: &str = "create subjectaccessreviews.authorization.k8s.io";

/// The shortest life of a token that the API server gives, in seconds (TokenRequest API).
const TOKEN_SECONDS: u32 = 600;

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");

impl Access for KubernetesCluster {
    fn rules(&self) -> Reply<'_, Snapshot> {
        Box::pin(self.connected.read_rules())
    }

    fn act_as_connector<'a>(&'a self, namespace: &'a str) -> Reply<'a, Arc<dyn Acting>> {
        Box::pin(async move {
            let acting: Arc<dyn Acting> = Arc::new(self.connected.connector_of(namespace).await?);
            Ok(acting)
        })
    }

    fn review<'a>(&'a self, who: &'a Who, requests: &'a [Request]) -> Reply<'a, Vec<bool>> {
        Box::pin(try_join_all(requests.iter().map(|request| self.connected.may_other(who, request))))
    }

    fn constrains_impersonation(&self) -> Reply<'_, Option<bool>> {
        Box::pin(async {
            let metrics =
                self.connected.call_for(TEXT, "get /metrics", Method::GET, "/metrics", None).await?;
            Ok(feature_of(&metrics.text()))
        })
    }

    fn amend<'a>(&'a self, object: &'a ObjectRef, seen: &'a str, change: &'a Value) -> Reply<'a, ()> {
        Box::pin(self.connected.amend_object(object, seen, change))
    }
}

/// The connector of one namespace, with a token of its service account.
struct Connector {
    connected: Connected,
}

impl Acting for Connector {
    fn ask<'a>(&'a self, principal: &'a str, path: &'a str) -> Reply<'a, Asked> {
        Box::pin(self.connected.ask_as(&Method::GET, principal, path))
    }

    fn ask_to_delete<'a>(&'a self, principal: &'a str, path: &'a str) -> Reply<'a, Asked> {
        Box::pin(async move {
            let path = format!("{path}?dryRun=All");
            self.connected.ask_as(&Method::DELETE, principal, &path).await
        })
    }
}

impl Connected {
    async fn read_rules(&self) -> Result<Snapshot, Failure> {
        let group = "/apis/rbac.authorization.k8s.io/v1";
        let (cluster_roles, roles, cluster_bindings, bindings) = tokio::try_join!(
            self.every::<v1::ClusterRole>("clusterroles", group),
            self.every::<v1::Role>("roles", group),
            self.every::<v1::ClusterRoleBinding>("clusterrolebindings", group),
            self.every::<v1::RoleBinding>("rolebindings", group),
        )?;
        let cluster_roles = cluster_roles.into_iter().map(|role| {
            let aggregation = role.aggregation_rule.and_then(|rule| rule.cluster_role_selectors);
            Role {
                aggregation: aggregation.into_iter().flatten().map(selector).collect(),
                ..self::role(role.metadata, role.rules)
            }
        });
        let roles = roles.into_iter().map(|role| self::role(role.metadata, role.rules));
        let cluster_bindings = cluster_bindings
            .into_iter()
            .map(|binding| self::binding(binding.metadata, binding.role_ref, binding.subjects));
        let bindings = bindings
            .into_iter()
            .map(|binding| self::binding(binding.metadata, binding.role_ref, binding.subjects));
        Ok(Snapshot {
            roles: cluster_roles.chain(roles).collect(),
            bindings: cluster_bindings.chain(bindings).collect(),
        })
    }

    async fn every<T: DeserializeOwned>(&self, resource: &str, group: &str) -> Result<Vec<T>, Failure> {
        let operation = format!("list {resource}.rbac.authorization.k8s.io");
        let mut every = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!("{group}/{resource}?limit={A_PAGE}{next}");
            let mut page = self.call(&operation, Method::GET, &path, None).await?.json()?;
            let items: Vec<T> = serde_json::from_value(page["items"].take())
                .map_err(|error| malformed(&operation, &error.to_string()))?;
            every.extend(items);
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={token}"),
                None => return Ok(every),
            }
        }
    }

    async fn connector_of(&self, namespace: &str) -> Result<Connector, Failure> {
        let operation = format!("create serviceaccounts/token in namespace {namespace}");
        let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{SERVICE_ACCOUNT}/token");
        let request = json!({
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": { "expirationSeconds": TOKEN_SECONDS },
        });
        let answer =
            self.call(&operation, Method::POST, &path, Some(Content::json(&request))).await?.json()?;
        let token = answer["status"]["token"].as_str().map(|token| SecretString::from(token.to_owned()));
        let token = token.ok_or_else(|| malformed(&operation, "the answer has no token"))?;
        let connected = self.with_token(token).map_err(|error| malformed(&operation, &error.to_string()))?;
        Ok(Connector { connected })
    }

    /// As the connector's proxy does it: of the headers only its own, and who is asking.
    async fn ask_as(&self, method: &Method, principal: &str, path: &str) -> Result<Asked, Failure> {
        let operation = format!("{} {path} as {principal}", method.as_str().to_lowercase());
        let failed =
            |kind, message| Failure { side: Side::Cluster, kind, operation: operation.clone(), message };
        let name = HeaderValue::from_str(principal)
            .map_err(|error| failed(FailureKind::Rejected, error.to_string()))?;
        let request = HttpRequest::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, "application/json")
            .header(IMPERSONATE_USER, name)
            .body(Body::empty())
            .map_err(|error| failed(FailureKind::Rejected, format!("not a request: {error}")))?;
        tracing::debug!("{operation}");
        let exchange = async {
            let response = self.client.send(request).await.map_err(|error| transport(&error))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| transport(&error))?;
            Ok::<_, (FailureKind, String)>((status, body.to_bytes()))
        };
        let (status, bytes) = match tokio::time::timeout(self.attempt_timeout, exchange).await {
            Ok(answer) => answer.map_err(|(kind, message)| failed(kind, message))?,
            Err(_) => {
                let limit = jiff::SignedDuration::try_from(self.attempt_timeout).unwrap_or_default();
                let message = format!("no answer from {} within {limit:#}", self.server);
                return Err(failed(FailureKind::Unreachable, message));
            }
        };
        let (message, body) = if status.is_success() {
            (String::new(), serde_json::from_slice(&bytes).unwrap_or(Value::Null))
        } else {
            (refusal(status, &bytes).1, Value::Null)
        };
        Ok(Asked { status: status.as_u16(), message, body })
    }

    async fn amend_object(&self, object: &ObjectRef, seen: &str, change: &Value) -> Result<(), Failure> {
        let mut change = change.clone();
        change["metadata"]["resourceVersion"] = json!(seen);
        let path = format!("{}?fieldManager={MANAGER}", object.path());
        let content = Some(Content::merge_patch(&change));
        self.call(&operation("patch", object), Method::PATCH, &path, content).await.map(drop)
    }

    async fn may_other(&self, who: &Who, request: &Request) -> Result<bool, Failure> {
        let mut spec = json!({ "user": who.name, "groups": who.groups });
        match &request.target {
            Target::Path(path) => {
                spec["nonResourceAttributes"] = json!({ "path": path, "verb": request.verb });
            }
            Target::Resource { group, resource, subresource, namespace, name } => {
                spec["resourceAttributes"] = json!({
                    "namespace": namespace,
                    "verb": request.verb,
                    "group": group,
                    "resource": resource,
                    "subresource": subresource,
                    "name": name,
                });
            }
        }
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": spec,
        });
        let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
        let answer = self.call(REVIEW, Method::POST, path, Some(Content::json(&review))).await?.json()?;
        Ok(answer["status"]["allowed"] == true)
    }
}

/// The value of the gate in the API server's metrics: `kubernetes_feature_enabled{name="…",stage="BETA"} 1`.
fn feature_of(metrics: &str) -> Option<bool> {
    let line = metrics.lines().find(|line| {
        line.starts_with("kubernetes_feature_enabled{") && line.contains("name=\"ConstrainedImpersonation\"")
    })?;
    Some(line.ends_with(" 1"))
}

fn meta(meta: ObjectMeta) -> Meta {
    Meta {
        namespace: meta.namespace,
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        resource_version: meta.resource_version.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default(),
        annotations: meta.annotations.unwrap_or_default(),
    }
}

fn role(metadata: ObjectMeta, rules: Option<Vec<v1::PolicyRule>>) -> Role {
    let rule = |rule: v1::PolicyRule| Rule {
        verbs: rule.verbs,
        api_groups: rule.api_groups.unwrap_or_default(),
        resources: rule.resources.unwrap_or_default(),
        resource_names: rule.resource_names.unwrap_or_default(),
        non_resource_urls: rule.non_resource_urls.unwrap_or_default(),
    };
    Role { meta: meta(metadata), rules: rules.into_iter().flatten().map(rule).collect(), ..Role::default() }
}

fn selector(selector: LabelSelector) -> Selector {
    let expression = |requirement: LabelSelectorRequirement| {
        // The API server accepts no others.
        let operator = match requirement.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            _ => Operator::DoesNotExist,
        };
        Expression { key: requirement.key, operator, values: requirement.values.unwrap_or_default() }
    };
    Selector {
        labels: selector.match_labels.unwrap_or_default(),
        expressions: selector.match_expressions.into_iter().flatten().map(expression).collect(),
    }
}

fn binding(metadata: ObjectMeta, role: v1::RoleRef, subjects: Option<Vec<v1::Subject>>) -> Binding {
    let role =
        if role.kind == "ClusterRole" { RoleRef::ClusterRole(role.name) } else { RoleRef::Role(role.name) };
    let subject = |subject: v1::Subject| match subject.kind.as_str() {
        "Group" => Subject::Group(subject.name),
        "ServiceAccount" => Subject::ServiceAccount { namespace: subject.namespace, name: subject.name },
        _ => Subject::User(subject.name),
    };
    Binding { meta: meta(metadata), role, subjects: subjects.into_iter().flatten().map(subject).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_in_the_metrics() {
        let line = |value| {
            format!(
                "kubernetes_feature_enabled{{name=\"X\",stage=\"BETA\"}} 1\n\
                 kubernetes_feature_enabled{{name=\"ConstrainedImpersonation\",stage=\"BETA\"}} {value}\n"
            )
        };
        assert_eq!(feature_of(&line(1)), Some(true));
        assert_eq!(feature_of(&line(0)), Some(false));
        assert_eq!(feature_of("# nothing"), None);
    }
}
