//! Options that say where: for commands that are printed.

use crate::manifest::DEFAULT_NAMESPACE;

/// ` --namespace NAMESPACE` for commands about a connector that lives elsewhere than by default.
pub fn in_namespace(namespace: &str) -> String {
    if namespace == DEFAULT_NAMESPACE { String::new() } else { format!(" --namespace {namespace}") }
}

/// ` --region REGION` for commands about a registration of another Region than the one in use, `here`.
pub fn in_region(region: &str, here: &str) -> String {
    if region == here { String::new() } else { format!(" --region {region}") }
}
