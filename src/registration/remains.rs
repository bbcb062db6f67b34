//! What a failed run leaves behind, each with the command that removes it.

use super::observed::{ObjectState, Observed, Status};
use super::proof::prove;
use super::request::{ROLE_POLICY_NAME, RegisterRequest};
use super::step::{SERVICE_LINKED_ROLE, Step};
use super::undo::Made;
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
    /// What was made in the cluster.
    pub(super) made: Made,
    /// The steps that were in flight when the run was ended at once.
    pub(super) in_flight: Vec<Step>,
    /// The steps whose answers were lost: they may have made a role.
    pub(super) in_doubt: Vec<Step>,
    /// Whether what the tries so far made may be undone: no code is in the cluster.
    pub(super) may_undo: bool,
    /// Whether a registration may have been made whose answer is lost.
    pub(super) uncertain: bool,
    /// Whether the last try undid what it made in the cluster.
    pub(super) undone: bool,
    /// What of that could not be undone.
    pub(super) not_undone: Vec<Remains>,
}

impl History {
    /// Takes note that what was made in the cluster was undone, but for `not_undone`.
    pub(super) fn was_undone(&mut self, not_undone: Vec<Remains>) {
        self.not_undone = not_undone;
        self.undone = true;
    }

    /// Takes note of what was in flight when the run was ended at once.
    pub(super) fn was_cut_off(&mut self, in_flight: &[Step]) {
        self.uncertain |= in_flight.iter().any(|step| matches!(step, Step::Register(_)));
        self.in_flight = in_flight.to_vec();
    }

    /// What was done, as short phrases, and whether that changed something.
    pub(super) fn summary(&self) -> (Vec<String>, bool) {
        let phrase = |(step, done): &(Step, Done)| format!("{}: {}", step.describe(), done.outcome);
        let changed = self.done.iter().any(|(step, done)| step.is_write() && !done.unchanged);
        (self.done.iter().map(phrase).collect(), changed)
    }

    fn did(&self, wanted: fn(&Step) -> bool) -> bool {
        self.done.iter().any(|(step, done)| wanted(step) && !done.unchanged)
    }

    /// Whether it was done, was in flight at the end, or was done as far as anybody knows.
    fn may_have_done(&self, wanted: fn(&Step) -> bool) -> bool {
        self.did(wanted) || self.in_flight.iter().chain(&self.in_doubt).any(wanted)
    }

    /// What is said of a role that was made, or may have been.
    fn of_role(&self, made: fn(&Step) -> bool) -> &'static str {
        if self.did(made) {
            "costs nothing, and the next run uses it"
        } else {
            "it may have been made; it costs nothing, and the next run uses it"
        }
    }

    /// Adds to an error what is left behind.
    pub(super) fn list_remains(mut self, mut error: Error, request: &RegisterRequest, region: &str) -> Error {
        if self.did(|step| matches!(step, Step::Discard { .. }))
            && !self.did(|step| matches!(step, Step::Register(_)))
        {
            let name = &request.name;
            error =
                error.fact("also", format!("the registration {name} was removed, and is not made anew yet"));
        }
        error.remains.extend(self.registration(&error, request, region));
        error.remains.extend(self.objects(&error));
        error.remains.extend(self.made.doubtful.iter().map(in_doubt));
        error.remains.append(&mut self.not_undone);
        let linked_was_there =
            self.before.as_ref().is_some_and(|before| before.service_linked_role != Some(false));
        error.remains.extend(self.roles(linked_was_there, request.role.name()));
        error
    }

    /// Adds to an error what is left behind in the cluster alone.
    pub(super) fn list_objects(mut self, mut error: Error) -> Error {
        error.remains.extend(self.objects(&error));
        error.remains.extend(self.made.doubtful.iter().map(in_doubt));
        error.remains.append(&mut self.not_undone);
        error
    }

    fn registration(&self, error: &Error, request: &RegisterRequest, region: &str) -> Option<Remains> {
        let name = &request.name;
        let unfinished = |before: &Observed| {
            before.registration.as_ref().is_some_and(|registration| {
                registration.status != Status::Active && prove(registration, before).is_proven()
            })
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
        if self.undone || error.code == Code::LEASE_HELD {
            return None;
        }
        let made: Vec<&ObjectRef> = self.made.objects.iter().map(|(object, _)| object).collect();
        let perhaps: Vec<&ObjectRef> = self.perhaps_made().filter(|object| !made.contains(object)).collect();
        if made.is_empty() && perhaps.is_empty() {
            return None;
        }
        let all = || made.iter().chain(&perhaps);
        let namespace_goes = all().any(|object| object.kind == ObjectKind::Namespace);
        let commands: Vec<String> = all()
            .filter(|object| !namespace_goes || object.kind.is_cluster_scoped())
            .map(|object| kubectl_delete(object))
            .collect();
        let objects =
            |count: usize| if count == 1 { "1 object".to_owned() } else { format!("{count} objects") };
        let what = match (made.len(), perhaps.len()) {
            (made, 0) => format!("{} of the connector in the cluster", objects(made)),
            (0, perhaps) => format!("perhaps {} of the connector in the cluster", objects(perhaps)),
            (made, perhaps) => {
                format!("{}, perhaps {perhaps} more, of the connector in the cluster", objects(made))
            }
        };
        Some(Remains { what, remove_with: commands.join("; ") })
    }

    /// The objects that did not exist and whose making was in flight.
    fn perhaps_made(&self) -> impl Iterator<Item = &ObjectRef> {
        let before = self.before.as_ref();
        let applies = |step: &&Step| {
            matches!(step, Step::Apply(_) | Step::ApplyPullSecret(_) | Step::ApplyActivationSecret(_))
        };
        let applied = self.in_flight.iter().filter(applies).filter_map(Step::object);
        applied.filter(move |object| {
            before.is_none_or(|before| {
                if object.kind == ObjectKind::Namespace {
                    before.namespace.is_none()
                } else {
                    before.state_of(object) == ObjectState::Absent
                }
            })
        })
    }

    /// The roles that the run made, or may have made.
    pub(super) fn roles(&self, linked_was_there: bool, role: &str) -> Vec<Remains> {
        let mut roles = Vec::new();
        let make_linked = |step: &Step| matches!(step, Step::CreateServiceLinkedRole);
        if self.may_have_done(make_linked) && !linked_was_there {
            roles.push(Remains {
                what: format!("role {SERVICE_LINKED_ROLE} ({})", self.of_role(make_linked)),
                remove_with: format!("aws iam delete-service-linked-role --role-name {SERVICE_LINKED_ROLE}"),
            });
        }
        let make_role = |step: &Step| matches!(step, Step::CreateAgentRole(_));
        if self.may_have_done(make_role) {
            let policy = self.may_have_done(|step| matches!(step, Step::PutAgentPolicy { .. }));
            let policy = policy.then(|| {
                format!("aws iam delete-role-policy --role-name {role} --policy-name {ROLE_POLICY_NAME}; ")
            });
            roles.push(Remains {
                what: format!("role {role} ({})", self.of_role(make_role)),
                remove_with: format!("{}aws iam delete-role --role-name {role}", policy.unwrap_or_default()),
            });
        }
        roles
    }
}

fn in_doubt(object: &ObjectRef) -> Remains {
    Remains { what: format!("{object} (it may have been made)"), remove_with: kubectl_delete(object) }
}
