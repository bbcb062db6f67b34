//! What the proxy is asked to do to a request, and what it has taken note of.

use http::StatusCode;
use serde_json::{Value, json};

use super::asked::Asked;
use crate::aws::control::When;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// The API server turns it away with this status, in the words that it has for that.
    Refuse(StatusCode),
    /// The TCP connection is reset, and every other request on it dies too.
    Reset,
    /// It is never answered.
    Hang,
    /// The true answer lacks its end. It strikes after the effect.
    Malformed,
}

/// What is to happen to some requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProxyFault {
    /// The requests that count ([`Asked::kind`]).
    pub(crate) kind: String,
    /// Strikes from the n-th such request on; 1 is the next one.
    pub(crate) nth: usize,
    /// How often it strikes; `None` until it is taken back.
    pub(crate) times: Option<usize>,
    /// Before or after the effect.
    pub(crate) when: When,
    /// What happens.
    pub(crate) action: Action,
}

/// A request that went through the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// What it asked.
    pub(crate) asked: Asked,
    /// The status that was answered; 0 if nothing was, or not yet.
    pub(crate) status: u16,
    /// Whether the fault struck it.
    pub(crate) struck: bool,
}

/// The fault in force, and the requests so far.
#[derive(Default)]
pub(super) struct Book {
    fault: Option<ProxyFault>,
    matching: usize,
    strikes: usize,
    pub(super) seen: Vec<Seen>,
}

impl Book {
    /// Begins anew, with this fault.
    pub(super) fn begin(&mut self, fault: Option<ProxyFault>) {
        *self = Self { fault, ..Self::default() };
    }

    /// Takes the fault back and keeps what was seen.
    pub(super) fn heal(&mut self) {
        self.fault = None;
    }

    /// Enters a request; tells its place, and what is to happen to it.
    pub(super) fn enter(&mut self, asked: Asked) -> (usize, Option<(When, Action)>) {
        let kind = asked.kind();
        let mut strike = None;
        if let Some(fault) = self.fault.as_ref().filter(|fault| fault.kind == kind) {
            self.matching += 1;
            let left = fault.times.is_none_or(|times| self.strikes < times);
            if self.matching >= fault.nth && left {
                self.strikes += 1;
                strike = Some((fault.when, fault.action));
            }
        }
        self.seen.push(Seen { asked, status: 0, struck: strike.is_some() });
        (self.seen.len() - 1, strike)
    }
}

/// A `Status` as the API server answers it, with the headers that it adds.
pub(super) fn refusal(asked: &Asked, status: StatusCode) -> Value {
    let Asked { resource, namespace, name, .. } = asked;
    let name = name.as_deref().unwrap_or_default();
    let verb = asked.verb_of_rbac();
    let (reason, message) = match status {
        StatusCode::TOO_MANY_REQUESTS => {
            ("TooManyRequests", "too many requests, please try again later".to_owned())
        }
        StatusCode::FORBIDDEN => {
            let place = match namespace {
                Some(namespace) => format!("in API group \"\" in the namespace \"{namespace}\""),
                None => "in API group \"\" at the cluster scope".to_owned(),
            };
            (
                "Forbidden",
                format!(
                    "{resource} \"{name}\" is forbidden: User \"sandbox\" cannot {verb} resource \"{resource}\" {place}"
                ),
            )
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            ("ServiceUnavailable", "the server is currently unable to handle the request".to_owned())
        }
        _ => ("InternalError", "Internal error occurred: injected by the sandbox".to_owned()),
    };
    json!({
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": status.as_u16(),
    })
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn a_fault_strikes_its_kind_from_the_nth_on_and_so_often() {
        let get = |path: &str| Asked::of(&Method::GET, &path.parse().unwrap(), "");
        let (version, nodes) = (get("/version"), get("/api/v1/nodes"));
        let fault = |times| ProxyFault {
            kind: "get:/version".to_owned(),
            nth: 2,
            times,
            when: When::Before,
            action: Action::Hang,
        };
        let struck = |book: &mut Book| -> Vec<bool> {
            let asked = [&version, &nodes, &version, &version, &nodes];
            asked.iter().map(|asked| book.enter((*asked).clone()).1.is_some()).collect()
        };
        let mut book = Book::default();
        book.begin(Some(fault(Some(1))));
        assert_eq!(struck(&mut book), [false, false, true, false, false]);
        book.begin(Some(fault(None)));
        assert_eq!(struck(&mut book), [false, false, true, true, false]);
        book.heal();
        assert_eq!(struck(&mut book), [false; 5]);
        assert_eq!(book.seen.iter().filter(|seen| seen.struck).count(), 2);
    }

    #[test]
    fn a_refusal_says_what_rbac_says() {
        let uri = "/apis/apps/v1/namespaces/a/statefulsets/b?force=true".parse().unwrap();
        let asked = Asked::of(&Method::PATCH, &uri, "application/apply-patch+yaml");
        let status = refusal(&asked, StatusCode::FORBIDDEN);
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("cannot patch resource \"statefulsets\""), "{message}");
        assert!(message.contains("in the namespace \"a\""), "{message}");
    }
}
