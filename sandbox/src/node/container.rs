//! One container's life: image, configuration, run, restart.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use k8s_openapi::{
    api::core::v1::{Container, ContainerStateTerminated, Pod},
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};
use kube::ResourceExt;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    environment,
    images::{self, Keyring, Pulled, Reference},
    pod::PodRun,
    pod_text,
    runtime::{Files, PodIdentity, Process},
    status::{Role, State},
    volumes::Volumes,
};

/// How a container came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// It ended with code 0 and is not restarted.
    Succeeded,
    /// It failed and is not restarted.
    Failed,
    /// It was told to end.
    Stopped,
}

/// The container was told to end while something was waited for.
struct Stopped;

/// A supervisor of one container.
pub(super) struct Supervisor<'a> {
    pub(super) run: &'a PodRun,
    pub(super) container: &'a Container,
    pub(super) role: Role,
    /// The container shall end.
    pub(super) stop: CancellationToken,
}

impl Supervisor<'_> {
    /// Runs the container until it is done or the pod is deleted.
    pub(super) async fn supervise(&self) -> Finish {
        self.restart_as_needed().await.unwrap_or(Finish::Stopped)
    }

    async fn restart_as_needed(&self) -> Result<Finish, Stopped> {
        let speed = self.run.kubelet.speed;
        // The first restart is immediate; the back-off begins with the second.
        let mut back_off: Option<Duration> = None;
        loop {
            let begun = Instant::now();
            let code = self.run_once().await?;
            if let Some(finish) = self.is_done(code) {
                return Ok(finish);
            }
            if begun.elapsed() > speed.back_off_cap * 2 {
                back_off = None;
            }
            if let Some(pause) = back_off {
                let pod = self.run.pod();
                let (name, pod_text) = (&self.container.name, pod_text(&pod));
                self.warn(
                    "BackOff",
                    format!("Back-off restarting failed container {name} in pod {pod_text}"),
                );
                self.run.board.change(name, |record| {
                    if let State::Terminated(ended) = &record.state {
                        record.last = Some(ended.clone());
                    }
                    record.state = State::Waiting {
                        reason: "CrashLoopBackOff",
                        message: format!(
                            "back-off {pause:?} restarting failed container={name} pod={pod_text}"
                        ),
                    };
                });
                self.sleep(pause).await?;
            }
            back_off = Some(back_off.map_or(speed.back_off, |pause| (pause * 2).min(speed.back_off_cap)));
        }
    }

    /// Whether the restart policy lets it rest.
    fn is_done(&self, code: i32) -> Option<Finish> {
        let pod = self.run.pod();
        let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
        let finish = if code == 0 { Finish::Succeeded } else { Finish::Failed };
        let rests = match self.role {
            Role::Init => code == 0 || policy == "Never",
            Role::Sidecar => false,
            Role::Main => policy == "Never" || (policy == "OnFailure" && code == 0),
        };
        rests.then_some(finish)
    }

    /// Creates and runs the container once; gives its exit code.
    async fn run_once(&self) -> Result<i32, Stopped> {
        let (reference, pulled) = self.obtain_image().await?;
        let process = self.configure(&pulled).await?;
        let container_id = format!("containerd://{0}{0}", Uuid::new_v4().simple());
        let log = process.log.clone();
        self.run.board.change(&self.container.name, |record| {
            if let State::Terminated(ended) = &record.state {
                record.last = Some(ended.clone());
            }
            if record.last.is_some() {
                record.restarts += 1;
            }
            record.image_id = pulled.id(&reference);
            record.container_id = Some(container_id.clone());
        });
        self.note("Created", "Container created");

        let command = &process.arguments;
        let program = command.first().cloned().unwrap_or_default();
        let started_at = Timestamp::now();
        let ended = |code: i32, reason: &str, message: Option<String>| ContainerStateTerminated {
            container_id: Some(container_id.clone()),
            exit_code: code,
            reason: Some(reason.into()),
            message,
            started_at: Some(Time(started_at)),
            finished_at: Some(Time(Timestamp::now())),
            signal: None,
        };
        if !pulled.image.programs.contains(&program.as_str()) {
            let message = format!(
                "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc \
                 create failed: unable to start container process: error during container init: exec: \
                 \"{program}\": executable file not found in $PATH"
            );
            self.warn("Failed", format!("Error: {message}"));
            log.end();
            self.run.board.change(&self.container.name, |record| {
                record.state = State::Terminated(ended(128, "StartError", Some(message)));
            });
            return Ok(128);
        }
        self.note("Started", "Container started");
        self.run.board.change(&self.container.name, |record| {
            record.state = State::Running { since: Time(started_at) };
        });
        let code = if pulled.wrong_architecture(&self.run.kubelet.arch) {
            log.write(format!("exec {program}: exec format error"));
            Ok(255)
        } else {
            let process = Process { arguments: command.iter().skip(1).cloned().collect(), ..process };
            self.execute(pulled, process).await
        };
        log.end();
        let (Ok(code) | Err(code)) = code;
        self.run.board.change(&self.container.name, |record| {
            let reason = if code == 0 { "Completed" } else { "Error" };
            record.state = State::Terminated(ended(code, reason, None));
        });
        if self.stop.is_cancelled() { Err(Stopped) } else { Ok(code) }
    }

    /// Runs the image's behaviour. `Err` is the exit code of one that was told to end.
    async fn execute(&self, pulled: Pulled, process: Process) -> Result<i32, i32> {
        let stop = process.stop.clone();
        let mut behaviour = (pulled.image.behaviour)(process);
        tokio::select! {
            code = &mut behaviour => return Ok(code),
            () = self.stop.cancelled() => {}
        }
        self.note("Killing", format!("Stopping container {}", self.container.name));
        stop.cancel();
        let grace = self.run.grace_period();
        // SIGKILL gives 137.
        Err(tokio::time::timeout(grace, behaviour).await.unwrap_or(137))
    }

    /// Gets the image, by the pull policy, with back-off.
    async fn obtain_image(&self) -> Result<(Reference, Pulled), Stopped> {
        let kubelet = &self.run.kubelet;
        let speed = kubelet.speed;
        let image = self.container.image.as_deref().unwrap_or_default();
        let mut pause = speed.back_off;
        let Some(reference) = Reference::parse(image) else {
            let message = format!(
                "Failed to apply default image tag \"{image}\": couldn't parse image name \"{image}\": invalid \
                 reference format"
            );
            loop {
                self.warn("InspectFailed", message.clone());
                self.wait("InvalidImageName", message.clone());
                self.sleep(speed.back_off_cap).await?;
            }
        };
        loop {
            let policy = self.container.image_pull_policy.as_deref().unwrap_or("IfNotPresent");
            let keyring = Keyring::of(kubelet, &self.run.pod()).await;
            let resolved = images::resolve(&reference, &kubelet.arch, &keyring);
            if policy != "Always"
                && kubelet.images.has(&reference)
                && let Ok(pulled) = resolved
            {
                self.note(
                    "Pulled",
                    format!(
                        "Container image \"{image}\" already present on machine and can be accessed by the pod"
                    ),
                );
                return Ok((reference, pulled));
            }
            if policy == "Never" {
                let message = format!("Container image \"{image}\" is not present with pull policy of Never");
                self.warn("ErrImageNeverPull", message.clone());
                self.warn("Failed", "Error: ErrImageNeverPull".to_owned());
                self.wait("ErrImageNeverPull", message);
                self.sleep(speed.back_off_cap).await?;
                continue;
            }
            self.note("Pulling", format!("Pulling image \"{image}\""));
            let cause = match resolved {
                Ok(pulled) => {
                    kubelet.images.add(&reference);
                    self.note(
                        "Pulled",
                        format!(
                            "Successfully pulled image \"{image}\" in 1ms (1ms including waiting). Image size: \
                             20000000 bytes."
                        ),
                    );
                    return Ok((reference, pulled));
                }
                Err(cause) => cause,
            };
            self.warn("Failed", format!("Failed to pull image \"{image}\": {cause}"));
            self.warn("Failed", "Error: ErrImagePull".to_owned());
            self.wait("ErrImagePull", cause.clone());
            self.sleep(speed.back_off / 2).await?;
            self.note("BackOff", format!("Back-off pulling image \"{image}\""));
            self.warn("Failed", "Error: ImagePullBackOff".to_owned());
            self.wait(
                "ImagePullBackOff",
                format!("Back-off pulling image \"{image}\": ErrImagePull: {cause}"),
            );
            self.sleep(pause).await?;
            pause = (pause * 2).min(speed.back_off_cap);
        }
    }

    /// Resolves environment, command and mounts; waits while something that they need is missing.
    async fn configure(&self, pulled: &Pulled) -> Result<Process, Stopped> {
        loop {
            match self.try_configure(pulled).await {
                Ok(process) => return Ok(process),
                Err(message) => {
                    self.warn("Failed", format!("Error: {message}"));
                    self.wait("CreateContainerConfigError", message);
                }
            }
            self.sleep(self.run.kubelet.speed.retry).await?;
        }
    }

    async fn try_configure(&self, pulled: &Pulled) -> Result<Process, String> {
        let (run, container) = (self.run, self.container);
        let pod = run.pod();
        verify_user(&pod, container, pulled.image.user)?;
        let environment = environment::resolve(&run.kubelet, &pod, container, run.address).await?;
        let mounts = Volumes::mounts(
            &run.volumes(),
            &run.directory.join("subpaths").join(&container.name),
            container,
            &environment,
            &pod,
        )
        .await?;
        let root: PathBuf = run.directory.join("containers").join(&container.name);
        // Each run begins with the image's own root.
        match tokio::fs::remove_dir_all(&root).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.to_string()),
            _ => tokio::fs::create_dir_all(&root).await.map_err(|error| error.to_string())?,
        }
        let read_only = container
            .security_context
            .as_ref()
            .and_then(|context| context.read_only_root_filesystem)
            .unwrap_or(false);
        let identity = PodIdentity {
            uid: pod.uid().unwrap_or_default(),
            namespace: pod.namespace().unwrap_or_default(),
            name: pod.name_any(),
        };
        Ok(Process {
            version: pulled.tag,
            arguments: environment::command_line(
                container,
                pulled.image.entrypoint,
                pulled.image.arguments,
                &environment,
            ),
            environment,
            files: Files::new(root, read_only, mounts),
            log: run.kubelet.logs.open(&identity.namespace, &identity.name, &container.name),
            stop: CancellationToken::new(),
            pod: identity,
            surroundings: run.kubelet.surroundings.clone(),
        })
    }

    fn wait(&self, reason: &'static str, message: String) {
        self.run.board.change(&self.container.name, |record| {
            if let State::Terminated(ended) = &record.state {
                record.last = Some(ended.clone());
            }
            record.state = State::Waiting { reason, message };
        });
    }

    async fn sleep(&self, pause: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stop.cancelled() => Err(Stopped),
        }
    }

    fn field_path(&self) -> Option<String> {
        let list = if self.role == Role::Main { "containers" } else { "initContainers" };
        Some(format!("spec.{list}{{{}}}", self.container.name))
    }

    fn note(&self, reason: &'static str, message: impl Into<String>) {
        self.run.kubelet.events.normal(&self.run.pod(), self.field_path(), reason, message);
    }

    fn warn(&self, reason: &'static str, message: String) {
        self.run.kubelet.events.warning(&self.run.pod(), self.field_path(), reason, message);
    }
}

/// Refuses to run as root what must not.
fn verify_user(pod: &Pod, container: &Container, image_user: i64) -> Result<(), String> {
    let of_pod = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let of_container = container.security_context.as_ref();
    let must = of_container
        .and_then(|context| context.run_as_non_root)
        .or_else(|| of_pod.and_then(|context| context.run_as_non_root));
    let user = of_container
        .and_then(|context| context.run_as_user)
        .or_else(|| of_pod.and_then(|context| context.run_as_user));
    let whom = format!("(pod: \"{}\", container: {})", pod_text(pod), container.name);
    match (must, user) {
        (Some(true), Some(0)) => Err(format!("container's runAsUser breaks non-root policy {whom}")),
        (Some(true), None) if image_user == 0 => {
            Err(format!("container has runAsNonRoot and image will run as root {whom}"))
        }
        _ => Ok(()),
    }
}
