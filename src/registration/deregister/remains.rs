//! What a run that failed has not removed, each with the command that does.

use super::step::{Part, Step};
use crate::error::{Error, Remains};
use crate::manifest::ObjectRef;
use crate::plan::Done;
use crate::registration::step::SERVICE_LINKED_ROLE;
use crate::registration::worker::kubectl_delete;

/// All that a run did, over all its tries.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The steps that were done.
    pub(super) done: Vec<(Step, Done)>,
    /// The steps of the last try that were not.
    pub(super) left: Vec<Step>,
    /// Those of which it is not known whether they had their effect.
    pub(super) doubtful: Vec<Step>,
}

impl History {
    /// Whether something was removed, or may have been.
    pub(super) fn changed(&self) -> bool {
        self.done.iter().any(|(step, done)| step.is_change() && !done.unchanged) || !self.doubtful.is_empty()
    }

    /// Adds to an error what is left, once something is gone: before that, all is as it was.
    pub(super) fn list_remains(&self, mut error: Error, region: &str) -> Error {
        if !self.changed() {
            return error;
        }
        for step in &self.left {
            let doubt = if self.doubtful.contains(step) { " (it may be gone already)" } else { "" };
            let remains = match step {
                Step::Deregister { name, .. } => Some(Remains {
                    what: format!("registration {name}{doubt}"),
                    remove_with: format!("aws eks deregister-cluster --name {name} --region {region}"),
                }),
                Step::DeleteRole { role, policies } => {
                    let policies: String = policies
                        .iter()
                        .map(|policy| {
                            format!("aws iam delete-role-policy --role-name {role} --policy-name {policy}; ")
                        })
                        .collect();
                    Some(Remains {
                        what: format!("role {role}{doubt}"),
                        remove_with: format!("{policies}aws iam delete-role --role-name {role}"),
                    })
                }
                Step::DeleteServiceLinkedRole => Some(Remains {
                    what: format!("role {SERVICE_LINKED_ROLE}{doubt}"),
                    remove_with: format!(
                        "aws iam delete-service-linked-role --role-name {SERVICE_LINKED_ROLE}"
                    ),
                }),
                Step::HoldLease { .. }
                | Step::Delete { .. }
                | Step::StopAgents { .. }
                | Step::Unmark(_)
                | Step::AwaitNamespace { .. } => None,
            };
            error.remains.extend(remains);
        }
        error.remains.extend(self.objects());
        error
    }

    /// The objects. What is in a namespace that goes is not named: it goes with it.
    fn objects(&self) -> Option<Remains> {
        let mut left: Vec<&ObjectRef> = Vec::new();
        let mut namespace: Option<&ObjectRef> = None;
        for step in &self.left {
            match step {
                Step::Delete { object, part: Part::Namespace, .. }
                | Step::AwaitNamespace { namespace: object } => {
                    namespace = Some(object);
                }
                Step::Delete { object, .. } | Step::StopAgents { object, .. } => left.push(object),
                Step::Unmark(_)
                | Step::HoldLease { .. }
                | Step::Deregister { .. }
                | Step::DeleteRole { .. }
                | Step::DeleteServiceLinkedRole => {}
            }
        }
        if let Some(namespace) = namespace {
            left.retain(|object| object.namespace.as_deref() != Some(&namespace.name));
            left.push(namespace);
        }
        if left.is_empty() {
            return None;
        }
        let in_cluster = |step: &Step| step.object().is_some() || matches!(step, Step::AwaitNamespace { .. });
        let doubtful = self.doubtful.iter().any(in_cluster);
        let what = match (left.as_slice(), doubtful) {
            ([one], true) => format!("{one} (it may be gone already)"),
            ([one], false) => one.to_string(),
            (several, _) => {
                let unsure = if doubtful { " (some may be gone already)" } else { "" };
                format!("{} objects of the connector in the cluster{unsure}", several.len())
            }
        };
        let commands: Vec<String> = left.into_iter().map(kubectl_delete).collect();
        Some(Remains { what, remove_with: commands.join("; ") })
    }
}
