//! ssmmessages: the control channel of an agent. `POST /v1/control-channel/INSTANCE_ID`, JSON in, XML out: that is
//! what amazon-ssm-agent sends and reads (agent/session/service).

use serde_json::{Value, json};

use super::identifiers;
use super::service::{Call, Error, Member, Operation, Protocol, Service};

pub(crate) const SERVICE: Service = Service {
    name: "ssmmessages",
    protocol: Protocol::RestXml,
    target: "",
    version: "",
    namespace: "",
    operations: OPERATIONS,
};

const OPERATIONS: &[Operation] = &[Operation::new("CreateControlChannel", CREATE, create_control_channel)
    .at("POST", "/v1/control-channel/{instanceId}")];

const CREATE: &[Member] = &[
    Member::text("MessageSchemaVersion").required().range(1, 64),
    Member::text("RequestId").required().range(16, 64),
];

/// Opens the control channel of an instance; the first one makes its cluster ACTIVE.
fn create_control_channel(call: &mut Call<'_>) -> Result<Value, Error> {
    let id = call.text("instanceId");
    let account = call.account_id()?.to_owned();
    let instance = call.here()?.instances.get(&id).cloned();
    // An agent of the connector acts on its cluster (its documented policy says so), another on the instance.
    let cluster = id.strip_prefix("eks_c:").and_then(|rest| rest.rsplit_once('_')).map(|(name, _)| name);
    let resource = match cluster {
        Some(name) => format!("arn:aws:eks:{}:{account}:cluster/{name}", call.region),
        None => format!("arn:aws:ssm:{}:{account}:managed-instance/{id}", call.region),
    };
    call.authorize("ssmmessages:CreateControlChannel", &resource)?;
    let Some(instance) = instance else {
        // A deregistered agent keeps its credentials for a while.
        return Err(Error::new(
            400,
            "ResourceNotFoundException",
            format!("Instance {id} is not registered."),
        ));
    };
    let now = call.now;
    let here = call.here()?;
    if let Some(instance) = here.instances.get_mut(&id) {
        instance.last_channel_at = Some(now);
        instance.channels_opened += 1;
    }
    if let Some(registration) = here.registrations.get_mut(&instance.cluster)
        && registration.activation_id == instance.activation_id
    {
        registration.connected_at.get_or_insert(now);
    }
    Ok(json!({"MessageSchemaVersion": "1.0", "TokenValue": identifiers::secret(120)?}))
}
