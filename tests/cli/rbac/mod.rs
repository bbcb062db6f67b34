//! The evaluator of access rules and a real API server are asked the same, about random rules, and agree.
//!
//! `RBAC_SEED` repeats a run, `RBAC_QUESTIONS` asks more.

mod impersonation;
mod objects;
mod questions;
mod world;

use eksconnect::rbac::{Chain, Evaluator, Permit, Subject, Who};
use eksconnect_sandbox::Progress;
use futures::stream::{self, StreamExt};

use self::objects::Objects;
use self::questions::Question;
use self::world::{AT_ONCE, load, reviewed, snapshot};
use crate::matrix::hash;
use crate::numbers::{Numbers, setting};
use crate::support::Scene;

/// How many questions are asked. A thousand take one to two seconds on two cores.
const QUESTIONS: usize = 6_000;

/// Another one for every change of the sources, so that each tries other rules and can still be tried again.
fn seed() -> u64 {
    setting("RBAC_SEED", hash())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_evaluator_and_a_real_api_server_agree() {
    let (seed, count) = (seed(), setting("RBAC_QUESTIONS", QUESTIONS));
    let mut numbers = Numbers::seeded(seed);
    let scene = Scene::new().await;
    let client = scene.client().await;
    load(&scene, &client, &Objects::random(&mut numbers)).await;
    let snapshot = snapshot(&scene).await;
    let evaluator = Evaluator::new(&snapshot);

    let questions: Vec<Question> = (0..count).map(|_| Question::random(&mut numbers, &snapshot)).collect();
    let answers: Vec<(bool, String)> = stream::iter(&questions)
        .map(|question| reviewed(&client, question.spec()))
        .buffered(AT_ONCE)
        .collect()
        .await;
    let mut wrong = Vec::new();
    for (question, (allowed, reason)) in questions.iter().zip(&answers) {
        let permit = evaluator.permits(&question.who, &question.request);
        let explained = match permit {
            Some(Permit::Rule(_)) => {
                evaluator.chains(&question.who, &question.request).any(|chain| said(&chain) == *reason)
            }
            Some(Permit::Masters) => reason.is_empty(),
            None => true,
        };
        let known = evaluator
            .who_can(&question.request)
            .any(|chain| means(chain.subject, chain.binding.meta.namespace.as_deref(), &question.who));
        let is_known = permit == Some(Permit::Masters) || known == permit.is_some();
        if permit.is_some() != *allowed || !explained || !is_known {
            wrong.push(format!(
                "{question:?}\n    API server: {allowed} {reason}\n    evaluator:  {permit:?}"
            ));
        }
    }
    let allowed = answers.iter().filter(|(allowed, _)| *allowed).count();
    Progress::stderr().say(&format!(
        "The evaluator and the API server were asked {count} questions with seed {seed} and agree on {}; {allowed} of \
         them are allowed.",
        count - wrong.len()
    ));
    assert!(allowed * 10 > count && allowed * 10 < 9 * count, "{allowed} of {count} show little");
    wrong.truncate(5);
    assert!(wrong.is_empty(), "RBAC_SEED={seed}\n{}", wrong.join("\n"));
}

/// The API server's words for a way (`rbac/validation`, `clusterRoleBindingDescriber`, `roleBindingDescriber`).
fn said(chain: &Chain<'_>) -> String {
    let binding = &chain.binding.meta;
    let name = match &binding.namespace {
        Some(namespace) => format!("{}/{namespace}", binding.name),
        None => binding.name.clone(),
    };
    let subject = match chain.subject {
        Subject::User(name) => format!("User {name:?}"),
        Subject::Group(name) => format!("Group {name:?}"),
        Subject::ServiceAccount { namespace, name } => {
            let namespace = namespace.as_deref().filter(|namespace| !namespace.is_empty());
            let namespace = namespace.or(binding.namespace.as_deref()).unwrap_or_default();
            format!("ServiceAccount \"{name}/{namespace}\"")
        }
    };
    format!(
        "RBAC: allowed by {} {name:?} of {} {:?} to {subject}",
        chain.binding.kind(),
        chain.binding.role.kind(),
        chain.binding.role.name()
    )
}

/// Whether a subject is somebody, by the letter of Kubernetes' documentation.
fn means(subject: &Subject, own: Option<&str>, who: &Who) -> bool {
    match subject {
        Subject::User(name) => *name == who.name,
        Subject::Group(name) => who.groups.contains(name),
        Subject::ServiceAccount { namespace, name } => {
            let namespace = namespace.as_deref().filter(|namespace| !namespace.is_empty()).or(own);
            namespace.is_some_and(|namespace| who.name == format!("system:serviceaccount:{namespace}:{name}"))
        }
    }
}
