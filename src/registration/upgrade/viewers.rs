//! Whether those who could view through the connector before can do so after.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::access::grants::grants;
use crate::ports::{Access, Acting, Failure};

/// What whoever may be impersonated may be asked for.
const HARMLESS: [&str; 2] = ["/api/v1/namespaces?limit=1", "/version"];

/// How long an answer is waited for: the API server remembers a refusal for ten seconds.
const DECIDED_WITHIN: Duration = Duration::from_secs(15);

/// How long between two questions.
const PAUSE: Duration = Duration::from_millis(500);

/// The principals that the connector of `namespace` can be, as the API server decides it; by name, in order.
pub(super) async fn viewers(access: &dyn Access, namespace: &str) -> Result<Vec<String>, Failure> {
    let rules = access.rules().await?;
    let names: Vec<String> = grants(&rules, namespace)
        .principals
        .into_iter()
        .filter(|grant| !grant.impersonation.is_empty())
        .map(|grant| grant.name)
        .collect();
    if names.is_empty() {
        return Ok(names);
    }
    let acting = access.act_as_connector(namespace).await?;
    Ok(split(&acting, names).await?.0)
}

/// Those of `before` that the connector can no longer be.
pub(super) async fn lost(
    access: &dyn Access,
    namespace: &str,
    before: &[String],
) -> Result<Vec<String>, Failure> {
    if before.is_empty() {
        return Ok(Vec::new());
    }
    let acting = access.act_as_connector(namespace).await?;
    let deadline = Instant::now() + DECIDED_WITHIN;
    let mut open = before.to_vec();
    loop {
        open = split(&acting, open).await?.1;
        if open.is_empty() || Instant::now() > deadline {
            return Ok(open);
        }
        sleep(PAUSE).await;
    }
}

/// Those that the connector can be, and those that it cannot.
async fn split(acting: &Arc<dyn Acting>, names: Vec<String>) -> Result<(Vec<String>, Vec<String>), Failure> {
    let answers = join_all(names.iter().map(|name| can_be(acting.as_ref(), name))).await;
    let (mut can, mut cannot) = (Vec::new(), Vec::new());
    for (name, answer) in names.into_iter().zip(answers) {
        if answer? { can.push(name) } else { cannot.push(name) }
    }
    Ok((can, cannot))
}

async fn can_be(acting: &dyn Acting, name: &str) -> Result<bool, Failure> {
    for path in HARMLESS {
        if !acting.ask(name, path).await?.is_refused_impersonation() {
            return Ok(true);
        }
    }
    Ok(false)
}
