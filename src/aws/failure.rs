//! From the SDK's errors to the ports'.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_eks::error::{ProvideErrorMetadata, SdkError};

use crate::error::words;
use crate::ports::{Failure, FailureKind, Side};

/// Says, for `-v`, what is about to be asked.
pub(super) fn asking(operation: &str, about: &str) {
    tracing::debug!("{operation} {about}");
}

/// Translates. Nothing of a response but its error code and message is taken over: a response may hold the activation
/// code.
pub(super) fn failure<E, R>(operation: &str, error: &SdkError<E, R>) -> Failure
where
    E: ProvideErrorMetadata + StdError + 'static,
    R: std::fmt::Debug + 'static,
{
    let answer =
        |kind, message: String| Failure { side: Side::Aws, kind, operation: operation.to_owned(), message };
    match error {
        SdkError::ServiceError(context) => {
            let code = context.err().code().unwrap_or_default();
            let message = context.err().message().unwrap_or_default();
            let text = match (code, message) {
                ("", "") => "AWS gave no reason".to_owned(),
                (code, "") => code.to_owned(),
                ("", message) => message.to_owned(),
                (code, message) => format!("{message} ({code})"),
            };
            answer(kind_of(code, message), text)
        }
        SdkError::TimeoutError(_) => answer(FailureKind::Unreachable, "no answer in time".to_owned()),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => match credentials_error(error) {
            Some(credentials) => {
                let (kind, message) = no_credentials(credentials);
                answer(kind, message)
            }
            None => answer(FailureKind::Unreachable, chain(error)),
        },
        SdkError::ResponseError(_) => {
            answer(FailureKind::Malformed, "the answer is not what this operation answers".to_owned())
        }
        _ => answer(FailureKind::Malformed, error.to_string()),
    }
}

/// Why there are no credentials: no source is configured, what it gave has expired, or it gives nothing.
fn no_credentials(error: &CredentialsError) -> (FailureKind, String) {
    let message = chain(error);
    if matches!(error, CredentialsError::CredentialsNotLoaded(_)) {
        // The SDK's own words for that are about its providers.
        let nowhere = "no credentials in the environment, the profile, or the instance's metadata";
        let nowhere = if message.contains("no providers in chain") { nowhere } else { message.as_str() };
        return (FailureKind::NoCredentials, nowhere.to_owned());
    }
    if message.to_ascii_lowercase().contains("expired") {
        return (FailureKind::ExpiredCredentials, message);
    }
    (FailureKind::CredentialSource, message)
}

/// Kinds by code (service models, and aws-api facts that they lack: `InvalidRequestException` is not modelled on
/// RegisterCluster, yet AWS returns it while a role propagates).
fn kind_of(code: &str, message: &str) -> FailureKind {
    match code {
        "ResourceNotFoundException" | "NoSuchEntity" | "NoSuchEntityException" => FailureKind::NotFound,
        "ResourceInUseException"
        | "EntityAlreadyExists"
        | "EntityAlreadyExistsException"
        | "ConcurrentModification"
        | "ConcurrentModificationException" => FailureKind::Conflict,
        "AccessDeniedException" | "AccessDenied" | "UnauthorizedOperation" => FailureKind::Denied,
        "ExpiredTokenException" | "ExpiredToken" => FailureKind::ExpiredCredentials,
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "OptInRequired"
        | "NotAuthorized" => FailureKind::RejectedCredentials,
        "ResourcePropagationDelayException" => FailureKind::NotPropagated,
        "InvalidRequestException" | "InvalidParameterException" if is_propagation(message) => {
            FailureKind::NotPropagated
        }
        "InvalidRequestException" if message.contains("Cluster Management role") => {
            FailureKind::ServiceLinkedRoleMissing
        }
        "ResourceLimitExceededException" | "LimitExceeded" | "LimitExceededException" => {
            FailureKind::LimitExceeded
        }
        "ServerException"
        | "ServiceUnavailableException"
        | "ServiceFailure"
        | "ServiceFailureException"
        | "InternalFailure"
        | "InternalServerError"
        | "ServiceUnavailable" => FailureKind::Unavailable,
        code if code.contains("Throttl")
            || code.contains("TooManyRequests")
            || code == "RequestLimitExceeded" =>
        {
            FailureKind::Unavailable
        }
        // A server error without a code that we know: a gateway's, for instance.
        "" => FailureKind::Unavailable,
        _ => FailureKind::Rejected,
    }
}

/// The messages with which EKS says that it cannot see a role yet, or that the role is wrong: it does not tell the two
/// apart.
fn is_propagation(message: &str) -> bool {
    message.contains("Nonexistent role or missing ssm service principal")
        || message.contains("Not existing role")
}

fn credentials_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a CredentialsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<CredentialsError>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The error's own words and those of its causes.
fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut words = words(error);
    // The outermost says only that sending failed.
    if words.len() > 1 && words[0] == "dispatch failure" {
        words.remove(0);
    }
    words.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn propagation_is_told_from_a_wrong_request_by_its_message() {
        let nonexistent = "Nonexistent role or missing ssm service principal in trust policy";
        assert_eq!(kind_of("InvalidRequestException", nonexistent), FailureKind::NotPropagated);
        assert_eq!(kind_of("InvalidRequestException", "no"), FailureKind::Rejected);
        assert_eq!(kind_of("ResourcePropagationDelayException", ""), FailureKind::NotPropagated);
        let unavailable = "Cluster Management role arn:aws:iam::111122223333:role/x is not available";
        assert_eq!(kind_of("InvalidRequestException", unavailable), FailureKind::ServiceLinkedRoleMissing);
    }

    #[test]
    fn kinds_by_code() {
        for (code, kind) in [
            ("AccessDenied", FailureKind::Denied),
            ("AccessDeniedException", FailureKind::Denied),
            ("ThrottlingException", FailureKind::Unavailable),
            ("ResourceInUseException", FailureKind::Conflict),
            ("ExpiredToken", FailureKind::ExpiredCredentials),
            ("InvalidClientTokenId", FailureKind::RejectedCredentials),
            ("MalformedPolicyDocument", FailureKind::Rejected),
        ] {
            assert_eq!(kind_of(code, ""), kind, "{code}");
        }
    }
}
