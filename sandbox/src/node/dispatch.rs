//! Watches the pods that are bound to the node, and has one task a pod.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event},
    },
};
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{Kubelet, pod};

struct Worker {
    updates: watch::Sender<Arc<Pod>>,
    task: AbortHandle,
}

/// Runs until the node ends.
pub(super) async fn run(kubelet: Arc<Kubelet>, stop: CancellationToken) {
    let pods: Api<Pod> = Api::all(kubelet.client.clone());
    let selection = watcher::Config::default().fields(&format!("spec.nodeName={}", kubelet.name));
    let events = watcher::watcher(pods, selection).default_backoff();
    pin_mut!(events);
    let mut dispatcher =
        Dispatcher { kubelet, workers: HashMap::new(), tasks: JoinSet::new(), listed: HashSet::new() };
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            Some(_) = dispatcher.tasks.join_next(), if !dispatcher.tasks.is_empty() => {}
            event = events.next() => match event {
                Some(Ok(event)) => dispatcher.take(event).await,
                Some(Err(error)) => tracing::debug!(%error, "watch of pods interrupted"),
                None => return,
            },
        }
    }
}

struct Dispatcher {
    kubelet: Arc<Kubelet>,
    workers: HashMap<String, Worker>,
    tasks: JoinSet<()>,
    /// Pods of a list that is still coming in.
    listed: HashSet<String>,
}

impl Dispatcher {
    async fn take(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pod) => {
                self.listed.extend(pod.uid());
                self.apply(pod).await;
            }
            Event::InitDone => {
                let gone: Vec<String> =
                    self.workers.keys().filter(|uid| !self.listed.contains(*uid)).cloned().collect();
                for uid in gone {
                    self.remove(&uid).await;
                }
            }
            Event::Apply(pod) => self.apply(pod).await,
            Event::Delete(pod) => {
                if let Some(uid) = pod.uid() {
                    self.remove(&uid).await;
                }
            }
        }
    }

    async fn apply(&mut self, pod: Pod) {
        let Some(uid) = pod.uid() else { return };
        let pod = Arc::new(pod);
        if let Some(worker) = self.workers.get(&uid) {
            worker.updates.send_replace(pod);
            return;
        }
        // A watch may leave out that a pod of this name was deleted before.
        let earlier: Vec<String> = self
            .workers
            .iter()
            .filter(|(_, worker)| {
                let other = worker.updates.borrow();
                (other.name_any(), other.namespace()) == (pod.name_any(), pod.namespace())
            })
            .map(|(uid, _)| uid.clone())
            .collect();
        for uid in earlier {
            self.remove(&uid).await;
        }
        let (updates, receiver) = watch::channel(pod);
        let task = self.tasks.spawn(pod::run(self.kubelet.clone(), receiver));
        self.workers.insert(uid, Worker { updates, task });
    }

    /// The pod is gone: ends what still runs and removes its logs and files.
    async fn remove(&mut self, uid: &str) {
        let Some(worker) = self.workers.remove(uid) else { return };
        worker.task.abort();
        let pod = worker.updates.borrow().clone();
        self.kubelet.logs.forget(&pod.namespace().unwrap_or_default(), &pod.name_any());
        let directory = pod::directory(&self.kubelet, &pod);
        if let Err(error) = tokio::fs::remove_dir_all(&directory).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(%error, directory = %directory.display(), "pod's files not removed");
        }
    }
}
