//! Systems Manager: what an agent calls, and what an administrator reads. JSON 1.1, `X-Amz-Target: AmazonSSM.…`.
//!
//! RegisterManagedInstance and RequestManagedInstanceRoleToken are not in the public service model: their form is
//! that of amazon-ssm-agent. The latter is signed with Signature Version 4's string to sign, but with the instance's
//! RSA key: `Credential=INSTANCE_ID/DATE/REGION/ssm/aws4_request`, `Signature=` RSA-PSS (SHA-256, salt of 32 bytes) of
//! that string in standard base64.

use aws_lc_rs::signature;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::policy::{Context, Decision, Kind as PolicyKind, Policy};
use super::response::epoch;
use super::service::{Auth, Call, Error, Kind, Member, Operation, Pattern, Protocol, Service};
use super::state::{Activation, Instance};
use super::{identifiers, sts};

pub(crate) const SERVICE: Service = Service {
    name: "ssm",
    protocol: Protocol::AwsJson,
    target: "AmazonSSM",
    version: "",
    namespace: "",
    operations: OPERATIONS,
};

const OPERATIONS: &[Operation] = &[
    Operation::new("RegisterManagedInstance", REGISTER, register_managed_instance)
        .for_caller(Auth::Anonymous),
    Operation::new("RequestManagedInstanceRoleToken", &[Member::text("Fingerprint").required()], role_token)
        .for_caller(Auth::Instance),
    Operation::new("DescribeInstanceInformation", DESCRIBE_INSTANCES, describe_instance_information),
    Operation::new("DescribeActivations", DESCRIBE_ACTIVATIONS, describe_activations),
    Operation::new("DeregisterManagedInstance", DEREGISTER, deregister_managed_instance),
];

/// Lifetime of an agent's credentials.
const TOKEN_SECONDS: u64 = 3600;
/// How long after its last contact an instance counts as online.
const ONLINE: SignedDuration = SignedDuration::from_mins(5);

const REGISTER: &[Member] = &[
    Member::text("ActivationCode").required().range(20, 250).secret(),
    Member::text("ActivationId").required().range(36, 36),
    Member::text("Fingerprint").required().range(1, 256),
    Member::text("PublicKey").required().range(392, 2048),
    Member::text("PublicKeyType").required().pattern(Pattern {
        text: "[Rsa]",
        matches: |kind| kind == "Rsa",
        message: None,
    }),
];
const DESCRIBE_INSTANCES: &[Member] = &[
    Member::integer("MaxResults", 5, 50),
    Member::text("NextToken"),
    Member::list("Filters"),
    Member::list("InstanceInformationFilterList"),
];
const DESCRIBE_ACTIVATIONS: &[Member] =
    &[Member::integer("MaxResults", 1, 50), Member::text("NextToken"), Member::new("Filters", Kind::List)];
const DEREGISTER: &[Member] = &[Member::text("InstanceId").required().range(20, 124).pattern(Pattern {
    text: "(^mi-[0-9a-f]{17}$)|(^eks_c:[0-9A-Za-z][A-Za-z0-9\\-_]{0,99}_\\w{17}$)",
    matches: |id| {
        let word = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some(digits) = id.strip_prefix("mi-") {
            return digits.len() == 17 && digits.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        }
        id.strip_prefix("eks_c:").filter(|rest| rest.is_ascii() && rest.len() > 18).is_some_and(|rest| {
            let (name, end) = rest.split_at(rest.len() - 18);
            end.starts_with('_')
                && word(end)
                && name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.len() <= 100
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        })
    },
    message: None,
})];

/// The resource that denials of Systems Manager name for actions without a resource type.
pub(crate) fn anything(call: &Call<'_>) -> Result<String, Error> {
    Ok(format!("arn:aws:ssm:{}:{}:*", call.region, call.account_id()?))
}

fn register_managed_instance(call: &mut Call<'_>) -> Result<Value, Error> {
    let (id, code) = (call.text("ActivationId"), call.text("ActivationCode"));
    let (fingerprint, public_key) = (call.text("Fingerprint"), call.text("PublicKey"));
    let (now, host_region) = (call.now, call.region.clone());
    let region = call
        .state
        .accounts
        .values_mut()
        .flat_map(|account| account.regions.iter_mut())
        // The host names the Region, unless the agent was given an endpoint of its own.
        .filter(|(name, _)| host_region.is_empty() || **name == host_region)
        .map(|(_, region)| region)
        .find(|region| region.activations.contains_key(&id))
        .ok_or_else(|| Error::bare(400, "InvalidActivation"))?;
    let activation = region
        .activations
        .get_mut(&id)
        .filter(|activation| activation.code == code)
        .ok_or_else(|| Error::bare(400, "InvalidActivation"))?;
    if activation.expires_at <= now {
        return Err(Error::bare(400, "ActivationExpired"));
    }
    if activation.registrations >= activation.registration_limit {
        return Err(Error::bare(400, "RegistrationLimitExceeded"));
    }
    if !is_rsa_key(&public_key) {
        return Err(Error::bare(400, "InvalidPublicKey"));
    }
    if region.instances.values().any(|instance| instance.fingerprint == fingerprint) {
        return Err(Error::bare(400, "InstanceAlreadyRegistered"));
    }
    activation.registrations += 1;
    let instance = Instance {
        id: format!("eks_c:{}_{}", activation.cluster, identifiers::hexadecimal(17)?),
        activation_id: id,
        cluster: activation.cluster.clone(),
        role_name: activation.role_name.clone(),
        fingerprint,
        public_key,
        registered_at: now,
        last_channel_at: None,
        channels_opened: 0,
    };
    let answer = json!({"InstanceId": instance.id});
    region.instances.insert(instance.id.clone(), instance);
    Ok(answer)
}

/// Whether a text is an RSA public key of 2048 bits or more in base64.
fn is_rsa_key(text: &str) -> bool {
    STANDARD.decode(text).is_ok_and(|der| {
        signature::UnparsedPublicKey::new(&signature::RSA_PSS_2048_8192_SHA256, der).parse().is_ok()
    })
}

fn role_token(call: &mut Call<'_>) -> Result<Value, Error> {
    let Caller::Instance { account: account_id, id } = call.caller.clone() else {
        return Err(anyhow::anyhow!("the caller is no managed instance").into());
    };
    let instance =
        call.here()?.instances.get(&id).ok_or_else(|| Error::bare(400, "InvalidInstanceId"))?.clone();
    if instance.fingerprint != call.text("Fingerprint") {
        return Err(Error::bare(400, "MachineFingerprintDoesNotMatch"));
    }
    // Systems Manager assumes the role for the instance.
    let source = Context::from([
        ("aws:sourceaccount".to_owned(), vec![account_id.clone()]),
        ("aws:sourcearn".to_owned(), vec![format!("arn:aws:ssm:{}:{account_id}:*", call.region)]),
    ]);
    let role = call.account()?.role(&instance.role_name).filter(|role| {
        Policy::parse(&role.trust, PolicyKind::Trust).is_ok_and(|trust| {
            let names = [("Service", "ssm.amazonaws.com")];
            trust.trusts("sts:AssumeRole", &names, &source) == Decision::Allowed
        })
    });
    let role_id = role.map(|role| role.id.clone()).ok_or_else(|| {
        let role = &instance.role_name;
        let message = format!("Systems Manager cannot assume the role {role} of the managed instance {id}.");
        Error::new(400, "AccessDeniedException", message)
    })?;
    let credentials = sts::issue(call, &account_id, &instance.role_name, &role_id, &id, TOKEN_SECONDS)?;
    Ok(json!({
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key,
        "SessionToken": credentials.session_token,
        "TokenExpirationDate": epoch(credentials.expires_at),
        "UpdateKeyPair": false,
    }))
}

fn describe_instance_information(call: &mut Call<'_>) -> Result<Value, Error> {
    call.authorize("ssm:DescribeInstanceInformation", &anything(call)?)?;
    let filters =
        filters(call, &[("Filters", "Key", "Values"), ("InstanceInformationFilterList", "key", "valueSet")]);
    let now = call.now;
    let mut shown = Vec::new();
    for instance in call.here()?.instances.values() {
        let online = instance.last_channel_at.is_some_and(|last| now.duration_since(last) < ONLINE);
        let ping = if online { "Online" } else { "ConnectionLost" };
        let mut keep = true;
        for (key, values) in &filters {
            let actual = match key.as_str() {
                "InstanceIds" => &instance.id,
                "ActivationIds" => &instance.activation_id,
                "IamRole" => &instance.role_name,
                "PingStatus" => ping,
                "ResourceType" => "ManagedInstance",
                "PlatformTypes" => "Linux",
                _ => return Err(Error::bare(400, "InvalidFilterKey")),
            };
            keep &= values.iter().any(|value| value == actual);
        }
        if keep {
            let last = instance.last_channel_at.unwrap_or(instance.registered_at);
            shown.push(json!({
                "InstanceId": instance.id,
                "PingStatus": ping,
                "LastPingDateTime": epoch(last),
                "PlatformType": "Linux",
                "ActivationId": instance.activation_id,
                "IamRole": instance.role_name,
                "RegistrationDate": epoch(instance.registered_at),
                "ResourceType": "ManagedInstance",
            }));
        }
    }
    page(call, "InstanceInformationList", shown, 50)
}

fn describe_activations(call: &mut Call<'_>) -> Result<Value, Error> {
    call.authorize("ssm:DescribeActivations", &anything(call)?)?;
    let filters = filters(call, &[("Filters", "FilterKey", "FilterValues")]);
    let now = call.now;
    let mut shown = Vec::new();
    for activation in call.here()?.activations.values() {
        let mut keep = true;
        for (key, values) in &filters {
            let actual = match key.as_str() {
                "ActivationIds" => &activation.id,
                "IamRole" => &activation.role_name,
                "DefaultInstanceName" => "",
                _ => return Err(Error::bare(400, "InvalidFilter")),
            };
            keep &= values.iter().any(|value| value == actual);
        }
        if keep {
            shown.push(activation_shown(activation, now));
        }
    }
    page(call, "ActivationList", shown, 50)
}

fn activation_shown(activation: &Activation, now: Timestamp) -> Value {
    json!({
        "ActivationId": activation.id,
        "IamRole": activation.role_name,
        "RegistrationLimit": activation.registration_limit,
        "RegistrationsCount": activation.registrations,
        "ExpirationDate": epoch(activation.expires_at),
        "Expired": activation.expires_at <= now,
        "CreatedDate": epoch(activation.created_at),
    })
}

fn deregister_managed_instance(call: &mut Call<'_>) -> Result<Value, Error> {
    let id = call.text("InstanceId");
    let arn = format!("arn:aws:ssm:{}:{}:managed-instance/{id}", call.region, call.account_id()?);
    call.authorize("ssm:DeregisterManagedInstance", &arn)?;
    call.here()?.instances.remove(&id).ok_or_else(|| Error::bare(400, "InvalidInstanceId"))?;
    Ok(json!({}))
}

/// Filters of the input as keys and values, from lists of structures with these member names.
fn filters(call: &Call<'_>, forms: &[(&str, &str, &str)]) -> Vec<(String, Vec<String>)> {
    let mut filters = Vec::new();
    for (list, key, values) in forms {
        let list = call.input.get(*list).and_then(Value::as_array);
        for filter in list.into_iter().flatten().filter_map(Value::as_object) {
            let texts = |value: &Value| value.as_str().map(str::to_owned);
            let values = filter.get(*values).and_then(Value::as_array);
            let values = values.into_iter().flatten().filter_map(texts).collect();
            filters.push((filter.get(*key).and_then(texts).unwrap_or_default(), values));
        }
    }
    filters
}

fn page(call: &Call<'_>, member: &str, all: Vec<Value>, default: u64) -> Result<Value, Error> {
    let start = match call.optional_text("NextToken") {
        None => 0,
        Some(token) => token
            .strip_prefix("page-")
            .and_then(|position| position.parse().ok())
            .filter(|position| *position <= all.len())
            .ok_or_else(|| Error::bare(400, "InvalidNextToken"))?,
    };
    let size = usize::try_from(call.integer("MaxResults").unwrap_or(default)).unwrap_or(usize::MAX);
    let end = start.saturating_add(size).min(all.len());
    let more = end < all.len();
    let mut output = Map::new();
    output.insert(member.to_owned(), all.into_iter().skip(start).take(size).collect());
    if more {
        output.insert("NextToken".to_owned(), Value::from(format!("page-{end}")));
    }
    Ok(Value::Object(output))
}
