//! Where the agents may run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;

/// Labels that the templates ask for; a user can only ask for more.
pub(super) const FIXED: [(&str, &str); 2] = [("kubernetes.io/os", "linux"), ("kubernetes.io/arch", "amd64")];

/// What a user adds to what the templates say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Labels that a node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the agents bear.
    pub tolerations: Vec<Toleration>,
}

/// A taint of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value, often empty.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
}

/// Taints that are borne (core/v1 Toleration).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toleration {
    key: String,
    /// `None`: any.
    value: Option<String>,
    /// `None`: any.
    effect: Option<String>,
}

impl Placement {
    /// Adds a label, `KEY=VALUE`.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn select(&mut self, text: &str) -> Result<(), String> {
        let Some((key, value)) = text.split_once('=') else { return Err("there is no = in it".to_owned()) };
        check_key(key)?;
        check_value(value)?;
        if FIXED.iter().any(|(fixed, needed)| *fixed == key && *needed != value) {
            return Err("the agents' images are for linux/amd64 only".to_owned());
        }
        match self.node_selector.insert(key.to_owned(), value.to_owned()) {
            Some(before) if before != value => {
                Err(format!("no node can have both {key}={before} and {key}={value}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    pub(super) fn apply_to(&self, pod: &mut api::PodSpec) {
        pod.node_selector.get_or_insert_default().extend(self.node_selector.clone());
        pod.tolerations.get_or_insert_default().extend(self.tolerations.iter().map(Toleration::to_api));
    }
}

impl Toleration {
    /// Reads `KEY[=VALUE][:EFFECT]`, as `kubectl taint` writes taints. Without a value or an effect any is borne.
    ///
    /// # Errors
    /// Why it cannot be one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (taint, effect) = match text.split_once(':') {
            Some((taint, effect)) => (taint, Some(effect)),
            None => (text, None),
        };
        if let Some(effect) = effect.filter(|e| !["NoSchedule", "PreferNoSchedule", "NoExecute"].contains(e))
        {
            return Err(format!("{effect:?} is none of NoSchedule, PreferNoSchedule, NoExecute"));
        }
        let (key, value) = match taint.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (taint, None),
        };
        check_key(key)?;
        value.map_or(Ok(()), check_value)?;
        Ok(Self { key: key.to_owned(), value: value.map(str::to_owned), effect: effect.map(str::to_owned) })
    }

    /// Whether it bears a taint (core/v1, `Toleration.ToleratesTaint`).
    pub fn bears(&self, taint: &Taint) -> bool {
        (self.key.is_empty() || self.key == taint.key)
            && self.value.as_ref().is_none_or(|value| *value == taint.value)
            && self.effect.as_ref().is_none_or(|effect| *effect == taint.effect)
    }

    fn to_api(&self) -> api::Toleration {
        api::Toleration {
            key: Some(self.key.clone()),
            operator: Some(if self.value.is_some() { "Equal" } else { "Exists" }.to_owned()),
            value: self.value.clone().filter(|value| !value.is_empty()),
            effect: self.effect.clone(),
            ..api::Toleration::default()
        }
    }

    pub(super) fn from_api(toleration: api::Toleration) -> Self {
        let exists = toleration.operator.as_deref() == Some("Exists");
        Self {
            key: toleration.key.unwrap_or_default(),
            value: (!exists).then(|| toleration.value.unwrap_or_default()),
            effect: toleration.effect.filter(|effect| !effect.is_empty()),
        }
    }
}

/// Checks the key of a label or taint: `[PREFIX/]NAME` (Kubernetes documentation, "Labels and Selectors").
fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let is_domain = |text: &str| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        text.len() <= 253
            && text.split('.').all(|part| {
                !part.is_empty() && part.chars().all(fits) && !part.starts_with('-') && !part.ends_with('-')
            })
    };
    if name.is_empty() || !is_name(name) || prefix.is_some_and(|prefix| !is_domain(prefix)) {
        return Err(format!("{key:?} cannot be a key"));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), String> {
    if is_name(value) { Ok(()) } else { Err(format!("{value:?} cannot be a value")) }
}

/// Up to 63 letters, digits and `-_.`, with a letter or digit at both ends; or nothing.
fn is_name(text: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    text.is_empty()
        || (text.len() <= 63
            && text.starts_with(ends)
            && text.ends_with(ends)
            && text.chars().all(|c| ends(c) || "-_.".contains(c)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels() {
        let mut placement = Placement::default();
        for good in ["pool=edge", "example.com/pool=", "kubernetes.io/os=linux", "pool=edge"] {
            assert_eq!(placement.select(good), Ok(()), "{good}");
        }
        for bad in [
            "pool",
            "=x",
            "a/b/c=x",
            "A.B/c=x",
            "pool=-x",
            "pool=a b",
            "pool=other",
            "kubernetes.io/arch=arm64",
        ] {
            assert!(placement.clone().select(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tolerations_bear_what_kubernetes_says() {
        let taint = |value: &str, effect: &str| Taint {
            key: "gpu".into(),
            value: value.into(),
            effect: effect.into(),
        };
        for (text, value, effect, bears) in [
            ("gpu", "yes", "NoExecute", true),
            ("gpu=yes", "yes", "NoSchedule", true),
            ("gpu=yes", "no", "NoSchedule", false),
            ("gpu=", "", "NoSchedule", true),
            ("gpu=", "yes", "NoSchedule", false),
            ("gpu:NoSchedule", "yes", "NoSchedule", true),
            ("gpu:NoSchedule", "yes", "NoExecute", false),
            ("gpu2", "yes", "NoSchedule", false),
        ] {
            let toleration = Toleration::parse(text).unwrap();
            assert_eq!(toleration.bears(&taint(value, effect)), bears, "{text}");
            assert_eq!(Toleration::from_api(toleration.to_api()), toleration, "{text} survives");
        }
        for bad in ["", "gpu:Never", "gpu:", "=x", "gpu=a b", "gpu=x:NoSchedule:y"] {
            assert!(Toleration::parse(bad).is_err(), "{bad}");
        }
    }
}
