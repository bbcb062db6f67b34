//! What executing a plan of `grant-view` or `revoke-view` would do, as text.

use super::account::{added, changed, field_change};
use super::console::{BOLD, DIM, NOTE};
use crate::access::observe::AccessPreview;
use crate::access::observed::Observed;
use crate::access::removal::Removal;
use crate::access::step::{Step, Topic};
use crate::manifest::VIEWER_POLICY_NAME;
use crate::registration::observed::ObjectState;

/// What executing the plan would do.
pub(super) fn plan_text(preview: &AccessPreview, context: &str, who: &str, diff: bool) -> Vec<String> {
    let observed = &preview.observed;
    let (mut account, mut cluster) = (Vec::new(), Vec::new());
    for (_, planned) in preview.plan.plan.iter() {
        let part = if planned.step.topic() == Topic::Policy { &mut account } else { &mut cluster };
        part.extend(step_lines(&planned.step, observed, diff));
    }
    let verifies = preview.plan.plan.iter().any(|(_, planned)| planned.step.topic() == Topic::Verification);
    if account.is_empty() && cluster.is_empty() {
        return vec![match &preview.desired {
            Some(_) => format!("The view of {who} is as it should be; nothing would change."),
            None => format!("{who}: no view of this cluster; nothing would change."),
        }];
    }
    let mut out = Vec::new();
    if !account.is_empty() {
        let looked = &observed.looked;
        out.push(format!("{BOLD}Would change in account {}:{BOLD:#}", looked.caller.account));
        out.append(&mut account);
    }
    if !cluster.is_empty() {
        out.push(format!("{BOLD}Would change in cluster {context}:{BOLD:#}"));
        out.append(&mut cluster);
    }
    let verify = match (verifies, &preview.desired) {
        (false, _) => "",
        (true, Some(_)) => "Would have the API server decide what they see. ",
        (true, None) => "Would have the API server refuse them. ",
    };
    out.push(format!("{DIM}{verify}Nothing was changed.{DIM:#}"));
    out
}

/// What a step would change.
pub(super) fn step_lines(step: &Step, observed: &Observed, diff: bool) -> Vec<String> {
    match step {
        Step::Apply(object) => {
            let line = object.reference.to_string();
            let line = match observed.state_of(&object.reference) {
                ObjectState::Differs => changed(&line),
                ObjectState::Absent | ObjectState::Same => added(&line),
            };
            let changes = observed.changes.get(&object.reference).filter(|_| diff);
            [line].into_iter().chain(changes.into_iter().flatten().flat_map(field_change)).collect()
        }
        Step::Remove { object, .. } | Step::Change(Removal::Delete { object, .. }) => {
            vec![removed(&object.to_string())]
        }
        Step::Change(Removal::Amend { object, what, .. }) => vec![changed(&format!("{object}: {what}"))],
        Step::AttachPolicy { principal, exists, .. } => {
            let line = format!("policy {VIEWER_POLICY_NAME}, inline, of {}", principal.short());
            vec![if *exists { changed(&line) } else { added(&line) }]
        }
        Step::DetachPolicy { principal } => {
            vec![removed(&format!("policy {VIEWER_POLICY_NAME}, inline, of {}", principal.short()))]
        }
        Step::AwaitAllowed { .. } | Step::Verify(_) | Step::VerifyRevoked { .. } => Vec::new(),
    }
}

/// Something that would go.
fn removed(what: &str) -> String {
    format!("  {NOTE}-{NOTE:#} {what}")
}
