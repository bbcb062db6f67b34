//! Which cluster each context of the kubeconfig is.

use std::time::Duration;

use futures::stream::{self, StreamExt};

use super::identity::{ClusterIdentity, Link, link};
use crate::ports::Contexts;
use crate::registration::observed::Registration;

/// How long a context may take to answer: a kubeconfig may name clusters that are long gone.
pub const DEADLINE: Duration = Duration::from_secs(5);

/// How many contexts are asked at once.
const AT_ONCE: usize = 8;

/// A context and what its cluster says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextSeen {
    /// Its name.
    pub name: String,
    /// Whether it is the one in use.
    pub current: bool,
    /// What its cluster says; or why it could not be asked.
    pub seen: Result<ClusterIdentity, String>,
}

/// Asks every context, several at once.
pub async fn survey(contexts: &dyn Contexts) -> Vec<ContextSeen> {
    let current = contexts.current();
    let ask = |name: String| {
        let current = current.as_deref() == Some(name.as_str());
        async move {
            let seen = tokio::time::timeout(DEADLINE, identity(contexts, &name)).await;
            let seen = seen.unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs())));
            ContextSeen { name, current, seen }
        }
    };
    stream::iter(contexts.names()).map(ask).buffered(AT_ONCE).collect().await
}

async fn identity(contexts: &dyn Contexts, name: &str) -> Result<ClusterIdentity, String> {
    let survey = contexts.open(name).await.map_err(|error| cause(&error))?;
    survey.identity().await.map_err(|failure| format!("{}: {}", failure.operation, failure.message))
}

fn cause(error: &crate::error::Error) -> String {
    let cause = error.facts.iter().find(|fact| fact.label == "cause");
    cause.map_or_else(|| error.message.clone(), |fact| format!("{}: {}", error.message, fact.text))
}

/// The contexts that are the cluster of `registration`, each with what ties them.
pub fn contexts_of<'a>(
    registration: &Registration,
    contexts: &'a [ContextSeen],
) -> Vec<(&'a ContextSeen, Link)> {
    let tied = |context: &'a ContextSeen| {
        let identity = context.seen.as_ref().ok()?;
        link(registration, identity).map(|link| (context, link))
    };
    contexts.iter().filter_map(tied).collect()
}
