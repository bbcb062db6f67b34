//! STS: who calls, and assuming roles. Query protocol, version 2011-06-15.

use base64::Engine;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::caller::{AccessKey, Permissions, Principal};
use super::identifiers;
use super::policy::{Context, Decision, Kind, Policy};
use super::response::iso_date;
use super::service::{Auth, Call, Error, Member, Operation, Pattern, Protocol, Service};

pub(crate) const SERVICE: Service = Service {
    name: "sts",
    protocol: Protocol::Query,
    target: "",
    version: "2011-06-15",
    namespace: "https://sts.amazonaws.com/doc/2011-06-15/",
    operations: OPERATIONS,
};

const OPERATIONS: &[Operation] = &[
    Operation::new("GetCallerIdentity", &[], get_caller_identity),
    Operation::new("AssumeRole", ASSUME_ROLE, assume_role),
    Operation::new("AssumeRoleWithWebIdentity", ASSUME_ROLE_WITH_WEB_IDENTITY, assume_role_with_web_identity)
        .for_caller(Auth::Anonymous),
];

const ROLE_ARN: Member = Member::text("RoleArn").required().range(20, 2048);
const SESSION_NAME: Member = Member::text("RoleSessionName").required().range(2, 64).pattern(Pattern {
    text: "[\\w+=,.@-]*",
    matches: |name| name.chars().all(|c| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)),
    message: None,
});
const DURATION: Member = Member::integer("DurationSeconds", 900, 43_200);

const ASSUME_ROLE: &[Member] = &[ROLE_ARN, SESSION_NAME, DURATION];

const ASSUME_ROLE_WITH_WEB_IDENTITY: &[Member] = &[
    ROLE_ARN,
    SESSION_NAME,
    Member::text("WebIdentityToken").required().range(4, 20_000).secret(),
    DURATION,
];

/// Needs no permission, and cannot be denied.
fn get_caller_identity(call: &mut Call<'_>) -> Result<Value, Error> {
    let principal = principal(call)?;
    Ok(json!({"UserId": principal.user_id, "Account": principal.account, "Arn": principal.arn}))
}

fn assume_role(call: &mut Call<'_>) -> Result<Value, Error> {
    let (arn, session) = (call.text("RoleArn"), call.text("RoleSessionName"));
    let caller = principal(call)?.clone();
    // A role that does not exist is not told apart from one that may not be assumed.
    let denied = || {
        Error::new(
            403,
            "AccessDenied",
            format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", caller.arn),
        )
    };
    let account = arn.split(':').nth(4).unwrap_or_default();
    let role = call
        .state
        .accounts
        .get(account)
        .and_then(|account| account.roles.values().find(|role| role.arn == arn))
        .ok_or_else(denied)?
        .clone();
    let names = caller.trust_names();
    let names: Vec<(&str, &str)> = names.iter().map(|name| ("AWS", name.as_str())).collect();
    let trust = Policy::parse(&role.trust, Kind::Trust).map_err(|_| denied())?;
    if trust.trusts("sts:AssumeRole", &names, &Context::new()) != Decision::Allowed {
        return Err(denied());
    }
    // A trust policy that names the caller itself suffices; one that names the account leaves it to its policies.
    let itself = [("AWS", caller.arn.as_str())];
    let named = trust.trusts("sts:AssumeRole", &itself, &Context::new()) == Decision::Allowed;
    if !named || caller.account != account {
        call.authorize("sts:AssumeRole", &arn).map_err(|_| denied())?;
    }
    let seconds = call.integer("DurationSeconds").unwrap_or(3600);
    if seconds > role.max_session_seconds {
        return Err(Error::new(
            400,
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        ));
    }
    let credentials = issue(call, account, &role.name, &role.id, &session, seconds)?;
    Ok(json!({
        "AssumedRoleUser": {"AssumedRoleId": credentials.user_id, "Arn": credentials.arn},
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "SessionToken": credentials.session_token,
            "Expiration": iso_date(credentials.expires_at),
        },
    }))
}

/// Nobody signs, and nobody here has the keys of an identity provider: of the token its claims count, not its signature.
/// The trust policy decides, by the provider and the subject.
fn assume_role_with_web_identity(call: &mut Call<'_>) -> Result<Value, Error> {
    let (arn, session) = (call.text("RoleArn"), call.text("RoleSessionName"));
    let claims = claims(&call.text("WebIdentityToken")).ok_or_else(|| {
        Error::new(
            400,
            "InvalidIdentityToken",
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)",
        )
    })?;
    let expiry = claims["exp"].as_i64().and_then(|second| jiff::Timestamp::from_second(second).ok());
    if let Some(expiry) = expiry.filter(|expiry| *expiry <= call.now) {
        return Err(Error::new(
            400,
            "ExpiredTokenException",
            format!(
                "Token expired: current date/time {} must be before the expiration date/time {expiry}",
                call.now
            ),
        ));
    }
    let denied =
        || Error::new(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity");
    let account = arn.split(':').nth(4).unwrap_or_default().to_owned();
    let role = call
        .state
        .accounts
        .get(&account)
        .and_then(|account| account.roles.values().find(|role| role.arn == arn))
        .ok_or_else(denied)?
        .clone();
    let issuer = claims["iss"].as_str().unwrap_or_default().trim_start_matches("https://").to_owned();
    let provider = format!("arn:aws:iam::{account}:oidc-provider/{issuer}");
    let mut context = Context::new();
    for claim in ["sub", "aud"] {
        let value = claims[claim].as_str().unwrap_or_default().to_owned();
        context.insert(format!("{issuer}:{claim}").to_lowercase(), vec![value]);
    }
    let trust = Policy::parse(&role.trust, Kind::Trust).map_err(|_| denied())?;
    let federated = [("Federated", provider.as_str())];
    if trust.trusts("sts:AssumeRoleWithWebIdentity", &federated, &context) != Decision::Allowed {
        return Err(denied());
    }
    let seconds = call.integer("DurationSeconds").unwrap_or(3600);
    let credentials = issue(call, &account, &role.name, &role.id, &session, seconds)?;
    Ok(json!({
        "AssumedRoleUser": {"AssumedRoleId": credentials.user_id, "Arn": credentials.arn},
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key,
            "SessionToken": credentials.session_token,
            "Expiration": iso_date(credentials.expires_at),
        },
        "Provider": provider,
        "SubjectFromWebIdentityToken": claims["sub"],
    }))
}

/// The claims of a JSON Web Token.
fn claims(token: &str) -> Option<Value> {
    let payload = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn principal<'c>(call: &'c Call<'_>) -> Result<&'c Principal, Error> {
    call.caller.principal().ok_or_else(|| anyhow::anyhow!("the caller is no principal").into())
}

/// Temporary credentials of a role session.
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    pub(crate) expires_at: jiff::Timestamp,
    pub(crate) arn: String,
    pub(crate) user_id: String,
}

/// Makes temporary credentials for a session of a role.
pub(crate) fn issue(
    call: &mut Call<'_>,
    account: &str,
    role: &str,
    role_id: &str,
    session: &str,
    seconds: u64,
) -> Result<Credentials, Error> {
    let life = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    let credentials = Credentials {
        access_key_id: identifiers::access_key_id("ASIA")?,
        secret_access_key: identifiers::secret(40)?,
        session_token: identifiers::secret(300)?,
        expires_at: call.now.checked_add(life).unwrap_or(jiff::Timestamp::MAX),
        arn: format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"),
        user_id: format!("{role_id}:{session}"),
    };
    let key = AccessKey {
        secret: credentials.secret_access_key.clone(),
        session_token: Some(credentials.session_token.clone()),
        expires_at: Some(credentials.expires_at),
        principal: Principal {
            account: account.to_owned(),
            arn: credentials.arn.clone(),
            user_id: credentials.user_id.clone(),
            permissions: Permissions::Role(role.to_owned()),
        },
    };
    call.state.keys.insert(credentials.access_key_id.clone(), key);
    Ok(credentials)
}
