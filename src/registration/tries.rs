//! What a run that works in the cluster keeps over all its tries: whole registrations and the cluster's half alike.

use std::sync::Arc;

use super::observe::Ports;
use super::observed::{LeaseFacts, Observed};
use super::remains::History;
use super::step::Step;
use super::undo::{Made, undo, undo_later};
use super::worker::RegisterWorker;
use crate::plan::{Done, Execution, LeaseSeen};

/// The tries of one run.
pub(super) struct Tries {
    ports: Ports,
    namespace: String,
    /// What they did.
    pub(super) history: History,
    /// The version of a Lease whose holder does not renew it.
    dead_lease: Option<String>,
    /// The worker of the try that is under way or was the last.
    current: Option<Arc<RegisterWorker>>,
}

impl Tries {
    /// Of a run that works in that namespace.
    pub(super) fn new(ports: &Ports, namespace: &str) -> Self {
        Self {
            ports: ports.clone(),
            namespace: namespace.to_owned(),
            history: History::default(),
            dead_lease: None,
            current: None,
        }
    }

    /// The Lease, if somebody else holds it.
    pub(super) async fn lease(&self) -> Option<LeaseSeen> {
        let lease = self.ports.cluster.lease(&self.namespace).await.ok().flatten()?;
        let duration = lease.held_by?.duration;
        Some(LeaseSeen { version: lease.resource_version, duration })
    }

    /// Whoever holds the Lease at that version has ended.
    pub(super) fn presume_dead(&mut self, version: String) {
        self.dead_lease = Some(version);
    }

    /// Takes the holder that is presumed dead off a Lease that was read.
    pub(super) fn forget_the_dead(&self, lease: Option<&mut LeaseFacts>) {
        if let Some(lease) = lease
            && self.dead_lease.as_ref() == Some(&lease.resource_version)
        {
            lease.held_by = None;
        }
    }

    /// The worker of the try that is under way or was the last.
    pub(super) fn worker(&self) -> Option<&RegisterWorker> {
        self.current.as_deref()
    }

    /// A try begins, on what was seen: `worker` makes its worker, knowing what the tries before it made.
    pub(super) fn begin(
        &mut self,
        seen: &Observed,
        worker: impl FnOnce(Ports, Made) -> RegisterWorker,
    ) -> Arc<RegisterWorker> {
        self.history.before.get_or_insert_with(|| seen.clone());
        let worker = worker(self.ports.clone(), self.history.made.clone());
        Arc::clone(self.current.insert(Arc::new(worker)))
    }

    /// A try ended. If there will be no other, what all of them made in the cluster is undone, unless it may have to be
    /// resumed.
    pub(super) async fn ended(&mut self, worker: &RegisterWorker, execution: &Execution<Step>) {
        worker.find_out().await;
        let history = &mut self.history;
        history.done.extend(execution.done.iter().cloned());
        history.made = worker.made();
        history.uncertain |= worker.registration_is_uncertain();
        history.in_doubt.extend(worker.roles_in_doubt());
        history.may_undo = !worker.code_in_cluster();
        if (execution.failure.is_some() || execution.interrupted) && history.may_undo {
            let made = history.made.clone();
            let not_undone = undo(&self.ports, &self.namespace, made, worker.lease()).await;
            history.was_undone(not_undone);
        }
        if let Err(failure) = worker.release_lease().await {
            // It expires by itself; a run from this host takes it at once.
            tracing::debug!("the Lease could not be released: {failure}");
        }
    }

    /// There will be no other try, and the last one gave the Lease back.
    pub(super) async fn abandoned(&mut self) {
        let history = &mut self.history;
        let intent = self.current.as_ref().and_then(|worker| worker.intent());
        let Some(intent) = intent.filter(|_| history.may_undo && !history.made.objects.is_empty()) else {
            return;
        };
        let made = history.made.clone();
        let undone = undo_later(&self.ports, &self.namespace, made, intent).await;
        if let Some(not_undone) = undone {
            history.was_undone(not_undone);
        }
    }

    /// The run is ended at once, in the middle of a try.
    pub(super) fn cut_off(&mut self, done: Vec<(Step, Done)>, in_flight: &[Step]) {
        let history = &mut self.history;
        history.done.extend(done);
        if let Some(worker) = &self.current {
            history.made = worker.made();
            history.uncertain |= worker.registration_is_uncertain();
        }
        history.was_cut_off(in_flight);
    }
}
