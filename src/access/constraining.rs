//! Whether the API server constrains impersonation: found out from its metrics, a probe, its version.

use super::grants::{Form, grants};
use super::observed::Constrains;
use crate::ports::{Access, Asked, ServerVersion};
use crate::rbac::Snapshot;

/// The first minor version (1.x) whose API server can constrain impersonation, where its feature gate is switched on (KEP-5284).
pub(super) const CAN_CONSTRAIN: u32 = 35;

/// The first that does so by default.
const CONSTRAINS: u32 = 36;

/// A principal that does not exist and that no rule names. What the API server says of it tells whether it constrains impersonation.
pub(super) const NOBODY: &str = "arn:aws:iam::000000000000:user/eksconnect-probe";

/// What the metrics say. They only help: whatever goes wrong, the probe and the grant itself tell it too.
pub(super) async fn metrics(access: &dyn Access) -> Option<bool> {
    match access.constrains_impersonation().await {
        Ok(known) => known,
        Err(failure) => {
            tracing::debug!("{}: {failure}", failure.operation);
            None
        }
    }
}

/// Whether the API server constrains impersonation, from what tells most to what tells least.
pub(super) fn constrains(
    version: &ServerVersion,
    known: Option<bool>,
    probe: Option<&Asked>,
    rules: &Snapshot,
    namespace: &str,
) -> Constrains {
    match known {
        Some(true) => return Constrains::Yes,
        Some(false) => return Constrains::No,
        None => {}
    }
    if let Some(probe) = probe.filter(|probe| probe.is_refused_impersonation()) {
        if probe.message.contains(":user-info") {
            return Constrains::Yes;
        }
        // A server that constrains names the form that worked last, which may have been the documented one.
        let found = grants(rules, namespace);
        let mut all = found.principals.iter().flat_map(|grant| &grant.impersonation);
        if all.all(|one| one.form == Form::Constrained) {
            return Constrains::No;
        }
    }
    if version.minor >= CONSTRAINS { Constrains::Perhaps } else { Constrains::No }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn refusal(message: &str) -> Asked {
        Asked { status: 403, message: message.to_owned(), body: Value::Null }
    }

    #[test]
    fn what_tells_whether_impersonation_is_constrained() {
        let version = |minor| ServerVersion { text: format!("v1.{minor}.0"), minor };
        let told = |minor, known, probe: Option<&Asked>| {
            constrains(&version(minor), known, probe, &Snapshot::default(), "eks-connector")
        };
        let narrow = refusal(r#"... cannot impersonate-on:user-info:list resource "namespaces" ..."#);
        let wide = refusal(r#"users "x" is forbidden: User "y" cannot impersonate resource "users""#);
        assert_eq!(told(36, Some(false), Some(&narrow)), Constrains::No);
        assert_eq!(told(35, Some(true), None), Constrains::Yes);
        assert_eq!(told(36, None, Some(&narrow)), Constrains::Yes);
        assert_eq!(told(36, None, Some(&wide)), Constrains::No);
        assert_eq!((told(36, None, None), told(35, None, None)), (Constrains::Perhaps, Constrains::No));
    }
}
