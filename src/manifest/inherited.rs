//! What a StatefulSet keeps from the one that stands there: fields that Kubernetes never lets change, and where the
//! agents keep their state.

use k8s_openapi::api::apps::v1::StatefulSet;

/// How the names of the agents' state Secrets begin unless somebody chose otherwise: the connector's own default.
pub const STATE_PREFIX: &str = "eks-connector-state";

/// What a StatefulSet keeps from an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// How the names of the state Secrets begin, if not with [`STATE_PREFIX`]. Who takes it from the agents takes their
    /// state.
    pub state_prefix: Option<String>,
    /// What cannot be changed in place; `None` where that is as of our own template.
    pub fixed: Option<FixedFields>,
}

/// The fields of a StatefulSet that cannot be changed and that installations differ in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedFields {
    /// `spec.serviceName`.
    pub service_name: String,
    /// `spec.podManagementPolicy`.
    pub pod_management_policy: String,
}

impl Inherited {
    /// How the names of the state Secrets begin.
    pub fn state_prefix(&self) -> &str {
        self.state_prefix.as_deref().unwrap_or(STATE_PREFIX)
    }

    /// Without what cannot be changed in place: for a StatefulSet that is made anew.
    #[must_use]
    pub fn without_fixed(&self) -> Self {
        Self { state_prefix: self.state_prefix.clone(), fixed: None }
    }

    pub(super) fn apply_to(&self, set: &mut StatefulSet) {
        let Some(spec) = set.spec.as_mut() else { return };
        if let Some(fixed) = &self.fixed {
            spec.service_name = Some(fixed.service_name.clone());
            spec.pod_management_policy = Some(fixed.pod_management_policy.clone());
        }
        let Some(prefix) = &self.state_prefix else { return };
        let Some(pod) = spec.template.spec.as_mut() else { return };
        let containers = pod.init_containers.iter_mut().flatten().chain(&mut pod.containers);
        // Both that know the Secrets say so by the flag for their namespace.
        for arguments in containers.filter_map(|container| container.args.as_mut()) {
            if arguments.iter().any(|argument| argument.starts_with("--state.secretNamespace=")) {
                arguments.push(format!("--state.secretNamePrefix={prefix}"));
            }
        }
    }
}
