//! The steps of granting and revoking.

use super::check::GrantCheck;
use super::names::PRINCIPAL_ANNOTATION;
use super::principal::Principal;
use super::removal::Removal;
use crate::manifest::{Object, ObjectRef, VIEWER_POLICY_NAME};

/// One step. Match it without `_`: a new step has to be described and executed.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Apply an object of ours.
    Apply(Object),
    /// Delete an object of ours, as it was seen.
    Remove {
        /// Which.
        object: ObjectRef,
        /// Its UID.
        uid: String,
    },
    /// Take access away that others gave.
    Change(Removal),
    /// Write the inline policy of a viewer.
    AttachPolicy {
        /// Whose.
        principal: Principal,
        /// The policy, as JSON.
        document: String,
        /// Whether it had one before.
        exists: bool,
    },
    /// Delete the inline policy of a viewer.
    DetachPolicy {
        /// Whose.
        principal: Principal,
    },
    /// Wait until IAM allows what was attached.
    AwaitAllowed {
        /// Whose.
        principal: Principal,
        /// Its ARN, path included.
        arn: String,
        /// The registration's ARN.
        cluster_arn: String,
    },
    /// Have the API server decide about a grant.
    Verify(Box<GrantCheck>),
    /// Have the API server refuse whom a grant was taken from.
    VerifyRevoked {
        /// Whom.
        principal: Principal,
    },
}

/// The parts of a grant that a person thinks in. Each is a line on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// The objects in the cluster, ours and those of others.
    Objects,
    /// What IAM asks for.
    Policy,
    /// What the API server decides.
    Verification,
}

impl Topic {
    /// As it is shown.
    pub fn title(self) -> &'static str {
        match self {
            Self::Objects => "Access rules",
            Self::Policy => "IAM policy",
            Self::Verification => "API server",
        }
    }
}

impl Step {
    /// The line that it belongs to.
    pub fn topic(&self) -> Topic {
        match self {
            Self::Apply(_) | Self::Remove { .. } | Self::Change(_) => Topic::Objects,
            Self::AttachPolicy { .. } | Self::DetachPolicy { .. } | Self::AwaitAllowed { .. } => {
                Topic::Policy
            }
            Self::Verify(_) | Self::VerifyRevoked { .. } => Topic::Verification,
        }
    }

    /// What it does, in a few words, for plans and documents.
    pub fn describe(&self) -> String {
        match self {
            Self::Apply(object) => format!("apply {}", object.reference),
            Self::Remove { object, .. } | Self::Change(Removal::Delete { object, .. }) => {
                format!("delete {object}")
            }
            Self::Change(Removal::Amend { object, what, .. }) => format!("change {object}: {what}"),
            Self::AttachPolicy { principal, .. } => {
                format!("put inline policy {VIEWER_POLICY_NAME} of {}", principal.short())
            }
            Self::DetachPolicy { principal } => {
                format!("delete inline policy {VIEWER_POLICY_NAME} of {}", principal.short())
            }
            Self::AwaitAllowed { principal, .. } => {
                format!("wait until IAM allows {} to view", principal.short())
            }
            Self::Verify(check) => {
                format!("have the API server decide what {} sees", check.principal.short())
            }
            Self::VerifyRevoked { principal } => {
                format!("have the API server refuse {}", principal.short())
            }
        }
    }

    /// Whether it changes something, in AWS or in the cluster.
    pub fn is_write(&self) -> bool {
        match self {
            Self::Apply(_)
            | Self::Remove { .. }
            | Self::Change(_)
            | Self::AttachPolicy { .. }
            | Self::DetachPolicy { .. } => true,
            Self::AwaitAllowed { .. } | Self::Verify(_) | Self::VerifyRevoked { .. } => false,
        }
    }

    /// The object that it applies, changes or deletes.
    pub fn object(&self) -> Option<&ObjectRef> {
        match self {
            Self::Apply(object) => Some(&object.reference),
            Self::Remove { object, .. } => Some(object),
            Self::Change(removal) => Some(removal.object()),
            Self::AttachPolicy { .. }
            | Self::DetachPolicy { .. }
            | Self::AwaitAllowed { .. }
            | Self::Verify(_)
            | Self::VerifyRevoked { .. } => None,
        }
    }

    /// The canonical ARN of the principal whose grant it makes, if it makes one.
    pub fn gives_to(&self) -> Option<&str> {
        match self {
            Self::Apply(object) => object.body["metadata"]["annotations"][PRINCIPAL_ANNOTATION].as_str(),
            Self::AttachPolicy { principal, .. } => Some(principal.arn()),
            Self::Remove { .. }
            | Self::Change(_)
            | Self::DetachPolicy { .. }
            | Self::AwaitAllowed { .. }
            | Self::Verify(_)
            | Self::VerifyRevoked { .. } => None,
        }
    }
}
