//! `server`: a reverse proxy on a socket that only the agent reaches. It acts as the service account, impersonating the
//! principal that EKS names.

use std::time::Duration;

use futures::StreamExt as _;
use http::{Request, header::HeaderValue};
use kube::client::Body;

use super::{
    super::{
        Process, channels,
        cluster::{self, Target},
    },
    Fatal, Flags, Klog,
    flags::Flag,
    state::{State, StateSecret},
};

/// The command's flags and their defaults.
pub(super) const FLAGS: &[Flag] = &[
    ("proxy.socketType", Some("unix")),
    ("proxy.socketAddr", Some("/var/eks/shared/connector.sock")),
    ("proxy.targetHost", Some("kubernetes.default.svc:443")),
    ("proxy.targetProtocol", Some("https")),
    ("state.baseDir", Some("/var/lib/amazon/ssm/Vault")),
    ("state.secretNamePrefix", Some("eks-connector-state")),
    ("state.secretNamespace", Some("eks-connector")),
];

/// Body of the answer when the API server cannot be reached.
const PROXY_ERROR: &str = r#"{"status": 502, "message": "eks connector failed to proxy the request to kubernetes api. check eks connector logs for details."}"#;

/// Runs `server`. Ends only by a fatal error.
pub(super) async fn run(process: &Process, flags: &Flags, klog: &Klog) -> Result<(), Fatal> {
    watch_key(process, flags, klog).await.map_err(|cause| Fatal {
        place: "server.go:39",
        message: format!("failed to setup file watcher: {cause}"),
    })?;
    let (socket, _) = process.files.resolve(flags.get("proxy.socketAddr"));
    let listening = format!(
        "&{{{} {} {} {}}}",
        flags.get("proxy.socketType"),
        flags.get("proxy.socketAddr"),
        flags.get("proxy.targetHost"),
        flags.get("proxy.targetProtocol")
    );
    let (requests, _guard) = process.surroundings.channels.listen(socket);
    klog.info("server.go:35", format!("listening on {listening}"));
    futures::stream::unfold(requests, async |mut requests| Some((requests.recv().await?, requests)))
        .for_each_concurrent(None, async |request| {
            let answer = match forward(process, flags, &request).await {
                Ok(answer) => answer,
                Err(cause) => {
                    klog.info("proxy.go:81", format!("eks connector proxy encountered error: {cause}"));
                    (502, PROXY_ERROR.to_owned())
                }
            };
            // Whoever asked may have gone meanwhile.
            drop(request.answer.send(answer));
        })
        .await;
    Ok(())
}

/// Saves the agent's key in the Secret if the agent has changed it. It is tried seven times.
async fn watch_key(process: &Process, flags: &Flags, klog: &Klog) -> Result<(), String> {
    let outer = |cause: String| format!("could not read secrets when initializing fs watcher: {cause}");
    let secret = StateSecret::in_cluster(
        process,
        flags.get("state.secretNamePrefix"),
        flags.get("state.secretNamespace"),
    )
    .await
    .map_err(outer)?;
    let mut pause = process.surroundings.speed.back_off;
    for attempt in 0..7 {
        if attempt > 0 {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
        if sync(process, flags, klog, &secret).await {
            return Ok(());
        }
    }
    Err("could not sync K8s secrets when initializing fs watcher: timed out waiting for the condition"
        .to_owned())
}

async fn sync(process: &Process, flags: &Flags, klog: &Klog, secret: &StateSecret) -> bool {
    let existing = match secret.load().await {
        Ok(existing) => existing,
        Err(cause) => {
            klog.error("fsnotify.go:91", format!("failed to load Kubernetes secret due to {cause}"));
            return false;
        }
    };
    let vault = match State::read_vault(process, flags.get("state.baseDir")).await {
        Ok(vault) => vault,
        Err(cause) => {
            klog.error("fsnotify.go:97", format!("failed to load agent's local file due to {cause}"));
            return false;
        }
    };
    let merged = match existing {
        Some(existing) if existing.same_key(&vault) => {
            klog.info("fsnotify.go:103", "Skip updating k8s secrets since key-pair did not change.");
            return true;
        }
        Some(existing) => vault.with_config_of(&existing),
        None => vault,
    };
    if let Err(cause) = secret.save(merged).await {
        klog.error("fsnotify.go:110", format!("failed to save secret due to {cause}"));
        return false;
    }
    klog.info("fsnotify.go:113", "Updated kubernetes secrets with new key-pair");
    true
}

/// Sends a request to the API server: method, path and query unchanged, of the headers only its own. The service
/// account's files are read anew each time.
async fn forward(
    process: &Process,
    flags: &Flags,
    request: &channels::Request,
) -> Result<(u16, String), String> {
    let target = flags.get("proxy.targetHost");
    let (host, port) = target.rsplit_once(':').unwrap_or((target, "443"));
    let port = port.parse().map_err(|error| format!("bad port in {target}: {error}"))?;
    let client = cluster::client(
        process,
        &Target { host, port, honours_proxy: false, user_agent: "eks-connector/1.0" },
    )
    .await?;
    let identity = request.identity.as_deref().unwrap_or_default();
    let outgoing = Request::builder()
        .method(request.method.as_str())
        .uri(&request.path)
        .header("impersonate-user", HeaderValue::from_str(identity).map_err(|error| error.to_string())?)
        .body(Body::empty())
        .map_err(|error| error.to_string())?;
    let response = client.send(outgoing).await.map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        cause.to_string()
    })?;
    let status = response.status().as_u16();
    let body = response.into_body().collect_bytes().await.map_err(|error| error.to_string())?;
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
