//! The API server as a process in a pod reaches it: with its service account's files, read anew for each client.

use http::{HeaderName, HeaderValue, Uri};
use kube::{Client, Config, config::AuthInfo};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::{Process, proxy};

/// Where pods have their service account's files.
pub(super) const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// How a client reaches the API server.
pub(super) struct Target<'a> {
    /// Host as the program knows it; the API server's certificate must be valid for it.
    pub(super) host: &'a str,
    /// Port as the program knows it.
    pub(super) port: u16,
    /// Whether the program honours `HTTPS_PROXY`.
    pub(super) honours_proxy: bool,
    /// `User-Agent`.
    pub(super) user_agent: &'static str,
}

/// A client as client-go's `rest.InClusterConfig` makes it.
///
/// # Errors
///
/// client-go's messages: the service's environment or the token is missing.
pub(super) async fn in_cluster(process: &Process, user_agent: &'static str) -> Result<Client, String> {
    let (Some(host), Some(port)) =
        (process.variable("KUBERNETES_SERVICE_HOST"), process.variable("KUBERNETES_SERVICE_PORT"))
    else {
        return Err("unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and \
                    KUBERNETES_SERVICE_PORT must be defined"
            .to_owned());
    };
    let port = port.parse().map_err(|error| format!("bad KUBERNETES_SERVICE_PORT {port}: {error}"))?;
    client(process, &Target { host, port, honours_proxy: true, user_agent }).await
}

/// A client for a target, with the token and the certificate authority that are mounted now.
///
/// # Errors
///
/// A text in Go's form when a file is missing or unreadable.
pub(super) async fn client(process: &Process, target: &Target<'_>) -> Result<Client, String> {
    let token = process.files.read_text(&format!("{SERVICE_ACCOUNT}/token")).await?;
    let authority = process.files.read(&format!("{SERVICE_ACCOUNT}/ca.crt")).await?;
    let roots = CertificateDer::pem_slice_iter(&authority)
        .map(|certificate| certificate.map(|certificate| certificate.to_vec()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("{SERVICE_ACCOUNT}/ca.crt: {error}"))?;

    let url = match process.surroundings.api_server_behind(target.host, target.port) {
        Some(url) => url.clone(),
        None => format!("https://{}:{}", target.host, target.port)
            .parse::<Uri>()
            .map_err(|error| format!("{}: {error}", target.host))?,
    };
    let mut config = Config::new(url);
    config.root_cert = Some(roots);
    config.tls_server_name = Some(target.host.to_owned());
    config.auth_info = AuthInfo { token: Some(token.trim().to_owned().into()), ..Default::default() };
    config.headers =
        vec![(HeaderName::from_static("user-agent"), HeaderValue::from_static(target.user_agent))];
    // What the API server answers must arrive as it is.
    config.default_retry = false;
    config.proxy_url = None;
    if target.honours_proxy
        && let Some(proxy) = proxy::proxy_for(process, target.host, target.port)
    {
        config.proxy_url = Some(proxy.parse().map_err(|error| format!("parse \"{proxy}\": {error}"))?);
    }
    Client::try_from(config).map_err(|error| error.to_string())
}
