//! The way of one call: read, log, authenticate, delay, run, answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, Request as HttpRequest, State as Shared};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::caller::Caller;
use super::faults::{FaultKind, Strike, When};
use super::log::{Entry, redact};
use super::request::Request;
use super::response::Answer;
use super::service::{Call, Error, Operation, Protocol, Service};
use super::signature::Authorization;
use super::state::State;
use super::{authentication, iam, validation};
use crate::socket::Connection;

/// Larger than any request that the services accept.
const BODY_LIMIT: usize = 1024 * 1024;

/// What every request handler shares.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    state: Arc<Mutex<State>>,
    /// Ends calls that hang when the emulator stops.
    stopped: CancellationToken,
}

impl Server {
    pub(crate) fn new(stopped: CancellationToken) -> Server {
        Server { state: Arc::default(), stopped }
    }

    /// The state, locked. Held only for what needs no waiting.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A panic in a handler must not end the emulator for the other tests.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers any request that is not for the control endpoint.
pub(crate) async fn serve(
    Shared(server): Shared<Server>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: HttpRequest,
) -> Response {
    // A task of its own: like AWS, it finishes a call whose caller has gone.
    let call = tokio::spawn(async move {
        let (head, body) = request.into_parts();
        match to_bytes(body, BODY_LIMIT).await {
            Ok(body) => {
                let request = Request {
                    method: head.method,
                    uri: head.uri,
                    headers: head.headers,
                    body: body.to_vec(),
                };
                server.answer(connection, request).await
            }
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        }
    });
    call.await.unwrap_or_else(|error| (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response())
}

/// A call on its way.
struct Arrived {
    service: &'static Service,
    operation: Result<&'static Operation, Error>,
    input: serde_json::Map<String, serde_json::Value>,
    caller: Caller,
    region: String,
    sequence: u64,
    delay: Duration,
    fault: Option<Strike>,
}

impl Server {
    async fn answer(&self, connection: Connection, request: Request) -> Response {
        let started = Instant::now();
        let arrived = self.arrive(&request);
        tokio::time::sleep(arrived.delay).await;
        let (service, sequence, fault) = (arrived.service, arrived.sequence, arrived.fault.clone());
        let has_effect = fault
            .as_ref()
            .is_none_or(|fault| fault.when == When::After || fault.kind == FaultKind::MalformedBody);
        let answer = has_effect.then(|| self.run(arrived));
        let answer = match (fault.as_ref().map(|fault| &fault.kind), answer) {
            (None, Some(answer)) => Ok(answer),
            (Some(FaultKind::MalformedBody), Some((answer, _))) => Ok((answer.without_its_end(), None)),
            (Some(FaultKind::Error { status, code, message }), _) => {
                let error = Error::new(*status, code, message.clone());
                Ok((Answer::error(service, &error), Some(code.clone())))
            }
            (Some(kind), _) => Err(kind.clone()),
            (None, None) => Err(FaultKind::Hang),
        };
        let status = answer.as_ref().map_or(0, |(answer, _)| answer.status);
        let code = answer.as_ref().ok().and_then(|(_, code)| code.clone());
        self.finish(sequence, fault.map(|fault| fault.id), |entry| {
            entry.status = status;
            entry.error = code;
            entry.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        });
        match answer {
            Ok((answer, _)) => answer.into_response(),
            Err(FaultKind::Reset) => {
                connection.reset();
                Response::new(Body::empty())
            }
            Err(_) => {
                self.stopped.cancelled().await;
                connection.reset();
                Response::new(Body::empty())
            }
        }
    }

    /// Completes the log's entry of a call, and notes that the fault that struck it is over.
    fn finish(&self, sequence: u64, fault: Option<u64>, complete: impl FnOnce(&mut Entry)) {
        let mut state = self.state();
        state.log.finish(sequence, complete);
        if let Some(fault) = fault {
            state.faults.over(fault);
        }
    }

    /// Reads and authenticates a request and enters it in the log.
    fn arrive(&self, request: &Request) -> Arrived {
        let authorization = request.header("authorization").map(Authorization::parse);
        let scope = authorization.as_ref().and_then(|parsed| parsed.as_ref().ok());
        let service = request.service(scope);
        let asked = request.asked(service);
        let mut state = self.state();
        let authenticated =
            authentication::authenticate(&state, request, service, asked.operation, authorization.as_ref());
        let (caller, region, refused) = match authenticated {
            Ok((caller, region)) => (caller, region, None),
            Err(error) => {
                let region = scope.map(|scope| scope.region.clone()).unwrap_or_default();
                (Caller::Anonymous, region, Some(error))
            }
        };
        let (input, unreadable) = match asked.input {
            Ok(input) => (input, None),
            Err(error) => (serde_json::Map::new(), Some(error)),
        };
        let operation = match refused.or_else(|| asked.operation.is_some().then_some(unreadable).flatten()) {
            Some(error) => Err(error),
            None => asked.operation.ok_or_else(|| unknown_operation(service, &asked.name)),
        };
        // An agent that has no identity yet shows whose it is by its activation.
        let of_activation = || state.account_of_activation(input.get("ActivationId")?.as_str()?);
        let account = caller.account().or_else(of_activation).map(str::to_owned);
        let entry = Entry {
            sequence: 0,
            time: state.now().to_string(),
            service: service.name.to_owned(),
            operation: asked.name.clone(),
            account: account.clone(),
            region: (!region.is_empty()).then(|| region.clone()),
            principal: match &caller {
                Caller::Anonymous => None,
                Caller::Principal(principal) => Some(principal.arn.clone()),
                Caller::Instance { id, .. } => Some(id.clone()),
            },
            status: 0,
            error: None,
            parameters: redact(&input, asked.operation.map_or(&[], |operation| operation.input)),
            duration_ms: 0,
        };
        let sequence = state.log.begin(entry);
        let account = account.as_deref();
        let delay = Duration::from_millis(state.faults.delay(service.name, &asked.name, account));
        let fault = state.faults.strike(service.name, &asked.name, account);
        Arrived { service, operation, input, caller, region, sequence, delay, fault }
    }

    /// Runs the operation. Gives the answer and its error code.
    fn run(&self, arrived: Arrived) -> (Answer, Option<String>) {
        let Arrived { service, operation, input, caller, region, .. } = arrived;
        let result = operation.and_then(|operation| {
            validation::validate(service, operation.input, &input)?;
            let mut state = self.state();
            let now = state.now();
            iam::settle(&mut state, now);
            let mut call = Call { service, state: &mut state, now, input, caller, region };
            Ok((operation, (operation.run)(&mut call)?))
        });
        match result {
            Ok((operation, output)) => (Answer::success(service, operation.name, &output), None),
            Err(error) => (Answer::error(service, &error), Some(error.code)),
        }
    }
}

fn unknown_operation(service: &Service, name: &str) -> Error {
    match service.protocol {
        Protocol::Query if name.is_empty() => {
            Error::new(400, "MissingAction", "The request is missing an action or a required parameter.")
        }
        Protocol::Query => {
            let version = service.version;
            Error::new(400, "InvalidAction", format!("Could not find operation {name} for version {version}"))
        }
        Protocol::AwsJson => Error::bare(400, "UnknownOperationException"),
        Protocol::RestJson | Protocol::RestXml => Error::bare(404, "UnknownOperationException"),
    }
}
