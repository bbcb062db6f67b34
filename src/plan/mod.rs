//! The one engine of every command that changes something: a plan is a list of steps, each naming the steps that it
//! needs; the executor starts a step as soon as its needs are done.

mod event;
mod executor;
mod journal;
mod run;

pub use event::{Event, Reporter};
pub use executor::{Done, Execution, StepFailure, Stop, StopReason, Worker, execute};
pub use run::{Conversation, LeaseSeen, Operation, run};

/// A step's place in its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(usize);

/// A step and what must be done before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned<S> {
    /// What to do.
    pub step: S,
    /// The steps that must be done first.
    pub needs: Vec<StepId>,
}

/// Steps in an order that respects their needs. A step can need only steps that were added before it, so a plan has no
/// cycle.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan<S> {
    steps: Vec<Planned<S>>,
}

impl<S> Default for Plan<S> {
    fn default() -> Self {
        Self { steps: Vec::new() }
    }
}

impl<S> Plan<S> {
    /// Adds a step that needs `needs`; returns its place, for later steps to need.
    pub fn add(&mut self, step: S, needs: impl IntoIterator<Item = StepId>) -> StepId {
        let mut needs: Vec<_> = needs.into_iter().collect();
        needs.sort_unstable();
        needs.dedup();
        self.steps.push(Planned { step, needs });
        StepId(self.steps.len() - 1)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps, in an order in which each comes after its needs.
    pub fn iter(&self) -> impl Iterator<Item = (StepId, &Planned<S>)> {
        self.steps.iter().enumerate().map(|(index, planned)| (StepId(index), planned))
    }

    /// The length of the longest chain of steps that need each other, counting those for which `counts` holds.
    pub fn longest_chain(&self, counts: impl Fn(&S) -> bool) -> usize {
        let mut lengths: Vec<usize> = Vec::with_capacity(self.steps.len());
        for planned in &self.steps {
            let before =
                planned.needs.iter().filter_map(|need| lengths.get(need.0)).max().copied().unwrap_or(0);
            lengths.push(before + usize::from(counts(&planned.step)));
        }
        lengths.into_iter().max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_chain_follows_needs_and_not_order() {
        let mut plan = Plan::default();
        let a = plan.add("a", []);
        let b = plan.add("b", []);
        let c = plan.add("c", [a]);
        plan.add("d", [b, c, c]);
        assert_eq!(plan.longest_chain(|_| true), 3);
        assert_eq!(plan.longest_chain(|step| *step != "c"), 2);
        assert_eq!(Plan::<()>::default().longest_chain(|()| true), 0);
    }
}
