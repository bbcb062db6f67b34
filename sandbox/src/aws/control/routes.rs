//! The server's side of the control endpoint.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State as Shared};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    Account, AccountSpec, ActiveFault, Caller, CallerSpec, ConnectedInstance, Entry, Fault, FaultId, Filter,
    Gift, Given, Identity, Latency, Move, Now, Overview, Refused, SettingsChange,
};
use crate::aws::caller::{AccessKey, Permissions, Principal};
use crate::aws::policy::{Kind, Policy};
use crate::aws::server::Server;
use crate::aws::service::Error;
use crate::aws::state::{self, Role, State};
use crate::aws::{eks, iam, identifiers, state::later};

type Answer<T> = Result<Json<T>, Refusal>;

/// Why a request was refused.
#[derive(Debug)]
pub(crate) struct Refusal(String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, Json(Refused { error: self.0 })).into_response()
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        Refusal(error.message.unwrap_or(error.code))
    }
}

pub(crate) fn routes() -> Router<Server> {
    Router::new()
        .route("/accounts", post(create_account).get(accounts))
        .route("/accounts/{id}/callers", post(add_caller))
        .route("/accounts/{id}/gifts", post(give))
        .route("/settings", post(change_settings))
        .route("/latency", post(set_latency).get(latencies))
        .route("/faults", post(add_fault).get(faults).delete(clear_faults))
        .route("/clock", post(move_clock).get(clock))
        .route("/log", get(log).delete(reset_log))
        .route("/dump", get(dump))
        .route("/instances", get(instances))
        .route("/codes", get(codes))
}

async fn create_account(Shared(server): Shared<Server>, Json(spec): Json<AccountSpec>) -> Answer<Account> {
    let mut state = server.state();
    let id = match spec.id {
        Some(id) if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit()) => id,
        Some(id) => return Err(Refusal(format!("an account id has 12 digits, not {id}"))),
        None => identifiers::account()?,
    };
    if state.accounts.contains_key(&id) {
        return Err(Refusal(format!("the account {id} exists")));
    }
    let settings = state.default_settings.clone();
    let account = state::Account { id: id.clone(), settings, ..state::Account::default() };
    state.accounts.insert(id.clone(), account);
    let caller = add(&mut state, &id, CallerSpec::user("ana", None))?;
    Ok(Json(Account {
        id,
        user: "ana".to_owned(),
        access_key_id: caller.access_key_id,
        secret_access_key: caller.secret_access_key,
        session_token: caller.session_token,
    }))
}

async fn accounts(Shared(server): Shared<Server>) -> Json<Overview> {
    let state = server.state();
    Json(state.accounts.iter().map(|(id, account)| (id.clone(), account.roles.len())).collect())
}

async fn add_caller(
    Shared(server): Shared<Server>,
    Path(account): Path<String>,
    Json(spec): Json<CallerSpec>,
) -> Answer<Caller> {
    Ok(Json(add(&mut server.state(), &account, spec)?))
}

fn add(state: &mut State, account_id: &str, spec: CallerSpec) -> Result<Caller, Refusal> {
    let now = state.now();
    let account = state.accounts.get_mut(account_id).ok_or_else(|| unknown(account_id))?;
    let policy = spec.policy.map(|policy| policy.to_string());
    if let Some(policy) = &policy {
        Policy::parse(policy, Kind::Identity).map_err(Refusal)?;
    }
    let everything = policy.clone().map_or(Permissions::Everything, Permissions::Policy);
    let (arn, user_id, permissions, temporary) = match spec.identity {
        Identity::User { name, path } => {
            let made = account.user(&name).is_none();
            if made {
                let user = iam::new_user(account_id, &name, &path, now)?;
                account.users.insert(name.to_lowercase(), user);
            }
            let user = account.user_mut(&name).ok_or_else(|| unknown(&name))?;
            give_policy(&mut user.inline, &mut user.attached, policy, made);
            (user.arn.clone(), user.id.clone(), Permissions::User(user.name.clone()), spec.session_token)
        }
        Identity::Root => {
            (format!("arn:aws:iam::{account_id}:root"), account_id.to_owned(), everything, spec.session_token)
        }
        Identity::Federated { name } => {
            let arn = format!("arn:aws:sts::{account_id}:federated-user/{name}");
            (arn, format!("{account_id}:{name}"), everything, true)
        }
        Identity::Role { name, path, session } => {
            let made = account.role(&name).is_none();
            if made {
                let role = role_for_sessions(account_id, &name, &path, now)?;
                account.roles.insert(name.to_lowercase(), role);
            }
            let role = account.role_mut(&name).ok_or_else(|| unknown(&name))?;
            give_policy(&mut role.inline, &mut role.attached, policy, made);
            let arn = format!("arn:aws:sts::{account_id}:assumed-role/{}/{session}", role.name);
            (arn, format!("{}:{session}", role.id), Permissions::Role(role.name.clone()), true)
        }
    };
    let temporary = temporary || spec.expired;
    let key_id = identifiers::access_key_id(if temporary { "ASIA" } else { "AKIA" })?;
    let secret = identifiers::secret(40)?;
    let session_token = if temporary { Some(identifiers::secret(300)?) } else { None };
    let principal = Principal { account: account_id.to_owned(), arn: arn.clone(), user_id, permissions };
    // Temporary keys of callers last as long as the longest session of a role, 12 hours, unless they are expired.
    let lasts_ms = if spec.expired { 0 } else { 12 * 60 * 60 * 1000 };
    let expires_at = temporary.then(|| later(now, lasts_ms));
    let key =
        AccessKey { secret: secret.clone(), session_token: session_token.clone(), expires_at, principal };
    state.keys.insert(key_id.clone(), key);
    Ok(Caller { arn, access_key_id: key_id, secret_access_key: secret, session_token })
}

/// Gives a role or a user just this policy; without one everything, if it was just made.
fn give_policy(
    inline: &mut BTreeMap<String, String>,
    attached: &mut Vec<String>,
    policy: Option<String>,
    made: bool,
) {
    match policy {
        Some(policy) => {
            attached.clear();
            *inline = BTreeMap::from([("sandbox".to_owned(), policy)]);
        }
        None if made => attached.push("arn:aws:iam::aws:policy/AdministratorAccess".to_owned()),
        None => {}
    }
}

fn role_for_sessions(account: &str, name: &str, path: &str, now: jiff::Timestamp) -> Result<Role, Refusal> {
    let trust = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": format!("arn:aws:iam::{account}:root")},
            "Action": "sts:AssumeRole",
        }],
    });
    Ok(Role {
        name: name.to_owned(),
        path: path.to_owned(),
        id: identifiers::unique_id("AROA")?,
        arn: format!("arn:aws:iam::{account}:role{path}{name}"),
        created_at: now,
        description: None,
        max_session_seconds: 3600,
        permissions_boundary: None,
        tags: BTreeMap::new(),
        trust: trust.to_string(),
        trust_changed_at: now,
        trust_before: None,
        inline: BTreeMap::new(),
        attached: Vec::new(),
        service: None,
    })
}

async fn give(
    Shared(server): Shared<Server>,
    Path(account_id): Path<String>,
    Json(gift): Json<Gift>,
) -> Answer<Given> {
    let mut state = server.state();
    let now = state.now();
    let account = state.accounts.get_mut(&account_id).ok_or_else(|| unknown(&account_id))?;
    let arn = match gift {
        Gift::Cluster { region, name } => {
            let arn = format!("arn:aws:eks:{region}:{account_id}:cluster/{name}");
            account.regions.entry(region).or_default().clusters.insert(name, now);
            arn
        }
        Gift::Registrations { region, count } => {
            let settings = account.settings.effective(&region);
            let here = account.regions.entry(region.clone()).or_default();
            let mut last = String::new();
            for number in 1..=count {
                let (registration, activation) =
                    eks::without_agents(&account_id, &region, &format!("many-{number:04}"), &settings, now)?;
                last.clone_from(&registration.arn);
                here.activations.insert(activation.id.clone(), activation);
                here.registrations.insert(registration.name.clone(), registration);
            }
            last
        }
        Gift::Policy { name, document } => {
            let arn = format!("arn:aws:iam::{account_id}:policy/{name}");
            let document = document.to_string();
            Policy::parse(&document, Kind::Identity).map_err(Refusal)?;
            account.policies.insert(arn.clone(), document);
            arn
        }
    };
    Ok(Json(Given { arn }))
}

async fn change_settings(Shared(server): Shared<Server>, Json(change): Json<SettingsChange>) -> Answer<()> {
    let account = change.account.as_deref();
    if server.state().patch_settings(account, change.region.as_deref(), &change.settings) {
        Ok(Json(()))
    } else {
        Err(unknown(account.unwrap_or_default()))
    }
}

async fn set_latency(Shared(server): Shared<Server>, Json(latency): Json<Latency>) -> Json<()> {
    server.state().faults.set_latency(latency);
    Json(())
}

async fn latencies(Shared(server): Shared<Server>) -> Json<Vec<Latency>> {
    Json(server.state().faults.latencies().to_vec())
}

async fn add_fault(Shared(server): Shared<Server>, Json(fault): Json<Fault>) -> Json<FaultId> {
    Json(FaultId { id: server.state().faults.add(fault) })
}

async fn faults(Shared(server): Shared<Server>) -> Json<Vec<ActiveFault>> {
    Json(server.state().faults.list().to_vec())
}

async fn clear_faults(Shared(server): Shared<Server>, Query(filter): Query<Filter>) -> Json<()> {
    server.state().faults.clear(filter.id, filter.account.as_deref());
    Json(())
}

async fn move_clock(Shared(server): Shared<Server>, Json(by): Json<Move>) -> Json<Now> {
    let mut state = server.state();
    state.clock_offset = state.clock_offset.saturating_add(SignedDuration::from_secs(by.seconds));
    Json(Now { now: state.now().to_string() })
}

async fn clock(Shared(server): Shared<Server>) -> Json<Now> {
    Json(Now { now: server.state().now().to_string() })
}

async fn log(Shared(server): Shared<Server>, Query(filter): Query<Filter>) -> Json<Vec<Entry>> {
    Json(server.state().log.since(filter.since.unwrap_or(0), filter.account.as_deref()))
}

async fn reset_log(Shared(server): Shared<Server>) -> Json<()> {
    server.state().log.reset();
    Json(())
}

async fn dump(Shared(server): Shared<Server>, Query(filter): Query<Filter>) -> Answer<Value> {
    let dump = server.state().dump(filter.account.as_deref());
    dump.map(Json).map_err(|error| Refusal(error.to_string()))
}

async fn instances(
    Shared(server): Shared<Server>,
    Query(filter): Query<Filter>,
) -> Json<Vec<ConnectedInstance>> {
    let state = server.state();
    let accounts = state.accounts.values();
    let wanted = accounts.filter(|account| filter.account.as_ref().is_none_or(|only| *only == account.id));
    let mut shown = Vec::new();
    for account in wanted {
        for (region, contents) in &account.regions {
            for instance in contents.instances.values() {
                shown.push(ConnectedInstance {
                    account: account.id.clone(),
                    region: region.clone(),
                    id: instance.id.clone(),
                    cluster: instance.cluster.clone(),
                    activation_id: instance.activation_id.clone(),
                    last_channel_at: instance.last_channel_at.map(|time| time.to_string()),
                    channels_opened: instance.channels_opened,
                });
            }
        }
    }
    Json(shown)
}

async fn codes(Shared(server): Shared<Server>, Query(filter): Query<Filter>) -> Json<Vec<String>> {
    let state = server.state();
    let accounts = state.accounts.values();
    let wanted = accounts.filter(|account| filter.account.as_ref().is_none_or(|only| *only == account.id));
    Json(wanted.flat_map(|account| account.codes.iter().cloned()).collect())
}

fn unknown(what: &str) -> Refusal {
    Refusal(format!("{what} is unknown"))
}
