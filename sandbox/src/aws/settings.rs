//! Settings of an account, with exceptions for single Regions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What RegisterCluster does with a `clientRequestToken` that it has seen already. What AWS does is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RepeatToken {
    /// The same token and parameters give the first answer again, as with other idempotent AWS operations.
    #[default]
    SameAnswer,
    /// The token changes nothing: the name is in use.
    InUse,
}

/// What RegisterCluster does when the account has no service-linked role for the connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MissingServiceLinkedRole {
    /// Makes it when the caller may `iam:CreateServiceLinkedRole`, else refuses.
    #[default]
    Create,
    /// Always refuses.
    Refuse,
}

/// What can be set, each `None` leaving it as it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettingsPatch {
    /// Milliseconds during which EKS does not see a new role or a changed trust policy.
    pub iam_propagation_ms: Option<u64>,
    /// Milliseconds during which RegisterCluster says that a new service-linked role is propagating.
    pub service_linked_role_propagation_ms: Option<u64>,
    /// Milliseconds that the deletion of a service-linked role takes.
    pub service_linked_role_deletion_ms: Option<u64>,
    /// Quota "Registered clusters" (L-FDFA5F81) of a Region.
    pub registered_clusters: Option<u64>,
    /// Seconds until an activation expires.
    pub activation_expiry_seconds: Option<u64>,
    /// How many instances may register with one activation.
    pub activation_registration_limit: Option<u64>,
    /// Milliseconds during which a new registration is CREATING instead of PENDING.
    pub creating_ms: Option<u64>,
    /// Whether the account has not enabled the Region: it accepts no credentials of the account there.
    pub disabled: Option<bool>,
    /// What a repeated `clientRequestToken` does.
    pub repeat_token: Option<RepeatToken>,
    /// What a missing service-linked role does.
    pub missing_service_linked_role: Option<MissingServiceLinkedRole>,
}

/// Settings that are in force.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub(crate) iam_propagation_ms: u64,
    pub(crate) service_linked_role_propagation_ms: u64,
    pub(crate) service_linked_role_deletion_ms: u64,
    pub(crate) registered_clusters: u64,
    pub(crate) activation_expiry_seconds: u64,
    pub(crate) activation_registration_limit: u64,
    pub(crate) creating_ms: u64,
    pub(crate) disabled: bool,
    pub(crate) repeat_token: RepeatToken,
    pub(crate) missing_service_linked_role: MissingServiceLinkedRole,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            iam_propagation_ms: 0,
            service_linked_role_propagation_ms: 0,
            service_linked_role_deletion_ms: 500,
            // The default quota and expiry of AWS.
            registered_clusters: 10,
            activation_expiry_seconds: 72 * 60 * 60,
            // What EKS asks of Systems Manager is not known; enough for the replicas and some new state.
            activation_registration_limit: 10,
            creating_ms: 0,
            disabled: false,
            repeat_token: RepeatToken::default(),
            missing_service_linked_role: MissingServiceLinkedRole::default(),
        }
    }
}

impl Settings {
    fn apply(&mut self, patch: &SettingsPatch) {
        fn set<T: Copy>(target: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *target = value;
            }
        }
        set(&mut self.iam_propagation_ms, patch.iam_propagation_ms);
        set(&mut self.service_linked_role_propagation_ms, patch.service_linked_role_propagation_ms);
        set(&mut self.service_linked_role_deletion_ms, patch.service_linked_role_deletion_ms);
        set(&mut self.registered_clusters, patch.registered_clusters);
        set(&mut self.activation_expiry_seconds, patch.activation_expiry_seconds);
        set(&mut self.activation_registration_limit, patch.activation_registration_limit);
        set(&mut self.creating_ms, patch.creating_ms);
        set(&mut self.disabled, patch.disabled);
        set(&mut self.repeat_token, patch.repeat_token);
        set(&mut self.missing_service_linked_role, patch.missing_service_linked_role);
    }
}

/// The settings of an account: its own, then the patches of single Regions in the order they came.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct AccountSettings {
    base: Settings,
    regions: BTreeMap<String, Vec<SettingsPatch>>,
}

impl AccountSettings {
    pub(crate) fn patch(&mut self, region: Option<&str>, patch: &SettingsPatch) {
        match region {
            Some(region) => self.regions.entry(region.to_owned()).or_default().push(patch.clone()),
            None => self.base.apply(patch),
        }
    }

    pub(crate) fn effective(&self, region: &str) -> Settings {
        let mut settings = self.base.clone();
        for patch in self.regions.get(region).into_iter().flatten() {
            settings.apply(patch);
        }
        settings
    }
}
