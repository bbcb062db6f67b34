//! Where the cases run: a world with a slow line to it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::by_hand;
use super::case::Case;
use crate::aws::control::{Latency, Selector};
use crate::calls::{self, AUDIT_POLICY, Call, PERSON, SERVICES};
use crate::delay::Relay;
use crate::pool::{Lease, LeaseOptions, lease};
use crate::world::SiteSpec;

/// What is registered.
pub(super) const NAME: &str = "onprem1";

/// A run of a case.
pub(super) struct Measured {
    /// From the start of its first program to the end of its last.
    pub(super) wall: Duration,
    /// When it began.
    pub(super) began: jiff::Timestamp,
    /// Its calls, in the order of their beginning.
    pub(super) calls: Vec<Call>,
    /// How many TCP connections to the cluster it opened.
    pub(super) connections: usize,
}

/// A cluster and an account, and how a person reaches them.
pub(super) struct Stage {
    lease: Lease,
    directory: PathBuf,
    audit: PathBuf,
    /// A kubeconfig without a relay.
    kubeconfig: String,
    binary: PathBuf,
    aws_cli: Option<PathBuf>,
    /// Whether [`NAME`] is registered in the lease.
    registered: bool,
    homes: u32,
}

impl Stage {
    /// Starts a world. Its files that are not the world's own are in `directory`.
    pub(super) async fn new(directory: &Path, binary: PathBuf, aws_cli: Option<PathBuf>) -> Result<Self> {
        let (policy, audit) = (directory.join("audit-policy.yaml"), directory.join("audit.log"));
        fs::write(&policy, AUDIT_POLICY).with_context(|| format!("could not write {}", policy.display()))?;
        let site = SiteSpec {
            api_server_arguments: vec![
                format!("--audit-policy-file={}", policy.display()),
                format!("--audit-log-path={}", audit.display()),
            ],
            ..SiteSpec::default()
        };
        let lease = lease(LeaseOptions { site, ..LeaseOptions::default() }).await?;
        // A user of its own, so that the audit log tells what the person asked for from what the nodes did.
        let kubeconfig = lease.cluster().kubeconfig_for(PERSON, Some("system:masters"))?;
        let kubeconfig = fs::read_to_string(&kubeconfig)
            .with_context(|| format!("could not read {}", kubeconfig.display()))?;
        Ok(Self {
            lease,
            directory: directory.to_owned(),
            audit,
            kubeconfig,
            binary,
            aws_cli,
            registered: false,
            homes: 0,
        })
    }

    /// Runs a case once and measures it. What it needs before it is not measured, nor delayed.
    pub(super) async fn measure(&mut self, case: Case, latency: Duration) -> Result<Measured> {
        match case {
            Case::RegisterFresh | Case::AwsCliAndKubectl => {
                self.lease.start_over().await?;
                self.registered = false;
            }
            Case::RegisterAgain | Case::GrantView if !self.registered => {
                self.lease.start_over().await?;
                self.person(Duration::ZERO).await?.register().await?;
                self.registered = true;
            }
            Case::RegisterAgain => {}
            // As if nobody had been granted anything.
            Case::GrantView => {
                let viewer = self.viewer();
                let person = self.person(Duration::ZERO).await?;
                person.run(&person.binary, &["revoke-view", "--principal", &viewer], "").await?;
            }
        }
        self.delay_aws(latency).await?;
        let person = self.person(latency).await?;
        let aws = self.lease.aws();
        let logged = aws.log(0, None).await?.last().map_or(0, |entry| entry.sequence);
        let audited = fs::metadata(&self.audit).map_or(0, |file| file.len());

        let began = jiff::Timestamp::now();
        let clock = Instant::now();
        match case {
            Case::RegisterFresh | Case::RegisterAgain => person.register().await?,
            Case::GrantView => {
                let viewer = self.viewer();
                person.run(&person.binary, &["grant-view", "--principal", &viewer], "").await?;
            }
            Case::AwsCliAndKubectl => by_hand::connect(&person, self.lease.region()).await?,
        }
        let wall = clock.elapsed();

        let connections = person.relay.connections();
        drop(person);
        self.delay_aws(Duration::ZERO).await?;
        self.registered = true;
        let mut calls = calls::of_aws(&aws.log(logged, Some(&self.lease.account().id)).await?)?;
        calls.extend(calls::of_cluster(&self.audited_since(audited)?, latency)?);
        calls.sort_by_key(|call| call.began);
        Ok(Measured { wall, began, calls, connections })
    }

    /// A role that exists wherever a cluster is registered.
    fn viewer(&self) -> String {
        format!("arn:aws:iam::{}:role/AmazonEKSConnectorAgentRole", self.lease.account().id)
    }

    /// Delays what a person's tools call, and not what the agents call.
    async fn delay_aws(&self, latency: Duration) -> Result<()> {
        let milliseconds = u64::try_from(latency.as_millis())?;
        for service in SERVICES {
            let selector = Selector { service: Some(service.to_owned()), ..Selector::default() };
            self.lease.aws().set_latency(Latency { selector, milliseconds }).await?;
        }
        Ok(())
    }

    /// What the audit log has after so many bytes.
    fn audited_since(&self, bytes: u64) -> Result<String> {
        let mut text = String::new();
        let mut read = || {
            let mut file = fs::File::open(&self.audit)?;
            file.seek(SeekFrom::Start(bytes))?;
            file.read_to_string(&mut text)
        };
        read().with_context(|| format!("could not read {}", self.audit.display()))?;
        Ok(text)
    }

    /// A person with an empty home directory, behind a relay of this latency.
    async fn person(&mut self, latency: Duration) -> Result<Person> {
        let server = self.lease.cluster().server();
        let target: SocketAddr = server
            .strip_prefix("https://")
            .and_then(|address| address.parse().ok())
            .with_context(|| format!("{server} is not the address of an API server on loopback"))?;
        let relay = Relay::start(target, latency).await?;
        self.homes += 1;
        let home = self.directory.join(format!("home-{}", self.homes));
        fs::create_dir_all(&home).with_context(|| format!("could not make {}", home.display()))?;
        let kubeconfig = home.join("kubeconfig");
        // The relay is on the same address as the server, which its certificate names.
        let text = self.kubeconfig.replace(server, &format!("https://{}", relay.address()));
        fs::write(&kubeconfig, text).with_context(|| format!("could not write {}", kubeconfig.display()))?;
        fs::set_permissions(&kubeconfig, Permissions::from_mode(0o600))?;

        let mut environment = self.lease.env();
        if let (Some(bin), Some(path)) = (&self.aws_cli, environment.get_mut("PATH")) {
            *path = format!("{}:{path}", bin.display());
        }
        // Version 1 of the AWS CLI, the one that PyPI has, knows no other.
        environment.insert("AWS_DEFAULT_REGION".to_owned(), self.lease.region().to_owned());
        environment.insert("KUBECONFIG".to_owned(), kubeconfig.display().to_string());
        environment.insert("HOME".to_owned(), home.display().to_string());
        Ok(Person { relay, home, environment, binary: self.binary.clone() })
    }
}

/// Somebody at a shell.
pub(super) struct Person {
    relay: Relay,
    home: PathBuf,
    environment: BTreeMap<String, String>,
    binary: PathBuf,
}

impl Person {
    /// A directory of their own.
    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    async fn register(&self) -> Result<()> {
        self.run(&self.binary, &["register", "--name", NAME], "").await?;
        Ok(())
    }

    /// Runs a program that must succeed, and gives what it printed.
    pub(super) async fn run(&self, program: &Path, arguments: &[&str], input: &str) -> Result<String> {
        let said = format!("{} {}", program.display(), arguments.join(" "));
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.home)
            .stdin(if input.is_empty() { Stdio::null() } else { Stdio::piped() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("could not run {said}"))?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends before it has read everything says why.
            drop(stdin.write_all(input.as_bytes()).await);
        }
        let output = child.wait_with_output().await?;
        ensure!(
            output.status.success(),
            "`{said}` failed ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        String::from_utf8(output.stdout).with_context(|| format!("`{said}` printed what is no text"))
    }
}
