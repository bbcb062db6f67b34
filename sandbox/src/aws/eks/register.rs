//! RegisterCluster, with everything that it does in IAM and Systems Manager on the caller's behalf.

use serde_json::{Value, json};

use super::{TAGS, cluster_arn, epoch, shown, status, tags_of};
use crate::aws::iam;
use crate::aws::identifiers;
use crate::aws::policy::{Context, Decision, Kind as PolicyKind, Policy};
use crate::aws::service::{Call, Error, Kind, Member, Pattern, tag_context};
use crate::aws::settings::{MissingServiceLinkedRole, RepeatToken};
use crate::aws::ssm;
use crate::aws::state::{Activation, Registration, later};

pub(super) const INPUT: &[Member] = &[
    Member::text("name").required().range(1, 100).pattern(Pattern {
        text: "^[0-9A-Za-z][A-Za-z0-9\\-_]*",
        matches: |name| {
            name.starts_with(|c: char| c.is_ascii_alphanumeric())
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        },
        message: None,
    }),
    Member::new("connectorConfig", Kind::Structure).required(),
    Member::text("connectorConfig.roleArn").required(),
    Member::text("connectorConfig.provider").required().pattern(Pattern {
        text: "[EKS_ANYWHERE, ANTHOS, GKE, AKS, OPENSHIFT, TANZU, RANCHER, EC2, OTHER]",
        matches: |provider| {
            ["EKS_ANYWHERE", "ANTHOS", "GKE", "AKS", "OPENSHIFT", "TANZU", "RANCHER", "EC2", "OTHER"]
                .contains(&provider)
        },
        message: None,
    }),
    Member::text("clientRequestToken"),
    TAGS,
];

pub(super) fn register_cluster(call: &mut Call<'_>) -> Result<Value, Error> {
    let name = call.text("name");
    let role_arn = call.text("connectorConfig.roleArn");
    let provider = call.text("connectorConfig.provider");
    let token = call.optional_text("clientRequestToken");
    let tags = tags_of(call, "InvalidParameterException")?;
    let settings = call.settings()?;
    let arn = cluster_arn(call, &name)?;

    // RegisterCluster has no resource type in AWS's service authorisation reference, so policies must say "*"; whether
    // AWS is less strict in fact is not known.
    call.authorize_with("eks:RegisterCluster", "*", tag_context(&tags))?;
    if !tags.is_empty() {
        call.authorize_with("eks:TagResource", &arn, tag_context(&tags))?;
    }
    authorize_pass_role(call, &role_arn)?;
    // EKS makes and, should it fail, deletes the activation with the caller's permissions.
    let activations = ssm::anything(call)?;
    call.authorize("ssm:CreateActivation", &activations)?;
    call.authorize("ssm:DeleteActivation", &activations)?;

    let now = call.now;
    let here = call.here()?;
    if let Some(existing) = here.registrations.get(&name) {
        let same = token.is_some()
            && existing.client_request_token == token
            && existing.role_arn == role_arn
            && existing.provider == provider
            && existing.tags == tags;
        // What AWS does with a repeated token is not known. The default here is what idempotent operations of AWS
        // usually do: the first answer again. The setting gives the other possibility.
        if same
            && settings.repeat_token == RepeatToken::SameAnswer
            && let Some(activation) = here.activations.get(&existing.activation_id)
        {
            let mut cluster = shown(existing, status(existing, &settings, now));
            cluster["connectorConfig"]["activationCode"] = Value::from(activation.code.clone());
            return Ok(json!({"cluster": cluster}));
        }
    }
    if here.registrations.contains_key(&name) || here.clusters.contains_key(&name) {
        return Err(Error::new(
            409,
            "ResourceInUseException",
            format!("Cluster already exists with name: {name}"),
        ));
    }
    if here.registrations.len() as u64 >= settings.registered_clusters {
        return Err(Error::new(
            400,
            "ResourceLimitExceededException",
            format!(
                "Connected cluster limit exceeded for account: you have reached the limit of {} registered clusters.",
                settings.registered_clusters
            ),
        ));
    }
    need_service_linked_role(call)?;
    let role_name = need_agent_role(call, &role_arn)?;

    let activation = Activation {
        id: uuid::Uuid::new_v4().to_string(),
        code: identifiers::secret(20)?,
        cluster: name.clone(),
        role_name,
        created_at: now,
        expires_at: later(now, settings.activation_expiry_seconds.saturating_mul(1000)),
        registration_limit: settings.activation_registration_limit,
        registrations: 0,
    };
    let registration = Registration {
        name: name.clone(),
        arn,
        created_at: now,
        tags,
        provider,
        role_arn,
        activation_id: activation.id.clone(),
        activation_expires_at: activation.expires_at,
        client_request_token: token,
        connected_at: None,
    };
    let mut cluster = shown(&registration, status(&registration, &settings, now));
    // The code is in this answer and in no other.
    cluster["connectorConfig"]["activationCode"] = Value::from(activation.code.clone());
    cluster["connectorConfig"]["activationExpiry"] = epoch(activation.expires_at);
    call.account_mut()?.codes.push(activation.code.clone());
    let here = call.here()?;
    here.activations.insert(activation.id.clone(), activation);
    here.registrations.insert(name, registration);
    Ok(json!({"cluster": cluster}))
}

/// The caller passes the role to EKS, which passes it on to Systems Manager. Sources differ on which of the two
/// `iam:PassedToService` names; a policy that works here allows both.
fn authorize_pass_role(call: &Call<'_>, role_arn: &str) -> Result<(), Error> {
    let account = call.account_id()?;
    let well_formed = role_arn
        .strip_prefix("arn:aws:iam::")
        .and_then(|rest| rest.split_once(":role/"))
        .is_some_and(|(owner, name)| owner.len() == 12 && !name.is_empty());
    if !well_formed {
        return Err(Error::new(400, "InvalidParameterException", format!("Role ARN is invalid: {role_arn}")));
    }
    if role_arn.split(':').nth(4) != Some(account) {
        return Err(Error::new(403, "AccessDeniedException", "Cross-account pass role is not allowed."));
    }
    for service in ["eks.amazonaws.com", "ssm.amazonaws.com"] {
        let context = Context::from([("iam:passedtoservice".to_owned(), vec![service.to_owned()])]);
        call.authorize_with("iam:PassRole", role_arn, context)?;
    }
    Ok(())
}

/// EKS acts through its service-linked role, and makes it when the caller may.
fn need_service_linked_role(call: &mut Call<'_>) -> Result<(), Error> {
    let settings = call.settings()?;
    if call.account()?.role(iam::CONNECTOR_ROLE).is_none() {
        let made = settings.missing_service_linked_role == MissingServiceLinkedRole::Create
            && iam::create_connector_role(call).is_ok();
        if !made {
            let account = call.account_id()?;
            return Err(Error::new(
                400,
                "InvalidRequestException",
                format!(
                    "Cluster Management role arn:aws:iam::{account}:role/aws-service-role/eks-connector.amazonaws.com/{} \
                     is not available",
                    iam::CONNECTOR_ROLE
                ),
            ));
        }
    }
    let now = call.now;
    match call.account()?.role(iam::CONNECTOR_ROLE) {
        Some(role) if now < later(role.created_at, settings.service_linked_role_propagation_ms) => {
            Err(Error::new(
                428,
                "ResourcePropagationDelayException",
                format!("Service linked role '{}' is propagating, please retry later.", role.arn),
            ))
        }
        _ => Ok(()),
    }
}

/// The agent's role must exist, as far as EKS can see, and let Systems Manager assume it.
fn need_agent_role(call: &Call<'_>, arn: &str) -> Result<String, Error> {
    let delay = call.settings()?.iam_propagation_ms;
    let account = call.account()?;
    let source = Context::from([
        ("aws:sourceaccount".to_owned(), vec![account.id.clone()]),
        ("aws:sourcearn".to_owned(), vec![format!("arn:aws:ssm:{}:{}:*", call.region, account.id)]),
    ]);
    account
        .roles
        .values()
        .find(|role| role.arn == arn)
        .filter(|role| {
            role.visible_trust(call.now, delay)
                .and_then(|trust| Policy::parse(trust, PolicyKind::Trust).ok())
                .is_some_and(|trust| {
                    let names = [("Service", "ssm.amazonaws.com")];
                    trust.trusts("sts:AssumeRole", &names, &source) == Decision::Allowed
                })
        })
        .map(|role| role.name.clone())
        .ok_or_else(|| {
            Error::new(
                400,
                "InvalidRequestException",
                "Nonexistent role or missing ssm service principal in trust policy",
            )
        })
}
