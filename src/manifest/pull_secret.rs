//! Credentials for a registry.

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

/// A Docker configuration with credentials. `Debug` does not show them.
#[derive(Clone, Debug)]
pub struct PullSecret(SecretString);

impl PullSecret {
    /// Reads a Docker configuration (`config.json`). Of it only `auths` is kept: a kubelet reads nothing else.
    ///
    /// # Errors
    /// Why it cannot be used; never with anything out of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| format!("line {} is not the JSON of one", error.line()))?;
        let auths = config.get("auths").and_then(Value::as_object).filter(|auths| !auths.is_empty());
        let Some(auths) = auths else { return Err("it has no credentials (\"auths\")".to_owned()) };
        let filled = |entry: &Value, field: &str| entry[field].as_str().is_some_and(|text| !text.is_empty());
        let complete =
            |entry: &Value| filled(entry, "auth") || (filled(entry, "username") && filled(entry, "password"));
        if let Some((registry, _)) = auths.iter().find(|(_, entry)| !complete(entry)) {
            return Err(format!(
                "it has no credentials for {registry}: a credential helper (credsStore, credHelpers) keeps them elsewhere"
            ));
        }
        Ok(Self(SecretString::from(json!({ "auths": auths }).to_string())))
    }

    /// What the Secret holds, for the adapter of Secrets alone.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl PartialEq for PullSecret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for PullSecret {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_credentials_are_kept_and_nothing_is_shown() {
        let text = r#"{"auths":{"a.example":{"auth":"aHVzaA=="}},"HttpHeaders":{"x":"y"}}"#;
        let secret = PullSecret::parse(text).unwrap();
        assert_eq!(secret.expose(), r#"{"auths":{"a.example":{"auth":"aHVzaA=="}}}"#);
        assert!(!format!("{secret:?}").contains("aHVzaA"));
    }

    #[test]
    fn what_a_kubelet_could_not_use_is_refused_without_showing_it() {
        for bad in [
            "",
            "hush",
            r#"["hush"]"#,
            "{}",
            r#"{"auths":{}}"#,
            r#"{"auths":"hush"}"#,
            r#"{"auths":{"a.example":{"email":"hush"}}}"#,
        ] {
            let why = PullSecret::parse(bad).expect_err(bad);
            assert!(!why.contains("hush"), "{why}");
        }
        assert!(
            PullSecret::parse(r#"{"auths":{"a.example":{}},"credsStore":"x"}"#)
                .unwrap_err()
                .contains("helper")
        );
    }
}
