//! AWS Security Token Service: who is calling.

use aws_sdk_sts::Client;

use super::config::Connected;
use super::failure::{asking, failure};
use super::unreadable::AskAgain;
use crate::ports::{Failure, FailureKind, Identity, Reply, Side};
use crate::registration::observed::Caller;

/// The STS adapter.
#[derive(Clone, Debug)]
pub struct Sts {
    client: Client,
}

impl Sts {
    /// Over the given connection.
    pub fn new(connected: &Connected) -> Self {
        let config = aws_sdk_sts::config::Builder::from(&connected.sdk).retry_classifier(AskAgain);
        Self { client: Client::from_conf(config.build()) }
    }
}

impl Identity for Sts {
    fn caller(&self) -> Reply<'_, Caller> {
        Box::pin(async {
            const OPERATION: &str = "sts:GetCallerIdentity";
            asking(OPERATION, "");
            let answer = self.client.get_caller_identity().send().await;
            let answer = answer.map_err(|error| failure(OPERATION, &error))?;
            match (answer.account, answer.arn) {
                (Some(account), Some(arn)) => Ok(Caller { account, arn }),
                _ => Err(Failure {
                    side: Side::Aws,
                    kind: FailureKind::Malformed,
                    operation: OPERATION.to_owned(),
                    message: "the answer has no account or no ARN".to_owned(),
                }),
            }
        })
    }
}
