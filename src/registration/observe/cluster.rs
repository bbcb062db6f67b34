//! The cluster's side of an observation, which needs no answer of AWS to begin.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::objects::{Objects, object_states, obsolete, superfluous};
use super::{
    Ports, aid, api_server, cluster_facts, elsewhere, failing, is_ours, mark_of, refuse_old, replicas_of,
    says_it_is_ours,
};
use crate::error::Error;
use crate::manifest::{self, ObjectKind, ObjectRef, STATE_PREFIX, STATE_PREFIX_ANNOTATION};
use crate::ports::{Failure, Nodes, ServerVersion};
use crate::registration::desired::Desired;
use crate::registration::installed::{Connector, Installed};
use crate::registration::observed::{
    ActivationSecretFacts, Caller, ClusterFacts, LeaseFacts, NamespaceFacts, Observed, Registration, RoleSeen,
};
use crate::registration::quota::QuotaSeen;
use crate::registration::request::RegisterRequest;
use crate::registration::rights::{self, Right};
use crate::registration::takeover::Foreign;

/// What was asked for by name alone, with the answers that may have been refused.
pub(in crate::registration) struct Answers {
    version: ServerVersion,
    uid: String,
    nodes: Result<Nodes, Failure>,
    groups: Result<Vec<String>, Failure>,
    api_server: manifest::ApiServer,
    namespace: Option<Value>,
    set: Option<Value>,
    activation_secret: Option<ActivationSecretFacts>,
    states: BTreeMap<u32, String>,
    lease: Option<LeaseFacts>,
    connectors: Result<Vec<Connector>, Failure>,
    denied: Result<BTreeSet<Right>, Failure>,
}

/// Asks for everything that is known by name, all at once.
///
/// # Errors
/// What must be known and could not be read.
pub(in crate::registration) async fn ask(ports: &Ports, request: &RegisterRequest) -> Result<Answers, Error> {
    let namespace = request.namespace.as_str();
    let cluster = ports.cluster.as_ref();
    let namespace_ref = ObjectRef::new(ObjectKind::Namespace, namespace, namespace);
    let set_ref = set_in(namespace);
    let changes = rights::of_changes(request);
    let server = async {
        tokio::try_join!(
            failing("read the version of the API server", cluster.version()),
            failing("read the namespace kube-system", cluster.uid()),
            async { Ok(cluster.nodes().await) },
            async { Ok(cluster.api_groups().await) },
            api_server(ports, request),
        )
    };
    let connector = async {
        tokio::try_join!(
            failing(format!("read the namespace {namespace}"), cluster.read(&namespace_ref)),
            failing(format!("read {set_ref}"), cluster.read(&set_ref)),
            failing("read the activation Secret", cluster.activation_secret(namespace)),
            failing(
                "read the agents' state Secrets",
                cluster.states(namespace, STATE_PREFIX, 0..request.workload.replicas)
            ),
            failing("read the Lease of eksconnect", cluster.lease(namespace)),
            async { Ok(cluster.connectors().await) },
            async { Ok(cluster.denied(&changes).await) },
        )
    };
    let (
        (version, uid, nodes, groups, api_server),
        (namespace, set, activation_secret, states, lease, connectors, denied),
    ) = tokio::try_join!(server, connector)?;
    Ok(Answers {
        version,
        uid,
        nodes,
        groups,
        api_server,
        namespace,
        set,
        activation_secret,
        states,
        lease,
        connectors,
        denied,
    })
}

/// The cluster, as far as it is known by name.
pub(in crate::registration) struct ClusterSeen {
    facts: ClusterFacts,
    /// The connector's.
    pub(in crate::registration) namespace: Option<NamespaceFacts>,
    installed: Option<Installed>,
    elsewhere: Vec<Connector>,
    activation_secret: Option<ActivationSecretFacts>,
    lease: Option<LeaseFacts>,
    denied_rights: BTreeSet<Right>,
    states: BTreeMap<u32, String>,
    /// How many agents there are meant to be.
    replicas: u32,
}

impl Answers {
    /// Reads them; what may not be known is added to `unverified`.
    ///
    /// # Errors
    /// The server is too old, or an answer is none.
    pub(in crate::registration) fn read(
        self,
        request: &RegisterRequest,
        unverified: &mut Vec<String>,
    ) -> Result<ClusterSeen, Error> {
        refuse_old(&self.version)?;
        let nodes = aid(self.nodes, "list the nodes", unverified)?;
        let groups = aid(self.groups, "list the API groups", unverified)?.unwrap_or_default();
        let facts = cluster_facts(self.version, self.uid, nodes, groups);
        let connectors = aid(self.connectors, "search other namespaces for a connector", unverified)?;
        let denied = aid(self.denied, "check the rights in the cluster", unverified)?;
        Ok(ClusterSeen {
            facts: ClusterFacts { api_server: self.api_server, ..facts },
            namespace: self.namespace.as_ref().map(namespace_facts),
            installed: self.set.as_ref().map(|set| Installed::of(set, is_ours(set))),
            elsewhere: elsewhere(connectors.unwrap_or_default(), &set_in(&request.namespace)),
            activation_secret: self.activation_secret,
            lease: self.lease,
            denied_rights: denied.unwrap_or_default(),
            states: self.states,
            replicas: self.set.as_ref().map_or(0, replicas_of),
        })
    }
}

impl ClusterSeen {
    /// What is desired, as far as it depends on the cluster.
    pub(in crate::registration) fn desired(
        &self,
        ports: &Ports,
        request: &RegisterRequest,
        caller: &Caller,
    ) -> Desired {
        let (namespace, installed) = (self.namespace.as_ref(), self.installed.as_ref());
        Desired::new(request, caller, &ports.region, &self.facts, namespace, installed)
    }

    /// Compares each object with what it should be, and looks at what only the desired can name.
    ///
    /// # Errors
    /// Something could not be read or tried.
    pub(in crate::registration) async fn compared(
        &self,
        ports: &Ports,
        desired: &Desired,
        registration: Option<&Registration>,
    ) -> Result<Compared, Error> {
        let (installed, namespace) = (self.installed.as_ref(), self.namespace.as_ref());
        let (mut objects, obsolete, states, superfluous) = tokio::try_join!(
            object_states(ports, desired, registration, installed, namespace),
            obsolete(ports, desired),
            self.all_states(ports, desired),
            superfluous(ports, desired),
        )?;
        objects.foreign.extend(self.foreign_secret(&desired.settings.namespace));
        Ok(Compared { objects, obsolete, states, superfluous })
    }

    /// The states of all replicas. Those read so far are of the usual names, and of as many replicas as are wanted;
    /// with fewer than there are, a state that stays behind still proves whose the registration is.
    async fn all_states(&self, ports: &Ports, desired: &Desired) -> Result<BTreeMap<u32, String>, Error> {
        let prefix = desired.settings.inherited.state_prefix();
        let (mut states, first) = match prefix {
            STATE_PREFIX => (self.states.clone(), desired.replicas()),
            _ => (BTreeMap::new(), 0),
        };
        let last = desired.replicas().max(self.replicas);
        let more = ports.cluster.states(&desired.settings.namespace, prefix, first..last);
        states.extend(failing("read the agents' state Secrets", more).await?);
        Ok(states)
    }

    /// The activation Secret, if another owner's is in the way. One that others keep stays theirs; beside agents of ours
    /// it is in nobody's way.
    fn foreign_secret(&self, namespace: &str) -> Option<Foreign> {
        let beside_ours = self.installed.as_ref().is_some_and(|installed| installed.ours);
        let in_the_way = |secret: &&ActivationSecretFacts| {
            secret.mark.is_none() && !(beside_ours && secret.kept_by.is_some())
        };
        let kept_by = self.activation_secret.as_ref().filter(in_the_way)?.kept_by.clone();
        let object = ObjectRef::new(ObjectKind::Secret, namespace, manifest::ACTIVATION_SECRET);
        Some(Foreign { object, kept_by })
    }
}

/// How what is stands to what should be.
pub(in crate::registration) struct Compared {
    objects: Objects,
    obsolete: Vec<(ObjectRef, String)>,
    states: BTreeMap<u32, String>,
    superfluous: Option<(ObjectRef, String)>,
}

/// The account's side of an observation.
pub(in crate::registration) struct AccountSide {
    pub(in crate::registration) caller: Caller,
    pub(in crate::registration) service_linked_role: Option<bool>,
    pub(in crate::registration) agent_role: RoleSeen,
    pub(in crate::registration) registration: Option<Registration>,
    pub(in crate::registration) other_registration: Option<Registration>,
    pub(in crate::registration) quota: QuotaSeen,
}

/// All of it together, as of now.
pub(in crate::registration) fn observed(
    region: &str,
    account: AccountSide,
    cluster: ClusterSeen,
    compared: Compared,
    unverified: Vec<String>,
) -> Observed {
    Observed {
        now: Timestamp::now(),
        region: region.to_owned(),
        caller: account.caller,
        service_linked_role: account.service_linked_role,
        agent_role: account.agent_role,
        registration: account.registration,
        other_registration: account.other_registration,
        cluster: cluster.facts,
        namespace: cluster.namespace,
        activation_secret: cluster.activation_secret,
        states: compared.states,
        installed: cluster.installed,
        elsewhere: cluster.elsewhere,
        foreign: compared.objects.foreign,
        fixed: compared.objects.fixed,
        superfluous: compared.superfluous,
        lease: cluster.lease,
        objects: compared.objects.states,
        changes: compared.objects.changes,
        obsolete: compared.obsolete,
        quota: account.quota,
        denied_rights: cluster.denied_rights,
        unverified,
    }
}

fn set_in(namespace: &str) -> ObjectRef {
    ObjectRef::new(ObjectKind::StatefulSet, namespace, manifest::STATEFUL_SET)
}

fn namespace_facts(live: &Value) -> NamespaceFacts {
    let metadata = &live["metadata"];
    NamespaceFacts {
        terminating: metadata.get("deletionTimestamp").is_some(),
        ours: says_it_is_ours(live),
        enforced: metadata["labels"]["pod-security.kubernetes.io/enforce"].as_str().map(str::to_owned),
        mark: mark_of(metadata),
        state_prefix: metadata["annotations"][STATE_PREFIX_ANNOTATION].as_str().map(str::to_owned),
    }
}
