//! `eksconnect grant-view`.

use clap::{Args, ValueEnum};

use super::dry_run::DiffRun;
use super::principals::PrincipalArgs;
use crate::access::objects::GrantScope;
use crate::access::request::{GrantRequest, ImpersonationChoice};
use crate::error::Error;
use crate::registration::name::{ClusterName, check_namespace};

const EXAMPLES: &str = "\
Examples:
  # Let a role view the cluster in the console
  eksconnect grant-view --principal arn:aws:iam::111122223333:role/Viewer
  # And let it see the cluster in IAM, too
  eksconnect grant-view --principal arn:aws:iam::111122223333:role/Viewer \\
    --attach-iam-policy
  # A user, in two namespaces alone
  eksconnect grant-view --principal arn:aws:iam::111122223333:user/ana \\
    --namespace-scope web --namespace-scope db
  # Only show what a role of the cluster's own would give
  eksconnect grant-view --principal arn:aws:iam::111122223333:role/Ops \\
    --cluster-role view --dry-run --diff

A grant is what the last command says, and run again it changes nothing. Where the API server constrains \
    impersonation (Kubernetes 1.36 and later) the connector is held to what is granted, whatever else the principal \
    may do.";

const WHAT: &str = "What";

/// Arguments of `grant-view`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GrantViewArgs {
    /// Whom.
    #[command(flatten)]
    pub principals: PrincipalArgs,
    /// Only in this namespace (repeatable); of the cluster as a whole they see nodes and namespaces
    #[arg(long = "namespace-scope", value_name = "NAMESPACE", help_heading = WHAT)]
    namespace_scope: Vec<String>,
    /// Rights of this ClusterRole instead of those of a viewer
    #[arg(long, value_name = "NAME", help_heading = WHAT)]
    cluster_role: Option<String>,
    /// Take that role even if it gives more than reading: Secrets, writes
    #[arg(long, requires = "cluster_role", help_heading = WHAT)]
    allow_beyond_view: bool,
    /// How the connector is to act as the principal
    #[arg(long, value_enum, value_name = "FORM", default_value = "auto", help_heading = WHAT)]
    impersonation: Form,
    /// Add what IAM asks for as an inline policy of the principal
    #[arg(long, help_heading = WHAT)]
    attach_iam_policy: bool,
    /// Name of the registration, where the cluster does not say which one it is
    #[arg(long, value_name = "NAME", help_heading = super::global::WHERE)]
    name: Option<String>,
    /// Namespace of the connector in the cluster
    #[arg(long, value_name = "NAMESPACE", default_value = "eks-connector", help_heading = super::global::WHERE)]
    namespace: String,
    /// Whether to change anything at all.
    #[command(flatten)]
    pub dry: DiffRun,
}

/// How the connector is to act as the principal.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// Constrained where the API server honours that, else documented.
    Auto,
    /// Constrained, or not at all.
    Constrained,
    /// As AWS documents it, even where it could be constrained.
    Documented,
}

impl GrantViewArgs {
    /// The request, but for the principals.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self) -> Result<GrantRequest, Error> {
        check_namespace(&self.namespace)?;
        for place in &self.namespace_scope {
            check_namespace(place)?;
        }
        let mut places = self.namespace_scope.clone();
        places.sort_unstable();
        places.dedup();
        Ok(GrantRequest {
            principals: Vec::new(),
            namespace: self.namespace.clone(),
            name: checked_name(self.name.as_deref())?,
            scope: if places.is_empty() { GrantScope::Cluster } else { GrantScope::Namespaces(places) },
            cluster_role: self.cluster_role.clone(),
            allow_beyond_view: self.allow_beyond_view,
            impersonation: match self.impersonation {
                Form::Auto => ImpersonationChoice::Auto,
                Form::Constrained => ImpersonationChoice::Constrained,
                Form::Documented => ImpersonationChoice::Documented,
            },
            attach_policy: self.attach_iam_policy,
        })
    }
}

/// The name of a registration, if it can be one.
pub(super) fn checked_name(name: Option<&str>) -> Result<Option<String>, Error> {
    name.map(|name| ClusterName::parse(name).map(|name| name.as_str().to_owned())).transpose()
}
