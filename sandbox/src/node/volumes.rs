//! A pod's volumes, as directories of real files that its containers mount.

use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use k8s_openapi::{
    api::{
        authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
        core::v1::{
            ConfigMap, Container, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccount,
            ServiceAccountTokenProjection, Volume,
        },
    },
    jiff::Timestamp,
};
use kube::{Api, ResourceExt, api::PostParams};

use super::{Kubelet, environment, runtime::Mount};

/// Files of a volume: path below the volume, content.
type Content = BTreeMap<String, Vec<u8>>;

/// A volume that cannot be set up.
pub(super) struct MountError {
    volume: String,
    cause: String,
}

impl MountError {
    /// The kubelet's event for it.
    pub(super) fn message(&self) -> String {
        format!("MountVolume.SetUp failed for volume \"{}\" : {}", self.volume, self.cause)
    }
}

/// The volumes of one pod.
pub(super) struct Volumes {
    directory: PathBuf,
    address: Ipv4Addr,
    tokens: HashMap<(String, String), Token>,
}

struct Token {
    content: String,
    renew_at: Timestamp,
}

impl Volumes {
    /// Volumes below a pod's directory; `address` is the pod's, for the downward API.
    pub(super) fn new(directory: PathBuf, address: Ipv4Addr) -> Self {
        Self { directory, address, tokens: HashMap::new() }
    }

    /// Makes every volume, or brings it up to date.
    ///
    /// # Errors
    ///
    /// The first volume that cannot be had, in the kubelet's words.
    pub(super) async fn set_up(&mut self, kubelet: &Kubelet, pod: &Pod) -> Result<(), MountError> {
        for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
            let failed = |cause: String| MountError { volume: volume.name.clone(), cause };
            let directory = self.directory.join(&volume.name);
            let content = self.content(kubelet, pod, volume).await.map_err(failed)?;
            tokio::fs::create_dir_all(&directory).await.map_err(|error| failed(error.to_string()))?;
            if let Some(content) = content {
                write(&directory, &content).await.map_err(|error| failed(error.to_string()))?;
            }
        }
        Ok(())
    }

    /// The files that a volume must have; none for one that only the containers write to.
    async fn content(
        &mut self,
        kubelet: &Kubelet,
        pod: &Pod,
        volume: &Volume,
    ) -> Result<Option<Content>, String> {
        let mut content = Content::new();
        if volume.empty_dir.is_some() {
            return Ok(None);
        } else if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().unwrap_or_default();
            add_secret(kubelet, pod, name, source.items.as_deref(), source.optional, &mut content).await?;
        } else if let Some(source) = &volume.config_map {
            add_config_map(
                kubelet,
                pod,
                &source.name,
                source.items.as_deref(),
                source.optional,
                &mut content,
            )
            .await?;
        } else if let Some(source) = &volume.downward_api {
            self.add_fields(kubelet, pod, source.items.as_deref(), &mut content)?;
        } else if let Some(source) = &volume.projected {
            for part in source.sources.iter().flatten() {
                if let Some(part) = &part.secret {
                    add_secret(kubelet, pod, &part.name, part.items.as_deref(), part.optional, &mut content)
                        .await?;
                }
                if let Some(part) = &part.config_map {
                    add_config_map(
                        kubelet,
                        pod,
                        &part.name,
                        part.items.as_deref(),
                        part.optional,
                        &mut content,
                    )
                    .await?;
                }
                if let Some(part) = &part.downward_api {
                    self.add_fields(kubelet, pod, part.items.as_deref(), &mut content)?;
                }
                if let Some(part) = &part.service_account_token {
                    let token = self.token(kubelet, pod, &volume.name, part).await?;
                    content.insert(part.path.clone(), token.into_bytes());
                }
            }
        } else {
            return Err("this kind of volume is not known to the sandbox's node".to_owned());
        }
        Ok(Some(content))
    }

    fn add_fields(
        &self,
        kubelet: &Kubelet,
        pod: &Pod,
        items: Option<&[DownwardAPIVolumeFile]>,
        content: &mut Content,
    ) -> Result<(), String> {
        for item in items.unwrap_or_default() {
            let value = match &item.field_ref {
                Some(selector) => environment::field(kubelet, pod, &selector.field_path, self.address)?,
                // Resource fields: the node gives every pod all of its resources.
                None => "0".to_owned(),
            };
            content.insert(item.path.clone(), value.into_bytes());
        }
        Ok(())
    }

    /// A token bound to the pod. It is asked for anew when four fifths of its time are over, as by a kubelet.
    async fn token(
        &mut self,
        kubelet: &Kubelet,
        pod: &Pod,
        volume: &str,
        projection: &ServiceAccountTokenProjection,
    ) -> Result<String, String> {
        let key = (volume.to_owned(), projection.path.clone());
        if let Some(token) = self.tokens.get(&key)
            && Timestamp::now() < token.renew_at
        {
            return Ok(token.content.clone());
        }
        let account = pod
            .spec
            .as_ref()
            .and_then(|spec| spec.service_account_name.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "default".to_owned());
        let accounts: Api<ServiceAccount> =
            Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default());
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                audiences: projection.audience.clone().map(|audience| vec![audience]),
                expiration_seconds: Some(projection.expiration_seconds.unwrap_or(3600)),
                bound_object_ref: Some(BoundObjectReference {
                    api_version: Some("v1".into()),
                    kind: Some("Pod".into()),
                    name: Some(pod.name_any()),
                    uid: pod.uid(),
                }),
            }),
            ..Default::default()
        };
        let issued_at = Timestamp::now();
        let status = accounts
            .create_token_request(&account, &PostParams::default(), &request)
            .await
            .map_err(|error| format!("failed to fetch token: {}", api_message(&error)))?
            .status
            .ok_or("failed to fetch token: no status")?;
        let (Some(content), Some(expires)) = (status.token, status.expiration_timestamp) else {
            return Err("failed to fetch token: the answer has none".to_owned());
        };
        let lifetime = expires.0.duration_since(issued_at);
        let renew_at = issued_at + lifetime / 5 * 4;
        self.tokens.insert(key, Token { content: content.clone(), renew_at });
        Ok(content)
    }

    /// The mounts of a container: `directory` has the pod's volumes, `frozen` gets files that are mounted by a subPath.
    /// A subPath that the volume does not have becomes a directory, as by a kubelet.
    ///
    /// # Errors
    ///
    /// The kubelet's message of CreateContainerConfigError.
    pub(super) async fn mounts(
        directory: &Path,
        frozen: &Path,
        container: &Container,
        environment: &BTreeMap<String, String>,
        pod: &Pod,
    ) -> Result<Vec<Mount>, String> {
        let volumes: Vec<&Volume> = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()).collect();
        let mut mounts = Vec::new();
        for mount in container.volume_mounts.iter().flatten() {
            let mut source = directory.join(&mount.name);
            let sub_path = match (&mount.sub_path, &mount.sub_path_expr) {
                (_, Some(expression)) => super::expansion::expand(expression, environment),
                (Some(path), None) => path.clone(),
                (None, None) => String::new(),
            };
            if !sub_path.is_empty() {
                if sub_path.split('/').any(|part| part == "..") || sub_path.starts_with('/') {
                    return Err(format!("failed to prepare subPath for volumeMount \"{}\"", mount.name));
                }
                source = source.join(&sub_path);
                if tokio::fs::metadata(&source).await.is_err() {
                    tokio::fs::create_dir_all(&source).await.map_err(|_| {
                        format!("failed to create subPath directory for volumeMount \"{}\"", mount.name)
                    })?;
                }
            }
            // Volumes that the node fills are read-only, whatever the mount says.
            let writable =
                volumes.iter().any(|volume| volume.name == mount.name && volume.empty_dir.is_some());
            if !sub_path.is_empty()
                && !writable
                && tokio::fs::metadata(&source).await.is_ok_and(|it| it.is_file())
            {
                // A mounted subPath keeps what it was when the container began.
                let kept = frozen.join(mounts.len().to_string());
                let failed = |error: std::io::Error| format!("subPath of \"{}\": {error}", mount.name);
                tokio::fs::create_dir_all(frozen).await.map_err(failed)?;
                tokio::fs::copy(&source, &kept).await.map_err(failed)?;
                source = kept;
            }
            mounts.push(Mount {
                path: PathBuf::from(&mount.mount_path),
                source,
                read_only: !writable || mount.read_only == Some(true),
            });
        }
        Ok(mounts)
    }
}

async fn add_secret(
    kubelet: &Kubelet,
    pod: &Pod,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    content: &mut Content,
) -> Result<(), String> {
    let secrets: Api<Secret> = Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default());
    let data = match secrets.get_opt(name).await.map_err(|error| api_message(&error))? {
        Some(secret) => {
            secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
        }
        None if optional == Some(true) => Content::new(),
        None => return Err(format!("secret \"{name}\" not found")),
    };
    select(data, items, optional, "references non-existent secret key", content)
}

async fn add_config_map(
    kubelet: &Kubelet,
    pod: &Pod,
    name: &str,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    content: &mut Content,
) -> Result<(), String> {
    let config_maps: Api<ConfigMap> =
        Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default());
    let data = match config_maps.get_opt(name).await.map_err(|error| api_message(&error))? {
        Some(config_map) => config_map
            .data
            .unwrap_or_default()
            .into_iter()
            .map(|(key, value)| (key, value.into_bytes()))
            .chain(config_map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)))
            .collect(),
        None if optional == Some(true) => Content::new(),
        None => return Err(format!("configmap \"{name}\" not found")),
    };
    select(data, items, optional, "references non-existent config key", content)
}

/// Takes all keys, or those that are listed.
fn select(
    mut data: Content,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    missing: &str,
    content: &mut Content,
) -> Result<(), String> {
    match items.filter(|items| !items.is_empty()) {
        None => content.extend(data),
        Some(items) => {
            for item in items {
                match data.remove(&item.key) {
                    Some(value) => {
                        content.insert(item.path.clone(), value);
                    }
                    None if optional == Some(true) => {}
                    None => return Err(format!("{missing}: {}", item.key)),
                }
            }
        }
    }
    Ok(())
}

/// Makes the files of a directory equal to the content. Each file changes at once, and one that did not change is left
/// alone.
async fn write(directory: &Path, content: &Content) -> std::io::Result<()> {
    let mut entries = tokio::fs::read_dir(directory).await?;
    while let Some(entry) = entries.next_entry().await? {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().await?.is_file() && !content.contains_key(&name) {
            tokio::fs::remove_file(entry.path()).await?;
        }
    }
    for (path, value) in content {
        let path = directory.join(path);
        if tokio::fs::read(&path).await.is_ok_and(|present| present == *value) {
            continue;
        }
        if let Some(parent) = path.parent() {
            tokio::fs::create_dir_all(parent).await?;
        }
        let mut fresh = path.clone().into_os_string();
        fresh.push(".new");
        tokio::fs::write(&fresh, value).await?;
        tokio::fs::rename(&fresh, &path).await?;
    }
    Ok(())
}

/// The API server's message, or why there is none.
fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        error => error.to_string(),
    }
}
