//! `eksconnect revoke-view`.

use clap::Args;

use super::dry_run::DryRun;
use super::global::WHERE;
use super::grant_view::checked_name;
use super::principals::PrincipalArgs;
use crate::access::request::RevokeRequest;
use crate::error::Error;
use crate::registration::name::check_namespace;

const EXAMPLES: &str = "\
Examples:
  # Let a role view the cluster no more
  eksconnect revoke-view --principal arn:aws:iam::111122223333:role/Viewer
  # And take its policy in IAM away, too
  eksconnect revoke-view --principal arn:aws:iam::111122223333:role/Viewer \\
    --detach-iam-policy
  # Only show what that would change
  eksconnect revoke-view --principal arn:aws:iam::111122223333:user/ana \\
    --dry-run

Exactly these principals, wherever they were granted: by eksconnect, the official template, eksctl or Helm. All \
    others stay. Run again it changes nothing.";

/// Arguments of `revoke-view`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RevokeViewArgs {
    /// Whom.
    #[command(flatten)]
    pub principals: PrincipalArgs,
    /// Take this cluster out of the inline policy that --attach-iam-policy made
    #[arg(long, help_heading = "What")]
    detach_iam_policy: bool,
    /// Name of the registration, where the cluster does not say which one it is
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    name: Option<String>,
    /// Namespace of the connector in the cluster
    #[arg(long, value_name = "NAMESPACE", default_value = "eks-connector", help_heading = WHERE)]
    namespace: String,
    /// Whether to change anything at all.
    #[command(flatten)]
    pub dry: DryRun,
}

impl RevokeViewArgs {
    /// The request, but for the principals.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self) -> Result<RevokeRequest, Error> {
        check_namespace(&self.namespace)?;
        Ok(RevokeRequest {
            principals: Vec::new(),
            namespace: self.namespace.clone(),
            name: checked_name(self.name.as_deref())?,
            detach_policy: self.detach_iam_policy,
        })
    }
}
