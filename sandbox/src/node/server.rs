//! The kubelet's TLS endpoint: container logs, which the API server fetches for `kubectl logs`.

use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
};

use anyhow::Context as _;
use axum::{
    Router,
    body::Body,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use futures::stream;
use k8s_openapi::{
    api::core::v1::Pod,
    jiff::{SignedDuration, Timestamp},
};
use kube::Api;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::Deserialize;
use tokio::task::JoinSet;

use super::{
    Kubelet,
    logs::{Line, Log},
};

/// A running endpoint. It ends, with its connections, when dropped.
pub(super) struct Endpoint {
    /// TCP port on 127.0.0.1.
    pub(super) port: u16,
    handle: Handle<SocketAddr>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

/// Serves on a free port of the loopback interface. The certificate is self-signed: the API server
/// runs without `--kubelet-certificate-authority`, as most clusters do.
pub(super) async fn serve(kubelet: Arc<Kubelet>, tasks: &mut JoinSet<()>) -> anyhow::Result<Endpoint> {
    let certified = rcgen::generate_simple_self_signed([kubelet.name.clone(), "127.0.0.1".to_owned()])
        .context("cannot make the kubelet's certificate")?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .context("no TLS version")?
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .context("cannot use the kubelet's certificate")?;

    let listener = TcpListener::bind("127.0.0.1:0").context("cannot listen for the API server")?;
    listener.set_nonblocking(true).context("cannot listen for the API server")?;
    let port = listener.local_addr().context("no local address")?.port();
    let app = Router::new()
        .route("/healthz", get(async || "ok"))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(container_logs))
        .with_state(kubelet);
    let server = axum_server::from_tcp_rustls(listener, RustlsConfig::from_config(Arc::new(config)))
        .context("cannot serve the API server")?;
    let handle = Handle::new();
    let server = server.handle(handle.clone());
    tasks.spawn(async move {
        if let Err(error) = server.serve(app.into_make_service()).await {
            tracing::error!(%error, "the kubelet's endpoint ended");
        }
    });
    Ok(Endpoint { port, handle })
}

/// Query of `containerLogs`: `PodLogOptions` as the API server passes them on.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogQuery {
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    previous: bool,
    #[serde(default)]
    timestamps: bool,
    tail_lines: Option<usize>,
    since_seconds: Option<i64>,
    since_time: Option<Timestamp>,
    limit_bytes: Option<usize>,
}

async fn container_logs(
    State(kubelet): State<Arc<Kubelet>>,
    Path((namespace, pod, container)): Path<(String, String, String)>,
    Query(query): Query<LogQuery>,
) -> Response {
    let Some(log) = kubelet.logs.find(&namespace, &pod, &container, query.previous) else {
        let message = if query.previous {
            format!("previous terminated container \"{container}\" in pod \"{pod}\" not found")
        } else {
            let reason = waiting_reason(&kubelet, &namespace, &pod, &container).await;
            format!("container \"{container}\" in pod \"{pod}\" is waiting to start: {reason}")
        };
        return (StatusCode::BAD_REQUEST, message).into_response();
    };
    let (lines, _) = log.read(0);
    let read = lines.len();
    let since = query
        .since_time
        .or_else(|| query.since_seconds.map(|seconds| Timestamp::now() - SignedDuration::from_secs(seconds)));
    let mut lines: Vec<Line> =
        lines.into_iter().filter(|line| since.is_none_or(|since| line.at >= since)).collect();
    if let Some(tail) = query.tail_lines {
        lines.drain(..lines.len().saturating_sub(tail));
    }
    let mut first = render(&lines, query.timestamps);
    if let Some(limit) = query.limit_bytes {
        let end = (0..=limit.min(first.len())).rev().find(|&at| first.is_char_boundary(at)).unwrap_or(0);
        first.truncate(end);
    }
    if !query.follow {
        return first.into_response();
    }
    let timestamps = query.timestamps;
    let following = stream::unfold((log, read, Some(first)), move |(log, read, first)| async move {
        if let Some(first) = first {
            return Some((Ok::<_, std::convert::Infallible>(first), (log, read, None)));
        }
        let (text, read) = next(&log, read, timestamps).await?;
        Some((Ok(text), (log, read, None)))
    });
    Body::from_stream(following).into_response()
}

/// Why a container has not begun, as its status says.
async fn waiting_reason(kubelet: &Kubelet, namespace: &str, pod: &str, container: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(kubelet.client.clone(), namespace);
    // Without an answer there is still what the kubelet says of a container that it does not know yet.
    let status = pods.get_status(pod).await.ok().and_then(|pod| pod.status).unwrap_or_default();
    status
        .init_container_statuses
        .into_iter()
        .chain(status.container_statuses)
        .flatten()
        .find(|status| status.name == container)
        .and_then(|status| status.state?.waiting?.reason)
        .unwrap_or_else(|| "ContainerCreating".to_owned())
}

/// The next lines of a followed log; none when it has ended.
async fn next(log: &Log, read: usize, timestamps: bool) -> Option<(String, usize)> {
    log.more_than(read).await;
    let (lines, _) = log.read(read);
    if lines.is_empty() {
        return None;
    }
    Some((render(&lines, timestamps), read + lines.len()))
}

fn render(lines: &[Line], timestamps: bool) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        if timestamps {
            text.push_str(&line.at.to_string());
            text.push(' ');
        }
        text.push_str(&line.text);
        text.push('\n');
        text
    })
}
