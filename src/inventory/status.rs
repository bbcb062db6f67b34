//! Both halves of one registration.

use std::sync::Arc;

use jiff::Timestamp;

use super::agents::Agents;
use super::identity::{ClusterIdentity, ConnectorSeen, Link, connector_of, link};
use super::whoami::{find, no_registration, not_connected};
use crate::access::grants::{Grants, grants};
use crate::access::grown::{Grown, grown};
use crate::error::{Code, Error};
use crate::manifest::{DEFAULT_NAMESPACE, STATE_PREFIX};
use crate::ports::{Access, Cluster, Failure, Identity, Inventory, Survey};
use crate::registration::observe::failing;
use crate::registration::observed::{ActivationSecretFacts, Caller, LeaseFacts, Registration};
use crate::registration::place::{in_namespace, in_region};

/// Everything that showing a registration talks to.
#[derive(Clone)]
pub struct StatusPorts {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// EKS.
    pub inventory: Arc<dyn Inventory>,
    /// The cluster; or why there is none to be asked.
    pub cluster: Result<ClusterPorts, String>,
}

/// The cluster of the context in use.
#[derive(Clone)]
pub struct ClusterPorts {
    /// The context.
    pub context: String,
    /// The address of its API server.
    pub server: String,
    /// What it is, and how its agents stand.
    pub survey: Arc<dyn Survey>,
    /// What its objects say.
    pub cluster: Arc<dyn Cluster>,
    /// Its access rules.
    pub access: Arc<dyn Access>,
}

/// Both halves of one registration.
#[derive(Clone, Debug)]
pub struct StatusSeen {
    /// When.
    pub now: Timestamp,
    /// Who asked.
    pub caller: Caller,
    /// The Region in use.
    pub here: String,
    /// The registration's Region, which the cluster may tell.
    pub region: String,
    /// The name that was asked for or found.
    pub name: String,
    /// The account's half; `None` if there is no such registration.
    pub registration: Option<Registration>,
    /// The cluster's half.
    pub cluster: Half,
}

impl StatusSeen {
    /// ` --region eu-west-1` where another Region is in use.
    pub(super) fn in_region(&self) -> String {
        in_region(&self.region, &self.here)
    }

    /// The command that registers it, with further options.
    pub(super) fn register(&self, options: &str) -> String {
        let namespace = match &self.cluster {
            Half::Own(half) => half.connector.as_ref().map(|connector| in_namespace(&connector.namespace)),
            Half::Silent(_) | Half::Other { .. } => None,
        };
        let namespace = namespace.unwrap_or_default();
        format!("eksconnect register --name {}{options}{namespace}{}", self.name, self.in_region())
    }
}

/// The cluster's half.
#[derive(Clone, Debug)]
pub enum Half {
    /// The cluster could not be asked; why.
    Silent(String),
    /// The cluster of the context in use is not the registration's.
    Other {
        /// The context.
        context: String,
    },
    /// It is.
    Own(Box<ClusterHalf>),
}

/// The cluster's half, seen.
#[derive(Clone, Debug)]
pub struct ClusterHalf {
    /// The context.
    pub context: String,
    /// The address of the API server.
    pub server: String,
    /// Its version, `v1.36.3`.
    pub version: Option<String>,
    /// UID of the kube-system namespace.
    pub uid: String,
    /// What ties the cluster to the registration; `None` if it only has a connector that names it.
    pub link: Option<Link>,
    /// The connector.
    pub connector: Option<ConnectorSeen>,
    /// Its agents.
    pub agents: Agents,
    /// How many of the agents' replicas have a state.
    pub states: Option<usize>,
    /// Whether an activation code is in the cluster.
    pub holds_code: Option<bool>,
    /// Who is changing it just now.
    pub held_by: Option<String>,
    /// Who may look into the cluster.
    pub grants: Option<Grants>,
    /// Roles that were granted and read more now than can be viewed of them.
    pub grown: Vec<Grown>,
    /// The first visible cause why the agents are not ready.
    pub cause: Option<String>,
    /// What could not be verified.
    pub unverified: Vec<String>,
}

/// Looks at both halves of a registration: of that name, else the one that the context in use is.
///
/// # Errors
/// AWS cannot be asked; there is no such registration and no trace of one; without a name, the cluster cannot be asked or
/// is not connected.
pub async fn look(ports: &StatusPorts, name: Option<&str>) -> Result<StatusSeen, Error> {
    match name {
        Some(name) => of_name(ports, name).await,
        None => of_context(ports).await,
    }
}

async fn of_name(ports: &StatusPorts, name: &str) -> Result<StatusSeen, Error> {
    let here = ports.inventory.here().to_owned();
    let identity = async {
        match &ports.cluster {
            Ok(cluster) => cluster.survey.identity().await.map_err(|failure| why(&failure)),
            Err(why) => Err(why.clone()),
        }
    };
    let account = async {
        tokio::try_join!(
            failing("find out who is calling AWS", ports.identity.caller()),
            failing(format!("read the registration {name}"), ports.inventory.one(&here, name)),
        )
    };
    let (account, identity) = tokio::join!(account, identity);
    let (caller, registration) = account?;
    let wanted =
        Wanted { account: &caller.account, region: &here, name, registration: registration.as_ref() };
    let cluster = match (&ports.cluster, &identity) {
        (Err(why), _) | (Ok(_), Err(why)) => Half::Silent(why.clone()),
        (Ok(cluster), Ok(identity)) => half(cluster, identity, &wanted).await,
    };
    if registration.is_none() && !matches!(cluster, Half::Own(_)) {
        return Err(no_registration(name, &here, &caller, identity.as_ref().ok()));
    }
    let (now, region, name) = (Timestamp::now(), here.clone(), name.to_owned());
    Ok(StatusSeen { now, caller, here, region, name, registration, cluster })
}

async fn of_context(ports: &StatusPorts) -> Result<StatusSeen, Error> {
    let cluster = ports.cluster.as_ref().map_err(|why| {
        Error::usage(Code::COMMAND_LINE, "which registration is meant cannot be told from the cluster")
            .cause(why.clone())
            .fix("name it: --name NAME, or another cluster with --context")
    })?;
    let (caller, identity) = tokio::try_join!(
        failing("find out who is calling AWS", ports.identity.caller()),
        failing("find out what the cluster is", cluster.survey.identity()),
    )?;
    let found = find(ports.inventory.as_ref(), &caller, &identity).await?;
    let here = ports.inventory.here().to_owned();
    let (region, name, registration) = match found {
        Some((region, registration, _)) => (region, registration.name.clone(), Some(registration)),
        None => {
            let gone = identity.connectors.iter().find_map(|connector| {
                let (account, name) = connector.claimed()?;
                (account == caller.account).then(|| (connector.region().unwrap_or(&here), name))
            });
            let Some((region, name)) = gone else {
                return Err(not_connected(&here, &caller, &identity, &cluster.context));
            };
            (region.to_owned(), name.to_owned(), None)
        }
    };
    let wanted = Wanted {
        account: &caller.account,
        region: &region,
        name: &name,
        registration: registration.as_ref(),
    };
    let half = half(cluster, &identity, &wanted).await;
    Ok(StatusSeen { now: Timestamp::now(), caller, here, region, name, registration, cluster: half })
}

/// Which registration a cluster is asked about.
struct Wanted<'a> {
    account: &'a str,
    region: &'a str,
    name: &'a str,
    registration: Option<&'a Registration>,
}

/// The cluster's half, if the cluster is the registration's or says that it is.
async fn half(ports: &ClusterPorts, identity: &ClusterIdentity, wanted: &Wanted<'_>) -> Half {
    let link = wanted.registration.and_then(|registration| link(registration, identity));
    let connector = connector_of(wanted.registration, identity);
    let claims = connector.is_some_and(|it| it.claims(wanted.account, wanted.region, wanted.name));
    if link.is_none() && !claims {
        return Half::Other { context: ports.context.clone() };
    }
    let mut unverified: Vec<String> = identity.unverified.iter().cloned().collect();
    let namespace = connector.map_or(DEFAULT_NAMESPACE, |connector| connector.namespace.as_str());
    let agents = async {
        match connector.and_then(|connector| connector.set.as_deref()) {
            Some(set) => ports.survey.agents(namespace, set).await.map(Agents::Seen),
            // What could not be searched may have them.
            None if identity.unverified.is_some() => Ok(Agents::Unknown),
            None => Ok(Agents::Absent),
        }
    };
    let (version, agents, secret, lease, rules) = tokio::join!(
        ports.cluster.version(),
        agents,
        ports.cluster.activation_secret(namespace),
        ports.cluster.lease(namespace),
        ports.access.rules(),
    );
    let version = aid(version, "read the version of the API server", &mut unverified);
    let agents = aid(agents, "look at the agents", &mut unverified).unwrap_or(Agents::Unknown);
    unverified.extend(agents.seen().iter().flat_map(|agents| agents.unverified.iter().cloned()));
    let secret = aid(secret, "read the activation Secret", &mut unverified).flatten();
    let lease = aid(lease, "read the Lease of eksconnect", &mut unverified).flatten();
    let rules = aid(rules, "read the access rules", &mut unverified);
    let replicas = agents.seen().map_or(0, |agents| agents.replicas);
    let prefix = connector.and_then(|connector| connector.state_prefix.as_deref()).unwrap_or(STATE_PREFIX);
    let (states, cause) = tokio::join!(ports.cluster.states(namespace, prefix, 0..replicas), async {
        match agents.seen() {
            Some(agents) if agents.ready < agents.replicas => ports.cluster.diagnose(namespace).await,
            Some(_) | None => Ok(None),
        }
    });
    let states = aid(states, "read the agents' state Secrets", &mut unverified);
    let cause = aid(cause, "find out why the agents are not ready", &mut unverified).flatten();
    let grants = rules.as_ref().map(|rules| grants(rules, namespace));
    let grown = rules.as_ref().zip(grants.as_ref()).map(|(rules, grants)| grown(rules, grants, namespace));
    Half::Own(Box::new(ClusterHalf {
        context: ports.context.clone(),
        server: ports.server.clone(),
        version: version.map(|version| version.text),
        uid: identity.uid.clone(),
        link,
        connector: connector.cloned(),
        states: states.filter(|_| agents.seen().is_some()).map(|states| states.len()),
        agents,
        holds_code: secret.map(|secret: ActivationSecretFacts| secret.holds_code),
        held_by: lease.and_then(|lease: LeaseFacts| lease.held_by).map(|holder| holder.who),
        grants,
        grown: grown.unwrap_or_default(),
        cause,
        unverified,
    }))
}

/// An answer that only helps; what is missing is said.
fn aid<T>(answer: Result<T, Failure>, attempting: &str, unverified: &mut Vec<String>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(failure) => {
            unverified.push(format!("could not {attempting}: {}", why(&failure)));
            None
        }
    }
}

fn why(failure: &Failure) -> String {
    format!("{}: {}", failure.operation, failure.message)
}
