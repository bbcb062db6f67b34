//! Flags as spf13/pflag reads them: `--name=value` or `--name value`.

use std::collections::BTreeMap;

/// A flag: its name, and its default or `None` where it must be given.
pub(super) type Flag = (&'static str, Option<&'static str>);

/// Flags with their values.
pub(super) struct Flags(BTreeMap<&'static str, String>);

impl Flags {
    /// Reads arguments.
    ///
    /// # Errors
    ///
    /// cobra's messages for an unknown flag, a missing value, or flags that must be given.
    pub(super) fn parse(arguments: &[String], known: &'static [Flag]) -> Result<Self, String> {
        let mut values = BTreeMap::new();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let Some(flag) = argument.strip_prefix("--") else { continue };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let Some((name, _)) = known.iter().find(|(known, _)| *known == name) else {
                return Err(format!("unknown flag: --{name}"));
            };
            let value = match value {
                Some(value) => value,
                None => arguments.next().cloned().ok_or(format!("flag needs an argument: --{name}"))?,
            };
            values.insert(*name, value);
        }
        let missing: Vec<String> = known
            .iter()
            .filter(|(name, default)| default.is_none() && !values.contains_key(name))
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        if !missing.is_empty() {
            return Err(format!("required flag(s) {} not set", missing.join(", ")));
        }
        for (name, default) in known {
            if let Some(default) = default {
                values.entry(*name).or_insert_with(|| (*default).to_owned());
            }
        }
        Ok(Self(values))
    }

    /// A flag's value.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Flag] = &[("activation.id", None), ("agent.region", Some("us-west-2"))];

    fn parse(arguments: &[&str]) -> Result<Flags, String> {
        Flags::parse(&arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>(), KNOWN)
    }

    #[test]
    fn reads_both_forms_and_names_what_is_missing() {
        let flags = parse(&["--activation.id", "a", "--agent.region=b=c"]).unwrap();
        assert_eq!((flags.get("activation.id"), flags.get("agent.region")), ("a", "b=c"));
        assert_eq!(parse(&["--activation.id=a"]).unwrap().get("agent.region"), "us-west-2");
        assert_eq!(parse(&[]).err().unwrap(), "required flag(s) \"activation.id\" not set");
        assert_eq!(parse(&["--other=1"]).err().unwrap(), "unknown flag: --other");
        assert_eq!(parse(&["--activation.id"]).err().unwrap(), "flag needs an argument: --activation.id");
    }
}
