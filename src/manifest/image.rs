//! Where the agents' images come from.

use super::connector::AGENT_CONTAINER;

/// The choice of images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Images {
    /// Those of the templates.
    #[default]
    Standard,
    /// Those of the templates, from another registry: its host, and a path in it if there is one.
    Mirrored(String),
    /// Whole references in place of those of the templates.
    Named {
        /// The connector's: init container and proxy.
        connector: Option<String>,
        /// The Systems Manager agent's.
        agent: Option<String>,
    },
}

impl Images {
    /// The image of a container whose template says `standard`.
    pub(super) fn of(&self, container: &str, standard: &str) -> String {
        let chosen = match self {
            Self::Standard => None,
            Self::Mirrored(registry) => {
                standard.split_once('/').map(|(_, repository)| format!("{registry}/{repository}"))
            }
            Self::Named { connector, agent } => {
                if container == AGENT_CONTAINER {
                    agent.clone()
                } else {
                    connector.clone()
                }
            }
        };
        chosen.unwrap_or_else(|| standard.to_owned())
    }
}

/// Checks a whole reference: `[HOST[:PORT]/]PATH` and a tag or a digest (the grammar of the distribution project's
/// package `reference`). Without either a registry would give whatever it calls `latest`.
///
/// # Errors
/// Why it is none.
pub fn check_reference(text: &str) -> Result<(), String> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest)),
        None => (text, None),
    };
    let after_path = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[after_path..].split_once(':') {
        Some((last, tag)) => (&rest[..after_path + last.len()], Some(tag)),
        None => (rest, None),
    };
    if let Some(digest) = digest {
        let hex = digest.strip_prefix("sha256:").unwrap_or_default();
        if hex.len() != 64 || !hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')) {
            return Err("what follows @ is no digest: sha256: and 64 hexadecimal digits".to_owned());
        }
    }
    if let Some(tag) = tag {
        let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) || !tag.chars().all(fits) {
            return Err(format!("{tag:?} is no tag"));
        }
    }
    if digest.is_none() && tag.is_none() {
        return Err("it names neither a tag nor a digest".to_owned());
    }
    match name.split_once('/') {
        Some((host, path)) if is_host(host) => check_path(path),
        _ => check_path(name),
    }
}

/// Checks `HOST[:PORT][/PATH]`.
///
/// # Errors
/// Why it is none.
pub fn check_registry(text: &str) -> Result<(), String> {
    if text.contains("://") {
        return Err("it begins with a scheme; a registry is named by its host".to_owned());
    }
    let (host, path) = match text.split_once('/') {
        Some((host, path)) => (host, Some(path)),
        None => (text, None),
    };
    if !is_host(host) {
        return Err(format!("{host:?} is no host of a registry: it has neither a dot nor a port"));
    }
    path.map_or(Ok(()), check_path)
}

/// Whether the first part of a reference names a host and is no part of the path.
fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    let is_name = !name.is_empty() && name.split('.').all(|part| !part.is_empty()) && name.chars().all(fits);
    is_name
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && (name == "localhost" || name.contains('.') || port.is_some())
}

fn check_path(path: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    match path
        .split('/')
        .find(|part| !(part.starts_with(ends) && part.ends_with(ends) && part.chars().all(fits)))
    {
        Some(part) => Err(format!("{part:?} cannot be a part of a repository's path")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STANDARD: &str = "public.ecr.aws/eks-connector/eks-connector:0.0.11";

    #[test]
    fn references() {
        let digest = format!("a.example/b@sha256:{}", "0".repeat(64));
        for good in [STANDARD, "localhost:5000/a/b:1", "a/b:v1.0_x", "b:1", digest.as_str()] {
            assert_eq!(check_reference(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "a.example/b",
            "a.example/b:",
            "a.example/B:1",
            "https://a.example/b:1",
            "a.example/b@sha256:1",
            "a//b:1",
            "a b:1",
        ] {
            assert!(check_reference(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn registries() {
        for good in ["mirror.example.com", "mirror.example.com:5000/aws/eks", "localhost/x", "nexus:8082"] {
            assert_eq!(check_registry(good), Ok(()), "{good}");
        }
        for bad in
            ["", "nexus", "https://mirror.example.com", "mirror.example.com/", "mirror.example.com/A", "a..b"]
        {
            assert!(check_registry(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_mirror_keeps_path_and_tag() {
        let mirrored = Images::Mirrored("mirror.example.com/aws".into());
        let path = "mirror.example.com/aws/eks-connector/eks-connector:0.0.11";
        assert_eq!(mirrored.of("connector-init", STANDARD), path);
        let named = Images::Named { connector: None, agent: Some("x/y:1".into()) };
        assert_eq!(named.of("connector-proxy", STANDARD), STANDARD);
        assert_eq!(named.of("connector-agent", STANDARD), "x/y:1");
    }
}
