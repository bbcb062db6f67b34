//! Asking the API server as the connector does, and what its answers say about rights.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use super::questions::Call;
use super::verification::Verdict;
use crate::error::{Code, Error};
use crate::ports::{Acting, Asked, Failure, FailureKind};

/// How many requests are under way at once. The API server limits what one user may have in flight.
pub(super) const AT_ONCE: usize = 24;

/// Retries of a request that the API server turned away because it is busy.
const RETRIES: usize = 3;

/// Asks again while the API server is busy or does not answer.
///
/// # Errors
/// It does not answer.
pub(super) async fn patiently(acting: &dyn Acting, principal: &str, call: &Call) -> Result<Asked, Error> {
    enum Busy {
        Answer(Asked),
        Failure(Failure),
    }
    let attempt = async || {
        let asked = match call {
            Call::Get(path) => acting.ask(principal, path).await,
            Call::Delete(path) => acting.ask_to_delete(principal, path).await,
        };
        match asked {
            Ok(asked) if is_busy(&asked) => Err(Busy::Answer(asked)),
            Ok(asked) => Ok(asked),
            Err(failure) => Err(Busy::Failure(failure)),
        }
    };
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .with_max_times(RETRIES);
    let passes = |busy: &Busy| match busy {
        Busy::Answer(_) => true,
        Busy::Failure(failure) => {
            matches!(failure.kind, FailureKind::Unreachable | FailureKind::Unavailable)
        }
    };
    match attempt.retry(backoff).when(passes).await {
        Ok(asked) | Err(Busy::Answer(asked)) => Ok(asked),
        Err(Busy::Failure(failure)) => Err(failure.into_error("ask the API server as the connector does")),
    }
}

/// Whether the API server would answer at another time.
fn is_busy(asked: &Asked) -> bool {
    matches!(asked.status, 429 | 502 | 503 | 504)
}

/// Authorization comes before everything else: whatever is answered that is no refusal was allowed, be it that there is
/// no such object.
pub(super) fn verdict_of(asked: &Asked) -> Verdict {
    match asked.status {
        _ if asked.is_refused_impersonation() => Verdict::RefusedByImpersonation,
        403 => Verdict::RefusedByRbac,
        _ if is_busy(asked) => Verdict::Unknown,
        _ => Verdict::Allowed,
    }
}

/// Refuses to take anything from an answer to somebody whom the API server does not know.
pub(super) fn refuse_unknown(asked: &Asked) -> Result<(), Error> {
    if asked.status != 401 {
        return Ok(());
    }
    Err(Error::failed(
        Code::CLUSTER_UNAUTHENTICATED,
        "the API server does not accept the token that it gave for the connector",
    )
    .cause(asked.message.clone())
    .fix("run the same command again"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_an_answer_says_about_a_right() {
        let asked = |status, message: &str| Asked { status, message: message.to_owned(), body: Value::Null };
        let impersonation = r#"User "system:serviceaccount:a:b" cannot impersonate resource "users""#;
        for (asked, expected) in [
            (asked(200, ""), Verdict::Allowed),
            (asked(404, "not found"), Verdict::Allowed),
            // A health check that fails is shown to whoever may see it.
            (asked(500, "[-]etcd failed"), Verdict::Allowed),
            (asked(403, impersonation), Verdict::RefusedByImpersonation),
            (asked(403, r#"User "arn:…" cannot list resource "pods""#), Verdict::RefusedByRbac),
            (asked(503, "busy"), Verdict::Unknown),
        ] {
            assert_eq!(verdict_of(&asked), expected, "{asked:?}");
        }
    }
}
