//! The quota of registered clusters: an aid, for EKS counts itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::desired::Desired;
use super::observe::Ports;
use super::observed::Observed;
use crate::error::{Code, Error};
use crate::ports::{Failure, FailureKind};

/// How long it may take: where Service Quotas cannot be reached, EKS says it later.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of the quota.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuotaSeen {
    /// Nothing.
    Unknown,
    /// It may not be looked at: this operation is denied.
    Denied(String),
    /// Both numbers.
    Known {
        /// How many may be registered.
        limit: usize,
        /// How many are, at least.
        registered: usize,
    },
}

/// A question about the quota that is under way.
pub struct Asked(JoinSet<QuotaSeen>);

/// Asks, beside what else is looked at. Nothing waits for it unless the answer is wanted.
pub fn ask(ports: &Ports) -> Asked {
    let (quotas, registrations) = (Arc::clone(&ports.quotas), Arc::clone(&ports.registrations));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let both = async { tokio::try_join!(quotas.registered_clusters(), registrations.count()) };
        match tokio::time::timeout(PATIENCE, both).await {
            Ok(Ok((Some(limit), Some(registered)))) => QuotaSeen::Known { limit, registered },
            Ok(Ok(_)) => QuotaSeen::Unknown,
            Ok(Err(failure)) => unknown(failure),
            Err(_) => {
                tracing::debug!("the quota of registered clusters was not told in time");
                QuotaSeen::Unknown
            }
        }
    });
    Asked(tasks)
}

impl Asked {
    /// The answer.
    pub async fn seen(mut self) -> QuotaSeen {
        match self.0.join_next().await {
            Some(Ok(seen)) => seen,
            Some(Err(_)) | None => QuotaSeen::Unknown,
        }
    }
}

fn unknown(failure: Failure) -> QuotaSeen {
    if failure.kind == FailureKind::Denied {
        return QuotaSeen::Denied(failure.operation);
    }
    tracing::debug!("{}: {failure}", failure.operation);
    QuotaSeen::Unknown
}

/// Refuses a registration that EKS would refuse, before a role or a namespace is made for it.
pub(super) fn refuse_used_up_quota(
    desired: &Desired,
    observed: &Observed,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    match &observed.quota {
        QuotaSeen::Known { limit, registered } if registered >= limit => Err(Error::refused(
            Code::QUOTA,
            format!("{} cannot be registered: the quota of registered clusters is used up", desired.name),
        )
        .cause(format!("{registered} clusters are registered in {}, of {limit} that may be", observed.region))
        .fix(HOW_TO_GET_ROOM)),
        QuotaSeen::Known { .. } | QuotaSeen::Unknown => Ok(()),
        QuotaSeen::Denied(operation) => {
            notes.push(format!(
                "Whether the quota of registered clusters is used up is not known: {operation} is denied."
            ));
            Ok(())
        }
    }
}

/// What to do once the quota is used up.
pub(super) const HOW_TO_GET_ROOM: &str =
    "deregister a cluster that is no longer used, or raise the quota \"Registered clusters\" (L-FDFA5F81)";
