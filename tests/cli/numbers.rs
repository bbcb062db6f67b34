//! Random choices that a seed repeats.

use std::fmt::Display;
use std::str::FromStr;

/// A generator of numbers (splitmix64).
#[derive(Clone)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of the numbers below `bound`; 0 if there is none.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound.max(1)).unwrap()).unwrap()
    }

    /// Once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn one<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }

    /// One to `most` of them, none twice.
    pub(crate) fn some<T: Clone + PartialEq>(&mut self, of: &[T], most: usize) -> Vec<T> {
        let mut chosen: Vec<T> = Vec::new();
        for _ in 0..=self.below(most) {
            let one = &of[self.below(of.len())];
            if !chosen.contains(one) {
                chosen.push(one.clone());
            }
        }
        chosen
    }
}

/// What a variable of the environment sets for a test, printed so that a run can be repeated.
pub(crate) fn setting<T: FromStr + Display>(name: &str, default: T) -> T {
    #[expect(clippy::disallowed_methods, reason = "it repeats a run of a test; nothing else depends on it")]
    let given = std::env::var(name).ok();
    match given {
        Some(text) => text.parse().unwrap_or_else(|_| panic!("{name} cannot be {text:?}")),
        None => default,
    }
}
