//! Random identifiers in the forms that AWS gives them.

use aws_lc_rs::rand;

use super::service::Error;

const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const WORD: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const HEX: &[u8] = b"0123456789abcdef";
const DIGITS: &[u8] = b"0123456789";

/// A unique id of IAM: a prefix such as `AROA` and 17 more characters.
pub(crate) fn unique_id(prefix: &str) -> Result<String, Error> {
    Ok(format!("{prefix}{}", random(UPPER, 17)?))
}

/// An access key id: `AKIA`, or `ASIA` for temporary keys, and 16 more characters.
pub(crate) fn access_key_id(prefix: &str) -> Result<String, Error> {
    Ok(format!("{prefix}{}", random(UPPER, 16)?))
}

/// A secret of letters and digits.
pub(crate) fn secret(length: usize) -> Result<String, Error> {
    random(WORD, length)
}

/// Hexadecimal digits in lower case.
pub(crate) fn hexadecimal(length: usize) -> Result<String, Error> {
    random(HEX, length)
}

/// An account id: 12 digits, the first not zero.
pub(crate) fn account() -> Result<String, Error> {
    Ok(format!("1{}", random(DIGITS, 11)?))
}

fn random(alphabet: &[u8], length: usize) -> Result<String, Error> {
    let mut bytes = vec![0; length];
    rand::fill(&mut bytes).map_err(|_| anyhow::anyhow!("the random number generator failed"))?;
    // The slight bias of the remainder does not matter here.
    Ok(bytes.iter().map(|byte| char::from(alphabet[usize::from(*byte) % alphabet.len()])).collect())
}
