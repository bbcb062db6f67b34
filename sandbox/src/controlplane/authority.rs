//! A cluster's certificate authority: it signs the API server's certificate, so that clients can verify it, and the
//! certificates that users prove themselves with.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// A certificate and its private key, both PEM.
pub(super) struct Credential {
    pub(super) certificate: String,
    pub(super) key: String,
}

/// A certificate authority of one cluster, kept in memory.
pub(super) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// Makes one.
    pub(super) fn new(cluster: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("{cluster} authority"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)
            .context("could not make a certificate authority")?;
        Ok(Self(issuer))
    }

    /// Its certificate, PEM.
    pub(super) fn certificate(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server with these names and addresses.
    pub(super) fn server(&self, names: &[&str]) -> Result<Credential> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate for a user of the cluster. A group is the certificate's organisation, as Kubernetes reads it
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#x509-client-certificates>).
    pub(super) fn user(&self, user: &str, group: Option<&str>) -> Result<Credential> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if let Some(group) = group {
            params.distinguished_name.push(DnType::OrganizationName, group);
        }
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Result<Credential> {
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0).context("could not sign a certificate")?;
        Ok(Credential { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}
