//! What people leave around an ARN, and in it, when they copy it from somewhere.

use super::read::PARTITION;

/// Without spaces and quotation marks at its ends, as something copied out of JSON has them.
pub(super) fn unquoted(text: &str) -> &str {
    let mut bare = text.trim();
    loop {
        let comma = bare.strip_suffix(',').filter(|rest| rest.ends_with(['"', '\'']));
        let inner = comma.unwrap_or(bare);
        let inner = ['"', '\'', '`']
            .iter()
            .find_map(|quote| inner.strip_prefix(*quote)?.strip_suffix(*quote))
            .unwrap_or(inner)
            .trim();
        if inner == bare {
            return bare;
        }
        bare = inner;
    }
}

/// What in it was to be filled in.
pub(super) fn placeholder(text: &str) -> Option<&str> {
    if let Some(at) = text.find(['<', '>', '%', '{', '}', '$', '[', ']', '\u{2026}']) {
        return Some(&text[at..]);
    }
    if text.contains("...") {
        return Some("...");
    }
    if !text.contains(':') {
        let shouted = text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
        return (shouted && (text.ends_with("ARN") || text.ends_with("_ID"))).then_some(text);
    }
    let account = text.split(':').nth(4).filter(|_| text.starts_with("arn:"))?;
    let letters = account.bytes().any(|byte| byte.is_ascii_alphabetic());
    let word = account.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    // AWS' own policies have the account aws.
    let unfilled = letters && word && account != PARTITION;
    (unfilled || account == "000000000000").then_some(account)
}
