//! One pod's life on the node: volumes, init containers, containers, status, deletion.

use std::{
    net::Ipv4Addr,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::{
    api::core::v1::{Container, Pod, PodStatus},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
};
use serde_json::json;
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use super::{
    Kubelet,
    container::{Finish, Supervisor},
    status::{self, Facts, Record, Role},
    volumes::Volumes,
};

/// States of a pod's containers, shared by those that change and the one that reports them.
pub(super) struct Board {
    records: Mutex<Vec<Record>>,
    changed: Notify,
}

impl Board {
    /// Changes the record of a container.
    pub(super) fn change(&self, container: &str, change: impl FnOnce(&mut Record)) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(record) = records.iter_mut().find(|record| record.name == container) {
            change(record);
        }
        drop(records);
        self.changed.notify_one();
    }

    fn records(&self) -> Vec<Record> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A pod that the node runs.
pub(super) struct PodRun {
    pub(super) kubelet: Arc<Kubelet>,
    pub(super) board: Board,
    /// The pod shall end.
    pub(super) stop: CancellationToken,
    /// The pod's files on the node.
    pub(super) directory: PathBuf,
    /// The pod's address. Nothing listens there.
    pub(super) address: Ipv4Addr,
    updates: watch::Receiver<Arc<Pod>>,
    mounted: AtomicBool,
    finished: AtomicBool,
    started_at: Time,
}

impl PodRun {
    fn new(kubelet: Arc<Kubelet>, updates: watch::Receiver<Arc<Pod>>) -> Self {
        let pod = updates.borrow().clone();
        let spec = pod.spec.clone().unwrap_or_default();
        let init = spec.init_containers.iter().flatten();
        let records = init
            .map(|container| Record::new(container, Role::of_init(container)))
            .chain(spec.containers.iter().map(|container| Record::new(container, Role::Main)))
            .collect();
        Self {
            board: Board { records: Mutex::new(records), changed: Notify::new() },
            stop: CancellationToken::new(),
            directory: directory(&kubelet, &pod),
            address: kubelet.next_address(),
            updates,
            mounted: AtomicBool::new(false),
            finished: AtomicBool::new(false),
            started_at: Time(Timestamp::now()),
            kubelet,
        }
    }

    /// The pod as it is now.
    pub(super) fn pod(&self) -> Arc<Pod> {
        self.updates.borrow().clone()
    }

    /// Directory of the pod's volumes.
    pub(super) fn volumes(&self) -> PathBuf {
        self.directory.join("volumes")
    }

    /// How long its containers may take to end.
    pub(super) fn grace_period(&self) -> Duration {
        let seconds = self.pod().metadata.deletion_grace_period_seconds.unwrap_or(30);
        Duration::from_secs(seconds.unsigned_abs()).min(self.kubelet.speed.grace_cap)
    }

    fn status(&self) -> PodStatus {
        let facts = Facts {
            started_at: self.started_at.clone(),
            address: self.mounted.load(Ordering::Relaxed).then_some(self.address),
            finished: self.finished.load(Ordering::Relaxed),
        };
        status::pod_status(&self.pod(), &self.board.records(), &facts)
    }
}

/// Directory of a pod's files.
pub(super) fn directory(kubelet: &Kubelet, pod: &Pod) -> PathBuf {
    kubelet.work_dir.join("pods").join(pod.uid().unwrap_or_default())
}

/// Runs a pod until it is gone. `updates` has the pod as the API server has it; whoever sends them drops this future
/// when the pod was removed by force.
pub(super) async fn run(kubelet: Arc<Kubelet>, updates: watch::Receiver<Arc<Pod>>) {
    let mut deletion = updates.clone();
    let deleted = async move {
        // It fails only when the node ends, and this future with it.
        if deletion.wait_for(|pod| pod.metadata.deletion_timestamp.is_some()).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let over = {
        let pod = updates.borrow();
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        matches!(phase, Some("Succeeded" | "Failed"))
    };
    if over {
        // Left by an earlier node of this name: it does not run again.
        deleted.await;
        let pod = updates.borrow().clone();
        delete(&kubelet, &pod).await;
        return;
    }
    let run = Arc::new(PodRun::new(kubelet, updates));
    let live = async {
        tokio::join!(containers(run.clone()), async {
            deleted.await;
            run.stop.cancel();
        });
    };
    run.board.changed.notify_one();
    tokio::select! {
        () = live => {}
        () = report(&run) => {}
    }
    run.finished.store(true, Ordering::Relaxed);
    patch(&run, &run.status()).await;
    delete(&run.kubelet, &run.pod()).await;
}

/// Runs the pod's containers; ends when all have ended.
async fn containers(run: Arc<PodRun>) {
    let mut volumes = Volumes::new(run.volumes(), run.address);
    if !mount(&run, &mut volumes).await {
        return;
    }
    run.mounted.store(true, Ordering::Relaxed);
    run.board.changed.notify_one();

    let spec = run.pod().spec.clone().unwrap_or_default();
    let mut beside = JoinSet::new();
    beside.spawn(refresh(run.clone(), volumes));
    let sidecars_stop = run.stop.child_token();
    let mut sidecars = JoinSet::new();
    for container in spec.init_containers.into_iter().flatten() {
        match Role::of_init(&container) {
            Role::Sidecar => {
                sidecars.spawn(supervise(run.clone(), container, Role::Sidecar, sidecars_stop.clone()));
            }
            role => {
                let stop = run.stop.clone();
                if supervise(run.clone(), container, role, stop).await != Finish::Succeeded {
                    sidecars_stop.cancel();
                    sidecars.join_all().await;
                    return;
                }
            }
        }
    }
    let supervised: JoinSet<Finish> = spec
        .containers
        .into_iter()
        .map(|container| supervise(run.clone(), container, Role::Main, run.stop.clone()))
        .collect();
    supervised.join_all().await;
    sidecars_stop.cancel();
    sidecars.join_all().await;
}

async fn supervise(run: Arc<PodRun>, container: Container, role: Role, stop: CancellationToken) -> Finish {
    Supervisor { run: &run, container: &container, role, stop }.supervise().await
}

/// Mounts the volumes, however long that takes; false when the pod was deleted before.
async fn mount(run: &PodRun, volumes: &mut Volumes) -> bool {
    let mut pause = run.kubelet.speed.retry / 2;
    loop {
        let pod = run.pod();
        match volumes.set_up(&run.kubelet, &pod).await {
            Ok(()) => return !run.stop.is_cancelled(),
            Err(error) => run.kubelet.events.warning(&pod, None, "FailedMount", error.message()),
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = run.stop.cancelled() => return false,
        }
        pause = (pause * 2).min(run.kubelet.speed.back_off_cap);
    }
}

/// Keeps mounted Secrets, ConfigMaps and tokens up to date. What is there stays when its source is gone.
async fn refresh(run: Arc<PodRun>, mut volumes: Volumes) {
    loop {
        tokio::time::sleep(run.kubelet.speed.volume_refresh).await;
        let pod = run.pod();
        if let Err(error) = volumes.set_up(&run.kubelet, &pod).await {
            run.kubelet.events.warning(&pod, None, "FailedMount", error.message());
        }
    }
}

/// Reports the pod's status whenever it changes. Never ends.
async fn report(run: &PodRun) {
    let mut reported: Option<PodStatus> = None;
    loop {
        run.board.changed.notified().await;
        let mut status = run.status();
        if let Some(reported) = &reported {
            // The pod that is watched may be older than what was reported last.
            keep_times(&mut status, reported);
        }
        if reported.as_ref() != Some(&status) && patch(run, &status).await {
            reported = Some(status);
        }
    }
}

/// Conditions that did not change keep the time of their change.
fn keep_times(status: &mut PodStatus, reported: &PodStatus) {
    for condition in status.conditions.iter_mut().flatten() {
        let same = reported
            .conditions
            .iter()
            .flatten()
            .find(|other| other.type_ == condition.type_ && other.status == condition.status);
        if let Some(same) = same {
            condition.last_transition_time = same.last_transition_time.clone();
        }
    }
}

/// Writes a status; false when the pod is gone or the status refused. Tries until the API server has answered.
async fn patch(run: &PodRun, status: &PodStatus) -> bool {
    let pod = run.pod();
    let pods: Api<Pod> = Api::namespaced(run.kubelet.client.clone(), &pod.namespace().unwrap_or_default());
    // With the UID a later pod of the same name is never touched.
    let change = json!({ "metadata": { "uid": pod.uid() }, "status": status });
    loop {
        match pods.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(&change)).await {
            Ok(_) => return true,
            Err(kube::Error::Api(status)) if (400..500).contains(&status.code) && status.code != 429 => {
                if !matches!(status.code, 404 | 409) {
                    tracing::error!(message = status.message, pod = pod.name_any(), "pod status refused");
                }
                return false;
            }
            Err(error) => tracing::debug!(%error, pod = pod.name_any(), "pod status not reported"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Removes a pod whose containers have ended. Tries until the API server has answered.
async fn delete(kubelet: &Kubelet, pod: &Pod) {
    let pods: Api<Pod> = Api::namespaced(kubelet.client.clone(), &pod.namespace().unwrap_or_default());
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions { uid: pod.uid(), resource_version: None }),
        ..Default::default()
    };
    loop {
        match pods.delete(&pod.name_any(), &parameters).await {
            Ok(_) => return,
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return,
            Err(error) => tracing::debug!(%error, pod = pod.name_any(), "pod not deleted"),
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
