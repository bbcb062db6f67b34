//! From a port's failure to what a user is told.

use super::{Code, Error};
use crate::ports::{Failure, FailureKind, Side};

impl Failure {
    /// The error for a user who was `attempting` something: `read the registration onprem1`.
    pub fn into_error(self, attempting: &str) -> Error {
        let code = code(self.side, self.kind, &self.operation);
        let error = Error::failed(code, format!("could not {attempting}")).call(&self.operation);
        let error = match self.kind {
            FailureKind::Denied => error.cause(self.message.clone()).fix(match self.side {
                Side::Aws => {
                    let action = denied_action(&self.message).unwrap_or(&self.operation);
                    format!("allow {action} to the caller, then run the same command again")
                }
                Side::Cluster => {
                    "give this user of the cluster the right that the cause names, then run the same command again"
                        .to_owned()
                }
            }),
            FailureKind::NoCredentials => error.cause(self.message.clone()).fix(match self.side {
                Side::Aws => "run aws configure or aws sso login, name a profile with --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
                Side::Cluster => "check the user of this context: kubectl config view --minify",
            }),
            FailureKind::CredentialSource => error.cause(self.message.clone()).fix(match self.side {
                Side::Aws => "log in to the source that the cause names (aws sso login), or mend it: aws sts get-caller-identity uses the same one",
                Side::Cluster => "make sure that the plugin works: kubectl auth whoami",
            }),
            FailureKind::ExpiredCredentials => {
                error.cause(self.message.clone()).fix("log in again (aws sso login, or new temporary credentials)")
            }
            FailureKind::RejectedCredentials => error.cause(self.message.clone()).fix(match self.side {
                Side::Aws => "check who you are: aws sts get-caller-identity",
                Side::Cluster => "check who you are: kubectl auth whoami",
            }),
            FailureKind::Unreachable | FailureKind::Unavailable => {
                error.cause(self.message.clone()).fix(match self.side {
                    Side::Aws => "check the network, the proxy variables (HTTPS_PROXY, NO_PROXY) and the Region, then run the same command again",
                    Side::Cluster => "check the network and the context's server (kubectl cluster-info), then run the same command again",
                })
            }
            FailureKind::Certificate => error
                .cause(self.message.clone())
                .fix("check certificate-authority-data of this context: kubectl config view --minify --raw"),
            FailureKind::NotFound
            | FailureKind::Conflict
            | FailureKind::Rejected
            | FailureKind::LimitExceeded
            | FailureKind::NotPropagated
            | FailureKind::ServiceLinkedRoleMissing
            | FailureKind::Malformed => error.cause(self.message.clone()),
        };
        error.with_source(anyhow::anyhow!("{}: {:?}: {}", self.operation, self.kind, self.message))
    }
}

/// The action that AWS names: for RegisterCluster it may be `iam:PassRole`.
fn denied_action(message: &str) -> Option<&str> {
    let action = message.split("perform: ").nth(1)?.split_whitespace().next()?;
    action.contains(':').then_some(action)
}

fn code(side: Side, kind: FailureKind, operation: &str) -> Code {
    let registering = operation == "eks:RegisterCluster";
    match (side, kind) {
        (Side::Aws, FailureKind::Denied) => Code::AWS_DENIED,
        (Side::Aws, FailureKind::NoCredentials) => Code::NO_CREDENTIALS,
        (Side::Aws, FailureKind::CredentialSource) => Code::CREDENTIAL_SOURCE,
        (Side::Aws, FailureKind::ExpiredCredentials) => Code::EXPIRED_CREDENTIALS,
        (Side::Aws, FailureKind::RejectedCredentials) => Code::REJECTED_CREDENTIALS,
        (Side::Aws, FailureKind::Unreachable | FailureKind::Certificate) => Code::AWS_UNREACHABLE,
        (Side::Aws, FailureKind::Unavailable | FailureKind::NotPropagated) => Code::AWS_UNAVAILABLE,
        (Side::Aws, FailureKind::LimitExceeded) if registering => Code::QUOTA,
        (Side::Aws, FailureKind::Rejected | FailureKind::ServiceLinkedRoleMissing) if registering => {
            Code::REGISTRATION_REJECTED
        }
        (
            Side::Aws,
            FailureKind::Rejected | FailureKind::ServiceLinkedRoleMissing | FailureKind::LimitExceeded,
        ) => Code::AWS_REJECTED,
        (Side::Aws, FailureKind::NotFound | FailureKind::Conflict | FailureKind::Malformed) => {
            Code::AWS_UNEXPECTED
        }
        (Side::Cluster, FailureKind::Denied) => Code::CLUSTER_DENIED,
        (Side::Cluster, FailureKind::CredentialSource) => Code::CREDENTIAL_PLUGIN,
        (
            Side::Cluster,
            FailureKind::NoCredentials | FailureKind::ExpiredCredentials | FailureKind::RejectedCredentials,
        ) => Code::CLUSTER_UNAUTHENTICATED,
        (Side::Cluster, FailureKind::Unreachable) => Code::CLUSTER_UNREACHABLE,
        (Side::Cluster, FailureKind::Certificate) => Code::CLUSTER_CERTIFICATE,
        (
            Side::Cluster,
            FailureKind::Unavailable | FailureKind::NotPropagated | FailureKind::ServiceLinkedRoleMissing,
        ) => Code::CLUSTER_UNAVAILABLE,
        (Side::Cluster, FailureKind::Rejected | FailureKind::LimitExceeded) => Code::OBJECT_REJECTED,
        (Side::Cluster, FailureKind::NotFound | FailureKind::Conflict | FailureKind::Malformed) => {
            Code::CLUSTER_UNEXPECTED
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_action_is_the_one_that_aws_names() {
        let message = "User: arn:aws:iam::1:user/a is not authorized to perform: iam:PassRole on resource: x";
        assert_eq!(denied_action(message), Some("iam:PassRole"));
        assert_eq!(denied_action("no"), None);
    }
}
