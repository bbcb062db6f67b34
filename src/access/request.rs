//! What the user asked for about who may view, validated without any network.

use super::objects::GrantScope;
use super::principal::Principal;

/// In which form the connector is to be a principal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ImpersonationChoice {
    /// Constrained where the API server honours that, else documented.
    #[default]
    Auto,
    /// Constrained, or not at all.
    Constrained,
    /// Documented, even where it could be constrained.
    Documented,
}

/// A request to let principals view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantRequest {
    /// Whom; each once, in order.
    pub principals: Vec<Principal>,
    /// Where the connector lives in the cluster.
    pub namespace: String,
    /// The registration, where the cluster does not say which one it is.
    pub name: Option<String>,
    /// Where they may view.
    pub scope: GrantScope,
    /// A ClusterRole whose rights they get instead of those of viewers.
    pub cluster_role: Option<String>,
    /// Whether that role may give more than reading.
    pub allow_beyond_view: bool,
    /// In which form the connector is to be them.
    pub impersonation: ImpersonationChoice,
    /// Whether to give them what IAM asks for.
    pub attach_policy: bool,
}

/// A request to let principals view no more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevokeRequest {
    /// Whom; each once, in order.
    pub principals: Vec<Principal>,
    /// Where the connector lives in the cluster.
    pub namespace: String,
    /// The registration, where the cluster does not say which one it is.
    pub name: Option<String>,
    /// Whether to take from them what IAM asked for.
    pub detach_policy: bool,
}
