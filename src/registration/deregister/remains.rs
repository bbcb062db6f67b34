//! What a run that failed has not removed, each with the command that does.

use super::step::{Part, Step};
use crate::error::{Code, Error, Remains};
use crate::manifest::ObjectRef;
use crate::plan::Done;
use crate::registration::step::SERVICE_LINKED_ROLE;
use crate::registration::worker::kubectl_delete;

/// What the fix of an error says if nothing else is to be done.
const AGAIN: &str = "run the same command again";

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

    /// Whether a further run could not tell any more which role it was: the registration is gone, and no Lease says so.
    fn forgets_role(&self) -> bool {
        let done = |is: fn(&Step) -> bool| self.done.iter().any(|(step, _)| is(step));
        done(|step| matches!(step, Step::Deregister { .. }))
            && !done(|step| matches!(step, Step::HoldLease { .. }))
    }

    /// What is to be done about the roles that are left, if the same command would not find them.
    fn instead(&self) -> Option<String> {
        if !self.forgets_role() {
            return None;
        }
        let roles = self.left.iter().filter_map(|step| match step {
            Step::DeleteRole { role, .. } => Some(role.as_str()),
            Step::DeleteServiceLinkedRole
            | Step::HoldLease { .. }
            | Step::Delete { .. }
            | Step::Deregister { .. }
            | Step::StopAgents { .. }
            | Step::Unmark(_)
            | Step::AwaitNamespace { .. } => None,
        });
        let linked = self.left.contains(&Step::DeleteServiceLinkedRole);
        match (roles.collect::<Vec<_>>().as_slice(), linked) {
            ([role], false) => Some(format!("run {}", roles_delete(role))),
            ([role], true) => Some(format!("run {} --delete-service-linked-role", roles_delete(role))),
            ([], true) => Some(format!("{AGAIN} with --allow-missing")),
            // Nothing is left, or several are: gc finds them again.
            (_, _) => None,
        }
    }

    /// Adds to an error what is left, once something is gone: before that, all is as it was.
    pub(super) fn list_remains(&self, mut error: Error, region: &str) -> Error {
        if !self.changed() {
            return error;
        }
        if let Some(instead) = self.instead() {
            for fact in error.facts.iter_mut().filter(|fact| fact.label == "fix") {
                fact.text = fact.text.replace(AGAIN, &instead);
            }
        }
        for step in &self.left {
            let doubt = if self.doubtful.contains(step) { " (it may be gone already)" } else { "" };
            let remains = match step {
                Step::Deregister { name, .. } => Some(Remains {
                    what: format!("registration {name}{doubt}"),
                    remove_with: format!("aws eks deregister-cluster --name {name} --region {region}"),
                }),
                Step::DeleteRole { role, .. } if self.forgets_role() => {
                    Some(Remains { what: format!("role {role}{doubt}"), remove_with: roles_delete(role) })
                }
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
        let seen_going = error.code == Code::NAMESPACE_STUCK;
        error.remains.extend(self.objects(seen_going));
        error
    }

    /// The objects. What is in a namespace that goes is not named: it goes with it. `seen_going`: its namespace was seen to
    /// be there still, at the end.
    fn objects(&self, seen_going: bool) -> Option<Remains> {
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
        // A namespace whose deletion has been asked for goes on going.
        let going = |step: &Step| matches!(step, Step::AwaitNamespace { .. });
        let asked_for = |step: &Step| !matches!(step, Step::Delete { part: Part::Namespace, .. });
        let under_way = !seen_going && self.left.iter().any(going) && self.left.iter().all(asked_for);
        let doubtful = under_way || self.doubtful.iter().any(in_cluster);
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

fn roles_delete(role: &str) -> String {
    format!("eksconnect roles delete --role-name {role}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::ObjectKind;

    #[test]
    fn a_namespace_that_was_left_while_it_went_may_be_gone() {
        let namespace = ObjectRef::new(ObjectKind::Namespace, "eks-connector", "eks-connector");
        let waits = Step::AwaitNamespace { namespace: namespace.clone() };
        let gone = Step::Delete { object: namespace, uid: "1".into(), part: Part::Namespace };
        let after = |left: &[Step], code: Code| {
            let role = Step::DeleteRole { role: "R".into(), policies: Vec::new() };
            let history = History {
                done: vec![(role, Done::new("removed"))],
                left: left.to_vec(),
                doubtful: Vec::new(),
            };
            history.list_remains(Error::failed(code, "x"), "eu-west-1").remains[0].what.clone()
        };
        let doubt = "Namespace eks-connector (it may be gone already)";
        assert_eq!(after(std::slice::from_ref(&waits), Code::AWS_DENIED), doubt);
        // It was seen, or nobody has asked for its deletion yet.
        assert_eq!(after(std::slice::from_ref(&waits), Code::NAMESPACE_STUCK), "Namespace eks-connector");
        assert_eq!(after(&[gone, waits], Code::AWS_DENIED), "Namespace eks-connector");
    }
}
