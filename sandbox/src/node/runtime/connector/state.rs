//! The connector's state: four documents, kept in a Secret and written to the agent's vault.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Client, api::PostParams};
use serde::{Deserialize, Serialize};

use super::super::{Process, cluster};

/// Path of the registration key below the vault's directory.
const REGISTRATION_KEY: &str = "Store/RegistrationKey";
/// Path of the fingerprint below the vault's directory.
const FINGERPRINT: &str = "Store/InstanceFingerprint";

/// What identifies a managed instance.
#[derive(Clone)]
pub(super) struct Instance {
    pub(super) activation_id: String,
    pub(super) fingerprint: String,
    pub(super) instance_id: String,
    pub(super) region: String,
    /// Base64 of PKCS#1.
    pub(super) private_key: String,
    /// Go's default form of a time.
    pub(super) created: String,
}

/// The four documents, as text.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct State {
    manifest: String,
    fingerprint: String,
    registration_key: String,
    connector_config: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Manifest {
    instance_fingerprint: String,
    registration_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Fingerprint<'a> {
    fingerprint: &'a str,
    hardware_hash: BTreeMap<String, String>,
    similarity_threshold: i32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RegistrationKey<'a> {
    #[serde(rename = "instanceID")]
    instance_id: &'a str,
    region: &'a str,
    #[serde(rename = "InstanceType")]
    instance_type: &'a str,
    availability_zone: &'a str,
    private_key: &'a str,
    private_key_type: &'a str,
    private_key_created_date: &'a str,
}

#[derive(Serialize, Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct ConnectorConfig {
    #[serde(default)]
    activation_id: String,
}

impl State {
    /// The documents of a new instance.
    pub(super) fn of(instance: &Instance) -> Result<Self, String> {
        let vault = "/var/lib/amazon/ssm/Vault";
        Ok(Self {
            manifest: text(&Manifest {
                instance_fingerprint: format!("{vault}/{FINGERPRINT}"),
                registration_key: format!("{vault}/{REGISTRATION_KEY}"),
            })?,
            fingerprint: text(&Fingerprint {
                fingerprint: &instance.fingerprint,
                hardware_hash: BTreeMap::new(),
                similarity_threshold: -1,
            })?,
            registration_key: text(&RegistrationKey {
                instance_id: &instance.instance_id,
                region: &instance.region,
                instance_type: "",
                availability_zone: "",
                private_key: &instance.private_key,
                private_key_type: "Rsa",
                private_key_created_date: &instance.created,
            })?,
            connector_config: text(&ConnectorConfig { activation_id: instance.activation_id.clone() })?,
        })
    }

    /// The activation that the state belongs to; empty in what earlier versions wrote.
    pub(super) fn activation_id(&self) -> Result<String, String> {
        if self.connector_config.is_empty() {
            return Ok(String::new());
        }
        let config: ConnectorConfig =
            serde_json::from_str(&self.connector_config).map_err(|error| error.to_string())?;
        Ok(config.activation_id)
    }

    /// Writes the agent's vault.
    pub(super) async fn write_vault(&self, process: &Process, directory: &str) -> Result<(), String> {
        for (name, content) in [
            ("Manifest", &self.manifest),
            (FINGERPRINT, &self.fingerprint),
            (REGISTRATION_KEY, &self.registration_key),
        ] {
            process.files.write(&format!("{directory}/{name}"), content.as_bytes()).await?;
        }
        Ok(())
    }

    /// Reads the agent's vault, which does not have the connector's own document.
    pub(super) async fn read_vault(process: &Process, directory: &str) -> Result<Self, String> {
        let read = async |name: &str| process.files.read_text(&format!("{directory}/{name}")).await;
        Ok(Self {
            manifest: read("Manifest").await?,
            fingerprint: read(FINGERPRINT).await?,
            registration_key: read(REGISTRATION_KEY).await?,
            connector_config: String::new(),
        })
    }

    pub(super) fn same_key(&self, other: &Self) -> bool {
        self.registration_key == other.registration_key
    }

    /// This state with the connector's own document of another.
    pub(super) fn with_config_of(self, other: &Self) -> Self {
        Self { connector_config: other.connector_config.clone(), ..self }
    }

    fn from_data(mut data: BTreeMap<String, ByteString>) -> Option<Self> {
        if data.is_empty() {
            return None;
        }
        let mut take = |key: &str| {
            data.remove(key).map(|value| String::from_utf8_lossy(&value.0).into_owned()).unwrap_or_default()
        };
        Some(Self {
            manifest: take("manifest"),
            fingerprint: take("fingerprint"),
            registration_key: take("regkey"),
            connector_config: take("connector-config"),
        })
    }

    fn into_data(self) -> BTreeMap<String, ByteString> {
        [
            ("manifest", self.manifest),
            ("fingerprint", self.fingerprint),
            ("regkey", self.registration_key),
            ("connector-config", self.connector_config),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
        .collect()
    }
}

fn text(document: &impl Serialize) -> Result<String, String> {
    serde_json::to_string(document).map_err(|error| error.to_string())
}

/// The Secret that keeps the state of one replica.
pub(super) struct StateSecret {
    client: Client,
    namespace: String,
    name: String,
    /// The API server's address, for messages.
    address: String,
}

impl StateSecret {
    /// The Secret of the replica that `POD_NAME` says.
    pub(super) async fn in_cluster(process: &Process, prefix: &str, namespace: &str) -> Result<Self, String> {
        let client =
            cluster::in_cluster(process, "connector/v0.0.0 (linux/amd64) kubernetes/$Format").await?;
        let pod = process.variable("POD_NAME").ok_or("cannot get pod name from env POD_NAME")?;
        let index = match pod.rsplit_once('-') {
            Some((_, index)) if !index.is_empty() => index,
            _ => return Err(format!("unexpected pod name {pod}")),
        };
        let variable = |name| process.variable(name).unwrap_or_default();
        Ok(Self {
            client,
            namespace: namespace.to_owned(),
            name: format!("{prefix}-{index}"),
            address: format!(
                "https://{}:{}",
                variable("KUBERNETES_SERVICE_HOST"),
                variable("KUBERNETES_SERVICE_PORT")
            ),
        })
    }

    /// The state, if there is one.
    pub(super) async fn load(&self) -> Result<Option<State>, String> {
        let secret = self.get().await?;
        Ok(secret.and_then(|secret| State::from_data(secret.data.unwrap_or_default())))
    }

    /// Creates or updates the Secret.
    pub(super) async fn save(&self, state: State) -> Result<(), String> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        match self.get().await? {
            Some(mut secret) => {
                secret.data = Some(state.into_data());
                secrets
                    .replace(&self.name, &PostParams::default(), &secret)
                    .await
                    .map_err(|error| self.describe("Put", &error))?;
            }
            None => {
                let secret = Secret {
                    metadata: ObjectMeta {
                        name: Some(self.name.clone()),
                        namespace: Some(self.namespace.clone()),
                        labels: Some(BTreeMap::from([("name".to_owned(), self.name.clone())])),
                        ..Default::default()
                    },
                    type_: Some("Opaque".into()),
                    data: Some(state.into_data()),
                    ..Default::default()
                };
                secrets
                    .create(&PostParams::default(), &secret)
                    .await
                    .map_err(|error| self.describe("Post", &error))?;
            }
        }
        Ok(())
    }

    async fn get(&self) -> Result<Option<Secret>, String> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        secrets.get_opt(&self.name).await.map_err(|error| self.describe("Get", &error))
    }

    /// An error in client-go's words: the API server's message, or the request and why it got no answer.
    fn describe(&self, method: &str, error: &kube::Error) -> String {
        if let kube::Error::Api(status) = error {
            return status.message.clone();
        }
        let mut cause: &dyn std::error::Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        format!(
            "{method} \"{}/api/v1/namespaces/{}/secrets/{}\": {cause}",
            self.address, self.namespace, self.name
        )
    }
}
