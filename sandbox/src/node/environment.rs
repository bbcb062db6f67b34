//! A container's environment, command and arguments, resolved as the kubelet does when it creates the container.

use std::{collections::BTreeMap, net::Ipv4Addr};

use k8s_openapi::api::core::v1::{ConfigMap, Container, EnvVarSource, Pod, Secret};
use kube::{Api, Client, ResourceExt};

use super::{Kubelet, expansion::expand};

/// Resolves a container's environment.
///
/// # Errors
///
/// The kubelet's message of CreateContainerConfigError.
pub(super) async fn resolve(
    kubelet: &Kubelet,
    pod: &Pod,
    container: &Container,
    address: Ipv4Addr,
) -> Result<BTreeMap<String, String>, String> {
    let namespace = pod.namespace().unwrap_or_default();
    let objects = Objects { client: kubelet.client.clone(), namespace };
    let services = service_variables(kubelet);
    let mut environment: BTreeMap<String, String> = BTreeMap::new();

    for source in container.env_from.iter().flatten() {
        let prefix = source.prefix.as_deref().unwrap_or_default();
        let data = if let Some(reference) = &source.config_map_ref {
            objects.config_map(&reference.name, reference.optional).await?
        } else if let Some(reference) = &source.secret_ref {
            objects.secret(&reference.name, reference.optional).await?
        } else {
            None
        };
        for (key, value) in data.unwrap_or_default() {
            environment.insert(format!("{prefix}{key}"), value);
        }
    }
    for variable in container.env.iter().flatten() {
        let value = match (&variable.value, &variable.value_from) {
            (_, Some(source)) => objects.value(kubelet, pod, source, address).await?,
            (Some(value), None) => {
                let mut known = services.clone();
                known.extend(environment.clone());
                Some(expand(value, &known))
            }
            (None, None) => Some(String::new()),
        };
        if let Some(value) = value {
            environment.insert(variable.name.clone(), value);
        }
    }
    for (name, value) in services {
        environment.entry(name).or_insert(value);
    }
    environment
        .entry("PATH".to_owned())
        .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    environment.entry("HOSTNAME".to_owned()).or_insert_with(|| pod.name_any());
    Ok(environment)
}

/// What every container knows of the `kubernetes` Service.
fn service_variables(kubelet: &Kubelet) -> BTreeMap<String, String> {
    let (host, port) = (&kubelet.surroundings.service_host, kubelet.surroundings.service_port);
    [
        ("KUBERNETES_SERVICE_HOST", host.clone()),
        ("KUBERNETES_SERVICE_PORT", port.to_string()),
        ("KUBERNETES_SERVICE_PORT_HTTPS", port.to_string()),
        ("KUBERNETES_PORT", format!("tcp://{host}:{port}")),
        ("KUBERNETES_PORT_443_TCP", format!("tcp://{host}:{port}")),
        ("KUBERNETES_PORT_443_TCP_PROTO", "tcp".to_owned()),
        ("KUBERNETES_PORT_443_TCP_PORT", port.to_string()),
        ("KUBERNETES_PORT_443_TCP_ADDR", host.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// The command line of a container: its command or the image's entry point, and its arguments. A command without
/// arguments leaves out the image's arguments too.
pub(super) fn command_line(
    container: &Container,
    entrypoint: &[&str],
    arguments: &[&str],
    environment: &BTreeMap<String, String>,
) -> Vec<String> {
    let expanded = |words: &Option<Vec<String>>| {
        words
            .as_ref()
            .filter(|words| !words.is_empty())
            .map(|words| words.iter().map(|word| expand(word, environment)).collect::<Vec<_>>())
    };
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    match (expanded(&container.command), expanded(&container.args)) {
        (Some(command), args) => [command, args.unwrap_or_default()].concat(),
        (None, Some(args)) => [owned(entrypoint), args].concat(),
        (None, None) => [owned(entrypoint), owned(arguments)].concat(),
    }
}

/// Reads what environment variables refer to.
struct Objects {
    client: Client,
    namespace: String,
}

impl Objects {
    async fn value(
        &self,
        kubelet: &Kubelet,
        pod: &Pod,
        source: &EnvVarSource,
        address: Ipv4Addr,
    ) -> Result<Option<String>, String> {
        if let Some(selector) = &source.secret_key_ref {
            let data = self.secret(&selector.name, selector.optional).await?;
            return self.pick(data, "Secret", &selector.name, &selector.key, selector.optional);
        }
        if let Some(selector) = &source.config_map_key_ref {
            let data = self.config_map(&selector.name, selector.optional).await?;
            return self.pick(data, "ConfigMap", &selector.name, &selector.key, selector.optional);
        }
        if let Some(selector) = &source.field_ref {
            return field(kubelet, pod, &selector.field_path, address).map(Some);
        }
        // Resource fields: the node gives every pod all of its resources.
        Ok(Some("0".to_owned()))
    }

    fn pick(
        &self,
        data: Option<BTreeMap<String, String>>,
        kind: &str,
        name: &str,
        key: &str,
        optional: Option<bool>,
    ) -> Result<Option<String>, String> {
        match data.and_then(|mut data| data.remove(key)) {
            Some(value) => Ok(Some(value)),
            None if optional == Some(true) => Ok(None),
            None => Err(format!("couldn't find key {key} in {kind} {}/{name}", self.namespace)),
        }
    }

    async fn secret(
        &self,
        name: &str,
        optional: Option<bool>,
    ) -> Result<Option<BTreeMap<String, String>>, String> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        match secrets.get_opt(name).await.map_err(|error| error.to_string())? {
            Some(secret) => Ok(Some(
                secret
                    .data
                    .unwrap_or_default()
                    .into_iter()
                    .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
                    .collect(),
            )),
            None if optional == Some(true) => Ok(None),
            None => Err(format!("secret \"{name}\" not found")),
        }
    }

    async fn config_map(
        &self,
        name: &str,
        optional: Option<bool>,
    ) -> Result<Option<BTreeMap<String, String>>, String> {
        let config_maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), &self.namespace);
        match config_maps.get_opt(name).await.map_err(|error| error.to_string())? {
            Some(config_map) => Ok(Some(config_map.data.unwrap_or_default())),
            None if optional == Some(true) => Ok(None),
            None => Err(format!("configmap \"{name}\" not found")),
        }
    }
}

/// A pod's field, as `fieldRef` and the downward API name it.
///
/// # Errors
///
/// The kubelet's message for a path that it does not know.
pub(super) fn field(kubelet: &Kubelet, pod: &Pod, path: &str, address: Ipv4Addr) -> Result<String, String> {
    let keyed = |map: Option<&BTreeMap<String, String>>, key: &str| {
        map.and_then(|map| map.get(key)).cloned().unwrap_or_default()
    };
    if let Some((whole, key)) = path.strip_suffix("']").and_then(|path| path.split_once("['")) {
        return match whole {
            "metadata.labels" => Ok(keyed(pod.metadata.labels.as_ref(), key)),
            "metadata.annotations" => Ok(keyed(pod.metadata.annotations.as_ref(), key)),
            _ => Err(format!("fieldPath \"{path}\" does not support subscript")),
        };
    }
    let lines = |map: Option<&BTreeMap<String, String>>| {
        map.into_iter()
            .flatten()
            .map(|(key, value)| format!("{key}={value:?}"))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let spec = pod.spec.as_ref();
    Ok(match path {
        "metadata.name" => pod.name_any(),
        "metadata.namespace" => pod.namespace().unwrap_or_default(),
        "metadata.uid" => pod.uid().unwrap_or_default(),
        "metadata.labels" => lines(pod.metadata.labels.as_ref()),
        "metadata.annotations" => lines(pod.metadata.annotations.as_ref()),
        "spec.nodeName" => kubelet.name.clone(),
        "spec.serviceAccountName" => {
            spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default()
        }
        "status.hostIP" | "status.hostIPs" => "127.0.0.1".to_owned(),
        "status.podIP" | "status.podIPs" => address.to_string(),
        _ => return Err(format!("unsupported fieldPath: {path}")),
    })
}
