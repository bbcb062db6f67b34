//! The faults, and what each of them is on either side.

use http::StatusCode;

use super::call::Point;
use crate::aws::control::{self, FaultKind, Selector, When};
use crate::proxy::{Action, ProxyFault};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    Throttled,
    InternalError,
    Unavailable,
    Denied,
    ResetBefore,
    ResetAfter,
    Hang,
    Malformed,
}

impl Fault {
    pub(super) const ALL: [Self; 8] = [
        Self::Throttled,
        Self::InternalError,
        Self::Unavailable,
        Self::Denied,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Hang,
        Self::Malformed,
    ];

    /// Its name in cells and in expectations.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::InternalError => "500",
            Self::Unavailable => "503",
            Self::Denied => "denied",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::Hang => "hang",
            Self::Malformed => "malformed",
        }
    }

    /// Whether it differs from the others for this call: a read has no effect after which a connection could be reset.
    pub(super) fn concerns(self, write: bool) -> bool {
        write || self != Self::ResetAfter
    }

    /// Before or after the effect. What hangs has had its effect, which is worse than if it had not.
    fn when(self) -> When {
        match self {
            Self::Throttled | Self::InternalError | Self::Unavailable | Self::Denied | Self::ResetBefore => {
                When::Before
            }
            Self::ResetAfter | Self::Hang | Self::Malformed => When::After,
        }
    }
}

/// What is done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// It has its effect, and before its answer arrives the caller is killed.
    Kill,
    /// It fails, once or from then on.
    Fault { fault: Fault, lasting: bool },
}

impl Blow {
    /// The last parts of the names of cells.
    pub(super) fn name(self) -> String {
        match self {
            Self::Kill => "killed".to_owned(),
            Self::Fault { fault, lasting } => format!("{}/{}", fault.name(), times(lasting)),
        }
    }

    /// For the proxy in front of the cluster.
    pub(super) fn in_cluster(self, point: &Point) -> ProxyFault {
        let (action, when, lasting) = match self {
            Self::Kill => (Action::Hang, When::After, false),
            Self::Fault { fault, lasting } => {
                let action = match fault {
                    Fault::Throttled => Action::Refuse(StatusCode::TOO_MANY_REQUESTS),
                    Fault::InternalError => Action::Refuse(StatusCode::INTERNAL_SERVER_ERROR),
                    Fault::Unavailable => Action::Refuse(StatusCode::SERVICE_UNAVAILABLE),
                    Fault::Denied => Action::Refuse(StatusCode::FORBIDDEN),
                    Fault::ResetBefore | Fault::ResetAfter => Action::Reset,
                    Fault::Hang => Action::Hang,
                    Fault::Malformed => Action::Malformed,
                };
                (action, fault.when(), lasting)
            }
        };
        let times = (!lasting).then_some(1);
        ProxyFault { kind: point.call.kind.clone(), nth: point.nth, times, when, action }
    }

    /// For the emulator of AWS.
    pub(super) fn in_aws(self, point: &Point, account: &str, caller: &str) -> control::Fault {
        let (service, operation) = point.call.kind.split_once(':').unwrap_or_default();
        let (kind, when, lasting) = match self {
            Self::Kill => (FaultKind::Hang, When::After, false),
            Self::Fault { fault, lasting } => {
                let kind = match fault {
                    Fault::Throttled => throttled(service),
                    Fault::InternalError => internal_error(service),
                    Fault::Unavailable => unavailable(service),
                    Fault::Denied => denied(service, operation, caller),
                    Fault::ResetBefore | Fault::ResetAfter => FaultKind::Reset,
                    Fault::Hang => FaultKind::Hang,
                    Fault::Malformed => FaultKind::MalformedBody,
                };
                (kind, fault.when(), lasting)
            }
        };
        let selector = Selector {
            service: Some(service.to_owned()),
            operation: Some(operation.to_owned()),
            account: Some(account.to_owned()),
        };
        let nth = u32::try_from(point.nth).unwrap_or(u32::MAX);
        control::Fault { selector, nth, times: (!lasting).then_some(1), when, kind }
    }
}

/// How often, as names of cells and expectations say it.
pub(super) fn times(lasting: bool) -> &'static str {
    if lasting { "lasting" } else { "once" }
}

fn error(status: u16, code: &str, message: &str) -> FaultKind {
    FaultKind::Error { status, code: code.to_owned(), message: message.to_owned() }
}

// The codes are those of the services' models in botocore, or of IAM's and STS' common errors.

fn throttled(service: &str) -> FaultKind {
    match service {
        "iam" | "sts" => error(400, "Throttling", "Rate exceeded"),
        _ => error(429, "ThrottlingException", "Rate exceeded"),
    }
}

fn internal_error(service: &str) -> FaultKind {
    match service {
        "eks" => error(500, "ServerException", "Something went wrong on our side."),
        "iam" => {
            error(500, "ServiceFailure", "The request processing has failed because of an unknown error.")
        }
        _ => error(500, "InternalFailure", "The request processing has failed because of an unknown error."),
    }
}

fn unavailable(service: &str) -> FaultKind {
    match service {
        "eks" => error(503, "ServiceUnavailableException", "Service is unavailable."),
        _ => error(
            503,
            "ServiceUnavailable",
            "The request has failed due to a temporary failure of the server.",
        ),
    }
}

fn denied(service: &str, operation: &str, caller: &str) -> FaultKind {
    let message =
        format!("User: {caller} is not authorized to perform: {service}:{operation} on resource: *");
    match service {
        "iam" | "sts" => error(403, "AccessDenied", &message),
        _ => error(403, "AccessDeniedException", &message),
    }
}
