//! Finds out what the API server allows a principal through the connector: by doing it, else by asking about it, else
//! from the rules.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::future::try_join;
use futures::{StreamExt, TryStreamExt, stream};

use super::asking::{AT_ONCE, patiently, refuse_unknown, verdict_of};
use super::connector::{Server, ViewPorts, become_connector, connector_of, server};
use super::principal::Principal;
use super::questions::{Question, beyond, questions};
use super::scope::{Scope, scope_of};
use super::verification::{Answer, Means, Verdict, Verification};
use crate::error::{Code, Error};
use crate::ports::{Acting, Failure, FailureKind};
use crate::rbac::{Evaluator, Mode, Permit, Request, Snapshot, Through, Who, ways};

/// What is to be found out.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// About whom.
    pub principal: Principal,
    /// Namespace of the connector.
    pub namespace: String,
    /// Where; `None` leaves that to what the rules say.
    pub scope: Option<Scope>,
}

/// How questions are decided.
enum Judge {
    Acting(Arc<dyn Acting>),
    Reviews,
    Rules(Snapshot),
}

/// Finds it out.
///
/// # Errors
/// There is no connector; none of the three means is to be had; the API server does not answer.
pub async fn verify(ports: &ViewPorts, request: &VerifyRequest) -> Result<Verification, Error> {
    let namespace = request.namespace.as_str();
    let (acting, server, rules) = futures::join!(become_connector(ports, namespace), server(ports), async {
        if request.scope.is_none() { Some(ports.access.rules().await) } else { None }
    },);
    let mut notes = Vec::new();
    let (judge, rules) = judge(ports, namespace, acting?, rules, &mut notes).await?;
    let scope = scope(request, &server, judge.rules().or(rules.as_ref()), &mut notes);
    let (asked, more) = (questions(&scope), beyond(&scope));
    let (answers, beyond) = try_join(
        decide(ports, request, &server, &judge, asked),
        decide(ports, request, &server, &judge, more),
    )
    .await?;
    let means = judge.means();
    let version = server.version;
    let (principal, namespace) = (request.principal.clone(), request.namespace.clone());
    Ok(Verification { principal, namespace, version, means, scope, answers, beyond, notes })
}

/// The best means to be had, and the rules if they were read.
async fn judge(
    ports: &ViewPorts,
    namespace: &str,
    acting: Result<Arc<dyn Acting>, Failure>,
    rules: Option<Result<Snapshot, Failure>>,
    notes: &mut Vec<String>,
) -> Result<(Judge, Option<Snapshot>), Error> {
    let readable = |rules: Option<Result<Snapshot, Failure>>| match rules.transpose() {
        Ok(rules) => Ok(rules),
        Err(failure) if failure.kind == FailureKind::Denied => Ok(None),
        Err(failure) => Err(failure.into_error("read the access rules of the cluster")),
    };
    let no_token = match acting {
        Ok(acting) => return Ok((Judge::Acting(acting), readable(rules)?)),
        Err(failure) => failure,
    };
    notes.push(format!("Acting as the connector was not possible: {} is denied.", no_token.operation));
    let no_review =
        match ports.access.review(&connector_of(namespace), &[Request::path("get", "/version")]).await {
            Ok(_) => return Ok((Judge::Reviews, readable(rules)?)),
            Err(failure) if failure.kind == FailureKind::Denied => failure,
            Err(failure) => return Err(failure.into_error("ask the API server what the connector may do")),
        };
    notes.push(format!("Neither was asking the API server about others: {} is denied.", no_review.operation));
    let rules = match rules {
        Some(rules) => rules,
        None => ports.access.rules().await,
    };
    match rules {
        Ok(rules) => Ok((Judge::Rules(rules), None)),
        Err(failure) if failure.kind == FailureKind::Denied => {
            Err(nothing_allowed([no_token, no_review, failure]))
        }
        Err(failure) => Err(failure.into_error("read the access rules of the cluster")),
    }
}

fn nothing_allowed(failures: [Failure; 3]) -> Error {
    let causes: Vec<String> = failures.iter().map(ToString::to_string).collect();
    let rights: Vec<&str> = failures.iter().map(|failure| failure.operation.as_str()).collect();
    Error::failed(Code::NOT_VERIFIABLE, "what the principal may view cannot be found out with your rights")
        .cause(causes.join("\n"))
        .fix(format!(
            "any one of these rights suffices, the first one best: {}, {}, or {} (and the other kinds of that group)",
            rights[0], rights[1], rights[2]
        ))
}

fn scope(
    request: &VerifyRequest,
    server: &Server,
    rules: Option<&Snapshot>,
    notes: &mut Vec<String>,
) -> Scope {
    match (&request.scope, rules) {
        (Some(scope), _) => scope.clone(),
        (None, Some(rules)) => {
            scope_of(rules, &connector_of(&request.namespace), &request.principal, server.constrains)
        }
        (None, None) => {
            notes.push(
                "Your rights do not show in which namespaces the principal views; --namespace-scope names them."
                    .to_owned(),
            );
            Scope::Cluster
        }
    }
}

impl Judge {
    fn means(&self) -> Means {
        match self {
            Self::Acting(_) => Means::Acting,
            Self::Reviews => Means::Reviews,
            Self::Rules(_) => Means::Rules,
        }
    }

    fn rules(&self) -> Option<&Snapshot> {
        match self {
            Self::Rules(rules) => Some(rules),
            Self::Acting(_) | Self::Reviews => None,
        }
    }
}

async fn decide(
    ports: &ViewPorts,
    request: &VerifyRequest,
    server: &Server,
    judge: &Judge,
    questions: Vec<Question>,
) -> Result<Vec<Answer>, Error> {
    let principal = request.principal.arn();
    let connector = connector_of(&request.namespace);
    match judge {
        Judge::Acting(acting) => act(acting.as_ref(), principal, questions).await,
        Judge::Reviews => review(ports, &connector, principal, server.constrains, questions).await,
        Judge::Rules(rules) => {
            let evaluator = Evaluator::new(rules);
            let evaluate =
                |question| evaluate(&evaluator, &connector, principal, server.constrains, question);
            Ok(questions.into_iter().map(evaluate).collect())
        }
    }
}

/// Does it, as the connector.
async fn act(acting: &dyn Acting, principal: &str, questions: Vec<Question>) -> Result<Vec<Answer>, Error> {
    let asked = questions.into_iter().map(|question| async move {
        let asked = patiently(acting, principal, &question.call).await?;
        refuse_unknown(&asked)?;
        Ok(Answer { verdict: verdict_of(&asked), because: asked.message, question })
    });
    stream::iter(asked).buffered(AT_ONCE).try_collect().await
}

/// Asks about it: the connector's right to ask, then the principal's own.
async fn review(
    ports: &ViewPorts,
    connector: &Who,
    principal: &str,
    constrained: bool,
    questions: Vec<Question>,
) -> Result<Vec<Answer>, Error> {
    let named = Who::named(principal);
    let asks = questions.iter().flat_map(|question| ways(principal, &question.request, constrained));
    let asks: BTreeSet<Request> = asks.flat_map(|(_, requests)| requests).collect();
    let own: BTreeSet<Request> = questions.iter().map(|question| question.request.clone()).collect();
    let (connector_may, principal_may) =
        try_join(reviewed(ports, connector, asks), reviewed(ports, &named, own)).await?;
    let may = |request: &Request| connector_may.get(request).copied().unwrap_or(false);
    let decided = questions.into_iter().map(|question| {
        let ways = ways(principal, &question.request, constrained);
        let way = ways.iter().find(|(_, requests)| requests.iter().all(may));
        let (verdict, because) = match way {
            None => {
                let lacks = ways.iter().filter_map(|(_, requests)| requests.iter().find(|ask| !may(ask)));
                (Verdict::RefusedByImpersonation, lacking(connector, lacks))
            }
            Some(_) if !principal_may.get(&question.request).copied().unwrap_or(false) => {
                (Verdict::RefusedByRbac, format!("{principal} may not {}", question.request))
            }
            Some((mode, _)) => (Verdict::Allowed, by(*mode).to_owned()),
        };
        Answer { question, verdict, because }
    });
    Ok(decided.collect())
}

async fn reviewed(
    ports: &ViewPorts,
    who: &Who,
    requests: BTreeSet<Request>,
) -> Result<HashMap<Request, bool>, Error> {
    let requests: Vec<Request> = requests.into_iter().collect();
    let reviews = stream::iter(requests.chunks(AT_ONCE)).then(|some| ports.access.review(who, some));
    let allowed: Vec<Vec<bool>> = reviews
        .try_collect()
        .await
        .map_err(|failure| failure.into_error(&format!("ask the API server what {} may do", who.name)))?;
    Ok(requests.iter().cloned().zip(allowed.into_iter().flatten()).collect())
}

/// Evaluates it.
fn evaluate(
    evaluator: &Evaluator<'_>,
    connector: &Who,
    principal: &str,
    constrained: bool,
    question: Question,
) -> Answer {
    let (verdict, because) = match evaluator.through(connector, principal, &question.request, constrained) {
        Through::NotImpersonated { missing } => {
            (Verdict::RefusedByImpersonation, lacking(connector, missing.iter()))
        }
        Through::Forbidden(impersonated) => {
            (Verdict::RefusedByRbac, format!("{} may not {}", impersonated.who.name, question.request))
        }
        Through::Allowed(_, Permit::Rule(chain)) => (Verdict::Allowed, chain.to_string()),
        Through::Allowed(_, Permit::Masters) => (Verdict::Allowed, "member of system:masters".to_owned()),
    };
    Answer { question, verdict, because }
}

/// Each way of impersonating lacks something; any one would do.
fn lacking<'a>(connector: &Who, missing: impl Iterator<Item = &'a Request>) -> String {
    let missing: Vec<String> = missing.map(ToString::to_string).collect();
    format!("{} may not {}", connector.name, missing.join(", nor "))
}

fn by(mode: Mode) -> &'static str {
    match mode {
        Mode::Legacy => "by impersonation without constraint",
        Mode::UserInfo | Mode::ServiceAccount | Mode::ArbitraryNode => "by constrained impersonation",
    }
}
