//! What eksconnect applies to a cluster and gives to IAM: `templates/` and `policies/`, embedded, rendered as typed
//! objects. No input or output.

mod connector;
mod current;
mod difference;
mod image;
mod inherited;
mod network_policy;
mod object;
mod openshift;
mod placement;
mod policy;
mod proxy;
mod pull_secret;
mod rendered;
mod stateful_set;
mod viewer_policy;
pub mod workload;

pub use connector::{
    ACTIVATION_SECRET, AGENT_CONFIG, AGENT_CONTAINER, DEFAULT_NAMESPACE, LEASE, PROXY_CA, PULL_SECRET,
    RegistrationMark, SERVICE_ACCOUNT, STATE_PREFIX_ANNOTATION, STATEFUL_SET, SecretNames, Settings,
    TOKEN_SECRET, VERSION_ROLE, activation_secret, agent_selector, base_objects, cluster_wide_name,
    namespace, optional_objects, pull_secret, spent_activation_secret, spent_mark, state_secret,
};
pub(crate) use connector::{object_in, template};
pub use current::{Renewed, renewed, workload_of};
pub use difference::{FieldChange, difference};
pub use image::{Images, check_reference, check_registry};
pub use inherited::{FixedFields, Inherited, STATE_PREFIX};
pub use network_policy::NetworkAccess;
pub use object::{Object, ObjectKind, ObjectRef};
pub use openshift::SECURITY_GROUP;
pub use placement::{Placement, Taint, Toleration};
pub use policy::{
    AGENT_PERMISSIONS, AGENT_TRUST, equivalent, policy_difference, trusts_ssm, with_ssm_trusted,
};
pub use proxy::{Proxy, certificates, check_exception, check_proxy};
pub use pull_secret::PullSecret;
pub use rendered::{RenderedFile, kustomization, rendered, yaml_stream};
pub use stateful_set::{ready_replicas, standard_tolerations, stateful_set};
pub use viewer_policy::{
    VIEWER_ACTIONS, VIEWER_LIST_ACTION, VIEWER_POLICY_NAME, Without, viewer_policy, viewer_policy_without,
};
pub use workload::ApiServer;
