//! The world from the command line: up, used, down, and gone whenever its process is.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use eksconnect_sandbox::Progress;
use eksconnect_sandbox::aws::control::Client;
use eksconnect_sandbox::controlplane::Assets;
use serde_json::Value;

/// Everything here is bounded by this, generously: a world starts in a few seconds on an idle machine.
const BOUND: Duration = Duration::from_secs(120);

/// A directory of a test, whose world has nothing to do with one that a person runs.
struct Sandbox(tempfile::TempDir);

impl Sandbox {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn directory(&self) -> std::path::PathBuf {
        self.0.path().join("world")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eksconnect-sandbox"));
        command.args(arguments).arg("--directory").arg(self.directory()).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command printed that succeeded.
    fn shown(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn status(&self) -> Option<Value> {
        let output = self.run(&["status", "--json"]);
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// What a person's shell has after `eval "$(cargo sandbox env)"`, for the programs that it starts.
    fn in_shell(&self, line: &str) -> Output {
        Command::new("/bin/sh")
            .args(["-c", &format!("{}\n{line}", self.shown(&["env"]))])
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            // kubectl keeps a cache there.
            .env("HOME", self.0.path())
            // Left over from before, and in the way.
            .env("AWS_PROFILE", "another")
            .output()
            .unwrap()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // A test that fails must not leave its world behind.
        drop(self.run(&["down"]));
    }
}

/// Waits for a condition.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn pids(status: &Value) -> Vec<u64> {
    let processes = status["processes"].as_array().unwrap();
    processes.iter().map(|process| process["pid"].as_u64().unwrap()).collect()
}

/// The processes whose working directory is below this one, whoever started them. One that has ended has none.
fn processes_below(directory: &Path) -> Vec<u64> {
    let entries = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap());
    let below = entries.filter(|entry| {
        std::fs::read_link(entry.path().join("cwd")).is_ok_and(|current| current.starts_with(directory))
    });
    below.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn up(sandbox: &Sandbox, mut command: Command) -> (Child, Value) {
    let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut status = None;
    until("the world is up", || {
        status = sandbox.status();
        status.is_some()
    });
    (child, status.unwrap())
}

#[test]
fn a_world_is_used_from_another_shell_and_ended() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["status"]).status.code(), Some(1));
    let refused = sandbox.run(&["env"]);
    assert!(
        String::from_utf8_lossy(&refused.stderr)
            .contains("no world is up: start one with `cargo sandbox up`")
    );

    let shown = sandbox.shown(&["up", "--detach", "--region", "eu-central-1"]);
    assert!(shown.contains("Region eu-central-1") && shown.contains("sandbox-1-node-2"), "{shown}");

    let second = sandbox.run(&["up"]);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(said.contains("a world is up already") && said.contains("cargo sandbox down"), "{said}");

    let nodes = sandbox.in_shell("kubectl get nodes --output name && echo $AWS_REGION ${AWS_PROFILE-none}");
    assert_eq!(
        String::from_utf8_lossy(&nodes.stdout),
        "node/sandbox-1-node-1\nnode/sandbox-1-node-2\neu-central-1 none\n",
        "{}",
        String::from_utf8_lossy(&nodes.stderr)
    );

    assert_eq!(sandbox.shown(&["down"]), "The world is gone\n");
    assert_eq!(processes_below(&sandbox.directory()), [0; 0], "its processes are gone when it says so");
    assert_eq!(sandbox.shown(&["down"]), "No world is up\n");
    assert!(!sandbox.directory().exists());
}

#[test]
fn nothing_outlives_a_world_that_is_killed() {
    let sandbox = Sandbox::new();
    killed(&sandbox, sandbox.command(&["up"]));
    // The file that it left is known to be of a dead world, and in nobody's way.
    assert!(sandbox.status().is_none());
    let (mut next, _) = up(&sandbox, sandbox.command(&["up"]));
    assert_eq!(sandbox.shown(&["down"]), "The world is gone\n");
    assert!(next.wait().unwrap().success());
}

/// Binaries that know nothing of the sandbox are watched over by a shell. Ours stands for them: called by their names,
/// and without being told to end with its standard input.
#[test]
fn nothing_of_separate_binaries_outlives_a_world_that_is_killed() {
    let sandbox = Sandbox::new();
    let binary = Assets::find(&Progress::stderr()).unwrap().kubectl().0;
    let binaries = sandbox.0.path().join("binaries");
    std::fs::create_dir(&binaries).unwrap();
    for name in ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"] {
        std::os::unix::fs::symlink(&binary, binaries.join(name)).unwrap();
    }
    let mut command = sandbox.command(&["up"]);
    command.env_remove("SANDBOX_CONTROLPLANE").env("KUBEBUILDER_ASSETS", &binaries);
    killed(&sandbox, command);
}

/// Brings a world up, kills it, and waits until nothing of it runs.
fn killed(sandbox: &Sandbox, command: Command) {
    let (mut world, status) = up(sandbox, command);
    let all = processes_below(&sandbox.directory());
    let missing: Vec<_> = pids(&status).into_iter().filter(|pid| !all.contains(pid)).collect();
    assert!(all.len() >= 4 && missing.is_empty(), "{all:?} are not all of {status}");
    // SIGKILL: it cannot do anything about its children any more.
    world.kill().unwrap();
    world.wait().unwrap();
    until("its processes are gone", || processes_below(&sandbox.directory()).is_empty());
}

#[test]
fn a_world_ends_with_an_error_when_a_part_of_it_does() {
    let sandbox = Sandbox::new();
    let output = sandbox.0.path().join("output");
    let file = std::fs::File::create(&output).unwrap();
    let mut world = sandbox.command(&["up"]).stdout(Stdio::null()).stderr(file).spawn().unwrap();
    until("the world is up", || sandbox.status().is_some());
    let etcd = pids(&sandbox.status().unwrap())[0].to_string();
    assert!(Command::new("/bin/sh").args(["-c", "kill -9 \"$1\"", "sh", &etcd]).status().unwrap().success());
    assert_eq!(world.wait().unwrap().code(), Some(1));
    let said = std::fs::read_to_string(output).unwrap();
    assert!(said.contains("the world broke: etcd ended") && said.contains("The end of its log"), "{said}");
}

/// The knobs, each seen in what it changes.
#[tokio::test]
async fn the_knobs_reach_aws() {
    let sandbox = Sandbox::new();
    sandbox.shown(&["up", "--detach"]);
    let before: jiff::Timestamp = sandbox.shown(&["clock"]).trim().parse().unwrap();
    let after: jiff::Timestamp = sandbox.shown(&["clock", "86400"]).trim().parse().unwrap();
    assert!(after.as_second() - before.as_second() >= 86400);

    assert!(sandbox.shown(&["latency", "70", "--service", "eks"]).contains("70 ms  eks any"));
    sandbox.shown(&[
        "fault",
        "add",
        "--operation",
        "CreateRole",
        "--error",
        "503:ServiceFailure",
        "--times",
        "2",
    ]);
    assert_eq!(
        sandbox.shown(&["fault", "list"]).trim(),
        "1  any CreateRole: 503 ServiceFailure, from call 1, 2 times; struck 0"
    );
    sandbox.shown(&["fault", "clear", "1"]);
    assert_eq!(sandbox.shown(&["fault", "list"]), "");
    let wrong = sandbox.run(&["fault", "add", "--error", "200:Fine"]);
    assert_eq!(wrong.status.code(), Some(2));

    sandbox.shown(&["propagation", "--role", "1234"]);
    sandbox.shown(&["quota", "3"]);
    sandbox.shown(&["expiry", "60"]);
    let endpoint = sandbox.status().unwrap()["awsEndpoint"].as_str().unwrap().to_owned();
    let state = Client::new(&endpoint).dump(None).await.unwrap().to_string();
    for setting in ["iam_propagation_ms\":1234", "registered_clusters\":3", "activation_expiry_seconds\":60"]
    {
        assert!(state.contains(setting), "{state} lacks {setting}");
    }

    let policy = sandbox.0.path().join("policy.json");
    std::fs::write(
        &policy,
        r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"eks:List*","Resource":"*"}}"#,
    )
    .unwrap();
    let exports = sandbox.shown(&["access", "--user", "ci", "--policy", policy.to_str().unwrap()]);
    let exports: BTreeMap<_, _> =
        exports.lines().filter_map(|line| line.strip_prefix("export ")?.split_once('=')).collect();
    assert!(exports.contains_key("AWS_ACCESS_KEY_ID") && exports.contains_key("AWS_SECRET_ACCESS_KEY"));

    let log = sandbox.shown(&["log"]);
    assert!(log.starts_with("    #  TIME"), "{log}");
}
