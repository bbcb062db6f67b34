//! How things stand in the account and in the cluster after a run, and what must never be so.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::ResourceExt;
use kube::core::DynamicObject;
use serde_json::Value;

use crate::pool::Lease;

/// Kinds that controllers and nodes make by themselves, under names that nobody chose.
const LIVELY: [&str; 5] = ["Event", "ControllerRevision", "EndpointSlice", "Endpoints", "PodMetrics"];

/// An object of the cluster, by what it is called.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) kind: String,
    /// `None` for an object of the whole cluster.
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// How things stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    /// The names of the roles.
    pub(super) roles: BTreeSet<String>,
    /// The registrations by name, and whether they are ACTIVE.
    pub(super) registrations: BTreeMap<String, bool>,
    /// How many activations are alive.
    pub(super) activations: usize,
    /// What is in the cluster beyond what every cluster has.
    pub(super) objects: BTreeSet<Named>,
    /// What in the cluster holds an activation code.
    pub(super) holding_code: BTreeSet<Named>,
    /// The Leases that somebody holds, with the holder.
    pub(super) held: BTreeMap<Named, String>,
}

impl Standing {
    /// Looks; again if a namespace went in the meantime, with what was seen in it before.
    ///
    /// # Errors
    /// The emulator or the API server does not answer.
    pub(super) async fn look(lease: &Lease) -> Result<Self> {
        const LOOKS: usize = 10;
        let mut standing = Self::look_once(lease).await?;
        for _ in 1..LOOKS {
            if !standing.is_torn() {
                break;
            }
            standing = Self::look_once(lease).await?;
        }
        Ok(standing)
    }

    /// Whether something is in a namespace that is not there: kinds are listed one after another.
    fn is_torn(&self) -> bool {
        self.objects.iter().filter_map(|named| named.namespace.as_ref()).any(|namespace| {
            let kubernetes_own = namespace == "default" || namespace.starts_with("kube-");
            let is_it = |named: &Named| named.kind == "Namespace" && named.name == *namespace;
            !kubernetes_own && !self.objects.iter().any(is_it)
        })
    }

    async fn look_once(lease: &Lease) -> Result<Self> {
        let account = &lease.account().id;
        let aws = lease.aws();
        let (dump, codes, objects) =
            tokio::try_join!(aws.dump(Some(account)), aws.activation_codes(Some(account)), lease.surplus())?;
        let dump = &dump["accounts"][account];
        let region = &dump["regions"][lease.region()];
        let each = |value: &Value| value.as_object().cloned().unwrap_or_default();
        let codes = Codes::new(codes);
        let mut standing = Self {
            roles: each(&dump["roles"])
                .values()
                .filter_map(|role| role["name"].as_str().map(str::to_owned))
                .collect(),
            registrations: each(&region["registrations"])
                .into_iter()
                .map(|(name, registration)| (name, !registration["connected_at"].is_null()))
                .collect(),
            activations: each(&region["activations"]).len(),
            objects: BTreeSet::new(),
            holding_code: BTreeSet::new(),
            held: BTreeMap::new(),
        };
        for object in &objects {
            standing.take(object, &codes)?;
        }
        Ok(standing)
    }

    fn take(&mut self, object: &DynamicObject, codes: &Codes) -> Result<()> {
        let kind = object.types.as_ref().map(|types| types.kind.clone()).unwrap_or_default();
        let named = Named { kind, namespace: object.namespace(), name: without_account(&object.name_any()) };
        let text = serde_json::to_string(object).context("an object cannot be written")?;
        if codes.are_in(text.as_bytes()) {
            self.holding_code.insert(named.clone());
        }
        let holder = object.data["spec"]["holderIdentity"].as_str().unwrap_or_default();
        if named.kind == "Lease" && !holder.is_empty() {
            self.held.insert(named.clone(), holder.to_owned());
        }
        if !LIVELY.contains(&named.kind.as_str()) && !is_of_every_namespace(&named) {
            self.objects.insert(named);
        }
        Ok(())
    }

    /// The Lease that a process still holds.
    pub(super) fn held_by(&self, process: u32) -> Option<&Named> {
        let process = process.to_string();
        let held = self.held.iter().find(|(_, holder)| holder.split('/').any(|part| part == process));
        held.map(|(named, _)| named)
    }

    /// In what it differs from how things should stand.
    pub(super) fn differences(&self, wanted: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        if self.roles != wanted.roles {
            differences.push(format!("roles are {:?} and not {:?}", self.roles, wanted.roles));
        }
        if self.registrations != wanted.registrations {
            differences.push(format!(
                "registrations (ACTIVE or not) are {:?} and not {:?}",
                self.registrations, wanted.registrations
            ));
        }
        if self.activations != wanted.activations {
            differences
                .push(format!("{} activations are alive and not {}", self.activations, wanted.activations));
        }
        let say = |named: &Named| named.to_string();
        let surplus: Vec<String> = self.objects.difference(&wanted.objects).map(say).collect();
        if !surplus.is_empty() {
            differences.push(format!("should not be in the cluster: {}", surplus.join(", ")));
        }
        let missing: Vec<String> = wanted.objects.difference(&self.objects).map(say).collect();
        if !missing.is_empty() {
            differences.push(format!("is missing in the cluster: {}", missing.join(", ")));
        }
        for named in self.holding_code.difference(&wanted.holding_code) {
            differences.push(format!("{named} still holds an activation code"));
        }
        differences
    }
}

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

/// The names of a grant's objects end with a hash of the principal's ARN, which has the account in it, and each cell has its own.
fn without_account(name: &str) -> String {
    match name.rsplit_once('-') {
        Some((rest, _))
            if name.starts_with("eksconnect:impersonate:") || name.starts_with("eksconnect:view:") =>
        {
            rest.to_owned()
        }
        _ => name.to_owned(),
    }
}

/// What controllers put into every namespace.
fn is_of_every_namespace(named: &Named) -> bool {
    matches!(
        (named.kind.as_str(), named.name.as_str()),
        ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt")
    )
}

/// The activation codes that were given, in each way in which they could be written.
pub(super) struct Codes(Vec<String>);

impl Codes {
    pub(super) fn new(codes: Vec<String>) -> Self {
        let encoded: Vec<String> = codes.iter().map(|code| STANDARD.encode(code)).collect();
        Self(codes.into_iter().chain(encoded).collect())
    }

    /// Whether one of them is in these bytes.
    pub(super) fn are_in(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        self.0.iter().any(|code| text.contains(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_namespace_that_is_not_there_was_seen_before_it_went() {
        let named = |kind: &str, namespace: Option<&str>, name: &str| Named {
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        };
        let standing = |objects: &[Named]| Standing {
            roles: BTreeSet::new(),
            registrations: BTreeMap::new(),
            activations: 0,
            objects: objects.iter().cloned().collect(),
            holding_code: BTreeSet::new(),
            held: BTreeMap::new(),
        };
        let inside = named("RoleBinding", Some("eks-connector"), "a");
        let namespace = named("Namespace", None, "eks-connector");
        let elsewhere = named("RoleBinding", Some("kube-system"), "a");
        assert!(standing(&[inside.clone(), elsewhere.clone()]).is_torn());
        assert!(!standing(&[inside, namespace.clone(), elsewhere]).is_torn());
        assert!(!standing(&[namespace]).is_torn());
    }

    #[test]
    fn a_code_is_found_as_it_is_and_as_a_secret_has_it() {
        let codes = Codes::new(vec!["abcdefghij0123456789".to_owned()]);
        assert!(codes.are_in(b"x abcdefghij0123456789"));
        assert!(codes.are_in(b"{\"code\":\"YWJjZGVmZ2hpajAxMjM0NTY3ODk=\"}"));
        assert!(!codes.are_in(b"abcdefghij012345678"));
    }
}
