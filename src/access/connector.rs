//! The connector, as far as access is concerned: the service account that impersonates.

use std::sync::Arc;

use futures::future::join;

use crate::error::{Code, Error};
use crate::manifest::{ObjectKind, ObjectRef, SERVICE_ACCOUNT};
use crate::ports::{Access, Acting, Cluster, Failure, FailureKind};
use crate::rbac::Who;

/// The minor version from which constrained impersonation is on unless somebody turns it off (KEP-5284).
const CONSTRAINED_SINCE: u32 = 36;

/// Everything that looking at access talks to.
#[derive(Clone)]
pub struct ViewPorts {
    /// The cluster.
    pub cluster: Arc<dyn Cluster>,
    /// Its access rules, and acting as its connector.
    pub access: Arc<dyn Access>,
}

/// What the API server tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `v1.36.3`, if it says it.
    pub version: Option<String>,
    /// Whether it has constrained impersonation: as it says itself, else as its version says.
    pub constrains: bool,
}

/// Who the connector of that namespace is to an authorizer.
pub fn connector_of(namespace: &str) -> Who {
    Who::service_account(namespace, SERVICE_ACCOUNT)
}

/// Asks the API server about itself. What it does not say is not known.
pub async fn server(ports: &ViewPorts) -> Server {
    let (version, constrains) = join(ports.cluster.version(), ports.access.constrains_impersonation()).await;
    // Both help to interpret rules; no verdict of the API server depends on them.
    let version = version.inspect_err(|failure| tracing::debug!("{failure}")).ok();
    let constrains = constrains.inspect_err(|failure| tracing::debug!("{failure}")).ok().flatten();
    let by_version = version.as_ref().is_some_and(|version| version.minor >= CONSTRAINED_SINCE);
    Server { version: version.map(|version| version.text), constrains: constrains.unwrap_or(by_version) }
}

/// Becomes the connector; the failure is one of a missing right, on which another means depends.
///
/// # Errors
/// There is no connector in that namespace, or the API server does not answer.
pub async fn become_connector(
    ports: &ViewPorts,
    namespace: &str,
) -> Result<Result<Arc<dyn Acting>, Failure>, Error> {
    match ports.access.act_as_connector(namespace).await {
        Ok(acting) => Ok(Ok(acting)),
        Err(failure) if failure.kind == FailureKind::NotFound => Err(absent(ports, namespace).await),
        Err(denied) if denied.kind == FailureKind::Denied => {
            check_connector(ports, namespace).await?;
            Ok(Err(denied))
        }
        Err(failure) => Err(failure.into_error("become the connector with a token of its service account")),
    }
}

/// Makes sure that there is a connector, as far as the caller may know.
///
/// # Errors
/// There is none, or the API server does not answer.
pub async fn check_connector(ports: &ViewPorts, namespace: &str) -> Result<(), Error> {
    let account = ObjectRef::new(ObjectKind::ServiceAccount, namespace, SERVICE_ACCOUNT);
    match ports.cluster.read(&account).await {
        Ok(None) => Err(absent(ports, namespace).await),
        Ok(Some(_)) => Ok(()),
        Err(failure) if failure.kind == FailureKind::Denied => Ok(()),
        Err(failure) => Err(failure.into_error(&format!("read {account}"))),
    }
}

async fn absent(ports: &ViewPorts, namespace: &str) -> Error {
    let error =
        Error::refused(Code::NO_CONNECTOR, format!("namespace {namespace} has no connector to view through"))
            .cause(format!("there is no service account {namespace}/{SERVICE_ACCOUNT}"));
    // A search that is denied finds nothing.
    let elsewhere = ports.cluster.connectors().await.unwrap_or_default();
    let elsewhere: Vec<&str> = elsewhere.iter().map(|connector| connector.namespace.as_str()).collect();
    match elsewhere.as_slice() {
        [] => error.fix("connect the cluster first: eksconnect register --name NAME"),
        [one] => error
            .fact("found", format!("a connector in namespace {one}"))
            .fix(format!("add --namespace {one}")),
        several => error
            .fact("found", format!("connectors in the namespaces {}", several.join(", ")))
            .fix("name the one that is meant with --namespace"),
    }
}
