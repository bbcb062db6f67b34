//! Looks at the cluster's rules, and asks IAM about everybody whom they name.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt, stream};

use super::{Iam, Views, views};
use crate::access::connector::{ViewPorts, check_connector, server};
use crate::access::grants::{Grant, grants};
use crate::access::observe::iam_state;
use crate::access::observed::IamState;
use crate::access::principal::Principal;
use crate::error::Error;
use crate::manifest::{ObjectKind, ObjectRef};
use crate::ports::{Failure, FailureKind, Identity, Principals};
use crate::registration::desired::cluster_arn;
use crate::registration::observe::mark_of;

/// How many principals IAM is asked about at once. It allows an account few requests a second.
const AT_ONCE: usize = 4;

/// AWS, as far as views depend on it.
#[derive(Clone)]
pub struct AwsPorts {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// IAM.
    pub principals: Arc<dyn Principals>,
    /// The Region in use.
    pub region: String,
}

/// What is to be looked at.
#[derive(Clone, Debug)]
pub struct ViewsRequest {
    /// Namespace of the connector.
    pub namespace: String,
    /// Name of the registration, where the cluster does not say it.
    pub name: Option<String>,
}

/// Looks. Without AWS (`Err` says why) all is known but what IAM allows.
///
/// # Errors
/// There is no connector, the rules may not be read, or the API server does not answer.
pub async fn look(
    ports: &ViewPorts,
    aws: Result<AwsPorts, String>,
    request: &ViewsRequest,
) -> Result<Views, Error> {
    let namespace = request.namespace.as_str();
    let object = ObjectRef::new(ObjectKind::Namespace, namespace, namespace);
    let (rules, server, live, caller) =
        futures::join!(ports.access.rules(), server(ports), ports.cluster.read(&object), async {
            match &aws {
                Ok(aws) => aws.identity.caller().await.map_err(|failure| failure.to_string()),
                Err(why) => Err(why.clone()),
            }
        },);
    check_connector(ports, namespace).await?;
    let rules = rules.map_err(|failure| failure.into_error("read the access rules of the cluster"))?;
    let found = grants(&rules, namespace);
    let mut notes = Vec::new();
    // That the namespace may not be read takes nothing but the registration's name.
    let marked = live.ok().flatten().and_then(|live| mark_of(&live["metadata"])).map(|mark| mark.cluster_arn);
    let mut registration = marked;
    let mut known: BTreeMap<Principal, Iam> = BTreeMap::new();
    let mut unknown = "IAM was not asked".to_owned();
    match (aws, caller) {
        (Ok(aws), Ok(caller)) => {
            if let Some(name) = &request.name {
                registration = Some(cluster_arn(&aws.region, &caller.account, name));
            }
            let principals = found.principals.iter().filter_map(Grant::principal);
            let asked = principals.map(|principal| {
                let (ports, registration) = (Arc::clone(&aws.principals), registration.clone());
                let account = caller.account.clone();
                async move {
                    let iam = ask(ports.as_ref(), &principal, &account, registration.as_deref()).await;
                    (principal, iam)
                }
            });
            known = stream::iter(asked).buffer_unordered(AT_ONCE).collect().await;
        }
        (_, Err(why)) | (Err(why), _) => {
            unknown = format!("AWS could not be asked: {why}");
            notes.push(format!("What IAM allows is not known: {why}"));
        }
    }
    let mut reasons: Vec<&str> = known
        .values()
        .filter_map(|iam| match iam {
            Iam::Known(IamState::Unknown(why)) => Some(why.as_str()),
            Iam::Known(IamState::Allowed | IamState::Lacks(_)) | Iam::Absent => None,
        })
        .collect();
    reasons.sort_unstable();
    reasons.dedup();
    notes.extend(reasons.iter().map(|why| format!("What IAM allows is not known of everybody: {why}.")));
    let iam = |principal: &Principal| {
        known.get(principal).cloned().unwrap_or_else(|| Iam::Known(IamState::Unknown(unknown.clone())))
    };
    Ok(Views {
        namespace: request.namespace.clone(),
        version: server.version,
        constrains: server.constrains,
        views: views(&rules, &found, namespace, server.constrains, iam),
        anyone: found.anyone,
        registration,
        notes,
    })
}

/// IAM is one column of many: whatever keeps it from answering is said, and the others are shown.
async fn ask(
    ports: &dyn Principals,
    principal: &Principal,
    account: &str,
    registration: Option<&str>,
) -> Iam {
    let unknown = |why: String| Iam::Known(IamState::Unknown(why));
    if principal.account() != account {
        return unknown(format!("{} is in account {}", principal.short(), principal.account()));
    }
    let facts = match ports.principal(principal).await {
        Ok(Some(facts)) => facts,
        Ok(None) => return Iam::Absent,
        Err(failure) => return unknown(why(&failure)),
    };
    let Some(registration) = registration else {
        return unknown("the cluster does not say which registration it is (--name)".to_owned());
    };
    match iam_state(ports, &facts.arn, registration).await {
        Ok(state) => Iam::Known(state),
        Err(failure) => unknown(why(&failure)),
    }
}

fn why(failure: &Failure) -> String {
    if failure.kind == FailureKind::Denied {
        format!("{} is denied", failure.operation)
    } else {
        failure.to_string()
    }
}
