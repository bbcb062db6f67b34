//! Kubeconfig files.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::authority::Credential;

/// How the user of a kubeconfig proves who they are.
pub(super) enum Proof<'a> {
    /// A bearer token.
    Token(&'a str),
    /// A client certificate.
    Certificate(&'a Credential),
}

/// Writes a kubeconfig with one context, named like the cluster. It is whole in itself and readable by its owner only,
/// as people have it.
pub(super) fn write(
    path: &Path,
    cluster: &str,
    server: &str,
    authority: &str,
    user: &str,
    proof: &Proof<'_>,
) -> Result<()> {
    let proof = match proof {
        Proof::Token(token) => json!({ "token": token }),
        Proof::Certificate(credential) => json!({
            "client-certificate-data": STANDARD.encode(&credential.certificate),
            "client-key-data": STANDARD.encode(&credential.key),
        }),
    };
    // Names that hold beside those of other clusters, when several files are used together.
    let user = format!("{cluster}-{user}");
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{
            "name": cluster,
            "cluster": { "server": server, "certificate-authority-data": STANDARD.encode(authority) },
        }],
        "contexts": [{ "name": cluster, "context": { "cluster": cluster, "user": user } }],
        "users": [{ "name": user, "user": proof }],
    });
    let text = serde_yaml::to_string(&document).context("could not write a kubeconfig")?;
    fs::write(path, text).with_context(|| format!("could not write {}", path.display()))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))
        .with_context(|| format!("could not protect {}", path.display()))
}
