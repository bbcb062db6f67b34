//! A plan in words.

use serde_json::Value;

use super::console::{BOLD, DIM, GOOD, NOTE};
use crate::manifest::FieldChange;
use crate::registration::observed::{ObjectState, RoleSeen};
use crate::registration::register::Preview;
use crate::registration::role_drift::{RoleDrift, RolePart, drift, is_repaired};
use crate::registration::step::{OnceRegistered, SERVICE_LINKED_ROLE, Step};

/// What executing the plan would do.
pub(super) fn text(preview: &Preview, context: &str, diff: bool) -> String {
    let (desired, observed) = (&preview.desired, &preview.observed);
    let name = &desired.name;
    let add = |what: String| format!("  {GOOD}+{GOOD:#} {what}");
    let change = |what: String| format!("  {NOTE}~{NOTE:#} {what}");
    let mut account = Vec::new();
    let mut cluster = Vec::new();
    let mut waits = false;
    for (_, planned) in preview.plan.plan.iter() {
        match &planned.step {
            Step::CreateServiceLinkedRole => account.push(add(format!("role         {SERVICE_LINKED_ROLE}"))),
            Step::CreateAgentRole(design) => {
                account.push(add(format!("role         {} (trust ssm.amazonaws.com)", design.name)));
            }
            Step::PutAgentPolicy { role } => {
                let line = format!("policy       inline, of role {role}");
                let fields = role_fields(preview, RolePart::Permissions);
                account.push(if fields.is_empty() { add(line) } else { change(line) });
                account.extend(fields.iter().filter(|_| diff).flat_map(field_change));
            }
            Step::ChangeAgentRole { role, change: wanted } => {
                account.push(change(format!("role         {role}, its {}", wanted.part())));
                let fields = role_fields(preview, wanted.part());
                account.extend(fields.iter().filter(|_| diff).flat_map(field_change));
            }
            Step::Discard { name, .. } => account.push(format!("  {NOTE}-{NOTE:#} registration {name}")),
            Step::Register(new) => account.push(add(format!("registration {} ({})", new.name, new.provider))),
            Step::Replace { object, .. } => cluster.push(change(format!("{} (replaced)", object.reference))),
            Step::Apply(object) | Step::ApplyPullSecret(object) | Step::ApplyActivationSecret(object) => {
                let line = object.reference.to_string();
                cluster.push(match observed.state_of(&object.reference) {
                    ObjectState::Differs => change(line),
                    ObjectState::Absent | ObjectState::Same => add(line),
                });
                let changes = observed.changes.get(&object.reference).filter(|_| diff);
                cluster.extend(changes.into_iter().flatten().flat_map(field_change));
            }
            Step::Remove { object, .. } => cluster.push(format!("  {NOTE}-{NOTE:#} {object}")),
            Step::ApplyOnceRegistered(OnceRegistered::StatefulSet) => {
                let line = format!("StatefulSet {}/eks-connector", desired.settings.namespace);
                cluster.push(if observed.has_agents() { change(line) } else { add(line) });
            }
            // The Secret comes with the registration, and the Lease is a tool and no result.
            Step::ApplyOnceRegistered(OnceRegistered::Namespace)
            | Step::HoldLease { .. }
            | Step::SpendCode { .. } => {}
            Step::AwaitActive { .. } => waits = true,
        }
    }
    let left = if diff { role_left_as_it_is(preview) } else { Vec::new() };
    let mut out = Vec::new();
    for drift in &left {
        out.push(format!("{BOLD}Left as it is: {} of role {}{BOLD:#}", drift.part, desired.role.name()));
        out.extend(drift.fields.iter().flat_map(field_change));
    }
    if account.is_empty() && cluster.is_empty() && !waits {
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
    let wait = if waits { "Would wait until ACTIVE. " } else { "" };
    out.push(format!("{DIM}{wait}Nothing was changed.{DIM:#}"));
    out.join("\n")
}

/// The fields of the agent role that differ from what is wanted, in one of its parts.
pub(super) fn role_fields(preview: &Preview, part: RolePart) -> Vec<FieldChange> {
    let RoleSeen::Present(role) = &preview.observed.agent_role else { return Vec::new() };
    let drift = drift(role, &preview.desired.role).into_iter().find(|drift| drift.part == part);
    drift.map(|drift| drift.fields).unwrap_or_default()
}

/// How the agent role differs where it is not ours to change.
pub(super) fn role_left_as_it_is(preview: &Preview) -> Vec<RoleDrift> {
    match &preview.observed.agent_role {
        RoleSeen::Present(role) if !is_repaired(role, &preview.desired.role) => {
            drift(role, &preview.desired.role)
        }
        RoleSeen::Present(_) | RoleSeen::Absent | RoleSeen::Unreadable => Vec::new(),
    }
}

/// A field and its values, one a line each: of what spans lines, its own.
fn field_change(change: &FieldChange) -> Vec<String> {
    let lines = |sign: &str, value: &Option<Value>| -> Vec<String> {
        let Some(value) = value else { return Vec::new() };
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.lines().map(|line| format!("        {sign} {line}")).collect()
    };
    let mut out = vec![format!("      {}", change.field)];
    out.extend(lines("-", &change.from));
    out.extend(lines("+", &change.to));
    out
}
