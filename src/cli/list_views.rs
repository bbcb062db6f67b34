//! `eksconnect list-views`.

use clap::Args;

use super::global::WHERE;
use crate::access::views::look::ViewsRequest;
use crate::error::Error;
use crate::registration::name::{ClusterName, check_namespace};

const EXAMPLES: &str = "\
Examples:
  # Who can view the cluster in the console, and what of it
  eksconnect list-views
  # As a document
  eksconnect list-views -o json
  # Where the cluster does not say which registration it is
  eksconnect list-views --name onprem1

Whoever granted them: eksconnect, AWS' template, eksctl, Helm. Without AWS credentials the column IAM is not \
    known (?).";

/// Arguments of `list-views`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListViewsArgs {
    /// Name of the registration, where the cluster does not say which one it is
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    name: Option<String>,
    /// Namespace of the connector in the cluster
    #[arg(long, value_name = "NAMESPACE", default_value = "eks-connector", help_heading = WHERE)]
    namespace: String,
}

impl ListViewsArgs {
    /// The request.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self) -> Result<ViewsRequest, Error> {
        check_namespace(&self.namespace)?;
        let name = match &self.name {
            Some(name) => Some(ClusterName::parse(name)?.as_str().to_owned()),
            None => None,
        };
        Ok(ViewsRequest { namespace: self.namespace.clone(), name })
    }
}
