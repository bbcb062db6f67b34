//! Decides what upgrading has to do: what registering does to a registration that exists, and nothing else. Pure.

use crate::error::{Code, Error};
use crate::plan::Plan;
use crate::registration::desired::Desired;
use crate::registration::observed::Observed;
use crate::registration::planner::{RegisterPlan, converge};
use crate::registration::refusal::{refuse_agents_without_state, refuse_obstacles};
use crate::registration::rights::{note_what_cannot_be_told, refuse_missing_rights};
use crate::registration::situation::{Situation, situation};
use crate::registration::step::Step;
use crate::registration::takeover::refuse_others;

/// Plans; `notes` are those that are known already.
///
/// # Errors
/// A conflict, or a registration that cannot be upgraded since it would have to be made. Nothing has been changed then.
pub(super) fn plan(
    desired: &Desired,
    observed: &Observed,
    request_token: &str,
    mut notes: Vec<String>,
) -> Result<RegisterPlan, Error> {
    refuse_obstacles(desired, observed)?;
    refuse_others(desired, observed)?;
    let name = &desired.name;
    let Situation::Known { registration, activation_id } = situation(desired, observed, &mut Vec::new())?
    else {
        let (what, cause) = match &observed.registration {
            None => (
                format!("there is no registration {name}"),
                "it was removed since the agents were installed".to_owned(),
            ),
            Some(registration) => (
                format!("the registration {name} cannot be upgraded"),
                format!("it is {}, and its agents cannot connect any more", registration.status),
            ),
        };
        return Err(Error::refused(Code::NOT_UPGRADABLE, what).cause(cause).fix(format!(
            "make it anew: eksconnect register --name {name} --namespace {}",
            desired.settings.namespace
        )));
    };
    refuse_agents_without_state(desired, observed, registration, activation_id)?;
    let mut plan = Plan::default();
    converge(desired, observed, registration, activation_id, request_token, &[], &mut plan);
    refuse_missing_rights(desired, observed, &plan)?;
    if plan.iter().any(|(_, planned)| matches!(planned.step, Step::AwaitActive { .. })) {
        note_what_cannot_be_told(desired, observed, &mut notes);
    }
    Ok(RegisterPlan { plan, notes, question: None })
}
