//! The options of the commands that look at what one principal may view.

use clap::Args;

use super::principals::PrincipalArgs;
use crate::access::principal::Choice;
use crate::access::scope::Scope;
use crate::error::Error;
use crate::registration::name::check_namespace;

const WHAT: &str = "What";

/// Whose view, through which connector, where.
#[derive(Debug, Args)]
pub(super) struct ViewingArgs {
    #[command(flatten)]
    principals: PrincipalArgs,
    /// Look only into this namespace (repeatable; default: where the cluster's rules let the principal view)
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "all_namespaces", help_heading = WHAT)]
    namespace_scope: Vec<String>,
    /// Look into all namespaces at once
    #[arg(long, help_heading = WHAT)]
    all_namespaces: bool,
    /// Namespace of the connector in the cluster
    #[arg(long, value_name = "NAMESPACE", default_value = "eks-connector", help_heading = WHAT)]
    namespace: String,
}

impl ViewingArgs {
    /// Whose view.
    pub(super) fn choices(&self) -> Result<Vec<Choice>, Error> {
        self.principals.choices()
    }

    /// Namespace of the connector.
    pub(super) fn namespace(&self) -> Result<String, Error> {
        check_namespace(&self.namespace)?;
        Ok(self.namespace.clone())
    }

    /// Where; `None` if that is left to the rules.
    pub(super) fn scope(&self) -> Result<Option<Scope>, Error> {
        for namespace in &self.namespace_scope {
            check_namespace(namespace)?;
        }
        let named = self.namespace_scope.iter().cloned().collect();
        Ok(match (self.all_namespaces, self.namespace_scope.is_empty()) {
            (true, _) => Some(Scope::Cluster),
            (false, true) => None,
            (false, false) => Some(Scope::Namespaces(named)),
        })
    }
}
