//! What should be, as far as it can be said before EKS has answered.

use std::collections::BTreeMap;

use super::installed::Installed;
use super::name::{ClusterName, partition};
use super::observed::{Caller, ClusterFacts, NamespaceFacts};
use super::provider::Provider;
use super::request::{CLUSTER_UID_TAG, MANAGED_TAG, RegisterRequest, RoleChoice};
use super::takeover::Takeover;
use crate::manifest::{self, Inherited, Object, ObjectKind, ObjectRef, RegistrationMark, Settings};

/// The wanted state.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// The registration's name.
    pub name: ClusterName,
    /// Its ARN.
    pub arn: String,
    /// Its provider.
    pub provider: Provider,
    /// The user's tags.
    pub user_tags: BTreeMap<String, String>,
    /// Our tags.
    pub own_tags: BTreeMap<String, String>,
    /// The agent role.
    pub role: RoleChoice,
    /// What the objects depend on.
    pub settings: Settings,
    /// The namespace is somebody else's: its labels are left as they are.
    pub foreign_namespace: bool,
    /// What may be done about what stood there before.
    pub takeover: Takeover,
    /// Whether to wait until ACTIVE.
    pub wait: bool,
}

impl Desired {
    /// Works the wanted state out of the request and of the facts that it depends on.
    pub fn new(
        request: &RegisterRequest,
        caller: &Caller,
        region: &str,
        cluster: &ClusterFacts,
        namespace: Option<&NamespaceFacts>,
        installed: Option<&Installed>,
    ) -> Self {
        let own_tags = [(CLUSTER_UID_TAG, cluster.uid.as_str()), (MANAGED_TAG, "true")];
        Self {
            name: request.name.clone(),
            arn: cluster_arn(region, &caller.account, request.name.as_str()),
            provider: request.provider.unwrap_or(cluster.provider.provider),
            user_tags: request.tags.clone(),
            own_tags: own_tags.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            role: request.role.clone(),
            settings: Settings {
                namespace: request.namespace.clone(),
                region: region.to_owned(),
                server_minor: cluster.minor,
                api_server: cluster.api_server.clone(),
                workload: request.workload.clone(),
                inherited: inherited(namespace, installed),
                openshift: cluster.openshift,
                secrets: manifest::SecretNames::default(),
            },
            takeover: request.takeover,
            foreign_namespace: namespace.is_some_and(|namespace| !namespace.ours),
            wait: request.wait.is_some(),
        }
    }

    /// The namespace; `mark` says whose it is, once that is known.
    pub fn namespace(&self, mark: Option<&RegistrationMark<'_>>) -> Object {
        let mut object = manifest::namespace(&self.settings, mark);
        if self.foreign_namespace
            && let Some(metadata) = object.body["metadata"].as_object_mut()
        {
            metadata.remove("labels");
        }
        object
    }

    /// The objects that need no registration.
    pub fn base_objects(&self) -> Vec<Object> {
        manifest::base_objects(&self.settings)
    }

    /// The objects that other choices would have, and this one has not.
    pub fn unwanted(&self) -> Vec<ObjectRef> {
        let wanted: Vec<Object> = self.base_objects().into_iter().chain(self.pull_secret()).collect();
        let mut unwanted = manifest::optional_objects(&self.settings.namespace);
        if self.settings.workload.keeps_pull_secret {
            unwanted.retain(|object| object.kind != ObjectKind::Secret);
        }
        unwanted.retain(|object| !wanted.iter().any(|wanted| wanted.reference == *object));
        unwanted
    }

    /// The Secret with the credentials for the images' registry, without them.
    pub fn pull_secret(&self) -> Option<Object> {
        self.settings.workload.pull_secret.as_ref().map(|_| manifest::pull_secret(&self.settings))
    }

    /// How many agents there are to be.
    pub fn replicas(&self) -> u32 {
        self.settings.workload.replicas
    }

    /// The agents of an activation.
    pub fn stateful_set(&self, activation_id: &str) -> Object {
        manifest::stateful_set(&self.settings, activation_id)
    }

    /// The agents of an activation, where no StatefulSet is in the way any more.
    pub fn stateful_set_anew(&self, activation_id: &str) -> Object {
        let inherited = self.settings.inherited.without_fixed();
        manifest::stateful_set(&Settings { inherited, ..self.settings.clone() }, activation_id)
    }
}

/// What the agents keep from those that stand there. Without a StatefulSet, the namespace still tells where their state is.
fn inherited(namespace: Option<&NamespaceFacts>, installed: Option<&Installed>) -> Inherited {
    match installed {
        Some(installed) => installed.inherited.clone(),
        None => {
            let state_prefix = namespace.and_then(|namespace| namespace.state_prefix.clone());
            Inherited { state_prefix, fixed: None }
        }
    }
}

/// The ARN of a registration.
pub fn cluster_arn(region: &str, account: &str, name: &str) -> String {
    format!("arn:{}:eks:{region}:{account}:cluster/{name}", partition(region))
}
