//! Principals as people write them: the fuzz target's entry over a corpus that is made here.

#[path = "../../fuzz/src/principal.rs"]
mod entry;

use crate::numbers::Numbers;

/// How many texts are made. The seeds and each of their beginnings come on top.
const TEXTS: usize = 40_000;

/// Bytes that mean something, or should not.
const INSERTED: &[u8] = b"arn:aws/*?\"'<>%. \n\x1b\xff";

fn seeds() -> Vec<Vec<u8>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/principal");
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Changes a few places of a text, as a fuzzer does: bytes, pieces of other texts, what is taken out or doubled.
fn changed(numbers: &mut Numbers, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut text = seeds[numbers.below(seeds.len())].clone();
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(text.len() + 1);
        match numbers.below(5) {
            0 => text.insert(at, INSERTED[numbers.below(INSERTED.len())]),
            1 => text.truncate(at),
            2 => {
                let other = &seeds[numbers.below(seeds.len())];
                let from = numbers.below(other.len() + 1);
                let to = from + numbers.below(other.len() - from + 1);
                text.splice(at..at, other[from..to].iter().copied());
            }
            3 => {
                let to = at + numbers.below(text.len() - at + 1);
                text.drain(at..to);
            }
            _ if at < text.len() => text[at] = u8::try_from(numbers.below(256)).unwrap(),
            _ => {}
        }
    }
    text
}

#[test]
fn the_fuzz_targets_entry_holds_over_a_generated_corpus() {
    let seeds = seeds();
    assert!(seeds.len() > 10, "the corpus is in fuzz/corpus");
    for seed in &seeds {
        (0..=seed.len()).for_each(|end| entry::check(&seed[..end]));
    }
    let mut numbers = Numbers::seeded(1);
    for _ in 0..TEXTS {
        entry::check(&changed(&mut numbers, &seeds));
    }
}
