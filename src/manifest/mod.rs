//! What eksconnect applies to a cluster and gives to IAM: `templates/` and `policies/`, embedded, rendered as typed
//! objects. No input or output.

mod connector;
mod object;
mod policy;
pub mod workload;

pub use connector::{
    ACTIVATION_SECRET, DEFAULT_NAMESPACE, RegistrationMark, STATEFUL_SET, Settings, activation_secret,
    agent_selector, base_objects, namespace, optional_objects, spent_mark, state_secret, stateful_set,
};
pub use object::{Object, ObjectKind, ObjectRef};
pub use policy::{AGENT_PERMISSIONS, AGENT_TRUST, equivalent, trusts_ssm};
