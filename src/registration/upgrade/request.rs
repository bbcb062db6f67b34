//! What is to be changed about the agents: only what is named.

use std::time::Duration;

use crate::manifest::workload::Workload;
use crate::manifest::{Images, NetworkAccess, Placement, PullSecret, Renewed, renewed};
use crate::registration::name::ClusterName;

/// A request to upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeRequest {
    /// The registration; `None` for that of the cluster.
    pub name: Option<ClusterName>,
    /// Where the connector lives; `None` to find it.
    pub namespace: Option<String>,
    /// What changes.
    pub changes: Changes,
    /// How long to wait until the new agents work.
    pub wait: Duration,
}

/// A setting that is left as it is, taken away, or set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change<T> {
    /// As it is.
    #[default]
    Keep,
    /// Taken away.
    Remove,
    /// Set.
    Set(T),
}

impl<T> Change<T> {
    fn applied(&self, current: Option<T>) -> Option<T>
    where
        T: Clone,
    {
        match self {
            Self::Keep => current,
            Self::Remove => None,
            Self::Set(value) => Some(value.clone()),
        }
    }
}

/// What changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// How many agents.
    pub replicas: Option<u32>,
    /// Their images; by default those of this version, from the registry in use.
    pub images: Images,
    /// Labels that their nodes must have, and taints that they bear, each as a whole.
    pub placement: PlacementChange,
    /// The proxy.
    pub https_proxy: Change<String>,
    /// What is reached without it.
    pub no_proxy: Change<Vec<String>>,
    /// Certificates that they trust too, as PEM.
    pub authorities: Change<String>,
    /// What they may connect to, and what to them.
    pub network: Option<NetworkAccess>,
    /// Credentials for the images' registry.
    pub pull_secret: Option<PullSecret>,
}

/// Where the agents may run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlacementChange {
    /// Labels, if they are named at all.
    pub node_selector: Option<Placement>,
    /// Taints, if they are named at all.
    pub tolerations: Option<Placement>,
}

impl Changes {
    /// The agents as they shall be, from what they are; what a person should know about it is added to `notes`.
    pub fn applied(&self, current: &Workload, notes: &mut Vec<String>) -> Workload {
        let mut wanted = current.clone();
        wanted.replicas = self.replicas.unwrap_or(current.replicas);
        wanted.images = self.images_after(&current.images, notes);
        if let Some(placement) = &self.placement.node_selector {
            wanted.placement.node_selector.clone_from(&placement.node_selector);
        }
        if let Some(placement) = &self.placement.tolerations {
            wanted.placement.tolerations.clone_from(&placement.tolerations);
        }
        wanted.proxy.url = self.https_proxy.applied(current.proxy.url.clone());
        wanted.proxy.exceptions =
            self.no_proxy.applied(Some(current.proxy.exceptions.clone())).unwrap_or_default();
        if wanted.proxy.url.is_none() {
            // Without a proxy there is nothing to be excepted from.
            wanted.proxy.exceptions.clear();
        }
        wanted.proxy.authorities = self.authorities.applied(current.proxy.authorities.clone());
        wanted.network = self.network.unwrap_or(current.network);
        if let Some(secret) = &self.pull_secret {
            wanted.pull_secret = Some(secret.clone());
            wanted.keeps_pull_secret = false;
        }
        wanted
    }

    fn images_after(&self, current: &Images, notes: &mut Vec<String>) -> Images {
        let (Images::Standard | Images::Named { .. }) = &self.images else { return self.images.clone() };
        let (connector, agent) = match &self.images {
            Images::Named { connector, agent } => (connector.clone(), agent.clone()),
            Images::Standard | Images::Mirrored(_) => (None, None),
        };
        let (now_connector, now_agent) = match current {
            Images::Named { connector, agent } => (connector.clone(), agent.clone()),
            Images::Standard | Images::Mirrored(_) => (None, None),
        };
        // Who names one image means that one.
        let named = connector.is_some() || agent.is_some();
        let mut after = |container: &str, option: &str, asked: Option<String>, now: Option<String>| {
            let now = match (asked, now) {
                (Some(asked), _) => return Some(asked),
                (None, Some(now)) if !named => now,
                (None, now) => return now,
            };
            match renewed(container, &now) {
                Renewed::To(image) => Some(image),
                Renewed::Newer => Some(now),
                Renewed::Unknown => {
                    notes.push(format!(
                        "The image {now} is of no repository that eksconnect knows the newest version of; it stays \
                         ({option} changes it)."
                    ));
                    Some(now)
                }
            }
        };
        Images::Named {
            connector: after("connector-init", "--connector-image", connector, now_connector),
            agent: after("connector-agent", "--agent-image", agent, now_agent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Proxy;

    fn current() -> Workload {
        Workload {
            replicas: 3,
            images: Images::Named {
                connector: Some("mirror.example.com/eks-connector/eks-connector:0.0.9".into()),
                agent: Some("mirror.example.com/own/agent:1".into()),
            },
            proxy: Proxy {
                url: Some("http://proxy:3128".into()),
                exceptions: vec![".corp".into()],
                authorities: Some("PEM".into()),
            },
            network: NetworkAccess::LimitEgress,
            keeps_pull_secret: true,
            ..Workload::default()
        }
    }

    #[test]
    fn without_an_option_only_known_images_change() {
        let mut notes = Vec::new();
        let wanted = Changes::default().applied(&current(), &mut notes);
        let images = Images::Named {
            connector: Some("mirror.example.com/eks-connector/eks-connector:0.0.11".into()),
            agent: Some("mirror.example.com/own/agent:1".into()),
        };
        assert_eq!(wanted, Workload { images, ..current() });
        assert!(notes.len() == 1 && notes[0].contains("own/agent:1"), "{notes:?}");
    }

    #[test]
    fn only_what_is_named_changes() {
        let mut notes = Vec::new();
        let images = Images::Named { connector: None, agent: Some("a.example/b:2".into()) };
        let changes = Changes { images, https_proxy: Change::Remove, ..Changes::default() };
        let wanted = changes.applied(&current(), &mut notes);
        let images = Images::Named {
            connector: Some("mirror.example.com/eks-connector/eks-connector:0.0.9".into()),
            agent: Some("a.example/b:2".into()),
        };
        let proxy = Proxy { authorities: Some("PEM".into()), ..Proxy::default() };
        assert_eq!(wanted, Workload { images, proxy, ..current() });
        assert_eq!(notes, Vec::<String>::new());
    }
}
