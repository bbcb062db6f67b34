//! One request to the API server, with a deadline and a few retries; and what its answers mean. Every call but the
//! watches goes through here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use super::client::Connected;
use crate::error::words;
use crate::manifest::ObjectRef;
use crate::ports::{Failure, FailureKind, Side};

/// Retries of a request that the server turned away, that got no answer, or half of one. Safe: every write is idempotent.
const RETRIES: usize = 3;

/// The form of an answer, unless another is asked for.
const JSON: &str = "application/json";

/// Of an answer that is not an object: a log, metrics.
pub(super) const TEXT: &str = "*/*";

/// Of an answer that cannot be read nothing is said but that: it may be a Secret.
const NOT_JSON: &str = "the API server's answer is not JSON";

/// The body of a request. No `Debug`: it may hold an activation code.
#[derive(Clone)]
pub(super) struct Content {
    /// Its media type.
    pub(super) media_type: &'static str,
    /// The body.
    pub(super) bytes: Vec<u8>,
}

impl Content {
    /// For server-side apply. JSON is YAML.
    pub(super) fn apply(body: &Value) -> Self {
        Self { media_type: "application/apply-patch+yaml", bytes: body.to_string().into_bytes() }
    }

    /// For create, update and delete.
    pub(super) fn json(body: &Value) -> Self {
        Self { media_type: "application/json", bytes: body.to_string().into_bytes() }
    }

    /// For a merge patch.
    pub(super) fn merge_patch(body: &Value) -> Self {
        Self { media_type: "application/merge-patch+json", bytes: body.to_string().into_bytes() }
    }
}

/// An answer. No `Debug`: it may hold a Secret.
pub(super) struct Answer {
    /// 2xx.
    pub(super) status: StatusCode,
    /// Whether an earlier attempt failed: it may have had its effect all the same.
    pub(super) repeated: bool,
    bytes: Vec<u8>,
    operation: String,
}

impl Answer {
    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.bytes).map_err(|_| Failure {
            side: Side::Cluster,
            kind: FailureKind::Malformed,
            operation: self.operation.clone(),
            message: NOT_JSON.to_owned(),
        })
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

impl Connected {
    /// Sends a request. `operation` is what RBAC calls it: `get namespaces`.
    ///
    /// # Errors
    /// Every answer but 2xx, and none.
    pub(super) async fn call(
        &self,
        operation: &str,
        method: Method,
        path: &str,
        content: Option<Content>,
    ) -> Result<Answer, Failure> {
        self.call_for(JSON, operation, method, path, content).await
    }

    /// As [`Self::call`], for an answer in one of the forms that `accept` lists. Unless that is [`TEXT`], it must be JSON.
    ///
    /// # Errors
    /// As those of [`Self::call`].
    pub(super) async fn call_for(
        &self,
        accept: &str,
        operation: &str,
        method: Method,
        path: &str,
        content: Option<Content>,
    ) -> Result<Answer, Failure> {
        let attempts = AtomicUsize::new(0);
        let attempt = async || {
            let before = attempts.fetch_add(1, Ordering::Relaxed);
            let answer = self.attempt_for(accept, operation, &method, path, content.as_ref()).await?;
            Ok(Answer { repeated: before > 0, ..answer })
        };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(200))
            .with_max_delay(Duration::from_secs(2))
            .with_jitter()
            .with_max_times(RETRIES);
        attempt
            .retry(backoff)
            .when(|failure: &Failure| {
                matches!(
                    failure.kind,
                    FailureKind::Unavailable | FailureKind::Unreachable | FailureKind::Malformed
                )
            })
            .notify(|failure, delay| {
                tracing::debug!("{operation}: {failure}; trying again in {} ms", delay.as_millis());
            })
            .await
    }

    /// As [`Self::call`]; what does not exist is `None`.
    ///
    /// # Errors
    /// Every answer but 2xx and 404, and none.
    pub(super) async fn get(&self, operation: &str, path: &str) -> Result<Option<Answer>, Failure> {
        match self.call(operation, Method::GET, path, None).await {
            Ok(answer) => Ok(Some(answer)),
            Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// One attempt of [`Self::call`].
    ///
    /// # Errors
    /// Every answer but 2xx, and none.
    pub(super) async fn attempt(
        &self,
        operation: &str,
        method: &Method,
        path: &str,
        content: Option<&Content>,
    ) -> Result<Answer, Failure> {
        self.attempt_for(JSON, operation, method, path, content).await
    }

    async fn attempt_for(
        &self,
        accept: &str,
        operation: &str,
        method: &Method,
        path: &str,
        content: Option<&Content>,
    ) -> Result<Answer, Failure> {
        let failed = |kind, message: String| Failure {
            side: Side::Cluster,
            kind,
            operation: operation.to_owned(),
            message,
        };
        let mut request = Request::builder().method(method).uri(path).header(header::ACCEPT, accept);
        if let Some(content) = content {
            request = request.header(header::CONTENT_TYPE, content.media_type);
        }
        let body = content.map(|content| content.bytes.clone()).unwrap_or_default();
        let request = request
            .body(Body::from(body))
            .map_err(|error| failed(FailureKind::Rejected, format!("not a request: {error}")))?;
        tracing::debug!("{operation}: {method} {path}");
        let exchange = async {
            let response = self.client.send(request).await.map_err(|error| transport(&error))?;
            let status = response.status();
            let body = response.into_body().collect().await.map_err(|error| transport(&error))?;
            Ok::<_, (FailureKind, String)>((status, body.to_bytes().to_vec()))
        };
        let (status, bytes) = match tokio::time::timeout(self.attempt_timeout, exchange).await {
            Ok(Ok(answer)) => answer,
            Ok(Err((FailureKind::Unreachable, message))) => {
                return Err(failed(FailureKind::Unreachable, format!("{}: {message}", self.server)));
            }
            Ok(Err((kind, message))) => return Err(failed(kind, message)),
            Err(_) => {
                let limit = jiff::SignedDuration::try_from(self.attempt_timeout).unwrap_or_default();
                return Err(failed(
                    FailureKind::Unreachable,
                    format!("no answer from {} within {limit:#}", self.server),
                ));
            }
        };
        if status.is_success() {
            // What is not JSON lost its end on the way, or is from something in between: a proxy's page.
            if accept != TEXT && serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_err() {
                return Err(failed(FailureKind::Malformed, NOT_JSON.to_owned()));
            }
            return Ok(Answer { status, repeated: false, bytes, operation: operation.to_owned() });
        }
        let (kind, message) = refusal(status, &bytes);
        Err(failed(kind, message))
    }
}

/// What RBAC calls an operation on an object.
pub(super) fn operation(verb: &str, object: &ObjectRef) -> String {
    match &object.namespace {
        Some(namespace) => format!("{verb} {} in namespace {namespace}", object.kind.resource()),
        None => format!("{verb} {}", object.kind.resource()),
    }
}

/// What a `Status` object says (Kubernetes API, meta/v1 Status).
pub(super) fn refusal(status: StatusCode, body: &[u8]) -> (FailureKind, String) {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let message =
        answer["message"].as_str().map_or_else(|| format!("the API server answered {status}"), str::to_owned);
    let kind = match status {
        StatusCode::NOT_FOUND => FailureKind::NotFound,
        StatusCode::CONFLICT => FailureKind::Conflict,
        StatusCode::UNAUTHORIZED => FailureKind::RejectedCredentials,
        // Quotas and admission answer 403 too; RBAC says whom it refuses.
        StatusCode::FORBIDDEN if message.contains("User \"") || message.contains("user \"") => {
            FailureKind::Denied
        }
        StatusCode::FORBIDDEN => FailureKind::Rejected,
        StatusCode::TOO_MANY_REQUESTS => FailureKind::Unavailable,
        status if status.is_server_error() => FailureKind::Unavailable,
        _ => FailureKind::Rejected,
    };
    (kind, message)
}

pub(super) fn transport(error: &(dyn std::error::Error + 'static)) -> (FailureKind, String) {
    let words = words(error);
    let message = words.last().cloned().unwrap_or_default();
    let all = words.join(": ");
    if all.contains("certificate") {
        return (FailureKind::Certificate, message);
    }
    if all.contains("auth exec") || all.contains("auth error") {
        // Not its words: a plugin's standard output is a token.
        return (FailureKind::CredentialSource, "the credential plugin of the kubeconfig failed".to_owned());
    }
    (FailureKind::Unreachable, all.replace("ServiceError: ", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_not_a_missing_right() {
        let body = |message: &str| serde_json::json!({ "kind": "Status", "message": message }).to_string();
        let denied = body(r#"secrets "x" is forbidden: User "eve" cannot get resource "secrets""#);
        assert_eq!(refusal(StatusCode::FORBIDDEN, denied.as_bytes()).0, FailureKind::Denied);
        let escalation = body(
            r#"roles "x" is forbidden: user "eve" (groups=[]) is attempting to grant RBAC permissions not currently held"#,
        );
        assert_eq!(refusal(StatusCode::FORBIDDEN, escalation.as_bytes()).0, FailureKind::Denied);
        let quota = body(r#"configmaps "x" is forbidden: exceeded quota: small"#);
        assert_eq!(refusal(StatusCode::FORBIDDEN, quota.as_bytes()).0, FailureKind::Rejected);
        assert_eq!(refusal(StatusCode::BAD_GATEWAY, b"<html>").0, FailureKind::Unavailable);
    }
}
