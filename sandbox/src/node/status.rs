//! A pod's status from the states of its containers, by the kubelet's rules.

use std::net::Ipv4Addr;

use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
    jiff::Timestamp,
};

/// What a container is to its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// An init container that goes on beside the main containers (`restartPolicy: Always`).
    Sidecar,
    /// One of the containers that the pod is for.
    Main,
}

impl Role {
    /// The role of an init container.
    pub(super) fn of_init(container: &Container) -> Self {
        if container.restart_policy.as_deref() == Some("Always") { Self::Sidecar } else { Self::Init }
    }
}

/// What is known of one container.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) role: Role,
    pub(super) state: State,
    pub(super) last: Option<ContainerStateTerminated>,
    pub(super) restarts: i32,
    pub(super) image_id: String,
    pub(super) container_id: Option<String>,
}

/// State of a container.
#[derive(Clone, Debug)]
pub(super) enum State {
    /// Nothing has begun: `PodInitializing` or `ContainerCreating`, as the pod is.
    NotBegun,
    /// Something holds it up.
    Waiting { reason: &'static str, message: String },
    /// It runs.
    Running { since: Time },
    /// It ended.
    Terminated(ContainerStateTerminated),
}

impl Record {
    pub(super) fn new(container: &Container, role: Role) -> Self {
        Self {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            role,
            state: State::NotBegun,
            last: None,
            restarts: 0,
            image_id: String::new(),
            container_id: None,
        }
    }

    fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    fn exit_code(&self) -> Option<i32> {
        match &self.state {
            State::Terminated(ended) => Some(ended.exit_code),
            _ => None,
        }
    }

    /// Whether an init container lets the next one start.
    fn is_initialized(&self) -> bool {
        match self.role {
            Role::Init => self.exit_code() == Some(0),
            // It has started once.
            Role::Sidecar => self.is_running() || self.exit_code().is_some() || self.last.is_some(),
            Role::Main => true,
        }
    }

    fn status(&self, has_init: bool) -> ContainerStatus {
        let state = match self.state.clone() {
            State::NotBegun => ContainerState {
                waiting: Some(ContainerStateWaiting {
                    reason: Some(if has_init { "PodInitializing" } else { "ContainerCreating" }.into()),
                    message: None,
                }),
                ..Default::default()
            },
            State::Waiting { reason, message } => ContainerState {
                waiting: Some(ContainerStateWaiting {
                    reason: Some(reason.into()),
                    message: Some(message).filter(|message| !message.is_empty()),
                }),
                ..Default::default()
            },
            State::Running { since } => ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(since) }),
                ..Default::default()
            },
            State::Terminated(ended) => ContainerState { terminated: Some(ended), ..Default::default() },
        };
        let ready = match self.role {
            Role::Init => self.exit_code() == Some(0),
            Role::Sidecar | Role::Main => self.is_running(),
        };
        ContainerStatus {
            name: self.name.clone(),
            image: self.image.clone(),
            image_id: self.image_id.clone(),
            container_id: self.container_id.clone(),
            ready,
            started: Some(self.is_running()),
            restart_count: self.restarts,
            state: Some(state),
            last_state: Some(ContainerState { terminated: self.last.clone(), ..Default::default() }),
            ..Default::default()
        }
    }
}

/// What beside its containers makes up a pod's status.
pub(super) struct Facts {
    pub(super) started_at: Time,
    /// Known once volumes are mounted and the sandbox is there.
    pub(super) address: Option<Ipv4Addr>,
    /// The pod was deleted and all of its containers have ended.
    pub(super) finished: bool,
}

/// The status to report.
pub(super) fn pod_status(pod: &Pod, records: &[Record], facts: &Facts) -> PodStatus {
    let (init, main): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.role != Role::Main);
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
    let phase = if facts.finished { final_phase(&main) } else { phase(policy, &init, &main) };
    let host = "127.0.0.1";
    let statuses = |of: &[&Record]| {
        (!of.is_empty()).then(|| of.iter().map(|record| record.status(!init.is_empty())).collect::<Vec<_>>())
    };
    PodStatus {
        phase: Some(phase.into()),
        observed_generation: pod.metadata.generation,
        start_time: Some(facts.started_at.clone()),
        host_ip: Some(host.into()),
        host_ips: Some(vec![HostIP { ip: host.into() }]),
        pod_ip: facts.address.map(|address| address.to_string()),
        pod_ips: facts.address.map(|address| vec![PodIP { ip: address.to_string() }]),
        conditions: Some(conditions(pod, &init, &main, facts, phase)),
        init_container_statuses: statuses(&init),
        container_statuses: statuses(&main),
        ..Default::default()
    }
}

fn phase(policy: &str, init: &[&Record], main: &[&Record]) -> &'static str {
    let init_failed = init
        .iter()
        .any(|record| record.role == Role::Init && record.exit_code().is_some_and(|code| code != 0));
    if policy == "Never" && init_failed {
        return "Failed";
    }
    let never_ran = |record: &Record| {
        record.last.is_none() && matches!(record.state, State::NotBegun | State::Waiting { .. })
    };
    if !init.iter().all(|record| record.is_initialized()) || main.iter().any(|record| never_ran(record)) {
        return "Pending";
    }
    if main.iter().any(|record| record.is_running()) || policy == "Always" {
        return "Running";
    }
    let codes: Vec<Option<i32>> = main.iter().map(|record| record.exit_code()).collect();
    if codes.iter().all(|code| *code == Some(0)) {
        "Succeeded"
    } else if policy == "Never" && codes.iter().all(Option::is_some) {
        "Failed"
    } else {
        "Running"
    }
}

/// A deleted pod's last phase.
fn final_phase(main: &[&Record]) -> &'static str {
    if main.iter().all(|record| record.exit_code() == Some(0)) { "Succeeded" } else { "Failed" }
}

fn conditions(
    pod: &Pod,
    init: &[&Record],
    main: &[&Record],
    facts: &Facts,
    phase: &str,
) -> Vec<PodCondition> {
    let names = |of: &[&&Record]| of.iter().map(|record| record.name.as_str()).collect::<Vec<_>>().join(" ");
    let incomplete: Vec<_> = init.iter().filter(|record| !record.is_initialized()).collect();
    let unready: Vec<_> = main.iter().filter(|record| !record.is_running()).collect();
    let completed = phase == "Succeeded";
    let initialized = if incomplete.is_empty() || completed {
        (true, completed.then(|| ("PodCompleted", String::new())))
    } else {
        let message = format!("containers with incomplete status: [{}]", names(&incomplete));
        (false, Some(("ContainersNotInitialized", message)))
    };
    let ready = if completed {
        (false, Some(("PodCompleted", String::new())))
    } else if phase == "Failed" {
        (false, Some(("PodFailed", String::new())))
    } else if unready.is_empty() && incomplete.is_empty() {
        (true, None)
    } else {
        let message = format!("containers with unready status: [{}]", names(&unready));
        (false, Some(("ContainersNotReady", message)))
    };
    [
        ("PodReadyToStartContainers", (facts.address.is_some() && !facts.finished, None)),
        ("Initialized", initialized),
        ("Ready", ready.clone()),
        ("ContainersReady", ready),
    ]
    .into_iter()
    .map(|(type_, (holds, why))| condition(pod, type_, holds, why))
    .collect()
}

/// A condition whose time of change is that of the pod's present one while it does not change.
fn condition(pod: &Pod, type_: &str, holds: bool, why: Option<(&str, String)>) -> PodCondition {
    let status = if holds { "True" } else { "False" };
    let since = pod
        .status
        .iter()
        .flat_map(|present| present.conditions.iter().flatten())
        .find(|present| present.type_ == type_ && present.status == status)
        .and_then(|present| present.last_transition_time.clone());
    let (reason, message) = why.unzip();
    PodCondition {
        type_: type_.into(),
        status: status.into(),
        reason: reason.map(str::to_owned),
        message: message.filter(|message| !message.is_empty()),
        last_transition_time: Some(since.unwrap_or_else(|| Time(Timestamp::now()))),
        observed_generation: pod.metadata.generation,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(role: Role, state: State) -> Record {
        Record { state, ..Record::new(&Container { name: "c".into(), ..Default::default() }, role) }
    }

    fn ended(code: i32) -> State {
        State::Terminated(ContainerStateTerminated { exit_code: code, ..Default::default() })
    }

    fn running() -> State {
        State::Running { since: Time(Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn the_phase_follows_the_kubelet() {
        let waiting = State::Waiting { reason: "ImagePullBackOff", message: String::new() };
        let crashed = Record {
            last: Some(ContainerStateTerminated::default()),
            ..record(Role::Main, State::Waiting { reason: "CrashLoopBackOff", message: String::new() })
        };
        for (policy, init, main, expected) in [
            ("Always", None, record(Role::Main, State::NotBegun), "Pending"),
            ("Always", None, record(Role::Main, waiting), "Pending"),
            ("Always", Some(ended(1)), record(Role::Main, State::NotBegun), "Pending"),
            ("Never", Some(ended(1)), record(Role::Main, State::NotBegun), "Failed"),
            ("Always", Some(ended(0)), record(Role::Main, running()), "Running"),
            ("Always", None, crashed.clone(), "Running"),
            ("Always", None, record(Role::Main, ended(0)), "Running"),
            ("OnFailure", None, crashed, "Running"),
            ("OnFailure", None, record(Role::Main, ended(0)), "Succeeded"),
            ("Never", None, record(Role::Main, ended(3)), "Failed"),
        ] {
            let init = init.map(|state| record(Role::Init, state));
            let init: Vec<&Record> = init.iter().collect();
            assert_eq!(phase(policy, &init, &[&main]), expected, "{policy}, {init:?}, {main:?}");
        }
    }
}
