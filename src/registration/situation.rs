//! How things stand with the registration: whether it goes on as it is, or has to be made, perhaps after an earlier one
//! is removed.

use super::desired::Desired;
use super::observed::{Observed, Registration, Status};
use super::place::in_namespace;
use super::proof::{Proof, prove};
use super::refusal::{name_held, refuse_second_name};
use super::takeover::{Removal, refuse_unknown_agents};
use crate::error::{Code, Error};

/// How things stand with the registration.
pub(super) enum Situation<'a> {
    /// It exists, is ours, and has what it needs to become or stay ACTIVE.
    Known {
        /// The registration.
        registration: &'a Registration,
        /// Its activation.
        activation_id: &'a str,
    },
    /// It has to be made.
    Fresh {
        /// The one that is removed first, and why.
        removed: Option<(&'a Registration, Removal)>,
    },
}

/// Decides how things stand; what a person should know about it is added to `notes`.
pub(super) fn situation<'a>(
    desired: &Desired,
    observed: &'a Observed,
    notes: &mut Vec<String>,
) -> Result<Situation<'a>, Error> {
    refuse_second_name(desired, observed)?;
    let Some(registration) = &observed.registration else {
        refuse_unknown_agents(desired, observed)?;
        if let Some(mark) = observed.namespace.as_ref().and_then(|namespace| namespace.mark.as_ref()) {
            notes.push(format!(
                "The agent in this cluster belongs to {}, which no longer exists; it is taken over.",
                mark.cluster_arn
            ));
        }
        return Ok(Situation::Fresh { removed: None });
    };
    let name = &desired.name;
    if registration.role_arn.is_none() {
        return Err(Error::refused(
            Code::NAME_HELD,
            format!("{name} is the name of a cluster that EKS runs itself"),
        )
        .fix("choose another --name"));
    }
    let proof = prove(registration, observed);
    if !proof.is_proven() {
        return replaced(desired, observed, registration, &proof);
    }
    let removed = |why: Removal| Ok(Situation::Fresh { removed: Some((registration, why)) });
    let mut unusable = |note: String| {
        notes.push(note);
        removed(Removal::Unusable)
    };
    match &registration.status {
        Status::Deleting => Err(being_deleted(desired)),
        Status::Failed => unusable(format!(
            "The registration {name} of this cluster has FAILED; it is removed and made anew."
        )),
        Status::Creating | Status::Pending => match usable_activation(registration, observed) {
            Some(_) if desired.takeover.renew => removed(Removal::Renewal),
            Some(activation_id) => Ok(Situation::Known { registration, activation_id }),
            None => unusable(format!(
                "The registration {name} of this cluster is {} without a usable activation code; it is removed and \
                 made anew.",
                registration.status
            )),
        },
        Status::Active | Status::Updating | Status::Unknown(_) if desired.takeover.renew => {
            removed(Removal::Renewal)
        }
        Status::Active | Status::Updating | Status::Unknown(_) => match &registration.activation_id {
            Some(activation_id) if observed.states.values().any(|state| state == activation_id) => {
                Ok(Situation::Known { registration, activation_id })
            }
            _ => Err(state_lost(desired, registration)),
        },
    }
}

/// A registration of that name that is not this cluster's, or cannot be shown to be.
fn replaced<'a>(
    desired: &Desired,
    observed: &Observed,
    registration: &'a Registration,
    proof: &Proof,
) -> Result<Situation<'a>, Error> {
    if !desired.takeover.replace {
        return Err(name_held(desired, registration, proof));
    }
    if registration.status == Status::Deleting {
        return Err(being_deleted(desired));
    }
    refuse_unknown_agents(desired, observed)?;
    Ok(Situation::Fresh { removed: Some((registration, Removal::Replacement)) })
}

fn being_deleted(desired: &Desired) -> Error {
    Error::refused(Code::BEING_DELETED, format!("registration {} is being deleted", desired.name))
        .fix("run the same command again when it is gone")
}

fn state_lost(desired: &Desired, registration: &Registration) -> Error {
    let name = &desired.name;
    Error::refused(
        Code::STATE_LOST,
        format!(
            "registration {name} is {}, but this cluster no longer has the agent's state",
            registration.status
        ),
    )
    .cause(format!(
        "the namespace or the Secrets {}-* were deleted; their activation code cannot be used again",
        desired.settings.inherited.state_prefix()
    ))
    .fix(format!(
        "make it anew: eksconnect register --name {name} --renew{}",
        in_namespace(&desired.settings.namespace)
    ))
}

/// The activation with which a registration that is not ACTIVE yet can still become so: its code is at hand, or its
/// agents have used it already.
fn usable_activation<'a>(registration: &'a Registration, observed: &Observed) -> Option<&'a str> {
    let id = registration.activation_id.as_deref()?;
    let used = observed.states.values().any(|state| state == id);
    (code_at_hand(registration, observed) || used).then_some(id)
}

/// Whether an agent could still register with the registration's own code.
pub(super) fn code_at_hand(registration: &Registration, observed: &Observed) -> bool {
    let unexpired = registration.activation_expiry.is_none_or(|expiry| expiry > observed.now);
    unexpired && registration.activation_id.as_deref().is_some_and(|id| holds_code_of(id, observed))
}

/// Whether the activation Secret holds the code of an activation. One that eksconnect did not write tells only by the
/// agents that use it.
pub(super) fn holds_code_of(activation_id: &str, observed: &Observed) -> bool {
    let Some(secret) = observed.activation_secret.as_ref().filter(|secret| secret.holds_code) else {
        return false;
    };
    let of_agents =
        || observed.installed.as_ref().filter(|installed| !installed.ours)?.activation_id.as_ref();
    let id = secret.mark.as_ref().map(|mark| &mark.activation_id).or_else(of_agents);
    id.is_some_and(|id| id == activation_id)
}
