//! EKS: connected clusters. REST with JSON; errors carry their code in `x-amzn-ErrorType`.

mod clusters;
mod register;
mod tags;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::identifiers;
use super::response::epoch;
use super::service::{Call, Error, Kind, Member, Operation, Protocol, Service};
use super::settings::Settings;
use super::state::{Activation, Registration, later};

pub(crate) const SERVICE: Service = Service {
    name: "eks",
    protocol: Protocol::RestJson,
    target: "",
    version: "",
    namespace: "",
    operations: OPERATIONS,
};

const OPERATIONS: &[Operation] = &[
    Operation::new("RegisterCluster", register::INPUT, register::register_cluster)
        .at("POST", "/cluster-registrations"),
    Operation::new("DeregisterCluster", &[], clusters::deregister_cluster)
        .at("DELETE", "/cluster-registrations/{name}"),
    Operation::new("DescribeCluster", &[], clusters::describe_cluster).at("GET", "/clusters/{name}"),
    Operation::new("ListClusters", clusters::LIST, clusters::list_clusters).at("GET", "/clusters"),
    Operation::new("TagResource", tags::TAG, tags::tag_resource).at("POST", "/tags/{resourceArn}"),
    Operation::new("UntagResource", tags::UNTAG, tags::untag_resource).at("DELETE", "/tags/{resourceArn}"),
    Operation::new("ListTagsForResource", &[], tags::list_tags_for_resource).at("GET", "/tags/{resourceArn}"),
];

/// Tags as EKS takes them; what is in them is checked by [`tags_of`].
const TAGS: Member = Member::new("tags", Kind::Map).range(1, 50);

/// ARN of a cluster in the account and Region of the call.
fn cluster_arn(call: &Call<'_>, name: &str) -> Result<String, Error> {
    Ok(format!("arn:aws:eks:{}:{}:cluster/{name}", call.region, call.account_id()?))
}

fn no_cluster(name: &str) -> Error {
    Error::new(404, "ResourceNotFoundException", format!("No cluster found for name: {name}."))
}

/// Status of a connected cluster. Nothing changes it but time and the first control channel of an agent.
fn status(registration: &Registration, settings: &Settings, now: Timestamp) -> &'static str {
    if registration.connected_at.is_some() {
        // Whether a lost agent leaves ACTIVE is not known; it stays.
        "ACTIVE"
    } else if registration.activation_expires_at <= now {
        "FAILED"
    } else if now < later(registration.created_at, settings.creating_ms) {
        "CREATING"
    } else {
        "PENDING"
    }
}

/// A connected cluster as EKS shows it, without the activation code.
fn shown(registration: &Registration, status: &str) -> Value {
    json!({
        "name": registration.name,
        "arn": registration.arn,
        "createdAt": epoch(registration.created_at),
        "status": status,
        "tags": registration.tags,
        "connectorConfig": {
            "activationId": registration.activation_id,
            "activationExpiry": epoch(registration.activation_expires_at),
            "provider": registration.provider,
            "roleArn": registration.role_arn,
        },
    })
}

/// A registration as a call would make it, with its activation, that no agent has used.
pub(crate) fn without_agents(
    account: &str,
    region: &str,
    name: &str,
    settings: &Settings,
    now: Timestamp,
) -> Result<(Registration, Activation), Error> {
    let role_name = "AmazonEKSConnectorAgentRole";
    let activation = Activation {
        id: uuid::Uuid::new_v4().to_string(),
        code: identifiers::secret(20)?,
        cluster: name.to_owned(),
        role_name: role_name.to_owned(),
        created_at: now,
        expires_at: later(now, settings.activation_expiry_seconds.saturating_mul(1000)),
        registration_limit: settings.activation_registration_limit,
        registrations: 0,
    };
    let registration = Registration {
        name: name.to_owned(),
        arn: format!("arn:aws:eks:{region}:{account}:cluster/{name}"),
        created_at: now,
        tags: BTreeMap::new(),
        provider: "OTHER".to_owned(),
        role_arn: format!("arn:aws:iam::{account}:role/{role_name}"),
        activation_id: activation.id.clone(),
        activation_expires_at: activation.expires_at,
        client_request_token: None,
        connected_at: None,
    };
    Ok((registration, activation))
}

/// The tags of the input, checked against EKS's limits; the code of the error depends on the operation.
fn tags_of(call: &Call<'_>, code: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut tags = BTreeMap::new();
    for (key, value) in call.input.get("tags").and_then(Value::as_object).into_iter().flatten() {
        let Some(value) = value.as_str() else { return Err(Error::bare(400, "SerializationException")) };
        let problem = if !(1..=128).contains(&key.chars().count()) {
            Some("Member must have keys of length 1 to 128")
        } else if value.chars().count() > 256 {
            Some("Member must have values of length less than or equal to 256")
        } else if key.to_ascii_lowercase().starts_with("aws:") {
            Some("aws: prefixed tag key names are not allowed for external use.")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::new(400, code, format!("Invalid tag '{key}': {problem}")));
        }
        tags.insert(key.clone(), value.to_owned());
    }
    Ok(tags)
}
