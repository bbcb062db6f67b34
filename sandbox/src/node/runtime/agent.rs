//! The SSM agent in container mode: reads its configuration and the vault that the connector wrote, gets credentials with
//! the instance's key, and holds a control channel open. Only through that does a registration turn ACTIVE.
//!
//! It stays up whatever AWS answers, as the real one does, and says in its log why it is not connected.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::{
    Process,
    aws::{self, Call},
    key::Key,
};

/// Where the manifest mounts the agent's configuration.
const CONFIG: &str = "/etc/amazon/ssm/amazon-ssm-agent.json";
/// Where the manifest mounts the agent's logging configuration.
const SEELOG: &str = "/etc/amazon/ssm/seelog.xml";
/// Index of the vault.
const VAULT: &str = "/var/lib/amazon/ssm/Vault/Manifest";
/// Where the connector listens for what comes down the control channel. EKS names it; it is not configurable.
const SOCKET: &str = "/var/eks/shared/connector.sock";

/// Runs the agent. SIGTERM ends it in order.
pub(super) async fn run(process: Process) -> i32 {
    tokio::select! {
        code = work(&process) => code,
        () = process.stop.cancelled() => {
            info(&process, "[amazon-ssm-agent] Stopping agent");
            0
        }
    }
}

fn info(process: &Process, message: impl AsRef<str>) {
    write(process, "INFO", message.as_ref());
}

fn error(process: &Process, message: impl AsRef<str>) {
    write(process, "ERROR", message.as_ref());
}

fn write(process: &Process, level: &str, message: &str) {
    process.log.write(format!("{} {level} {message}", Timestamp::now().strftime("%Y-%m-%d %H:%M:%S%.4f")));
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Configuration {
    agent: AgentSection,
    identity: IdentitySection,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct AgentSection {
    container_mode: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct IdentitySection {
    consumption_order: Vec<String>,
}

/// The managed instance as the vault has it.
struct Instance {
    id: String,
    region: String,
    fingerprint: String,
    key: Key,
}

async fn work(process: &Process) -> i32 {
    if let Err(cause) = process.files.read(SEELOG).await {
        process.log.write(format!("Error occurred fetching the seelog config file path:  {cause}"));
        return 1;
    }
    let configuration: Configuration = match process.files.read_text(CONFIG).await.and_then(|text| {
        serde_json::from_str(&text).map_err(|error| format!("cannot parse {CONFIG}: {error}"))
    }) {
        Ok(configuration) => configuration,
        Err(cause) => {
            error(process, format!("Failed to load the agent's configuration: {cause}"));
            return 1;
        }
    };
    info(process, "Proxy environment variables:");
    for name in ["https_proxy", "http_proxy", "no_proxy"] {
        let value = process.variable(&name.to_uppercase()).or_else(|| process.variable(name));
        info(process, format!("{name}: {}", value.unwrap_or_default()));
    }
    if !configuration.agent.container_mode {
        error(
            process,
            "[amazon-ssm-agent] cannot start the agent worker: no service manager in this container",
        );
        return 1;
    }
    let order = &configuration.identity.consumption_order;
    let instance = if order.is_empty() || order.iter().any(|identity| identity == "OnPrem") {
        read_vault(process).await
    } else {
        Err("no identity in ConsumptionOrder applies".to_owned())
    };
    let instance = match instance {
        Ok(instance) => instance,
        Err(cause) => {
            error(process, format!("Agent failed to assume any identity: {cause}"));
            error(process, "failed to find agent identity");
            return 1;
        }
    };
    info(process, "Agent will take identity from OnPrem");
    info(process, format!("[amazon-ssm-agent] amazon-ssm-agent - v{}", process.version));
    info(process, "[amazon-ssm-agent] OS: linux, Arch: amd64");
    stay_connected(process, &instance).await
}

async fn read_vault(process: &Process) -> Result<Instance, String> {
    let document = async |path: &str| -> Result<Value, String> {
        let text = process.files.read_text(path).await?;
        serde_json::from_str(&text).map_err(|error| format!("{path}: {error}"))
    };
    let field = |document: &Value, name: &str| {
        document[name].as_str().map(str::to_owned).ok_or(format!("no {name} in the vault"))
    };
    let manifest = document(VAULT).await?;
    let registration = document(&field(&manifest, "RegistrationKey")?).await?;
    let fingerprint = document(&field(&manifest, "InstanceFingerprint")?).await?;
    Ok(Instance {
        id: field(&registration, "instanceID")?,
        region: field(&registration, "region")?,
        fingerprint: field(&fingerprint, "fingerprint")?,
        key: Key::from_private(&field(&registration, "privateKey")?).map_err(|error| format!("{error:#}"))?,
    })
}

/// Gets credentials and opens the control channel, again and again. Never ends.
async fn stay_connected(process: &Process, instance: &Instance) -> i32 {
    let speed = process.surroundings.speed;
    let mut pause = speed.back_off;
    let mut session: Option<Session> = None;
    let mut channel = None;
    let (socket, _) = process.files.resolve(SOCKET);
    loop {
        match connect(process, instance, &mut session).await {
            Ok(()) => {
                if channel.is_none() {
                    info(
                        process,
                        format!(
                            "[MessageGatewayService] Successfully opened websocket connection to: \
                             wss://ssmmessages.{}.amazonaws.com/v1/control-channel/{}?role=subscribe&stream=input",
                            instance.region, instance.id
                        ),
                    );
                    channel = Some(process.surroundings.channels.connect(&process.pod, socket.clone()));
                }
                pause = speed.back_off;
                tokio::time::sleep(speed.channel_renewal).await;
            }
            Err(cause) => {
                error(process, cause);
                channel = None;
                session = None;
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(speed.back_off_cap.max(Duration::from_secs(1)));
            }
        }
    }
}

/// Temporary credentials of the registration's role.
struct Session {
    credentials: Credentials,
    renew_at: Timestamp,
}

async fn connect(
    process: &Process,
    instance: &Instance,
    session: &mut Option<Session>,
) -> Result<(), String> {
    if session.as_ref().is_some_and(|session| session.renew_at <= Timestamp::now()) {
        *session = None;
    }
    let credentials = match session {
        Some(session) => session.credentials.clone(),
        None => {
            let fresh = request_token(process, instance).await.map_err(|cause| {
                format!("[CredentialRefresher] Retrieve credentials produced error: {cause}")
            })?;
            info(process, "[CredentialRefresher] Credentials ready");
            info(
                process,
                format!(
                    "[MessageGatewayService] Setting up websocket for controlchannel for instance: {}",
                    instance.id
                ),
            );
            session.insert(fresh).credentials.clone()
        }
    };
    create_control_channel(process, instance, &credentials).await.map_err(|cause| {
        format!("[MessageGatewayService] failed to get controlchannel token, error: {cause}")
    })
}

/// RequestManagedInstanceRoleToken. The request is signed as by Signature Version 4, but with the instance's key in place
/// of a secret access key, and its id in place of an access key id.
async fn request_token(process: &Process, instance: &Instance) -> Result<Session, String> {
    let host = format!("ssm.{}.amazonaws.com", instance.region);
    let target = "AmazonSSM.RequestManagedInstanceRoleToken";
    let content_type = "application/x-amz-json-1.1";
    let body = json!({ "Fingerprint": instance.fingerprint }).to_string();
    let now = Timestamp::now();
    let (day, second) = (now.strftime("%Y%m%d").to_string(), now.strftime("%Y%m%dT%H%M%SZ").to_string());
    let signed_headers = "content-type;host;x-amz-date;x-amz-target";
    let hash = hex::encode(Sha256::digest(&body));
    let canonical = format!(
        "POST\n/\n\ncontent-type:{content_type}\nhost:{host}\nx-amz-date:{second}\nx-amz-target:{target}\n\n\
         {signed_headers}\n{hash}"
    );
    let scope = format!("{day}/{}/ssm/aws4_request", instance.region);
    let to_sign = format!("AWS4-HMAC-SHA256\n{second}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let signature = instance.key.sign(&to_sign).map_err(|error| format!("{error:#}"))?;
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed_headers}, Signature={signature}",
        instance.id
    );
    let headers = [
        ("content-type", content_type.to_owned()),
        ("x-amz-target", target.to_owned()),
        ("x-amz-date", second),
        ("x-amz-content-sha256", hash),
        ("authorization", authorization),
    ];
    let call = Call {
        host: &host,
        path: "/",
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body,
        endpoint: None,
    };
    let answer = aws::post(process, &call)
        .await
        .map_err(|failure| format!("error occurred in RequestManagedInstanceRoleToken: {failure}"))?;

    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Token {
        access_key_id: String,
        secret_access_key: String,
        session_token: String,
        /// Seconds since the epoch.
        token_expiration_date: f64,
    }
    let token: Token =
        serde_json::from_str(&answer).map_err(|error| format!("SerializationError: {error}"))?;
    // The agent renews at half the time.
    let lifetime = (token.token_expiration_date - now.as_millisecond() as f64 / 1000.0).max(0.0);
    Ok(Session {
        credentials: Credentials::new(
            token.access_key_id,
            token.secret_access_key,
            Some(token.session_token),
            None,
            "managed-instance-role",
        ),
        renew_at: now + SignedDuration::from_secs_f64((lifetime / 2.0).min(86_400.0)),
    })
}

/// CreateControlChannel, signed with the role's credentials.
async fn create_control_channel(
    process: &Process,
    instance: &Instance,
    credentials: &Credentials,
) -> Result<(), String> {
    let host = format!("ssmmessages.{}.amazonaws.com", instance.region);
    let path = format!("/v1/control-channel/{}", instance.id);
    let body = json!({ "MessageSchemaVersion": "1.0", "RequestId": Uuid::new_v4().to_string() }).to_string();
    let identity = credentials.clone().into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&instance.region)
        .name("ssmmessages")
        .time(std::time::SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?
        .into();
    let content_type = ("content-type", "application/json");
    let url = format!("https://{host}{path}");
    let request =
        SignableRequest::new("POST", &url, [content_type].into_iter(), SignableBody::Bytes(body.as_bytes()))
            .map_err(|error| error.to_string())?;
    let (signing, _) = sign(request, &parameters).map_err(|error| error.to_string())?.into_parts();
    let headers = std::iter::once(content_type)
        .chain(signing.headers())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    aws::post(process, &Call { host: &host, path: &path, headers, body, endpoint: None })
        .await
        .map_err(|failure| failure.to_string())?;
    Ok(())
}
