//! Decides what the cluster's half of a registration has to do. Pure.

use crate::error::{Code, Error};
use crate::manifest::RegistrationMark;
use crate::plan::Plan;
use crate::registration::desired::Desired;
use crate::registration::handed::Handed;
use crate::registration::observed::Observed;
use crate::registration::planner::{
    RegisterPlan, activation_secret_out_of_shape, apply_agents, begin, is_used_by_pods, out_of_shape,
    remove_obsolete, remove_superfluous, superfluous,
};
use crate::registration::refusal::{or_without_waiting, refuse_obstacles};
use crate::registration::rights::{note_what_cannot_be_told, refuse_missing_rights};
use crate::registration::step::Step;
use crate::registration::takeover::{adoption_notes, question, refuse_kept_secret, refuse_others};

/// Plans. What is said of the registration is what was handed over.
///
/// # Errors
/// A conflict. Nothing has been changed then.
pub(super) fn plan(
    desired: &Desired,
    observed: &Observed,
    handed: &Handed,
    token: &str,
) -> Result<RegisterPlan, Error> {
    refuse_obstacles(desired, observed).map_err(or_without_waiting)?;
    refuse_others(desired, observed)?;
    refuse_another(desired, observed, handed)?;
    let id = &handed.activation.id;
    let with_state = |ordinal: u32| observed.states.get(&ordinal) == Some(id);
    let all_have_state = (0..desired.replicas()).all(with_state);
    let secret = observed.activation_secret.as_ref();
    let of_this = |secret: &&crate::registration::observed::ActivationSecretFacts| {
        secret.mark.as_ref().is_some_and(|mark| mark.activation_id == *id)
    };
    let holds_code = secret.filter(of_this).is_some_and(|secret| secret.holds_code);
    let keep = !all_have_state && !holds_code;
    if !all_have_state && handed.expiry <= observed.now {
        return Err(expired(desired, observed, handed));
    }
    if keep {
        refuse_kept_secret(desired, observed)?;
    }
    let others = observed.states.values().any(|state| state != id);

    let mark = RegistrationMark::new(&handed.arn, id, handed.registered_at);
    let mut objects = vec![desired.namespace(Some(&mark))];
    objects.extend(desired.base_objects().into_iter().chain(desired.pull_secret()));
    let wrong = out_of_shape(objects, observed);
    let agents = out_of_shape(vec![desired.stateful_set(id)], observed);
    let claimed = if keep { None } else { activation_secret_out_of_shape(desired, observed, &mark) };
    let settled = all_have_state && agents.is_empty();
    let spend = desired.wait && (holds_code || keep);
    let mut plan = Plan::default();
    let step = Step::AwaitAgents { replicas: desired.replicas() };
    let nothing_to_remove = observed.obsolete.is_empty() && superfluous(desired, observed).is_none();
    if wrong.is_empty() && agents.is_empty() && claimed.is_none() && nothing_to_remove && !spend && !keep {
        if !settled && desired.wait {
            plan.add(step, []);
        }
        return checked(desired, observed, plan, None);
    }
    let (held, before) = begin(desired, observed, wrong, token, &mut plan);
    let mut ready: Vec<_> = before.into_iter().chain([held]).collect();
    if keep {
        ready.push(plan.add(Step::KeepActivation, [held]));
    }
    if let Some(secret) = claimed {
        ready.push(plan.add(Step::ApplyActivationSecret(secret), [held]));
    }
    for object in agents {
        ready = vec![apply_agents(desired, observed, object, id, ready, &mut plan)];
    }
    if desired.wait {
        let agents_ready = plan.add(step, ready);
        if spend {
            plan.add(Step::SpendCode { activation_id: Some(id.clone()) }, [agents_ready]);
        }
        ready = vec![agents_ready];
    }
    remove_obsolete(observed, is_used_by_pods, &ready, &mut plan);
    remove_superfluous(desired, observed, &ready, &mut plan);
    let anew = (keep && others).then(|| {
        format!(
            "The agents of this cluster belong to another activation than the one that was handed over; they are \
             registered anew, as {}. Continue?",
            handed.arn
        )
    });
    let asked = [anew, question(desired, observed, None)]
        .into_iter()
        .flatten()
        .reduce(|one, other| format!("{one}\n{other}"));
    checked(desired, observed, plan, asked)
}

fn checked(
    desired: &Desired,
    observed: &Observed,
    plan: Plan<Step>,
    question: Option<String>,
) -> Result<RegisterPlan, Error> {
    refuse_missing_rights(desired, observed, &plan)?;
    let mut notes = Vec::new();
    adoption_notes(desired, observed, &mut notes);
    if plan.iter().any(|(_, planned)| matches!(planned.step, Step::AwaitAgents { .. })) {
        note_what_cannot_be_told(desired, observed, &mut notes);
    }
    Ok(RegisterPlan { plan, notes, question })
}

/// The cluster says that it is another registration's.
fn refuse_another(desired: &Desired, observed: &Observed, handed: &Handed) -> Result<(), Error> {
    let namespace = observed.namespace.as_ref().and_then(|namespace| namespace.mark.as_ref());
    let secret = observed.activation_secret.as_ref().and_then(|secret| secret.mark.as_ref());
    let Some(other) = [namespace, secret].into_iter().flatten().find(|mark| mark.cluster_arn != handed.arn)
    else {
        return Ok(());
    };
    Err(Error::refused(
        Code::REGISTERED_ELSEWHERE,
        format!("this cluster is registered already, as {}", other.cluster_arn),
    )
    .cause(format!(
        "namespace {} belongs to it; the activation is that of {}",
        desired.settings.namespace, handed.arn
    ))
    .fix(format!(
        "check --context and the file: one of them may be the wrong one. If that registration is gone: kubectl delete \
         namespace {}, then run the same command again",
        desired.settings.namespace
    )))
}

fn expired(desired: &Desired, observed: &Observed, handed: &Handed) -> Error {
    let missing: Vec<String> = (0..desired.replicas())
        .filter(|ordinal| observed.states.get(ordinal) != Some(&handed.activation.id))
        .map(|ordinal| desired.settings.state_secret(ordinal))
        .collect();
    Error::refused(
        Code::ACTIVATION_EXPIRED,
        format!("the activation of {} can no longer be used", handed.name),
    )
    .cause(format!(
        "it was valid until {}, and these Secrets of agents that have used it do not exist: {}",
        handed.expiry.strftime("%F %R UTC"),
        missing.join(", ")
    ))
    .fix(format!(
        "have the account's administrator register anew: aws eks deregister-cluster --name {} --region {}, then \
         eksconnect register --aws-only with another --activation-out",
        handed.name, handed.region
    ))
}
