//! Everything that the emulator knows: accounts, what is in them, access keys, the clock.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::caller::AccessKey;
use super::faults::Faults;
use super::log::Log;
use super::settings::{AccountSettings, SettingsPatch};

/// The whole state, behind one lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) accounts: BTreeMap<String, Account>,
    /// Access keys of every account, by id.
    pub(crate) keys: BTreeMap<String, AccessKey>,
    /// What is set for accounts to come.
    pub(crate) default_settings: AccountSettings,
    /// How far the emulator's clock is from the real one.
    pub(crate) clock_offset: SignedDuration,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
}

impl State {
    /// The emulator's clock.
    pub(crate) fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // A clock that was moved out of the calendar stays at its end.
        now.checked_add(self.clock_offset).unwrap_or(Timestamp::MAX)
    }

    /// The account in which an activation was made.
    pub(crate) fn account_of_activation(&self, id: &str) -> Option<&str> {
        let has = |account: &&Account| account.regions.values().any(|it| it.activations.contains_key(id));
        self.accounts.iter().find(|(_, account)| has(account)).map(|(id, _)| id.as_str())
    }

    /// Applies a patch to one account, or to all, those to come included.
    pub(crate) fn patch_settings(
        &mut self,
        account: Option<&str>,
        region: Option<&str>,
        patch: &SettingsPatch,
    ) -> bool {
        match account {
            Some(id) => match self.accounts.get_mut(id) {
                Some(account) => account.settings.patch(region, patch),
                None => return false,
            },
            None => {
                self.default_settings.patch(region, patch);
                for account in self.accounts.values_mut() {
                    account.settings.patch(region, patch);
                }
            }
        }
        true
    }

    /// The state as one document with a stable order, for comparing before and after. Secrets appear as digests, so
    /// that a change shows. Left out is what changes by itself: temporary keys and the contacts of agents.
    pub(crate) fn dump(&self, account: Option<&str>) -> serde_json::Result<Value> {
        let wanted = |id: &str| account.is_none_or(|only| only == id);
        let accounts: BTreeMap<_, _> = self.accounts.iter().filter(|(id, _)| wanted(id)).collect();
        let keys: BTreeMap<_, _> = self
            .keys
            .iter()
            .filter(|(_, key)| wanted(&key.principal.account) && key.session_token.is_none())
            .collect();
        serde_json::to_value(BTreeMap::from([
            ("accounts", serde_json::to_value(accounts)?),
            ("accessKeys", serde_json::to_value(keys)?),
        ]))
    }
}

/// One AWS account.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Account {
    pub(crate) id: String,
    /// By name in lower case: names of roles are unique without regard to case.
    pub(crate) roles: BTreeMap<String, Role>,
    /// By name in lower case, as roles.
    pub(crate) users: BTreeMap<String, User>,
    /// Customer-managed policies by ARN.
    pub(crate) policies: BTreeMap<String, String>,
    /// Deletions of service-linked roles by task id.
    pub(crate) deletions: BTreeMap<String, Deletion>,
    #[serde(serialize_with = "used_regions")]
    pub(crate) regions: BTreeMap<String, Region>,
    pub(crate) settings: AccountSettings,
    /// Every activation code that was ever given, for whoever looks whether one leaked.
    #[serde(skip)]
    pub(crate) codes: Vec<String>,
}

impl Account {
    pub(crate) fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(&name.to_lowercase())
    }

    pub(crate) fn role_mut(&mut self, name: &str) -> Option<&mut Role> {
        self.roles.get_mut(&name.to_lowercase())
    }

    pub(crate) fn user(&self, name: &str) -> Option<&User> {
        self.users.get(&name.to_lowercase())
    }

    pub(crate) fn user_mut(&mut self, name: &str) -> Option<&mut User> {
        self.users.get_mut(&name.to_lowercase())
    }
}

/// An IAM role.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) created_at: Timestamp,
    pub(crate) description: Option<String>,
    pub(crate) max_session_seconds: u64,
    pub(crate) permissions_boundary: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Trust policy as it was given.
    pub(crate) trust: String,
    /// When the trust policy was last changed, and what other services still see for a while.
    pub(crate) trust_changed_at: Timestamp,
    pub(crate) trust_before: Option<String>,
    /// Inline policies by name.
    pub(crate) inline: BTreeMap<String, String>,
    /// ARNs of the attached policies.
    pub(crate) attached: Vec<String>,
    /// The service that a service-linked role belongs to.
    pub(crate) service: Option<String>,
}

impl Role {
    /// The trust policy that other services see, which is behind by the propagation delay.
    pub(crate) fn visible_trust(&self, now: Timestamp, delay_ms: u64) -> Option<&str> {
        if now >= later(self.trust_changed_at, delay_ms) {
            Some(&self.trust)
        } else {
            self.trust_before.as_deref()
        }
    }
}

/// An IAM user.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) id: String,
    pub(crate) arn: String,
    pub(crate) created_at: Timestamp,
    pub(crate) permissions_boundary: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Inline policies by name.
    pub(crate) inline: BTreeMap<String, String>,
    /// ARNs of the attached policies.
    pub(crate) attached: Vec<String>,
}

/// A deletion of a service-linked role.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Deletion {
    pub(crate) role: String,
    pub(crate) ends_at: Timestamp,
    pub(crate) status: DeletionStatus,
}

/// `DeletionTaskStatusType` of the IAM model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum DeletionStatus {
    InProgress,
    Succeeded,
    /// ARNs of the resources that still use the role, by Region.
    Failed(BTreeMap<String, Vec<String>>),
}

/// What an account has in one Region.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Region {
    /// Connected clusters by name.
    pub(crate) registrations: BTreeMap<String, Registration>,
    /// Names of clusters that EKS itself runs: they share the names and the list.
    pub(crate) clusters: BTreeMap<String, Timestamp>,
    pub(crate) activations: BTreeMap<String, Activation>,
    pub(crate) instances: BTreeMap<String, Instance>,
}

impl Region {
    fn is_empty(&self) -> bool {
        self.registrations.is_empty()
            && self.clusters.is_empty()
            && self.activations.is_empty()
            && self.instances.is_empty()
    }
}

/// Serialises the Regions that have anything: looking at one must not show in a dump.
fn used_regions<S: Serializer>(regions: &BTreeMap<String, Region>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(regions.iter().filter(|(_, region)| !region.is_empty()))
}

/// A cluster that was registered with RegisterCluster.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Registration {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) created_at: Timestamp,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) provider: String,
    pub(crate) role_arn: String,
    pub(crate) activation_id: String,
    pub(crate) activation_expires_at: Timestamp,
    pub(crate) client_request_token: Option<String>,
    /// When an agent first opened its control channel.
    pub(crate) connected_at: Option<Timestamp>,
}

/// A Systems Manager activation.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Activation {
    pub(crate) id: String,
    #[serde(serialize_with = "digest_only")]
    pub(crate) code: String,
    pub(crate) cluster: String,
    pub(crate) role_name: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) registration_limit: u64,
    pub(crate) registrations: u64,
}

/// A managed instance: one registered agent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) activation_id: String,
    pub(crate) cluster: String,
    pub(crate) role_name: String,
    pub(crate) fingerprint: String,
    /// DER of the PKIX public key, base64 as it was sent.
    pub(crate) public_key: String,
    pub(crate) registered_at: Timestamp,
    /// When it last opened its control channel.
    #[serde(skip)]
    pub(crate) last_channel_at: Option<Timestamp>,
    #[serde(skip)]
    pub(crate) channels_opened: u64,
}

/// A point in time some milliseconds later.
pub(crate) fn later(from: Timestamp, milliseconds: u64) -> Timestamp {
    let delay = SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX));
    from.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// Serialises a secret as the start of its SHA-256 digest.
pub(crate) fn digest_only<S: Serializer>(secret: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let digest = digest::digest(&digest::SHA256, secret.as_bytes());
    serializer.serialize_str(&format!("sha256:{}", &hex::encode(digest)[..16]))
}
