//! `init`: registers the replica at Systems Manager, unless its Secret says that it is registered already.

use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::{
    super::{
        Process,
        aws::{self, Call},
        key::Key,
    },
    Fatal, Flags, Klog,
    flags::Flag,
    state::{Instance, State, StateSecret},
};

/// The command's flags and their defaults.
pub(super) const FLAGS: &[Flag] = &[
    ("activation.code", None),
    ("activation.id", None),
    ("agent.endpoint", Some("")),
    ("agent.region", Some("us-west-2")),
    ("state.baseDir", Some("/var/lib/amazon/ssm/Vault")),
    ("state.secretNamePrefix", Some("eks-connector-state")),
    ("state.secretNamespace", Some("eks-connector")),
];

/// Runs `init`.
pub(super) async fn run(process: &Process, flags: &Flags, klog: &Klog) -> Result<(), Fatal> {
    let endpoint = flags.get("agent.endpoint");
    if !endpoint.is_empty() {
        klog.info("ssm.go:47", format!("overriding SSM endpoint to {endpoint}"));
    }
    let secret = StateSecret::in_cluster(
        process,
        flags.get("state.secretNamePrefix"),
        flags.get("state.secretNamespace"),
    )
    .await
    .map_err(|cause| Fatal {
        place: "init.go:32",
        message: format!("failed to initiate kubernetes client: {cause}"),
    })?;
    initialize(process, flags, klog, &secret).await.map_err(|cause| Fatal {
        place: "init.go:44",
        message: format!("failed to initiate eks-connector: {cause}"),
    })
}

async fn initialize(
    process: &Process,
    flags: &Flags,
    klog: &Klog,
    secret: &StateSecret,
) -> Result<(), String> {
    klog.info("initializer.go:37", "eks-connector initializer starts...");
    klog.info("initializer.go:39", "loading persisted state from secrets...");
    let state = match previous(flags.get("activation.id"), klog, secret).await? {
        Some(state) => state,
        None => {
            klog.info("initializer.go:46", "registering as new instance");
            let instance = register(process, flags, klog).await?;
            klog.info("initializer.go:52", "serializing state information...");
            let state = State::of(&instance)?;
            klog.info("initializer.go:58", "persisting state information to secrets...");
            secret.save(state.clone()).await?;
            state
        }
    };
    klog.info("initializer.go:65", "persisting state information to filesystem...");
    state.write_vault(process, flags.get("state.baseDir")).await
}

/// The state that is there already, if it belongs to this activation.
async fn previous(activation: &str, klog: &Klog, secret: &StateSecret) -> Result<Option<State>, String> {
    let Some(state) = secret.load().await? else {
        klog.info(
            "initializer.go:77",
            "eks connector state is not found in persistent store, performing new activation...",
        );
        return Ok(None);
    };
    klog.info("initializer.go:80", "eks connector state is found in persistent store");
    let of = state.activation_id().inspect_err(|_| {
        klog.error("initializer.go:83", "eks connector state cannot be deserialized");
    })?;
    if of.is_empty() {
        klog.warning(
            "initializer.go:93",
            "ssm activation id is not available, state might be created by an earlier version of eks-connector",
        );
    } else if of != activation {
        klog.warning(
            "initializer.go:88",
            format!("ssm activation id mismatch! state: {of}, config: {activation}"),
        );
        klog.warning(
            "initializer.go:89",
            "eks connector is discarding previous state and performing new activation...",
        );
        return Ok(None);
    }
    klog.info("initializer.go:96", "eks connector is inheriting previous state...");
    Ok(Some(state))
}

/// Makes a key and registers it with the activation.
async fn register(process: &Process, flags: &Flags, klog: &Klog) -> Result<Instance, String> {
    let (activation_id, region) = (flags.get("activation.id"), flags.get("agent.region"));
    klog.info("registration.go:38", "creating Rsa keypair...");
    let key = tokio::task::spawn_blocking(Key::generate)
        .await
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("{error:#}"))?;
    klog.info("registration.go:44", "encoding Rsa keypair...");
    let private_key = key.private().map_err(|error| format!("{error:#}"))?;
    let public_key = key.public().map_err(|error| format!("{error:#}"))?;
    klog.info("registration.go:52", "generating fingerprint...");
    let fingerprint = Uuid::new_v4().to_string();
    klog.info("registration.go:57", format!("fingerprint {fingerprint} generated"));
    klog.info("registration.go:59", format!("registering at SSM with activationId {activation_id}..."));
    let endpoint = Some(flags.get("agent.endpoint")).filter(|endpoint| !endpoint.is_empty());
    let answer = aws::post(
        process,
        &Call {
            host: &format!("ssm.{region}.amazonaws.com"),
            path: "/",
            headers: vec![
                ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
                ("x-amz-target".to_owned(), "AmazonSSM.RegisterManagedInstance".to_owned()),
            ],
            body: json!({
                "ActivationCode": flags.get("activation.code"),
                "ActivationId": activation_id,
                "Fingerprint": fingerprint,
                "PublicKey": public_key,
                "PublicKeyType": "Rsa",
            })
            .to_string(),
            endpoint,
        },
    )
    .await
    .map_err(|failure| failure.to_string())?;
    let answer: serde_json::Value =
        serde_json::from_str(&answer).map_err(|error| format!("SerializationError: {error}"))?;
    let instance_id =
        answer["InstanceId"].as_str().ok_or("SerializationError: no InstanceId in the answer")?.to_owned();
    klog.info("registration.go:70", format!("successfully registered at SSM with InstanceID {instance_id}"));
    Ok(Instance {
        activation_id: activation_id.to_owned(),
        fingerprint,
        instance_id,
        region: region.to_owned(),
        private_key,
        created: Timestamp::now().strftime("%Y-%m-%d %H:%M:%S%.9f +0000 UTC").to_string(),
    })
}
