//! The activation: an id that may be shown, and a code that may not.

use secrecy::SecretString;

/// What RegisterCluster answers once, and never again. `Debug` does not show the code.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The activation's id. Not a secret: without the code it is of no use.
    pub id: String,
    /// The one-time code. It leaves this type only for the activation Secret.
    pub code: SecretString,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_hides_the_code() {
        let activation =
            Activation { id: "the-id".into(), code: SecretString::from("do-not-show-me".to_owned()) };
        let shown = format!("{activation:?}");
        assert!(shown.contains("the-id"));
        assert!(!shown.contains("do-not-show-me"), "{shown}");
    }
}
