//! `$(VAR)` in environment values, commands and arguments, as Kubernetes defines it: a known name is replaced, an unknown
//! one stays as it is written, and `$$` stands for `$` so that `$$(VAR)` is never replaced.

use std::collections::BTreeMap;

/// Expands the references in `input`.
pub(super) fn expand(input: &str, variables: &BTreeMap<String, String>) -> String {
    let mut output = String::with_capacity(input.len());
    let mut rest = input;
    while let Some(at) = rest.find('$') {
        output.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match rest.chars().next() {
            Some('$') => {
                output.push('$');
                rest = &rest[1..];
            }
            Some('(') => match rest.find(')') {
                Some(end) => {
                    let name = &rest[1..end];
                    match variables.get(name) {
                        Some(value) => output.push_str(value),
                        None => {
                            output.push_str("$(");
                            output.push_str(name);
                            output.push(')');
                        }
                    }
                    rest = &rest[end + 1..];
                }
                None => {
                    output.push_str("$(");
                    rest = &rest[1..];
                }
            },
            _ => output.push('$'),
        }
    }
    output.push_str(rest);
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_kubernetes_defines_it() {
        let variables =
            BTreeMap::from([("A".to_owned(), "1".to_owned()), ("EMPTY".to_owned(), String::new())]);
        for (input, expected) in [
            ("plain", "plain"),
            ("$(A)", "1"),
            ("x-$(A)-$(A)", "x-1-1"),
            ("$(EMPTY)|", "|"),
            ("$(UNKNOWN)", "$(UNKNOWN)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$A", "$A"),
            ("$", "$"),
            ("$(A", "$(A"),
            ("ünïcode$(A)é$", "ünïcode1é$"),
        ] {
            assert_eq!(expand(input, &variables), expected, "of {input}");
        }
    }
}
