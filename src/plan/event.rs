//! What happens while a plan is executed, for whoever shows it.

use super::StepId;

/// Something that happened to a step.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<S> {
    /// It began.
    Started {
        /// Which step of the plan.
        id: StepId,
        /// The step itself.
        step: S,
    },
    /// It is going on, and this is where it stands.
    Progress {
        /// Which step of the plan.
        id: StepId,
        /// A short phrase: `1 of 2 ready: eks-connector-1 pulling images`.
        text: String,
    },
    /// It is done.
    Finished {
        /// Which step of the plan.
        id: StepId,
        /// A short phrase: `created`.
        outcome: String,
        /// Whether it turned out that there was nothing to change.
        unchanged: bool,
    },
    /// It failed.
    Failed {
        /// Which step of the plan.
        id: StepId,
    },
}

/// Shows events. Called from several tasks; must not block for long.
pub trait Reporter<S>: Send + Sync {
    /// Shows one event.
    fn event(&self, event: Event<S>);
}
