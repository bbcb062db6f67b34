//! What a cluster tells about which registration it is.

use serde_json::Value;

use crate::registration::installed::{Installed, region_of};
use crate::registration::observed::{Mark, Registration};
use crate::registration::request::CLUSTER_UID_TAG;

/// What a cluster tells about which registration it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterIdentity {
    /// UID of the kube-system namespace.
    pub uid: String,
    /// Every connector that was found.
    pub connectors: Vec<ConnectorSeen>,
    /// What could not be looked at, to be said.
    pub unverified: Option<String>,
}

/// Who laid a connector down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    /// This program.
    Eksconnect,
    /// A Helm release of this name.
    Helm(String),
    /// The official manifest, eksctl, or somebody's own.
    Manifest,
}

impl std::fmt::Display for Maker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Eksconnect => f.write_str("eksconnect"),
            Self::Helm(release) => write!(f, "Helm release {release}"),
            Self::Manifest => f.write_str("the official manifest or eksctl"),
        }
    }
}

/// A connector, or the namespace that was made for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectorSeen {
    /// Its namespace.
    pub namespace: String,
    /// Its StatefulSet; `None` where there is only a namespace that says so.
    pub set: Option<String>,
    /// Who laid it down.
    pub maker: Maker,
    /// The activation that its agents use.
    pub activation_id: Option<String>,
    /// The Region that its agents are told.
    pub region: Option<String>,
    /// How the names of the agents' state Secrets begin, where it is not the usual.
    pub state_prefix: Option<String>,
    /// The registration that its namespace names.
    pub mark: Option<Mark>,
}

impl ConnectorSeen {
    /// A connector as its StatefulSet and its namespace's mark tell it.
    pub fn of(set: &Value, ours: bool, mark: Option<Mark>) -> Self {
        let text = |field: &str| set["metadata"][field].as_str().unwrap_or_default().to_owned();
        let installed = Installed::of(set, ours);
        let maker = match installed.release {
            Some(release) => Maker::Helm(release),
            None if ours => Maker::Eksconnect,
            None => Maker::Manifest,
        };
        Self {
            namespace: text("namespace"),
            set: Some(text("name")),
            maker,
            activation_id: installed.activation_id,
            region: region_of(set),
            state_prefix: installed.inherited.state_prefix,
            mark,
        }
    }

    /// A namespace that was made for a connector and has none.
    pub fn of_namespace(namespace: &str, mark: Mark) -> Self {
        Self {
            namespace: namespace.to_owned(),
            set: None,
            maker: Maker::Eksconnect,
            activation_id: None,
            region: None,
            state_prefix: None,
            mark: Some(mark),
        }
    }

    /// Where its registration is: from the ARN that its namespace names, or from what its agents are told.
    pub fn region(&self) -> Option<&str> {
        let marked = self.mark.as_ref().and_then(|mark| mark.cluster_arn.split(':').nth(3));
        marked.or(self.region.as_deref())
    }

    /// The account and the name of the registration that its namespace names.
    pub fn claimed(&self) -> Option<(&str, &str)> {
        let arn = &self.mark.as_ref()?.cluster_arn;
        Some((arn.split(':').nth(4)?, arn.rsplit('/').next()?))
    }

    /// Whether its namespace names this registration: the same name in another account or Region is another one.
    pub fn claims(&self, account: &str, region: &str, name: &str) -> bool {
        self.claimed() == Some((account, name)) && self.region() == Some(region)
    }

    fn uses(&self, activation: &str) -> bool {
        self.activation_id.as_deref() == Some(activation)
            || self.mark.as_ref().is_some_and(|mark| mark.activation_id == activation)
    }
}

/// What ties a registration to a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// The cluster's agents, or its namespace, have the registration's activation.
    Activation,
    /// The registration's tag is the cluster's UID.
    UidTag,
    /// The cluster's namespace names the registration, and nothing speaks against it.
    Name,
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Activation => "its agents use the registration's activation",
            Self::UidTag => "the registration's tag has the cluster's UID",
            Self::Name => "its namespace names the registration",
        })
    }
}

/// What ties `registration` to the cluster, if something does. An activation cannot be copied by mistake, so it decides
/// first; a tag with another cluster's UID outweighs a namespace's name.
pub fn link(registration: &Registration, cluster: &ClusterIdentity) -> Option<Link> {
    if let Some(id) = registration.activation_id.as_deref()
        && cluster.connectors.iter().any(|connector| connector.uses(id))
    {
        return Some(Link::Activation);
    }
    match registration.tags.get(CLUSTER_UID_TAG) {
        Some(uid) => (*uid == cluster.uid).then_some(Link::UidTag),
        None => {
            let named = |connector: &ConnectorSeen| {
                connector.mark.as_ref().is_some_and(|mark| mark.cluster_arn == registration.arn)
            };
            cluster.connectors.iter().any(named).then_some(Link::Name)
        }
    }
}

/// The connector of the cluster that is the registration's: the one with its activation, else the one that names it, else
/// the only one.
pub fn connector_of<'a>(
    registration: Option<&Registration>,
    cluster: &'a ClusterIdentity,
) -> Option<&'a ConnectorSeen> {
    let find = |wanted: &dyn Fn(&ConnectorSeen) -> bool| cluster.connectors.iter().find(|each| wanted(each));
    let by_activation = registration
        .and_then(|registration| registration.activation_id.as_deref())
        .and_then(|id| find(&|connector| connector.uses(id)));
    let by_name = || {
        let arn = &registration?.arn;
        find(&|connector| connector.mark.as_ref().is_some_and(|mark| mark.cluster_arn == *arn))
    };
    by_activation.or_else(by_name).or(match cluster.connectors.as_slice() {
        [only] => Some(only),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::observed::Status;

    fn registration(activation: &str, uid: Option<&str>) -> Registration {
        Registration {
            name: "onprem1".into(),
            arn: "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1".into(),
            status: Status::Active,
            created_at: None,
            activation_id: Some(activation.into()),
            activation_expiry: None,
            role_arn: Some("arn:aws:iam::111122223333:role/Agent".into()),
            provider: None,
            tags: uid.map(|uid| (CLUSTER_UID_TAG.to_owned(), uid.to_owned())).into_iter().collect(),
        }
    }

    fn cluster(activation: Option<&str>, marked: bool) -> ClusterIdentity {
        let mark = Mark {
            cluster_arn: "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1".into(),
            activation_id: "id-marked".into(),
        };
        let connector = ConnectorSeen {
            namespace: "tools".into(),
            set: Some("eks-connector".into()),
            maker: Maker::Manifest,
            activation_id: activation.map(str::to_owned),
            region: Some("eu-west-2".into()),
            state_prefix: None,
            mark: marked.then_some(mark),
        };
        ClusterIdentity { uid: "uid-1".into(), connectors: vec![connector], unverified: None }
    }

    #[test]
    fn an_activation_decides_before_a_tag_and_a_tag_before_a_name() {
        let foreign_tag = registration("id-1", Some("uid-2"));
        assert_eq!(link(&foreign_tag, &cluster(Some("id-1"), false)), Some(Link::Activation));
        assert_eq!(link(&foreign_tag, &cluster(Some("id-2"), true)), None);
        assert_eq!(
            link(&registration("id-1", Some("uid-1")), &cluster(Some("id-2"), false)),
            Some(Link::UidTag)
        );
        assert_eq!(link(&registration("id-1", None), &cluster(None, true)), Some(Link::Name));
        assert_eq!(link(&registration("id-marked", None), &cluster(None, true)), Some(Link::Activation));
        assert_eq!(link(&registration("id-1", None), &cluster(None, false)), None);
    }

    #[test]
    fn the_mark_tells_the_region_before_the_agents_do() {
        let marked = cluster(None, true);
        assert_eq!(marked.connectors[0].region(), Some("eu-west-1"));
        assert_eq!(marked.connectors[0].claimed(), Some(("111122223333", "onprem1")));
        assert_eq!(cluster(None, false).connectors[0].region(), Some("eu-west-2"));
    }

    #[test]
    fn the_connector_of_a_registration() {
        let mut two = cluster(Some("id-1"), false);
        two.connectors.push(ConnectorSeen {
            namespace: "other".into(),
            activation_id: Some("id-2".into()),
            ..two.connectors[0].clone()
        });
        let found = |id: &str| {
            connector_of(Some(&registration(id, None)), &two).map(|connector| connector.namespace.as_str())
        };
        assert_eq!((found("id-2"), found("id-3")), (Some("other"), None));
        assert_eq!(connector_of(None, &cluster(None, false)).map(|it| it.namespace.as_str()), Some("tools"));
    }
}
