//! What must hold for every text that is given as a principal, or as a message that is about one. The fuzz target and a
//! test of `cargo test` call it.

use eksconnect::access::principal::{Principal, read, read_message};

/// Panics if something does not hold for this text.
pub(crate) fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match read(&text) {
        Ok(given) => {
            let canonical = given.principal.arn();
            assert_eq!(Principal::canonical(canonical).as_ref(), Some(&given.principal), "not canonical");
            let again =
                read(canonical).unwrap_or_else(|why| panic!("{canonical} is not read again: {why:?}"));
            assert_eq!(again.principal, given.principal, "it becomes another one");
            assert!(again.changes.is_empty(), "{canonical} is changed once more: {:?}", again.changes);
            assert!(!canonical.contains(['*', '?', '"', '\n']), "{canonical}");
            assert_eq!(given.principal.to_string(), canonical);
        }
        Err(why) => {
            let error = why.error("it");
            assert!(error.facts.iter().any(|fact| fact.label == "fix"), "{error} does not say what to do");
            let lines = error.facts.iter().flat_map(|fact| fact.text.lines());
            for line in lines.chain([error.message.as_str()]) {
                assert!(!line.chars().any(char::is_control), "{line:?} would steer a terminal");
            }
        }
    }
    if let Ok(given) = read_message(&text) {
        assert!(text.contains(given.principal.name()), "{} is not in the message", given.principal);
        let alone = read_message(given.principal.arn()).map(|found| found.principal);
        let ends_as_sentences_do = given.principal.arn().ends_with(['.', ',']);
        assert!(ends_as_sentences_do || alone.is_ok_and(|found| found == given.principal));
    }
}
