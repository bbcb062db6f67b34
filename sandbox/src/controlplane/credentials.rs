//! The keys, certificates and tokens of a cluster's components, as files.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::KeyPair;
use uuid::Uuid;

use super::authority::Authority;

/// The first address of the Services' range, which the Service `kubernetes` gets.
const SERVICE_ADDRESS: &str = "10.96.0.1";

/// Writes what the components prove themselves with, and what they know others by.
pub(super) fn write(directory: &Path, authority: &Authority, tokens: &Tokens) -> Result<()> {
    let names = [
        "127.0.0.1",
        "localhost",
        SERVICE_ADDRESS,
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let server = authority.server(&names)?;
    let service_accounts = KeyPair::generate()?;
    let files = [
        ("authority.crt", authority.certificate()),
        ("server.crt", server.certificate),
        ("server.key", server.key),
        ("service-accounts.key", service_accounts.serialize_pem()),
        ("service-accounts.pub", service_accounts.public_key_pem()),
        ("tokens.csv", tokens.file()),
    ];
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}

/// The bearer tokens of the users that the API server knows from its start.
pub(super) struct Tokens {
    pub(super) admin: String,
    pub(super) controllers: String,
    pub(super) scheduler: String,
}

impl Tokens {
    /// Makes new ones.
    pub(super) fn new() -> Self {
        let token = || Uuid::new_v4().simple().to_string();
        Self { admin: token(), controllers: token(), scheduler: token() }
    }

    /// The static token file: token, user, user id, groups.
    fn file(&self) -> String {
        let Self { admin, controllers, scheduler } = self;
        format!(
            "{admin},admin,admin,system:masters\n\
             {controllers},system:kube-controller-manager,controllers\n\
             {scheduler},system:kube-scheduler,scheduler\n"
        )
    }
}
