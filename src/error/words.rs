//! What a chain of errors says.

use std::error::Error;

/// The words of an error and of its causes, from the outermost to the innermost, without those that another one has
/// said already: many libraries repeat their cause.
pub fn words(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        if !words.iter().any(|said| said.contains(&text)) {
            words.push(text);
        }
        next = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_said_twice() {
        let error = anyhow::anyhow!("refused").context("connecting: refused").context("asking");
        assert_eq!(words(error.as_ref()), ["asking", "connecting: refused"]);
    }
}
