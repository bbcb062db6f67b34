//! Service Quotas: how many clusters may be registered.

use aws_sdk_servicequotas::Client;
use aws_sdk_servicequotas::config::retry::RetryConfig;

use super::config::Connected;
use super::failure::{asking, failure};
use crate::ports::{FailureKind, Quotas, Reply};

/// Code of the quota "Registered clusters" of Amazon EKS.
const REGISTERED_CLUSTERS: &str = "L-FDFA5F81";

/// The adapter of Service Quotas.
#[derive(Clone, Debug)]
pub struct ServiceQuotas {
    client: Client,
}

impl ServiceQuotas {
    /// Over the given connection.
    pub fn new(connected: &Connected) -> Self {
        // It only helps: trying again would be waiting.
        let config = aws_sdk_servicequotas::config::Builder::from(&connected.sdk);
        let config = config.retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config) }
    }
}

impl Quotas for ServiceQuotas {
    fn registered_clusters(&self) -> Reply<'_, Option<usize>> {
        Box::pin(async {
            const OPERATION: &str = "servicequotas:GetServiceQuota";
            asking(OPERATION, REGISTERED_CLUSTERS);
            let call = self.client.get_service_quota().service_code("eks").quota_code(REGISTERED_CLUSTERS);
            match call.send().await.map_err(|error| failure(OPERATION, &error)) {
                Ok(answer) => Ok(answer.quota.and_then(|quota| whole(quota.value?))),
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
                Err(failure) => Err(failure),
            }
        })
    }
}

/// The API gives numbers with fractions (Service Quotas API, `QuotaValue`).
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked before")]
fn whole(value: f64) -> Option<usize> {
    (0.0..1e9).contains(&value).then_some(value as usize)
}
