//! Which cluster, as whom, through which proxy.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use http::HeaderValue;
use http::header::USER_AGENT;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use kube::client::{AuthError, ClientBuilder, ConfigExt};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::SecretString;
use tower::util::MapFutureLayer;
use tower::{BoxError, ServiceBuilder};

use super::certificate;
use super::transport::Transport;
use crate::error::{Code, Error};

/// What the command line says about the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSettings {
    /// `--kubeconfig`.
    pub kubeconfig: Option<PathBuf>,
    /// The files that the environment names (`KUBECONFIG`), if it does.
    pub from_environment: Vec<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// How long a single attempt of a request may take; watches are exempt.
    pub attempt_timeout: Duration,
    /// How long a credential plugin may take. A person may have to log in first.
    pub plugin_timeout: Duration,
}

/// A cluster, ready to be called.
#[derive(Clone)]
pub struct Connected {
    pub(super) client: Client,
    /// How to reach the same server with other credentials: without any.
    anonymous: Config,
    pub(super) attempt_timeout: Duration,
    /// The context in use, or `in-cluster`.
    pub context: String,
    /// The API server's address.
    pub server: String,
}

/// How long it may take until there is a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// What audit logs of the API server call us.
const OUR_NAME: &str = concat!("eksconnect/", env!("CARGO_PKG_VERSION"));

/// Finds the cluster and sets up a client; begins to connect, and asks the API server nothing. Runs exec credential
/// plugins, off the async threads.
///
/// # Errors
/// No kubeconfig, no such context, an unusable kubeconfig, a failing credential plugin.
pub async fn connect(settings: &ClusterSettings) -> Result<Connected, Error> {
    let (mut config, context) = load(settings).await?;
    // One retry layer, and that is ours (api.rs): kube's would go on for minutes.
    config.default_retry = false;
    config.connect_timeout = Some(settings.attempt_timeout.min(CONNECT_TIMEOUT));
    config.headers.push((USER_AGENT, HeaderValue::from_static(OUR_NAME)));
    let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let plugin = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    certificate::refuse_expired(&config.auth_info, &context)?;
    let attempt_timeout = settings.attempt_timeout;
    let mut anonymous = config.clone();
    anonymous.auth_info = AuthInfo::default();
    let building = tokio::task::spawn_blocking(move || build(config, attempt_timeout));
    let client = match tokio::time::timeout(settings.plugin_timeout, building).await {
        Ok(Ok(Ok(client))) => client,
        Ok(Ok(Err(error))) => return Err(unusable(&context, plugin.as_deref(), &error)),
        Err(_) => return Err(silent(&context, plugin.as_deref(), settings.plugin_timeout)),
        Ok(Err(join)) => {
            return Err(
                Error::failed(Code::INTERNAL, "setting up the cluster's client failed").with_source(join)
            );
        }
    };
    Ok(Connected { client, anonymous, attempt_timeout: settings.attempt_timeout, context, server })
}

impl Connected {
    /// The same server, as who has that token.
    ///
    /// # Errors
    /// The client cannot be built.
    pub(super) fn with_token(&self, token: SecretString) -> Result<Self, kube::Error> {
        let mut config = self.anonymous.clone();
        config.auth_info.token = Some(token);
        let client = build(config, self.attempt_timeout)?;
        Ok(Self { client, ..self.clone() })
    }
}

/// A client that speaks HTTP/2 where the server does: one connection, so one TLS handshake, for dozens of requests at
/// once. kube's own stack speaks HTTP/1.1 only; behind a proxy it is used all the same, for it knows the proxies.
///
/// A watch may be silent for as long as it likes, but not before it has begun: who waits for an answer that never comes
/// would see nothing any more.
fn build(config: Config, attempt_timeout: Duration) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        let bounded = MapFutureLayer::new(move |answer| begins_within(attempt_timeout, answer));
        return Ok(ClientBuilder::try_from(config)?.with_layer(&bounded).build());
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(config.connect_timeout);
    let mut tls =
        HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    if let Some(name) = config.tls_server_name.clone() {
        let name = name.try_into().map_err(|error| kube::Error::Service(Box::new(error)))?;
        tls = tls.with_server_name_resolver(FixedServerNameResolver::new(name));
    }
    let limit = config.connect_timeout.unwrap_or(CONNECT_TIMEOUT);
    let connector = tls.enable_all_versions().wrap_connector(tcp);
    let transport = Transport::new(connector, config.cluster_url.clone(), limit);
    // The handshake goes on beside whatever else has to be found out first.
    tokio::spawn(transport.open().map(drop));
    let service = ServiceBuilder::new()
        .map_future(move |answer| begins_within(attempt_timeout, answer))
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(transport);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

async fn begins_within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    tokio::time::timeout(limit, answer).await?
}

async fn load(settings: &ClusterSettings) -> Result<(Config, String), Error> {
    let kubeconfig = match read(settings) {
        Ok(kubeconfig) => kubeconfig,
        Err(error) => {
            // As kubectl: without a kubeconfig, inside a pod, that pod's own cluster.
            let missing = match &error {
                KubeconfigError::FindPath => true,
                KubeconfigError::ReadConfig(io, _) => io.kind() == std::io::ErrorKind::NotFound,
                _ => false,
            };
            let named = settings.kubeconfig.is_some() || settings.context.is_some();
            let nothing_asked_for = missing && !named && settings.from_environment.is_empty();
            return match Config::incluster() {
                Ok(config) if nothing_asked_for => Ok((with_proxy(config, false), "in-cluster".to_owned())),
                Ok(_) | Err(_) => Err(unreadable(settings, &error)),
            };
        }
    };
    let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    let Some(context) =
        settings.context.clone().or_else(|| kubeconfig.current_context.clone()).filter(|c| !c.is_empty())
    else {
        return Err(Error::usage(Code::NO_KUBECONFIG, "the kubeconfig has no current context")
            .cause(format!("contexts: {}", list(&known)))
            .fix("choose one with --context, or kubectl config use-context NAME"));
    };
    if !known.contains(&context) {
        return Err(Error::usage(Code::NO_CONTEXT, format!("the kubeconfig has no context {context:?}"))
            .cause(format!("contexts: {}", list(&known)))
            .fix("choose one of them with --context"));
    }
    let has_own_proxy = has_own_proxy(&kubeconfig, &context);
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
        Error::usage(
            Code::KUBECONFIG_INVALID,
            format!("context {context:?} of the kubeconfig cannot be used"),
        )
        .cause(error.to_string())
        .fix("look at it: kubectl config view --minify")
    })?;
    Ok((with_proxy(config, has_own_proxy), context))
}

/// As kubectl: the file that is named, else those of `KUBECONFIG` that exist, else the one at home.
pub(super) fn read(settings: &ClusterSettings) -> Result<Kubeconfig, KubeconfigError> {
    if let Some(path) = &settings.kubeconfig {
        return Kubeconfig::read_from(path);
    }
    let existing: Vec<&PathBuf> = settings.from_environment.iter().filter(|path| path.exists()).collect();
    match (existing.split_first(), settings.from_environment.first()) {
        (Some((first, rest)), _) => rest.iter().try_fold(Kubeconfig::read_from(first)?, |merged, path| {
            merged.merge(Kubeconfig::read_from(path)?)
        }),
        (None, Some(missing)) => Kubeconfig::read_from(missing),
        (None, None) => Kubeconfig::read(),
    }
}

fn has_own_proxy(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let cluster = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.as_ref())
        .map(|context| context.cluster.as_str());
    kubeconfig
        .clusters
        .iter()
        .filter(|named| Some(named.name.as_str()) == cluster)
        .filter_map(|named| named.cluster.as_ref())
        .any(|cluster| cluster.proxy_url.as_deref().is_some_and(|url| !url.is_empty()))
}

/// kube compares NO_PROXY with the proxy's address and not with the server's; so the environment is read here.
fn with_proxy(mut config: Config, has_own: bool) -> Config {
    if !has_own {
        config.proxy_url = Matcher::from_env().intercept(&config.cluster_url).and_then(|proxy| {
            let Some((user, password)) = credentials_of(&proxy) else { return Some(proxy.uri().clone()) };
            // kube reads the credentials from the URL.
            let encode = |text: String| utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
            let (scheme, authority) = (proxy.uri().scheme_str()?, proxy.uri().authority()?);
            format!("{scheme}://{}:{}@{authority}", encode(user), encode(password)).parse().ok()
        });
    }
    config
}

/// Of a SOCKS proxy they come as they are, of an HTTP proxy as the header that says them.
fn credentials_of(proxy: &Intercept) -> Option<(String, String)> {
    if let Some((user, password)) = proxy.raw_auth() {
        return Some((user.to_owned(), password.to_owned()));
    }
    let encoded = proxy.basic_auth()?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    decoded.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "there are none".to_owned() } else { names.join(", ") }
}

pub(super) fn unreadable(settings: &ClusterSettings, error: &KubeconfigError) -> Error {
    match error {
        KubeconfigError::ReadConfig(io, path) if io.kind() != std::io::ErrorKind::NotFound => Error::usage(
            Code::KUBECONFIG_INVALID,
            format!("the kubeconfig {} cannot be read", path.display()),
        )
        .cause(io.to_string())
        .fix("check its permissions, or name another with --kubeconfig"),
        KubeconfigError::ReadConfig(io, path) => {
            Error::usage(Code::NO_KUBECONFIG, format!("there is no kubeconfig at {}", path.display()))
                .cause(io.to_string())
                .fix("name one with --kubeconfig or KUBECONFIG")
        }
        KubeconfigError::FindPath => Error::usage(Code::NO_KUBECONFIG, "no kubeconfig was found")
            .cause(
                "neither --kubeconfig nor KUBECONFIG names one, and there is no home directory to look into",
            )
            .fix("name one with --kubeconfig"),
        other => {
            let which =
                settings.kubeconfig.as_ref().map(|path| format!(" {}", path.display())).unwrap_or_default();
            Error::usage(Code::KUBECONFIG_INVALID, format!("the kubeconfig{which} cannot be used"))
                .cause(other.to_string())
                .fix("look at it: kubectl config view")
        }
    }
}

fn unusable(context: &str, plugin: Option<&str>, error: &kube::Error) -> Error {
    // A plugin's output is not shown, for its standard output is a token; nor are its arguments, which may hold one.
    let name = plugin.unwrap_or("the credential plugin");
    let cause = match error {
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => format!("{name} ended with {}", out.status),
        kube::Error::Auth(AuthError::AuthExecStart(io)) => format!("{name} cannot be started: {io}"),
        kube::Error::Auth(AuthError::AuthExecParse(_)) => {
            format!("{name} does not print an ExecCredential")
        }
        other => other.to_string(),
    };
    let code = if plugin.is_some() { Code::CREDENTIAL_PLUGIN } else { Code::CLUSTER_UNAUTHENTICATED };
    let failed = Error::failed(code, format!("the credentials of context {context:?} could not be obtained"))
        .cause(cause);
    match plugin {
        Some(command) => {
            failed.fix(format!("make sure that {command} is installed and works: kubectl auth whoami"))
        }
        None => failed.fix("check the user of this context: kubectl config view --minify"),
    }
}

fn silent(context: &str, plugin: Option<&str>, limit: Duration) -> Error {
    let plugin = plugin.unwrap_or("the credential plugin");
    let limit = jiff::SignedDuration::try_from(limit).unwrap_or_default();
    Error::failed(
        Code::CREDENTIAL_PLUGIN,
        format!("the credentials of context {context:?} could not be obtained"),
    )
    .cause(format!("{plugin} has not ended within {limit:#}"))
    .fix(format!("see what {plugin} waits for: kubectl auth whoami; --timeout gives it longer"))
}
