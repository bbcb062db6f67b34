//! What somebody may do in the name of another, as the API server's impersonation filter decides it. Only a name is
//! impersonated, as the connector does it: groups, UIDs and extra fields are not asked for.

use super::evaluator::{Evaluator, Permit};
use super::request::Request;
use super::who::{Who, node, service_account};

/// The API group of the resources that constrained impersonation asks about.
const AUTHENTICATION: &str = "authentication.k8s.io";

/// By which of the API server's modes somebody is impersonated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Constrained: only requests for which `impersonate-on:…` is granted as well. A user.
    UserInfo,
    /// The same for a service account.
    ServiceAccount,
    /// The same for a node. (A service account's own node may be allowed by a further mode, which needs more of its token
    /// than its name.)
    ArbitraryNode,
    /// The verb `impersonate`: whatever the impersonated one may do.
    Legacy,
}

/// What becomes of a request in another's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Through<'a> {
    /// The impersonation itself is refused.
    NotImpersonated {
        /// What would have to be allowed: of each mode the first that is missing.
        missing: Vec<Request>,
    },
    /// The impersonation is allowed, and the impersonated one may not do that.
    Forbidden(Impersonated),
    /// All of it is allowed.
    Allowed(Impersonated, Permit<'a>),
}

/// Who a request is made as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Impersonated {
    /// Whom the API server takes the request to be from.
    pub who: Who,
    /// By which mode.
    pub mode: Mode,
}

impl Mode {
    /// The middle of the verbs of constrained impersonation.
    fn word(self) -> Option<&'static str> {
        match self {
            Self::UserInfo => Some("user-info"),
            Self::ServiceAccount => Some("serviceaccount"),
            Self::ArbitraryNode => Some("arbitrary-node"),
            Self::Legacy => None,
        }
    }
}

impl<'a> Evaluator<'a> {
    /// What becomes of `request` when `requestor` sends it as `name`. Whether the server knows constrained
    /// impersonation is `constrained`: it is tried first then.
    pub fn through(&self, requestor: &Who, name: &str, request: &Request, constrained: bool) -> Through<'a> {
        let mut missing = Vec::new();
        for (mode, asks) in ways(name, request, constrained) {
            let lacks = asks.into_iter().find(|ask| self.permits(requestor, ask).is_none());
            let Some(lacks) = lacks else {
                let impersonated = Impersonated { who: becomes(mode, name), mode };
                return match self.permits(&impersonated.who, request) {
                    Some(permit) => Through::Allowed(impersonated, permit),
                    None => Through::Forbidden(impersonated),
                };
            };
            missing.push(lacks);
        }
        Through::NotImpersonated { missing }
    }
}

/// The ways in which the API server lets somebody send `request` as `name`, in the order in which it tries them: of each
/// all that must be allowed to the one who impersonates.
pub fn ways(name: &str, request: &Request, constrained: bool) -> Vec<(Mode, Vec<Request>)> {
    let modes = [constrained.then(|| constrained_mode(name)), Some(Mode::Legacy)];
    modes.into_iter().flatten().map(|mode| (mode, asks(mode, name, request))).collect()
}

fn constrained_mode(name: &str) -> Mode {
    if node(name).is_some() {
        Mode::ArbitraryNode
    } else if service_account(name).is_some() {
        Mode::ServiceAccount
    } else {
        Mode::UserInfo
    }
}

/// What must be allowed to the one who impersonates, in the order in which the API server asks.
fn asks(mode: Mode, name: &str, request: &Request) -> Vec<Request> {
    let (verb, group) = match mode.word() {
        Some(word) => (format!("impersonate:{word}"), AUTHENTICATION),
        None => ("impersonate".to_owned(), ""),
    };
    let identity = match (mode, service_account(name), node(name)) {
        (Mode::ServiceAccount | Mode::Legacy, Some((namespace, name)), _) => {
            Request::on(&verb, group, "serviceaccounts").within(namespace).named(name)
        }
        (Mode::ArbitraryNode, _, Some(name)) => Request::on(&verb, group, "nodes").named(name),
        (Mode::UserInfo | Mode::ServiceAccount | Mode::ArbitraryNode | Mode::Legacy, _, _) => {
            Request::on(&verb, group, "users").named(name)
        }
    };
    let Some(word) = mode.word() else { return vec![identity] };
    let on = format!("impersonate-on:{word}:{}", request.verb);
    vec![Request { verb: on, target: request.target.clone() }, identity]
}

fn becomes(mode: Mode, name: &str) -> Who {
    match mode {
        Mode::ArbitraryNode => Who::node(name),
        Mode::UserInfo | Mode::ServiceAccount | Mode::Legacy => Who::named(name),
    }
}
