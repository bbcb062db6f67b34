//! What a failed run leaves behind, each with the command that removes it.

use super::observed::{Observed, Status};
use super::request::{ROLE_POLICY_NAME, RegisterRequest};
use super::step::{SERVICE_LINKED_ROLE, Step};
use super::worker::kubectl_delete;
use crate::error::{Code, Error, Kind, Remains};
use crate::manifest::{ObjectKind, ObjectRef};
use crate::plan::Done;

/// All that a run did, over all its tries.
#[derive(Debug, Default)]
pub(super) struct History {
    /// What was seen before the first try.
    pub(super) before: Option<Observed>,
    /// The steps that were done.
    pub(super) done: Vec<(Step, Done)>,
    /// What was made in the cluster, each with its UID, in order.
    pub(super) made: Vec<(ObjectRef, String)>,
    /// Whether a registration may have been made whose answer is lost.
    pub(super) uncertain: bool,
    /// Whether the last try undid what it made in the cluster.
    pub(super) undone: bool,
    /// What of that could not be undone.
    pub(super) not_undone: Vec<Remains>,
}

impl History {
    fn did(&self, wanted: fn(&Step) -> bool) -> bool {
        self.done.iter().any(|(step, done)| wanted(step) && !done.unchanged)
    }

    /// Adds to an error what is left behind.
    pub(super) fn list_remains(mut self, mut error: Error, request: &RegisterRequest, region: &str) -> Error {
        error.remains.extend(self.registration(&error, request, region));
        error.remains.extend(self.objects(&error));
        error.remains.append(&mut self.not_undone);
        let linked_was_there =
            self.before.as_ref().is_some_and(|before| before.service_linked_role != Some(false));
        error.remains.extend(roles_made(&self.done, linked_was_there, request.role.name()));
        error
    }

    /// Adds to an error what is left behind in the cluster alone.
    pub(super) fn list_objects(mut self, mut error: Error) -> Error {
        error.remains.extend(self.objects(&error));
        error.remains.append(&mut self.not_undone);
        error
    }

    fn registration(&self, error: &Error, request: &RegisterRequest, region: &str) -> Option<Remains> {
        let name = &request.name;
        let unfinished = |before: &Observed| {
            before.registration.as_ref().is_some_and(|registration| registration.status != Status::Active)
        };
        let existed = self.before.as_ref().is_some_and(unfinished)
            && error.kind != Kind::Refused
            && !self.did(|step| matches!(step, Step::Discard { .. }));
        let not_taken_back = error.code == Code::ACTIVATION_NOT_KEPT && !self.undone;
        let made = self.did(|step| matches!(step, Step::Register(_))) || not_taken_back;
        if error.code == Code::REGISTRATION_GONE || !(made || existed || self.uncertain) {
            return None;
        }
        let doubt = if made || existed { "" } else { " (it may have been made; the next run finds out)" };
        Some(Remains {
            what: format!("registration {name}{doubt}"),
            remove_with: format!("aws eks deregister-cluster --name {name} --region {region}"),
        })
    }

    /// What this run made, by name: a namespace that it did not make is never offered for deletion.
    fn objects(&self, error: &Error) -> Option<Remains> {
        // Then another run works with them.
        if self.made.is_empty() || self.undone || error.code == Code::LEASE_HELD {
            return None;
        }
        let namespace_goes = self.made.iter().any(|(object, _)| object.kind == ObjectKind::Namespace);
        let commands: Vec<String> = self
            .made
            .iter()
            .filter(|(object, _)| !namespace_goes || object.kind.is_cluster_scoped())
            .map(|(object, _)| kubectl_delete(object))
            .collect();
        let count = self.made.len();
        let objects = if count == 1 { "object" } else { "objects" };
        Some(Remains {
            what: format!("{count} {objects} of the connector in the cluster"),
            remove_with: commands.join("; "),
        })
    }
}

/// The roles that the done steps made.
pub(super) fn roles_made(done: &[(Step, Done)], linked_was_there: bool, role: &str) -> Vec<Remains> {
    let did = |wanted: fn(&Step) -> bool| done.iter().any(|(step, done)| wanted(step) && !done.unchanged);
    let mut roles = Vec::new();
    if did(|step| matches!(step, Step::CreateServiceLinkedRole)) && !linked_was_there {
        roles.push(Remains {
            what: format!("role {SERVICE_LINKED_ROLE} (costs nothing, and the next run uses it)"),
            remove_with: format!("aws iam delete-service-linked-role --role-name {SERVICE_LINKED_ROLE}"),
        });
    }
    if did(|step| matches!(step, Step::CreateAgentRole(_))) {
        let policy = did(|step| matches!(step, Step::PutAgentPolicy { .. }));
        let policy = policy.then(|| {
            format!("aws iam delete-role-policy --role-name {role} --policy-name {ROLE_POLICY_NAME}; ")
        });
        roles.push(Remains {
            what: format!("role {role} (costs nothing, and the next run uses it)"),
            remove_with: format!("{}aws iam delete-role --role-name {role}", policy.unwrap_or_default()),
        });
    }
    roles
}
