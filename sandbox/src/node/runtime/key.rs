//! The key pair of a managed instance: RSA of 2048 bits, in the encodings that the connector keeps and sends.

use anyhow::{Context as _, bail};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// An RSA key pair.
pub(super) struct Key(RsaKeyPair);

/// What precedes the PKCS#1 key in a PKCS#8 document of an RSA key of 2048 bits: outer SEQUENCE (4 bytes), version (3),
/// algorithm identifier (15), OCTET STRING (4).
const PKCS8_PREFIX: usize = 26;

impl Key {
    /// Makes a key. Takes a moment: run it where blocking is allowed.
    pub(super) fn generate() -> anyhow::Result<Self> {
        Ok(Self(RsaKeyPair::generate(KeySize::Rsa2048).context("cannot make an RSA key")?))
    }

    /// Reads a key as the registration key file has it: base64 of PKCS#1.
    pub(super) fn from_private(encoded: &str) -> anyhow::Result<Self> {
        let der = STANDARD.decode(encoded).context("illegal base64 data")?;
        Ok(Self(RsaKeyPair::from_der(&der).context("x509: failed to parse private key")?))
    }

    /// The private key in base64 of PKCS#1.
    pub(super) fn private(&self) -> anyhow::Result<String> {
        let pkcs8: Pkcs8V1Der<'_> = self.0.as_der().context("cannot encode the private key")?;
        let Some(pkcs1) = pkcs8.as_ref().get(PKCS8_PREFIX..) else { bail!("the private key is too short") };
        RsaKeyPair::from_der(pkcs1).context("the private key is not encoded as expected")?;
        Ok(STANDARD.encode(pkcs1))
    }

    /// The public key in base64 of PKIX (SubjectPublicKeyInfo), which RegisterManagedInstance wants.
    pub(super) fn public(&self) -> anyhow::Result<String> {
        let der: PublicKeyX509Der<'_> =
            self.0.public_key().as_der().context("cannot encode the public key")?;
        Ok(STANDARD.encode(der.as_ref()))
    }

    /// Signs a text: RSASSA-PSS with SHA-256 and a salt of 32 bytes, in base64, as amazon-ssm-agent does.
    pub(super) fn sign(&self, text: &str) -> anyhow::Result<String> {
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature)
            .context("cannot sign")?;
        Ok(STANDARD.encode(signature))
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

    use super::*;

    #[test]
    fn a_key_survives_its_encodings() {
        let key = Key::generate().unwrap();
        let again = Key::from_private(&key.private().unwrap()).unwrap();
        let public = key.public().unwrap();
        assert_eq!(public, again.public().unwrap());
        assert_eq!(public.len(), 392, "the length that RegisterManagedInstance wants at least");
        let signature = STANDARD.decode(again.sign("text").unwrap()).unwrap();
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, STANDARD.decode(public).unwrap())
            .verify(b"text", &signature)
            .unwrap();
    }
}
