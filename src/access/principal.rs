//! IAM principals, in the form in which the connector impersonates them.

mod choice;
mod message;
mod read;
mod resolve;
mod unusable;
mod written;

use std::fmt;

pub use choice::Choice;
pub use message::read_message;
pub use read::{Given, read};
pub use resolve::{Resolution, Resolved, Sources, Warning, check_account, resolve};
pub use unusable::Unusable;

/// What kind of principal an ARN names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PrincipalKind {
    /// `arn:P:iam::A:user/[path/]N`.
    User,
    /// `arn:P:iam::A:role/N`, without its path.
    Role,
}

/// A principal whose ARN has the canonical form: that of an IAM user, or that of an IAM role without its path, for the
/// connector impersonates neither session nor path (EKS user guide, "Granting access to an IAM principal to view
/// Kubernetes resources on a cluster"; aws/eks-anywhere issue 223).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Principal {
    arn: String,
    kind: PrincipalKind,
}

impl Principal {
    /// A principal by its canonical ARN; `None` if it is not one.
    pub fn canonical(arn: &str) -> Option<Self> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else { return None };
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        let (kind, name) = resource.split_once('/')?;
        let kind = match kind {
            "user" => PrincipalKind::User,
            "role" if !name.contains('/') => PrincipalKind::Role,
            _ => return None,
        };
        let is_name = name.split('/').all(|part| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c))
        });
        let fits = !partition.is_empty() && is_account && is_name;
        fits.then(|| Self { arn: arn.to_owned(), kind })
    }

    /// The canonical ARN.
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// Its kind.
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The account that it is in: 12 digits.
    pub fn account(&self) -> &str {
        self.arn.split(':').nth(4).unwrap_or_default()
    }

    /// Its name, without a path.
    pub fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }

    /// `role/Viewer`.
    pub fn short(&self) -> &str {
        self.arn.rsplit(':').next().unwrap_or_default()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.arn)
    }
}
