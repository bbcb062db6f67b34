//! The client certificate of a kubeconfig's user. Of an expired one the API server says no more than `Unauthorized`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use kube::config::AuthInfo;
use x509_parser::pem::Pem;

use crate::error::{Code, Error};

/// Refuses a certificate that has expired, if there is nothing else to log in with.
///
/// # Errors
/// `EKSC0314`.
pub(super) fn refuse_expired(user: &AuthInfo, context: &str) -> Result<(), Error> {
    let another = user.token.is_some()
        || user.token_file.is_some()
        || user.exec.is_some()
        || user.auth_provider.is_some()
        || user.username.is_some();
    // One that cannot be read is not ours to explain: setting up the client says why.
    let expiry = if another { None } else { pem(user).as_deref().and_then(expiry) };
    match expiry.filter(|expiry| *expiry <= Timestamp::now()) {
        None => Ok(()),
        Some(expiry) => Err(Error::failed(
            Code::CERTIFICATE_EXPIRED,
            format!("the client certificate of context {context:?} has expired"),
        )
        .cause(format!("it was valid until {}", expiry.strftime("%F %R UTC")))
        .fix("get a new kubeconfig from whoever runs the cluster, or name another context with --context")),
    }
}

fn pem(user: &AuthInfo) -> Option<Vec<u8>> {
    match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => STANDARD.decode(data).ok(),
        (None, Some(path)) => std::fs::read(path).ok(),
        (None, None) => None,
    }
}

/// Until when the first certificate is valid: those after it are of the authorities in between.
fn expiry(pem: &[u8]) -> Option<Timestamp> {
    let first = Pem::iter_from_buffer(pem).next()?.ok()?;
    let seconds = first.parse_x509().ok()?.validity().not_after.timestamp();
    Timestamp::from_second(seconds).ok()
}
