//! Whether a registration is this cluster's own.

use std::collections::BTreeMap;

use super::observed::{LeaseFacts, Mark, Observed, Registration};
use super::request::CLUSTER_UID_TAG;

/// What a cluster has that can prove a registration to be its own.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// UID of kube-system.
    pub uid: &'a str,
    /// The registration that the namespace names.
    pub namespace: Option<&'a Mark>,
    /// The registration that the activation Secret names.
    pub secret: Option<&'a Mark>,
    /// The activation that the agents use.
    pub agents: Option<&'a str>,
    /// The activation that each replica's state belongs to.
    pub states: &'a BTreeMap<u32, String>,
    /// The Lease.
    pub lease: Option<&'a LeaseFacts>,
}

impl<'a> Evidence<'a> {
    /// That of an observed cluster.
    pub fn of(observed: &'a Observed) -> Self {
        Self {
            uid: &observed.cluster.uid,
            namespace: observed.namespace.as_ref().and_then(|namespace| namespace.mark.as_ref()),
            secret: observed.activation_secret.as_ref().and_then(|secret| secret.mark.as_ref()),
            agents: observed.installed.as_ref().and_then(|installed| installed.activation_id.as_deref()),
            states: &observed.states,
            lease: observed.lease.as_ref(),
        }
    }
}

/// What proves that a registration is this cluster's, or why nothing does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// Its activation is the one that the cluster holds.
    Activation,
    /// Its tag names this cluster's kube-system UID.
    UidTag,
    /// It carries no tag of ours, and this cluster's Lease says that it was about to be made.
    Intent,
    /// Its tag names another cluster.
    OtherCluster {
        /// That cluster's kube-system UID.
        uid: String,
    },
    /// Nothing connects it to this cluster.
    Nothing,
}

impl Proof {
    /// Whether the registration is this cluster's.
    pub fn is_proven(&self) -> bool {
        match self {
            Self::Activation | Self::UidTag | Self::Intent => true,
            Self::OtherCluster { .. } | Self::Nothing => false,
        }
    }
}

/// Looks for a proof that `registration` is the observed cluster's. The activation's id comes first: it cannot be
/// copied by mistake, while whoever may tag can write any UID.
pub fn prove(registration: &Registration, observed: &Observed) -> Proof {
    prove_by(registration, &Evidence::of(observed))
}

/// As [`prove`], by the evidence alone.
pub fn prove_by(registration: &Registration, evidence: &Evidence<'_>) -> Proof {
    if let Some(id) = registration.activation_id.as_deref() {
        let marked = |mark: Option<&Mark>| mark.is_some_and(|mark| mark.activation_id == id);
        let states = evidence.states.values().any(|state| state == id);
        if marked(evidence.namespace) || marked(evidence.secret) || states || evidence.agents == Some(id) {
            return Proof::Activation;
        }
    }
    match registration.tags.get(CLUSTER_UID_TAG) {
        Some(uid) if *uid == evidence.uid => Proof::UidTag,
        Some(uid) => Proof::OtherCluster { uid: uid.clone() },
        None if is_intended(registration, evidence) => Proof::Intent,
        None => Proof::Nothing,
    }
}

/// EKS gives times in whole seconds, and its clock is not that of the Lease's holder.
const CLOCK_TOLERANCE_SECONDS: i64 = 300;

/// A holder that cannot renew its Lease stops writing within its duration; a call in flight may take as long again.
const AFTER_THE_LAST_RENEWAL_SECONDS: i64 = 60;

/// Whether the Lease's last holder was about to make this very registration, and held the Lease when it was made.
fn is_intended(registration: &Registration, evidence: &Evidence<'_>) -> bool {
    let Some(lease) = evidence.lease else { return false };
    let (Some(intent), Some(renewed_at), Some(created_at)) =
        (&lease.intent, lease.renewed_at, registration.created_at)
    else {
        return false;
    };
    let role = registration.role_arn.as_deref().and_then(|arn| arn.rsplit('/').next());
    let earliest = intent.started_at.as_second() - CLOCK_TOLERANCE_SECONDS;
    let latest = renewed_at.as_second() + AFTER_THE_LAST_RENEWAL_SECONDS + CLOCK_TOLERANCE_SECONDS;
    intent.cluster_arn == registration.arn
        && intent.cluster_uid == evidence.uid
        && role == Some(intent.role.as_str())
        && registration.provider.as_ref() == Some(&intent.provider)
        && (earliest..=latest).contains(&created_at.as_second())
}
