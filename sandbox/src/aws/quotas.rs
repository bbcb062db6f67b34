//! Service Quotas: the quota of registered clusters. JSON 1.1, `X-Amz-Target: ServiceQuotasV20190624.…`.

use serde_json::{Value, json};

use super::service::{Call, Error, Member, Operation, Protocol, Service};

pub(crate) const SERVICE: Service = Service {
    name: "servicequotas",
    protocol: Protocol::AwsJson,
    target: "ServiceQuotasV20190624",
    version: "",
    namespace: "",
    operations: OPERATIONS,
};

const OPERATIONS: &[Operation] = &[Operation::new("GetServiceQuota", GET, get_service_quota)];

const GET: &[Member] = &[
    Member::text("ServiceCode").required().range(1, 63),
    Member::text("QuotaCode").required().range(1, 128),
];

/// Code of the quota "Registered clusters".
const REGISTERED_CLUSTERS: &str = "L-FDFA5F81";

fn get_service_quota(call: &mut Call<'_>) -> Result<Value, Error> {
    let (service, quota) = (call.text("ServiceCode"), call.text("QuotaCode"));
    let arn = format!("arn:aws:servicequotas:{}:{}:{service}/{quota}", call.region, call.account_id()?);
    call.authorize("servicequotas:GetServiceQuota", "*")?;
    let missing = |what: &str| {
        Error::new(
            400,
            "NoSuchResourceException",
            format!("The request failed because the specified {what} does not exist."),
        )
    };
    if service != "eks" {
        return Err(missing("service"));
    }
    if quota != REGISTERED_CLUSTERS {
        return Err(missing("quota"));
    }
    #[expect(clippy::cast_precision_loss, reason = "a quota is a small number")]
    let value = call.settings()?.registered_clusters as f64;
    Ok(json!({"Quota": {
        "ServiceCode": "eks",
        "ServiceName": "Amazon Elastic Kubernetes Service (Amazon EKS)",
        "QuotaArn": arn,
        "QuotaCode": REGISTERED_CLUSTERS,
        "QuotaName": "Registered clusters",
        "Value": value,
        "Unit": "None",
        "Adjustable": true,
        "GlobalQuota": false,
        "QuotaAppliedAtLevel": "ACCOUNT",
    }}))
}
