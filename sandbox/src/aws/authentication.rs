//! Who a request is from: the checks that AWS makes before a service sees a call.

use super::caller::Caller;
use super::request::Request;
use super::service::{Auth, Error, Operation, Protocol, Service};
use super::signature::{Authorization, Signed};
use super::state::State;

/// Why a caller is turned away.
#[derive(Clone, Debug)]
enum Refusal {
    MissingToken,
    Incomplete(String),
    UnknownKey,
    ExpiredToken,
    Signature(String),
}

impl Refusal {
    fn error(self, protocol: Protocol) -> Error {
        let (name, query_name, message) = match self {
            Refusal::MissingToken => (
                "MissingAuthenticationTokenException",
                "MissingAuthenticationToken",
                "Request is missing Authentication Token".to_owned(),
            ),
            Refusal::Incomplete(message) => ("IncompleteSignatureException", "IncompleteSignature", message),
            Refusal::UnknownKey => (
                "UnrecognizedClientException",
                "InvalidClientTokenId",
                "The security token included in the request is invalid.".to_owned(),
            ),
            Refusal::ExpiredToken => (
                "ExpiredTokenException",
                "ExpiredToken",
                "The security token included in the request is expired".to_owned(),
            ),
            Refusal::Signature(message) => ("InvalidSignatureException", "SignatureDoesNotMatch", message),
        };
        match protocol {
            Protocol::Query => Error::new(403, query_name, message),
            Protocol::RestJson | Protocol::RestXml => Error::new(403, name, message),
            // Services of this protocol answer their client errors with 400, whatever the code.
            Protocol::AwsJson => Error::new(400, name, message),
        }
    }
}

/// The caller of a request and the Region that the call is for.
pub(crate) fn authenticate(
    state: &State,
    request: &Request,
    service: &Service,
    operation: Option<&Operation>,
    authorization: Option<&Result<Authorization, String>>,
) -> Result<(Caller, String), Error> {
    let auth = operation.map_or(Auth::Signed, |operation| operation.auth);
    if auth == Auth::Anonymous {
        let region = request.aws_host().map(|(_, region)| region).unwrap_or_default();
        return Ok((Caller::Anonymous, region));
    }
    check(state, request, service, auth, authorization).map_err(|refusal| refusal.error(service.protocol))
}

fn check(
    state: &State,
    request: &Request,
    service: &Service,
    auth: Auth,
    authorization: Option<&Result<Authorization, String>>,
) -> Result<(Caller, String), Refusal> {
    let authorization = match authorization {
        None => return Err(Refusal::MissingToken),
        Some(Err(message)) => return Err(Refusal::Incomplete(message.clone())),
        Some(Ok(authorization)) => authorization,
    };
    if authorization.service != service.name {
        return Err(Refusal::Signature(format!(
            "Credential should be scoped to correct service: '{}'.",
            service.name
        )));
    }
    // A host that names a Region must be signed for it; IAM's host names none.
    let host_region = request.aws_host().map(|(_, region)| region);
    let wrong_region = host_region.as_ref().is_some_and(|region| *region != authorization.region);
    if wrong_region || !is_region(&authorization.region) {
        return Err(Refusal::Signature(format!(
            "Credential should be scoped to a valid Region, not '{}'.",
            authorization.region
        )));
    }
    let signed =
        Signed { method: &request.method, uri: &request.uri, headers: &request.headers, body: &request.body };
    if auth == Auth::Instance {
        let (account, instance) = state
            .accounts
            .values()
            .find_map(|account| {
                let region = account.regions.get(&authorization.region)?;
                Some((account, region.instances.get(&authorization.key_id)?))
            })
            .ok_or(Refusal::UnknownKey)?;
        signed.verify_instance(authorization, &instance.public_key).map_err(Refusal::Signature)?;
        let caller = Caller::Instance { account: account.id.clone(), id: instance.id.clone() };
        return Ok((caller, authorization.region.clone()));
    }
    let key = state.keys.get(&authorization.key_id).ok_or(Refusal::UnknownKey)?;
    if key.session_token.as_deref() != request.header("x-amz-security-token") {
        return Err(Refusal::UnknownKey);
    }
    if key.expires_at.is_some_and(|expiry| expiry <= state.now()) {
        return Err(Refusal::ExpiredToken);
    }
    // IAM and STS know every key; a service of a Region that is not enabled does not.
    let regional = !matches!(service.name, "iam" | "sts");
    let settings = state.accounts.get(&key.principal.account).map(|account| &account.settings);
    if regional && settings.is_some_and(|settings| settings.effective(&authorization.region).disabled) {
        return Err(Refusal::UnknownKey);
    }
    signed.verify(authorization, &key.secret).map_err(Refusal::Signature)?;
    Ok((Caller::Principal(key.principal.clone()), authorization.region.clone()))
}

/// Whether a name has the form of a Region, such as `eu-west-1` or `us-gov-west-1`.
fn is_region(name: &str) -> bool {
    let parts: Vec<&str> = name.split('-').collect();
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    match parts.split_last() {
        Some((number, words)) => {
            words.len() >= 2
                && words.iter().all(letters)
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        }
        None => false,
    }
}
