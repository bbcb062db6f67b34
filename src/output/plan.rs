//! A plan in words.

use super::access_plan::step_lines;
use super::account::{account_lines, added, changed, field_change, left_lines};
use super::console::{BOLD, DIM, NOTE};
use crate::access::step::Topic;
use crate::manifest;
use crate::registration::observed::ObjectState;
use crate::registration::register::Preview;
use crate::registration::step::{OnceRegistered, Step};

/// What executing the plan would do.
pub(super) fn text(preview: &Preview, context: &str, diff: bool) -> String {
    let (desired, observed) = (&preview.desired, &preview.observed);
    let name = &desired.name;
    let mut account = Vec::new();
    let mut cluster = Vec::new();
    let (mut waits, mut waits_for_agents) = (false, false);
    for (_, planned) in preview.plan.plan.iter() {
        match &planned.step {
            Step::CreateServiceLinkedRole
            | Step::CreateAgentRole(_)
            | Step::PutAgentPolicy { .. }
            | Step::ChangeAgentRole { .. }
            | Step::Discard { .. }
            | Step::Register(_) => {
                account.extend(account_lines(&planned.step, &observed.agent_role, &desired.role, diff));
            }
            Step::Replace { object, .. } => {
                cluster.push(changed(&format!("{} (replaced)", object.reference)));
            }
            Step::Apply(object) | Step::ApplyPullSecret(object) | Step::ApplyActivationSecret(object) => {
                let line = object.reference.to_string();
                cluster.push(match observed.state_of(&object.reference) {
                    ObjectState::Differs => changed(&line),
                    ObjectState::Absent | ObjectState::Same => added(&line),
                });
                let changes = observed.changes.get(&object.reference).filter(|_| diff);
                cluster.extend(changes.into_iter().flatten().flat_map(field_change));
            }
            Step::Remove { object, .. } => cluster.push(format!("  {NOTE}-{NOTE:#} {object}")),
            Step::ApplyOnceRegistered(OnceRegistered::StatefulSet) => {
                let line = format!("StatefulSet {}/eks-connector", desired.settings.namespace);
                cluster.push(if observed.has_agents() { changed(&line) } else { added(&line) });
            }
            // The Secret comes with the registration, and the Lease is a tool and no result.
            Step::ApplyOnceRegistered(OnceRegistered::Namespace)
            | Step::HoldLease { .. }
            | Step::ReserveFile { .. }
            | Step::SpendCode { .. } => {}
            Step::KeepActivation => cluster.push(added(&format!(
                "Secret {}/{}",
                desired.settings.namespace,
                manifest::ACTIVATION_SECRET
            ))),
            Step::Access(step) => {
                if let Some(granting) = &preview.granting {
                    let part = if step.topic() == Topic::Policy { &mut account } else { &mut cluster };
                    part.extend(step_lines(step, &granting.observed, diff));
                }
            }
            Step::AwaitActive { .. } => waits = true,
            Step::AwaitAgents { .. } => waits_for_agents = true,
        }
    }
    let mut out = left_lines(&observed.agent_role, &desired.role, diff);
    if account.is_empty() && cluster.is_empty() && !waits && !waits_for_agents {
        out.push(format!("{name} is as it should be; nothing would change."));
        return out.join("\n");
    }
    if !account.is_empty() {
        out.push(format!(
            "{BOLD}Would change in account {}, {}:{BOLD:#}",
            observed.caller.account, observed.region
        ));
        out.append(&mut account);
    }
    if !cluster.is_empty() {
        out.push(format!("{BOLD}Would change in cluster {context}:{BOLD:#}"));
        out.append(&mut cluster);
    }
    let wait = match (waits, waits_for_agents) {
        (true, _) => "Would wait until ACTIVE. ",
        (false, true) => "Would wait until the agents are ready. ",
        (false, false) => "",
    };
    out.push(format!("{DIM}{wait}Nothing was changed.{DIM:#}"));
    out.join("\n")
}
