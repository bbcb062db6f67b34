//! Pulling images: which ones exist, who may have them, and the words in which containerd and the kubelet say no.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, ResourceExt};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    Kubelet,
    runtime::table::{IMAGES, Image, PRIVATE_REGISTRY, PULL_PASSWORD, PULL_USER, Platforms, REGISTRIES},
};

/// An image reference, taken apart as container runtimes do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    host: String,
    repository: String,
    tag: String,
    digest: Option<String>,
}

impl Reference {
    /// Reads a reference; short names mean Docker Hub, and no tag means `latest`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.to_owned())),
            None => (text, None),
        };
        let (path, tag) = match name.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, tag),
            _ => (name, "latest"),
        };
        let (host, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                (host.to_owned(), rest.to_owned())
            }
            Some(_) => ("docker.io".to_owned(), path.to_owned()),
            None => ("docker.io".to_owned(), format!("library/{path}")),
        };
        let valid = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
        };
        if !valid(&repository) || repository.chars().any(|c| c.is_ascii_uppercase()) || !valid(tag) {
            return None;
        }
        Some(Self { host, repository, tag: tag.to_owned(), digest })
    }

    /// The whole reference, as containerd writes it.
    fn full(&self) -> String {
        match &self.digest {
            Some(digest) => format!("{}/{}@{digest}", self.host, self.repository),
            None => format!("{}/{}:{}", self.host, self.repository, self.tag),
        }
    }
}

/// The digest of an image. It stands for the content, so it is the same in every registry.
fn digest(repository: &str, tag: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(format!("{repository}:{tag}"))))
}

/// An image on the node.
#[derive(Clone, Copy)]
pub(super) struct Pulled {
    pub(super) image: &'static Image,
    pub(super) tag: &'static str,
}

impl Pulled {
    /// `status.containerStatuses[].imageID`.
    pub(super) fn id(&self, reference: &Reference) -> String {
        format!("{}/{}@{}", reference.host, reference.repository, digest(self.image.repository, self.tag))
    }

    /// Whether its program is for another machine.
    pub(super) fn wrong_architecture(&self, arch: &str) -> bool {
        matches!(self.image.platforms, Platforms::Single(built_for) if built_for != arch)
    }
}

/// Images that the node has.
#[derive(Default)]
pub(super) struct ImageStore {
    present: Mutex<HashSet<String>>,
}

impl ImageStore {
    pub(super) fn has(&self, reference: &Reference) -> bool {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).contains(&reference.full())
    }

    pub(super) fn add(&self, reference: &Reference) {
        self.present.lock().unwrap_or_else(PoisonError::into_inner).insert(reference.full());
    }
}

/// Finds what a reference means.
///
/// # Errors
///
/// containerd's message.
pub(super) fn resolve(reference: &Reference, arch: &str, keyring: &Keyring) -> Result<Pulled, String> {
    let full = reference.full();
    let failed = |code: &str, cause: &str| {
        Err(format!("rpc error: code = {code} desc = failed to pull and unpack image \"{full}\": {cause}"))
    };
    let host = reference.host.as_str();
    if !REGISTRIES.contains(&host) {
        let name = host.split(':').next().unwrap_or_default();
        return failed(
            "Unknown",
            &format!(
                "failed to resolve reference \"{full}\": failed to do request: Head \
                 \"https://{host}/v2/{}/manifests/{}\": dial tcp: lookup {name}: no such host",
                reference.repository, reference.tag
            ),
        );
    }
    if host == PRIVATE_REGISTRY && !keyring.opens(host) {
        return failed(
            "Unknown",
            &format!(
                "failed to resolve reference \"{full}\": failed to authorize: failed to fetch anonymous token: \
                 unexpected status from GET request to https://{host}/token?scope=repository%3A{}%3Apull&\
                 service={host}: 401 Unauthorized",
                reference.repository.replace('/', "%2F")
            ),
        );
    }
    let found = IMAGES
        .iter()
        .filter(|image| image.repository == reference.repository && image.registries.contains(&host))
        .flat_map(|image| image.tags.iter().map(move |tag| Pulled { image, tag }))
        .find(|pulled| match &reference.digest {
            Some(wanted) => *wanted == digest(pulled.image.repository, pulled.tag),
            None => pulled.tag == reference.tag,
        });
    let Some(pulled) = found else {
        return failed("NotFound", &format!("failed to resolve reference \"{full}\": {full}: not found"));
    };
    if matches!(pulled.image.platforms, Platforms::Index(architectures) if !architectures.contains(&arch)) {
        return failed("NotFound", "no match for platform in manifest: not found");
    }
    Ok(pulled)
}

/// Credentials for registries.
#[derive(Default)]
pub(super) struct Keyring(BTreeMap<String, (String, String)>);

impl Keyring {
    fn opens(&self, host: &str) -> bool {
        self.0.get(host).is_some_and(|(user, password)| user == PULL_USER && password == PULL_PASSWORD)
    }

    /// The credentials of a pod's pull secrets. A kubelet goes on without those that it cannot read, and says so in an
    /// event.
    pub(super) async fn of(kubelet: &Kubelet, pod: &Pod) -> Self {
        let mut keyring = Self::default();
        let mut unreadable = Vec::new();
        let secrets: Api<Secret> =
            Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default());
        let references = pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten());
        for reference in references.filter(|reference| !reference.name.is_empty()) {
            match secrets.get_opt(&reference.name).await {
                Ok(Some(secret)) => keyring.add(&secret),
                Ok(None) | Err(_) => unreadable.push(reference.name.clone()),
            }
        }
        if !unreadable.is_empty() {
            kubelet.events.warning(
                pod,
                None,
                "FailedToRetrieveImagePullSecret",
                format!(
                    "Unable to retrieve some image pull secrets ({}); attempting to pull the image may not succeed.",
                    unreadable.join(", ")
                ),
            );
        }
        keyring
    }

    /// Takes what a Secret of type `kubernetes.io/dockerconfigjson` has; any other type is ignored, as by a kubelet.
    fn add(&mut self, secret: &Secret) {
        #[derive(Deserialize)]
        struct DockerConfig {
            auths: BTreeMap<String, Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            username: Option<String>,
            password: Option<String>,
            /// Base64 of `username:password`.
            auth: Option<String>,
        }
        if secret.type_.as_deref() != Some("kubernetes.io/dockerconfigjson") {
            return;
        }
        let Some(content) = secret.data.as_ref().and_then(|data| data.get(".dockerconfigjson")) else {
            return;
        };
        let Ok(config) = serde_json::from_slice::<DockerConfig>(&content.0) else { return };
        for (registry, entry) in config.auths {
            let host =
                registry.trim_start_matches("https://").split('/').next().unwrap_or_default().to_owned();
            let decoded = entry
                .auth
                .and_then(|auth| STANDARD.decode(auth).ok())
                .and_then(|auth| String::from_utf8(auth).ok())
                .and_then(|auth| auth.split_once(':').map(|(user, word)| (user.to_owned(), word.to_owned())));
            if let Some(credentials) = entry.username.zip(entry.password).or(decoded) {
                self.0.insert(host, credentials);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::runtime::table::MIRROR_REGISTRY, *};

    fn pull(text: &str, arch: &str) -> Result<String, String> {
        let reference = Reference::parse(text).unwrap();
        resolve(&reference, arch, &Keyring::default()).map(|pulled| pulled.id(&reference))
    }

    #[test]
    fn registries_have_copies_and_newer_tags() {
        let of = |repository: &str, tags: [&str; 2]| {
            tags.map(|tag| format!("{repository}:{tag}")).map(|image| {
                let [public, mirror] = ["public.ecr.aws", MIRROR_REGISTRY]
                    .map(|host| pull(&format!("{host}/{image}"), "amd64").unwrap());
                let digest = |id: &str| id.split_once('@').unwrap().1.to_owned();
                assert_eq!(digest(&public), digest(&mirror), "a copy is the same image");
                public
            })
        };
        let [old, new] = of("eks-connector/eks-connector", ["0.0.11", "0.0.12"]);
        assert_ne!(old, new);
        let [old, new] = of("amazon-ssm-agent/amazon-ssm-agent", ["3.2.2303.0", "3.3.1611.0"]);
        assert_ne!(old, new);
    }

    #[test]
    fn says_why_an_image_cannot_be_had() {
        let connector = "public.ecr.aws/eks-connector/eks-connector:0.0.11";
        let id = pull(connector, "amd64").unwrap();
        assert!(id.starts_with("public.ecr.aws/eks-connector/eks-connector@sha256:"), "{id}");
        assert_eq!(pull(&id, "amd64").unwrap(), id, "the digest is a reference too");
        assert_eq!(pull(connector, "arm64").unwrap(), id, "a single manifest is pulled anywhere");

        let agent = "public.ecr.aws/amazon-ssm-agent/amazon-ssm-agent:3.2.2303.0";
        assert!(pull(agent, "arm64").unwrap_err().ends_with("no match for platform in manifest: not found"));
        assert_eq!(
            pull("nginx", "amd64").unwrap_err(),
            "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/library/nginx:latest\": \
             failed to resolve reference \"docker.io/library/nginx:latest\": docker.io/library/nginx:latest: not found"
        );
        assert!(pull("registry.invalid/a:1", "amd64").unwrap_err().ends_with("no such host"));
        assert!(
            pull("private.example.com/eks-connector/eks-connector:0.0.11", "amd64")
                .unwrap_err()
                .ends_with("401 Unauthorized")
        );
        assert_eq!(Reference::parse("UPPER/case"), None);
    }
}
