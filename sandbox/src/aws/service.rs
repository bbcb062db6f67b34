//! What the services have in common: how an operation is described, what it is called with, how it fails.

use std::collections::BTreeMap;

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::caller::Caller;
use super::policy;
use super::settings::Settings;
use super::state::{Account, Region, State};

/// How requests, answers and errors look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// HTTP methods and paths, JSON bodies (EKS).
    RestJson,
    /// `POST /` with `X-Amz-Target` (SSM, Service Quotas).
    AwsJson,
    /// `POST /` with a form, answered in XML (IAM, STS).
    Query,
    /// HTTP methods and paths, JSON in, XML out: what the SSM agent reads from ssmmessages.
    RestXml,
}

/// One AWS service: a table of operations and how they are spoken to.
#[derive(Debug)]
pub(crate) struct Service {
    /// The name in the credential scope, in control requests and in the log.
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    /// Prefix of `X-Amz-Target`; empty for other protocols.
    pub(crate) target: &'static str,
    /// API version of the query protocol; empty for other protocols.
    pub(crate) version: &'static str,
    /// XML namespace of the query protocol; empty for other protocols.
    pub(crate) namespace: &'static str,
    pub(crate) operations: &'static [Operation],
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// A principal with an access key (Signature Version 4).
    Signed,
    /// Nobody in particular: the request is not signed.
    Anonymous,
    /// A managed instance that signs with its registered RSA key.
    Instance,
}

/// One operation of a service.
#[derive(Debug)]
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    /// HTTP method and path template of the REST protocols, such as `("GET", "/clusters/{name}")`.
    pub(crate) http: (&'static str, &'static str),
    pub(crate) auth: Auth,
    /// Constraints of the service model, checked before the operation runs.
    pub(crate) input: &'static [Member],
    /// Runs with the state locked: never waits.
    pub(crate) run: fn(&mut Call<'_>) -> Result<Value, Error>,
}

impl Operation {
    /// A signed operation of a protocol without paths.
    pub(crate) const fn new(
        name: &'static str,
        input: &'static [Member],
        run: fn(&mut Call<'_>) -> Result<Value, Error>,
    ) -> Operation {
        Operation { name, http: ("POST", "/"), auth: Auth::Signed, input, run }
    }

    /// The same with the HTTP method and path of a REST protocol.
    pub(crate) const fn at(self, method: &'static str, path: &'static str) -> Operation {
        Operation { http: (method, path), ..self }
    }

    /// The same for another kind of caller.
    pub(crate) const fn for_caller(self, auth: Auth) -> Operation {
        Operation { auth, ..self }
    }
}

/// JSON type of an input member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Integer,
    List,
    Map,
    Structure,
}

/// A constraint of the service model on one input member; nested members are named with dots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// Smallest and largest length of a text, list or map, or value of an integer.
    pub(crate) range: (u64, u64),
    pub(crate) pattern: Option<Pattern>,
    /// Never shown in the log or in a message.
    pub(crate) secret: bool,
}

/// A pattern that a text must match in full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pattern {
    /// As the model writes it, for the message.
    pub(crate) text: &'static str,
    pub(crate) matches: fn(&str) -> bool,
    /// Replaces the usual message where the service words it itself.
    pub(crate) message: Option<&'static str>,
}

impl Member {
    pub(crate) const fn new(name: &'static str, kind: Kind) -> Member {
        Member { name, kind, required: false, range: (0, u64::MAX), pattern: None, secret: false }
    }
    pub(crate) const fn text(name: &'static str) -> Member {
        Member::new(name, Kind::Text)
    }
    pub(crate) const fn integer(name: &'static str, min: u64, max: u64) -> Member {
        Member::new(name, Kind::Integer).range(min, max)
    }
    pub(crate) const fn list(name: &'static str) -> Member {
        Member::new(name, Kind::List)
    }
    pub(crate) const fn required(self) -> Member {
        Member { required: true, ..self }
    }
    pub(crate) const fn range(self, min: u64, max: u64) -> Member {
        Member { range: (min, max), ..self }
    }
    pub(crate) const fn pattern(self, pattern: Pattern) -> Member {
        Member { pattern: Some(pattern), ..self }
    }
    pub(crate) const fn secret(self) -> Member {
        Member { secret: true, ..self }
    }
}

/// An error as AWS answers it.
#[derive(Clone, Debug)]
pub(crate) struct Error {
    pub(crate) status: u16,
    pub(crate) code: String,
    /// Some errors of SSM have a code and no message.
    pub(crate) message: Option<String>,
}

impl Error {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Error {
        Error { status, code: code.to_owned(), message: Some(message.into()) }
    }

    /// An error that has a code alone.
    pub(crate) fn bare(status: u16, code: &str) -> Error {
        Error { status, code: code.to_owned(), message: None }
    }
}

/// A fault of the emulator itself (state that should be there and is not): AWS's internal error.
impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Error {
        Error::new(500, "InternalFailure", format!("{error:#}"))
    }
}

/// One call of an operation: its input, its caller, and the state, locked.
pub(crate) struct Call<'a> {
    pub(crate) service: &'static Service,
    pub(crate) state: &'a mut State,
    /// The emulator's clock: it can be moved.
    pub(crate) now: Timestamp,
    /// Decoded parameters, the same form for every protocol.
    pub(crate) input: Map<String, Value>,
    pub(crate) caller: Caller,
    pub(crate) region: String,
}

impl Call<'_> {
    /// A text of the input that may be absent.
    pub(crate) fn optional_text(&self, name: &str) -> Option<String> {
        find(&self.input, name)?.as_str().map(str::to_owned)
    }

    /// A text that the table of members requires; empty if that table does not.
    pub(crate) fn text(&self, name: &str) -> String {
        self.optional_text(name).unwrap_or_default()
    }

    /// A number of the input. The query protocol and query strings carry numbers as text.
    pub(crate) fn integer(&self, name: &str) -> Option<u64> {
        match find(&self.input, name)? {
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// A list of texts; empty when absent.
    pub(crate) fn texts(&self, name: &str) -> Vec<String> {
        let list = find(&self.input, name).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The account of the caller.
    pub(crate) fn account_id(&self) -> Result<&str, Error> {
        self.caller.account().context("the call has no account").map_err(Error::from)
    }

    pub(crate) fn account(&self) -> Result<&Account, Error> {
        let id = self.account_id()?;
        self.state.accounts.get(id).with_context(|| format!("account {id} is unknown")).map_err(Error::from)
    }

    pub(crate) fn account_mut(&mut self) -> Result<&mut Account, Error> {
        let id = self.account_id()?.to_owned();
        self.state
            .accounts
            .get_mut(&id)
            .with_context(|| format!("account {id} is unknown"))
            .map_err(Error::from)
    }

    /// What the caller's account has in the Region of the call.
    pub(crate) fn here(&mut self) -> Result<&mut Region, Error> {
        let region = self.region.clone();
        Ok(self.account_mut()?.regions.entry(region).or_default())
    }

    pub(crate) fn settings(&self) -> Result<Settings, Error> {
        Ok(self.account()?.settings.effective(&self.region))
    }

    /// Refuses the call unless the caller's policies allow the action on the resource.
    pub(crate) fn authorize(&self, action: &str, resource: &str) -> Result<(), Error> {
        self.authorize_with(action, resource, policy::Context::new())
    }

    /// The same with condition keys of the request (by lower-case name).
    pub(crate) fn authorize_with(
        &self,
        action: &str,
        resource: &str,
        context: policy::Context,
    ) -> Result<(), Error> {
        let Caller::Principal(principal) = &self.caller else {
            return Err(anyhow::anyhow!("{action} needs a principal").into());
        };
        let message = match principal.decide(self.state, action, resource, self.with_region(context)) {
            policy::Decision::Allowed => return Ok(()),
            policy::Decision::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
            policy::Decision::ImplicitDeny => {
                format!("because no identity-based policy allows the {action} action")
            }
        };
        let arn = &principal.arn;
        let message =
            format!("User: {arn} is not authorized to perform: {action} on resource: {resource} {message}");
        Err(match self.service.protocol {
            Protocol::Query => Error::new(403, "AccessDenied", message),
            Protocol::RestJson | Protocol::RestXml => Error::new(403, "AccessDeniedException", message),
            // Services of this protocol answer their client errors with 400, whatever the code.
            Protocol::AwsJson => Error::new(400, "AccessDeniedException", message),
        })
    }

    fn with_region(&self, mut context: policy::Context) -> policy::Context {
        context.insert("aws:requestedregion".to_owned(), vec![self.region.clone()]);
        context
    }
}

/// Condition keys for tags that a request sets.
pub(crate) fn tag_context(tags: &BTreeMap<String, String>) -> policy::Context {
    let mut context = policy::Context::new();
    for (key, value) in tags {
        context.insert(format!("aws:requesttag/{}", key.to_ascii_lowercase()), vec![value.clone()]);
    }
    if !tags.is_empty() {
        context.insert("aws:tagkeys".to_owned(), tags.keys().cloned().collect());
    }
    context
}

/// The member with this dotted name.
pub(crate) fn find<'v>(input: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    let mut parts = name.split('.');
    let mut value = input.get(parts.next()?)?;
    for part in parts {
        value = value.get(part)?;
    }
    Some(value)
}
