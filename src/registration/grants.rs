//! `--grant-view`: granting in the plan of a registration.

use std::collections::BTreeMap;

use super::planner::RegisterPlan;
use super::step::Step;
use crate::access;
use crate::access::check::Proof;
use crate::access::observe::{AccessPorts, AccessPreview, observe_grants};
use crate::access::operation::left_of_grants;
use crate::access::request::GrantRequest;
use crate::access::step::Topic;
use crate::error::{Error, Remains};
use crate::manifest::ObjectKind;
use crate::plan::{Done, StepId};

/// Whom to let view, and what that talks to.
#[derive(Clone)]
pub struct Granting {
    /// Whom.
    pub request: GrantRequest,
    /// The other sides.
    pub ports: AccessPorts,
}

/// What became of the grants.
#[derive(Clone, Debug)]
pub struct Granted {
    /// What was seen before the last try, and what was planned.
    pub preview: AccessPreview,
    /// What the API server decided.
    pub proofs: Vec<Proof>,
}

impl Granting {
    /// Observes and plans the grants. The connector need not be there yet; `refuted` is whether the API server has shown that it
    /// does not constrain impersonation.
    pub(super) async fn look(&self, refuted: bool) -> Result<AccessPreview, Error> {
        observe_grants(&self.ports, &self.request, true, refuted).await
    }

    /// What a run that ended badly leaves of the grants.
    pub(super) fn left(&self, done: &[(Step, Done)], in_doubt: &[access::step::Step]) -> Vec<Remains> {
        let of_grants = done.iter().filter_map(|(step, done)| match step {
            Step::Access(step) => Some((step.as_ref().clone(), done.clone())),
            _ => None,
        });
        left_of_grants(&self.request, &of_grants.collect::<Vec<_>>(), in_doubt)
    }
}

/// Puts the steps of granting into the plan. None of them begins before the registration exists: from then on nothing is undone. They
/// need not wait until it is ACTIVE.
pub(super) fn weave(planned: &mut RegisterPlan, granting: &AccessPreview) {
    let find = |planned: &RegisterPlan, which: fn(&Step) -> bool| -> Vec<StepId> {
        planned.plan.iter().filter(|(_, one)| which(&one.step)).map(|(id, _)| id).collect()
    };
    let registered = find(planned, |step| matches!(step, Step::Register(_)));
    // Whoever acts as the connector needs its service account.
    let account = find(
        planned,
        |step| matches!(step, Step::Apply(object) if object.reference.kind == ObjectKind::ServiceAccount),
    );
    let mut places: BTreeMap<StepId, StepId> = BTreeMap::new();
    for (id, one) in granting.plan.plan.iter() {
        let mut needs: Vec<StepId> = one.needs.iter().filter_map(|need| places.get(need).copied()).collect();
        needs.extend(&registered);
        if one.step.topic() == Topic::Verification {
            needs.extend(&account);
        }
        places.insert(id, planned.plan.add(Step::Access(Box::new(one.step.clone())), needs));
    }
    planned.notes.extend(granting.plan.notes.iter().cloned());
    planned.question = match (planned.question.take(), granting.plan.question.clone()) {
        (Some(own), Some(other)) => Some(format!("{own} {other}")),
        (own, other) => own.or(other),
    };
}
