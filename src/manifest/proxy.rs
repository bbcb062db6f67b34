//! How the agents reach AWS through a proxy. Only the init container and the agent get it: the connector's own proxy
//! container talks to the API server, which must not go that way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1 as api;

use super::connector::{AGENT_CONTAINER, PROXY_CA};

/// Where the certificates are mounted.
const CA_DIRECTORY: &str = "/etc/eks-connector/proxy-ca";

/// Go reads every file of these directories in addition to the system's bundle, which `SSL_CERT_FILE` would replace
/// (Go, crypto/x509, `loadSystemRoots`). The first two are Go's own defaults, which the variable replaces.
const CERTIFICATE_DIRECTORIES: &str = "/etc/ssl/certs:/etc/pki/tls/certs:/etc/eks-connector/proxy-ca";

/// What is never reached through a proxy, beside the API server and what the user names.
pub(super) const ALWAYS_DIRECT: [&str; 4] = [".svc", ".cluster.local", "localhost", "127.0.0.1"];

/// What a user may say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxy {
    /// For HTTPS.
    pub url: Option<String>,
    /// What is reached directly too.
    pub exceptions: Vec<String>,
    /// Certificates that the agents trust beside the system's, as PEM.
    pub authorities: Option<String>,
}

impl Proxy {
    pub(super) fn apply_to(&self, pod: &mut api::PodSpec, api_server: &[String]) {
        let mut variables: Vec<(&str, String)> = Vec::new();
        if let Some(url) = &self.url {
            let direct = self.exceptions(api_server);
            // Go reads both spellings, other libraries in the images the one or the other.
            for name in ["HTTPS_PROXY", "https_proxy"] {
                variables.push((name, url.clone()));
            }
            for name in ["NO_PROXY", "no_proxy"] {
                variables.push((name, direct.clone()));
            }
        }
        if self.authorities.is_some() {
            variables.push(("SSL_CERT_DIR", CERTIFICATE_DIRECTORIES.to_owned()));
            pod.volumes.get_or_insert_default().push(api::Volume {
                name: PROXY_CA.to_owned(),
                config_map: Some(api::ConfigMapVolumeSource {
                    name: PROXY_CA.to_owned(),
                    ..Default::default()
                }),
                ..api::Volume::default()
            });
        }
        let init = pod.init_containers.iter_mut().flatten();
        let agent = pod.containers.iter_mut().filter(|container| container.name == AGENT_CONTAINER);
        for container in init.chain(agent) {
            container.env.get_or_insert_default().extend(variables.iter().map(|(name, value)| api::EnvVar {
                name: (*name).to_owned(),
                value: Some(value.clone()),
                value_from: None,
            }));
            if self.authorities.is_some() {
                container.volume_mounts.get_or_insert_default().push(api::VolumeMount {
                    name: PROXY_CA.to_owned(),
                    mount_path: CA_DIRECTORY.to_owned(),
                    read_only: Some(true),
                    ..api::VolumeMount::default()
                });
            }
        }
    }

    /// The port that it listens on; by default that of its scheme.
    pub(super) fn port(&self) -> Option<u16> {
        let url = self.url.as_deref()?;
        let standard = if url.starts_with("https:") { 443 } else { 80 };
        let uri: http::Uri = url.parse().ok()?;
        Some(uri.port_u16().unwrap_or(standard))
    }

    /// `NO_PROXY`: the API server's addresses, what belongs to the cluster, and what the user names.
    fn exceptions(&self, api_server: &[String]) -> String {
        let mut all: Vec<&str> = Vec::new();
        let user = self.exceptions.iter().map(String::as_str);
        for one in api_server.iter().map(String::as_str).chain(ALWAYS_DIRECT).chain(user) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all.join(",")
    }

    /// Changes with the certificates: a Go program reads them once, so other ones need other pods. FNV-1a; it protects
    /// nothing.
    pub(super) fn authorities_mark(&self) -> Option<String> {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        let pem = self.authorities.as_ref()?;
        Some(format!("{:016x}", pem.bytes().fold(0xcbf2_9ce4_8422_2325, step)))
    }
}

/// Checks the URL of a proxy. It has no credentials: it stands in the pod template, where everybody who may read pods
/// can read it.
///
/// # Errors
/// Why it cannot be one; never with anything out of it.
pub fn check_proxy(text: &str) -> Result<(), String> {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else {
        return Err("it begins neither with http:// nor with https://".to_owned());
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains('@') {
        return Err(
            "it has credentials, which everybody who may read pods in the cluster could read".to_owned()
        );
    }
    let parsed: Result<http::uri::Authority, _> = authority.parse();
    let named = parsed.is_ok_and(|parsed| {
        let after_host = authority.strip_prefix(parsed.host()).unwrap_or_default();
        !parsed.host().is_empty() && (after_host.is_empty() || parsed.port_u16().is_some_and(|port| port > 0))
    });
    if named { Ok(()) } else { Err("what follows the scheme is no host with or without a port".to_owned()) }
}

/// Checks one exception of `NO_PROXY`: a domain, an address, a network, each with or without a port, or `*`.
///
/// # Errors
/// Why it cannot be one.
pub fn check_exception(text: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || ".-_:/*[]".contains(c);
    if text.is_empty() || text.contains("//") || !text.chars().all(fits) {
        return Err(format!("{text:?} is neither a domain nor an address nor a network"));
    }
    Ok(())
}

/// Takes the certificates out of a PEM file, and nothing else.
///
/// # Errors
/// Why there are none to be used.
pub fn certificates(pem: &str) -> Result<String, String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    if pem.contains("PRIVATE KEY-----") {
        return Err("it holds a private key, which must not be given away".to_owned());
    }
    let mut out = String::new();
    for (number, block) in pem.split(BEGIN).skip(1).enumerate() {
        let broken = || format!("certificate {} in it is broken", number + 1);
        let (body, _) = block.split_once(END).ok_or_else(broken)?;
        let lines: Vec<&str> = body.split_ascii_whitespace().collect();
        // DER of a certificate is a SEQUENCE (X.509).
        if STANDARD.decode(lines.concat()).ok().and_then(|der| der.first().copied()) != Some(0x30) {
            return Err(broken());
        }
        out.push_str(&format!("{BEGIN}\n{}\n{END}\n", lines.join("\n")));
    }
    if out.is_empty() { Err("there is no certificate in it (PEM)".to_owned()) } else { Ok(out) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies() {
        for good in [
            "http://proxy:3128",
            "https://proxy.example.com",
            "http://10.0.0.1:8080/",
            "http://[fd00::1]:3128",
        ] {
            assert_eq!(check_proxy(good), Ok(()), "{good}");
        }
        for bad in [
            "proxy:3128",
            "socks5://proxy:1",
            "http://",
            "http://proxy:x",
            "http://proxy/path",
            "http://proxy:0",
            "http://ana:hush@proxy",
        ] {
            assert!(!check_proxy(bad).expect_err(bad).contains("hush"), "{bad}");
        }
    }

    #[test]
    fn exceptions() {
        for good in [".corp", "corp.example.com:8443", "10.0.0.0/8", "fd00::/8", "*"] {
            assert_eq!(check_exception(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "http://x"] {
            assert!(check_exception(bad).is_err(), "{bad}");
        }
        let proxy = Proxy { exceptions: vec![".corp".into(), ".svc".into()], ..Proxy::default() };
        let all = proxy.exceptions(&["10.96.0.1".into()]);
        assert_eq!(all, "10.96.0.1,.svc,.cluster.local,localhost,127.0.0.1,.corp");
    }

    #[test]
    fn of_a_file_only_certificates_are_taken() {
        let one = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        assert_eq!(certificates(&format!("# a comment\n{one}\r\n{one}")), Ok(format!("{one}{one}")));
        let key = format!("{one}-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n");
        for bad in [
            "",
            "text",
            &key,
            "-----BEGIN CERTIFICATE-----\nMAA=\n",
            &one.replace("MAA=", "AAAA"),
            &one.replace("MAA=", "?"),
        ] {
            assert!(certificates(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn other_certificates_are_noticed() {
        let of = |pem: &str| Proxy { authorities: Some(pem.into()), ..Proxy::default() }.authorities_mark();
        assert_ne!(of("a"), of("b"));
        assert_eq!(of(""), Some("cbf29ce484222325".into()));
        assert_eq!(Proxy::default().authorities_mark(), None);
    }
}
