//! A scene to run eksconnect in: a clean cluster and a fresh account of its own, and what became of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use eksconnect_sandbox::aws::control::{Entry, Fault, FaultKind, Selector, SettingsChange, SettingsPatch};
use eksconnect_sandbox::pool::{self, Lease, LeaseOptions};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Api, Client};
use serde_json::Value;
use tokio::process::Command;

/// Longer than anything takes on a machine that others use too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The default namespace of the connector.
pub(crate) const NAMESPACE: &str = "eks-connector";

pub(crate) struct Scene {
    pub(crate) lease: Lease,
    /// Changes to the environment of the runs: a value, or the absence of one.
    pub(crate) env: BTreeMap<String, Option<String>>,
}

/// What a run said and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(LeaseOptions::default()).await
    }

    pub(crate) async fn with(options: LeaseOptions) -> Self {
        let lease = pool::lease(options).await.expect("a cluster and an account");
        Self { lease, env: BTreeMap::new() }
    }

    /// Two scenes at once.
    pub(crate) async fn two() -> [Self; 2] {
        let leases = pool::lease_together(vec![LeaseOptions::default(); 2]).await.expect("two clusters");
        let mut scenes = leases.into_iter().map(|lease| Self { lease, env: BTreeMap::new() });
        [scenes.next().expect("the first"), scenes.next().expect("the second")]
    }

    /// The binary, in the scene's environment and no other.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eksconnect"));
        command.args(arguments).env_clear().envs(self.environment());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub(crate) fn environment(&self) -> BTreeMap<String, String> {
        let mut environment = self.lease.env();
        for (name, value) in &self.env {
            match value {
                Some(value) => drop(environment.insert(name.clone(), value.clone())),
                None => drop(environment.remove(name)),
            }
        }
        environment
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Run {
        self.run_within(PATIENCE, arguments).await
    }

    /// As [`Self::run`], for a run that shares the machine with many others of its test.
    pub(crate) async fn run_within(&self, limit: Duration, arguments: &[&str]) -> Run {
        let output = self.command(arguments).output();
        let output = tokio::time::timeout(limit, output).await.expect("eksconnect ends").expect("it starts");
        Run {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Runs `register --name onprem1` with more arguments.
    pub(crate) async fn register(&self, more: &[&str]) -> Run {
        let mut arguments = vec!["register", "--name", "onprem1"];
        arguments.extend(more);
        self.run(&arguments).await
    }

    pub(crate) async fn client(&self) -> Client {
        self.lease.client().await.expect("a client")
    }

    /// All that the emulator knows of the account.
    pub(crate) async fn account(&self) -> Value {
        self.lease.aws().dump(Some(&self.lease.account().id)).await.expect("a dump")
    }

    /// The registrations of the scene's Region, by name.
    pub(crate) async fn registrations(&self) -> serde_json::Map<String, Value> {
        let dump = self.account().await;
        let region = &dump["accounts"][&self.lease.account().id]["regions"][self.lease.region()];
        region["registrations"].as_object().cloned().unwrap_or_default()
    }

    /// The calls that the account has made.
    pub(crate) async fn calls(&self) -> Vec<Entry> {
        self.lease.aws().log(0, Some(&self.lease.account().id)).await.expect("a log")
    }

    /// The calls that the account has made since call `since`, by name, without the agents'.
    pub(crate) async fn calls_since(&self, since: u64) -> Vec<String> {
        let entries = self.lease.aws().log(since, Some(&self.lease.account().id)).await.expect("a log");
        entries
            .into_iter()
            .filter(|entry| !entry.service.starts_with("ssm"))
            .map(|entry| format!("{}:{}", entry.service, entry.operation))
            .collect()
    }

    pub(crate) async fn last_call(&self) -> u64 {
        self.calls().await.last().map_or(0, |entry| entry.sequence)
    }

    /// Makes every call of an operation by this account end so, until [`Self::heal`].
    pub(crate) async fn fail(&self, service: &str, operation: &str, kind: FaultKind) {
        let selector = Selector {
            service: Some(service.to_owned()),
            operation: Some(operation.to_owned()),
            account: Some(self.lease.account().id.clone()),
        };
        let fault = Fault { selector, times: None, ..Fault::once(service, operation, kind) };
        self.lease.aws().add_fault(fault).await.expect("a fault");
    }

    /// Makes an operation answer with an error.
    pub(crate) async fn refuse(
        &self,
        service: &str,
        operation: &str,
        status: u16,
        code: &str,
        message: &str,
    ) {
        let kind = FaultKind::Error { status, code: code.to_owned(), message: message.to_owned() };
        self.fail(service, operation, kind).await;
    }

    pub(crate) async fn heal(&self) {
        self.lease.aws().clear_faults(Some(&self.lease.account().id)).await.expect("no faults");
    }

    pub(crate) async fn settings(&self, settings: SettingsPatch) {
        let change =
            SettingsChange { account: Some(self.lease.account().id.clone()), region: None, settings };
        self.lease.aws().change_settings(change).await.expect("settings");
    }

    pub(crate) async fn namespace_exists(&self) -> bool {
        let namespaces: Api<Namespace> = Api::all(self.client().await);
        let found = namespaces.get_opt(NAMESPACE).await.expect("an answer");
        found.is_some_and(|namespace| namespace.metadata.deletion_timestamp.is_none())
    }

    /// What the activation Secret holds.
    pub(crate) async fn activation_value(&self) -> Option<String> {
        let secrets: Api<Secret> = Api::namespaced(self.client().await, NAMESPACE);
        let secret = secrets.get_opt("eks-connector-activation-config").await.expect("an answer")?;
        let value = secret.data?.remove("code")?;
        Some(String::from_utf8(value.0).expect("text"))
    }

    /// A kubeconfig file in the scene's home.
    pub(crate) fn home_file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.lease.home().join(name);
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).expect("a directory");
        }
        std::fs::write(&path, content).expect("a file");
        path
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.env.insert(name.to_owned(), Some(value.to_owned()));
    }

    pub(crate) fn unset(&mut self, name: &str) {
        self.env.insert(name.to_owned(), None);
    }
}

impl Run {
    /// The run ended with `code`; shows all it said if not.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n--- stderr\n{}", self.stdout, self.stderr);
        self
    }

    /// The run failed with an error code and an exit code.
    #[track_caller]
    pub(crate) fn expect_error(self, error: &str, code: i32) -> Self {
        assert!(self.stderr.contains(&format!("error[{error}]")), "no {error}:\n{}", self.stderr);
        self.expect(code)
    }

    /// Standard error says all of these.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.stderr.contains(word), "does not say {word:?}:\n{}", self.stderr);
        }
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout))
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}
