//! Amazon EKS: registrations.

use aws_sdk_eks::Client;
use aws_sdk_eks::config::retry::RetryConfig;
use aws_sdk_eks::types::{Cluster, ClusterStatus, ConnectorConfigProvider, ConnectorConfigRequest};
use aws_smithy_types::DateTime;
use jiff::Timestamp;
use secrecy::SecretString;

use super::config::Connected;
use super::failure::{asking, failure};
use super::unreadable::AskAgain;
use crate::ports::{Failure, FailureKind, RegisterCall, Registered, Registrations, Reply, Side};
use crate::registration::activation::Activation;
use crate::registration::observed::{Registration, Status};
use crate::registration::provider::Provider;

/// The EKS adapter.
#[derive(Clone, Debug)]
pub struct Eks {
    pub(super) client: Client,
}

impl Eks {
    /// Over the given connection.
    pub fn new(connected: &Connected) -> Self {
        let config = aws_sdk_eks::config::Builder::from(&connected.sdk).retry_classifier(AskAgain);
        Self { client: Client::from_conf(config.build()) }
    }
}

impl Registrations for Eks {
    fn registration<'a>(&'a self, name: &'a str) -> Reply<'a, Option<Registration>> {
        Box::pin(async move {
            const OPERATION: &str = "eks:DescribeCluster";
            asking(OPERATION, name);
            let answer = match self.client.describe_cluster().name(name).send().await {
                Ok(answer) => answer,
                Err(error) => {
                    let failure = failure(OPERATION, &error);
                    return if failure.kind == FailureKind::NotFound { Ok(None) } else { Err(failure) };
                }
            };
            answer.cluster.and_then(seen).map(Some).ok_or_else(|| malformed(OPERATION))
        })
    }

    fn count(&self) -> Reply<'_, Option<usize>> {
        Box::pin(async {
            const OPERATION: &str = "eks:ListClusters";
            asking(OPERATION, "(connected ones)");
            // It only helps: trying again would be waiting.
            let once = || aws_sdk_eks::Config::builder().retry_config(RetryConfig::disabled());
            // Without `include` connected clusters are left out, so that the difference is what is wanted.
            let all = self.client.list_clusters().include("all").customize().config_override(once()).send();
            let own = self.client.list_clusters().customize().config_override(once()).send();
            let (all, own) = tokio::try_join!(all, own).map_err(|error| failure(OPERATION, &error))?;
            if own.next_token().is_some() {
                return Ok(None);
            }
            Ok(Some(all.clusters().iter().filter(|name| !own.clusters().contains(name)).count()))
        })
    }

    fn register<'a>(&'a self, call: &'a RegisterCall) -> Reply<'a, Registered> {
        Box::pin(async move {
            const OPERATION: &str = "eks:RegisterCluster";
            let connector = ConnectorConfigRequest::builder()
                .role_arn(&call.role_arn)
                .provider(provider(call.provider))
                .build()
                .map_err(|error| Failure {
                    side: Side::Aws,
                    kind: FailureKind::Rejected,
                    operation: OPERATION.to_owned(),
                    message: error.to_string(),
                })?;
            let tags = call.tags.clone().into_iter().collect();
            asking(OPERATION, &call.name);
            // Repeating is the caller's: it knows what a lost answer means, and when it is worth trying again.
            let once = aws_sdk_eks::Config::builder().retry_config(RetryConfig::disabled());
            let answer = self
                .client
                .register_cluster()
                .name(&call.name)
                .connector_config(connector)
                .client_request_token(&call.request_token)
                .set_tags((!call.tags.is_empty()).then_some(tags))
                .customize()
                .config_override(once)
                .send()
                .await
                .map_err(|error| failure(OPERATION, &error))?;
            answer.cluster.and_then(registered).ok_or_else(|| malformed(OPERATION))
        })
    }

    fn deregister<'a>(&'a self, name: &'a str) -> Reply<'a, ()> {
        Box::pin(async move {
            asking("eks:DeregisterCluster", name);
            match self.client.deregister_cluster().name(name).send().await {
                Ok(_) => Ok(()),
                Err(error) => {
                    let failure = failure("eks:DeregisterCluster", &error);
                    if failure.kind == FailureKind::NotFound { Ok(()) } else { Err(failure) }
                }
            }
        })
    }
}

fn seen(cluster: Cluster) -> Option<Registration> {
    let connector = cluster.connector_config;
    let (activation_id, activation_expiry, role_arn, provider) = match connector {
        Some(connector) => (
            connector.activation_id,
            connector.activation_expiry.as_ref().and_then(timestamp),
            connector.role_arn,
            connector.provider,
        ),
        None => (None, None, None, None),
    };
    Some(Registration {
        name: cluster.name?,
        arn: cluster.arn?,
        status: status(&cluster.status?),
        created_at: cluster.created_at.as_ref().and_then(timestamp),
        activation_id,
        activation_expiry,
        role_arn,
        provider,
        tags: cluster.tags.unwrap_or_default().into_iter().collect(),
    })
}

fn registered(cluster: Cluster) -> Option<Registered> {
    let connector = cluster.connector_config?;
    Some(Registered {
        arn: cluster.arn?,
        created_at: cluster.created_at.as_ref().and_then(timestamp),
        activation_expiry: connector.activation_expiry.as_ref().and_then(timestamp),
        activation: Activation {
            id: connector.activation_id?,
            code: SecretString::from(connector.activation_code?),
        },
    })
}

fn status(status: &ClusterStatus) -> Status {
    match status {
        ClusterStatus::Creating => Status::Creating,
        ClusterStatus::Pending => Status::Pending,
        ClusterStatus::Active => Status::Active,
        ClusterStatus::Updating => Status::Updating,
        ClusterStatus::Deleting => Status::Deleting,
        ClusterStatus::Failed => Status::Failed,
        other => Status::Unknown(other.as_str().to_owned()),
    }
}

fn provider(provider: Provider) -> ConnectorConfigProvider {
    ConnectorConfigProvider::from(provider.as_str())
}

fn timestamp(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), 0).ok()
}

fn malformed(operation: &str) -> Failure {
    Failure {
        side: Side::Aws,
        kind: FailureKind::Malformed,
        operation: operation.to_owned(),
        message: "the answer lacks what this operation answers".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_provider_is_one_that_the_sdk_knows() {
        for one in Provider::ALL {
            let text = one.as_str();
            assert!(ConnectorConfigProvider::values().contains(&text), "{text}");
            assert_eq!(provider(one).as_str(), text);
        }
    }
}
