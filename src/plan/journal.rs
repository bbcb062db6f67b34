//! What a try has done and what is in flight, for a run that is ended at once: it has no outcome that could tell.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Done, Event, Reporter, StepId};

/// Keeps the journal of a try, and passes every event on.
pub(super) struct Journal<S> {
    show: Arc<dyn Reporter<S>>,
    entries: Mutex<Entries<S>>,
}

struct Entries<S> {
    in_flight: BTreeMap<StepId, S>,
    done: Vec<(S, Done)>,
}

impl<S> Journal<S> {
    /// An empty one; events go on to `show`.
    pub(super) fn new(show: Arc<dyn Reporter<S>>) -> Self {
        Self { show, entries: Mutex::new(Entries { in_flight: BTreeMap::new(), done: Vec::new() }) }
    }

    fn entries(&self) -> MutexGuard<'_, Entries<S>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The try has ended and its outcome tells all.
    pub(super) fn close(&self) {
        *self.entries() = Entries { in_flight: BTreeMap::new(), done: Vec::new() };
    }

    /// What was done and what is in flight.
    pub(super) fn take(&self) -> (Vec<(S, Done)>, Vec<S>) {
        let mut entries = self.entries();
        let in_flight = std::mem::take(&mut entries.in_flight).into_values().collect();
        (std::mem::take(&mut entries.done), in_flight)
    }
}

impl<S: Clone + Send> Reporter<S> for Journal<S> {
    fn event(&self, event: Event<S>) {
        match &event {
            Event::Started { id, step } => drop(self.entries().in_flight.insert(*id, step.clone())),
            Event::Progress { .. } => {}
            Event::Finished { id, outcome, unchanged } => {
                let mut entries = self.entries();
                if let Some(step) = entries.in_flight.remove(id) {
                    let done = Done { outcome: outcome.clone(), unchanged: *unchanged };
                    entries.done.push((step, done));
                }
            }
            Event::Failed { id } => drop(self.entries().in_flight.remove(id)),
        }
        self.show.event(event);
    }
}
