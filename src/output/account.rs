//! The account's side of a plan in words, and how its agent role differs.

use serde_json::Value;

use super::console::{BOLD, GOOD, NOTE};
use crate::manifest::FieldChange;
use crate::registration::observed::RoleSeen;
use crate::registration::request::RoleChoice;
use crate::registration::role_drift::{RoleDrift, RolePart, drift, is_repaired};
use crate::registration::step::{SERVICE_LINKED_ROLE, Step};

/// Something that would be made.
pub(super) fn added(what: &str) -> String {
    format!("  {GOOD}+{GOOD:#} {what}")
}

/// Something that would be changed.
pub(super) fn changed(what: &str) -> String {
    format!("  {NOTE}~{NOTE:#} {what}")
}

/// What a step would do to the account; nothing if it does nothing there.
pub(super) fn account_lines(step: &Step, seen: &RoleSeen, choice: &RoleChoice, diff: bool) -> Vec<String> {
    let with_fields = |line: String, fields: &[FieldChange]| {
        std::iter::once(line).chain(fields.iter().filter(|_| diff).flat_map(field_change)).collect()
    };
    match step {
        Step::CreateServiceLinkedRole => vec![added(&format!("role         {SERVICE_LINKED_ROLE}"))],
        Step::CreateAgentRole(design) => {
            vec![added(&format!("role         {} (trust ssm.amazonaws.com)", design.name))]
        }
        Step::PutAgentPolicy { role } => {
            let line = format!("policy       inline, of role {role}");
            let fields = role_fields(seen, choice, RolePart::Permissions);
            with_fields(if fields.is_empty() { added(&line) } else { changed(&line) }, &fields)
        }
        Step::ChangeAgentRole { role, change } => {
            let line = changed(&format!("role         {role}, its {}", change.part()));
            with_fields(line, &role_fields(seen, choice, change.part()))
        }
        Step::Discard { name, .. } => vec![format!("  {NOTE}-{NOTE:#} registration {name}")],
        Step::Register(new) => vec![added(&format!("registration {} ({})", new.name, new.provider))],
        Step::Apply(_)
        | Step::ApplyPullSecret(_)
        | Step::ApplyActivationSecret(_)
        | Step::Replace { .. }
        | Step::Remove { .. }
        | Step::HoldLease { .. }
        | Step::ReserveFile { .. }
        | Step::KeepActivation
        | Step::ApplyOnceRegistered(_)
        | Step::AwaitActive { .. }
        | Step::AwaitAgents { .. }
        | Step::SpendCode { .. }
        | Step::Access(_) => Vec::new(),
    }
}

/// The parts of the agent role that differ and stay so.
pub(super) fn left_lines(seen: &RoleSeen, choice: &RoleChoice, diff: bool) -> Vec<String> {
    let mut out = Vec::new();
    for drift in role_left_as_it_is(seen, choice).iter().filter(|_| diff) {
        out.push(format!("{BOLD}Left as it is: {} of role {}{BOLD:#}", drift.part, choice.name()));
        out.extend(drift.fields.iter().flat_map(field_change));
    }
    out
}

/// The fields of the agent role that differ from what is wanted, in one of its parts.
pub(super) fn role_fields(seen: &RoleSeen, choice: &RoleChoice, part: RolePart) -> Vec<FieldChange> {
    let RoleSeen::Present(role) = seen else { return Vec::new() };
    let drift = drift(role, choice).into_iter().find(|drift| drift.part == part);
    drift.map(|drift| drift.fields).unwrap_or_default()
}

/// How the agent role differs where it is not ours to change.
pub(super) fn role_left_as_it_is(seen: &RoleSeen, choice: &RoleChoice) -> Vec<RoleDrift> {
    match seen {
        RoleSeen::Present(role) if !is_repaired(role, choice) => drift(role, choice),
        RoleSeen::Present(_) | RoleSeen::Absent | RoleSeen::Unreadable => Vec::new(),
    }
}

/// A field and its values, one a line each: of what spans lines, its own.
pub(super) fn field_change(change: &FieldChange) -> Vec<String> {
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
