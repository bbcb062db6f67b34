//! One Kubernetes cluster without nodes: an API server on a shared etcd, its controllers and its scheduler.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Error, Result, bail, ensure};
use futures::future::select_all;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::assets::{Assets, Program};
use super::authority::Authority;
use super::component::{Component, Process};
use super::credentials::{self, Tokens};
use super::etcd::{CLIENT_SOCKET, Etcd};
use super::kubeconfig::{self, Proof};

/// How long a cluster may take to be ready. It takes about four seconds on two idle cores.
const START: Duration = Duration::from_secs(120);

/// How long the API server may take to answer one question about its readiness.
const ANSWER: Duration = Duration::from_secs(5);

/// How often another port is tried when somebody else took the one that was free a moment ago.
const PORT_ATTEMPTS: usize = 5;

/// Where the addresses of Services come from.
const SERVICE_RANGE: &str = "10.96.0.0/16";

/// The controllers that run: what workloads, their namespaces, access rules and accounts need. Left out is what needs
/// a cloud, volumes or a network that the sandbox does not have, and what would only cost time: with fewer
/// controllers there are fewer watches on two cores.
const CONTROLLERS: [&str; 19] = [
    // Deleting a namespace deletes what is in it; deleting an owner deletes what it owns.
    "namespace-controller",
    "garbage-collector-controller",
    "pod-garbage-collector-controller",
    // The account `default`, token Secrets, and the ConfigMap kube-root-ca.crt that projected tokens come with.
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    // ClusterRoles such as `view` are put together from others.
    "clusterrole-aggregation-controller",
    // Workloads.
    "statefulset-controller",
    "deployment-controller",
    "replicaset-controller",
    "daemonset-controller",
    "job-controller",
    "cronjob-controller",
    "ttl-after-finished-controller",
    "disruption-controller",
    // A new node is tainted by the API server; this takes the taint away when the node is ready.
    "node-lifecycle-controller",
    // Quotas only hold once their usage was counted.
    "resourcequota-controller",
    // What people look at: endpoints and slices of a Service.
    "endpoints-controller",
    "endpointslice-controller",
];

/// What a cluster is to be like. The default is what Kubernetes has by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterOptions {
    /// Its name, which is its context's name in kubeconfigs too. Letters, digits and dashes.
    pub name: String,
    /// Feature gates of the API server to set, such as `ConstrainedImpersonation` to false.
    pub feature_gates: BTreeMap<String, bool>,
    /// Further arguments of kube-apiserver, such as `--disable-admission-plugins=PodSecurity`.
    pub api_server_arguments: Vec<String>,
}

impl ClusterOptions {
    /// Options with everything but the name as Kubernetes has it by default.
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }
}

/// A running cluster. It ends when dropped.
pub struct Cluster {
    name: String,
    server: String,
    directory: PathBuf,
    authority: Authority,
    // The API server first: what is dropped first ends first, and clients without a server only wait.
    components: Vec<Component>,
}

impl Cluster {
    /// Starts a cluster on `etcd`, and waits until its API server is ready and its controllers work. Its files are
    /// below etcd's directory, in one named like the cluster.
    ///
    /// # Errors
    /// A component cannot be started or ends at once (the error has the end of its log), or the cluster is not ready in
    /// time.
    pub async fn start(assets: &Assets, etcd: &Etcd, options: ClusterOptions) -> Result<Self> {
        let ClusterOptions { name, feature_gates, api_server_arguments } = options;
        ensure!(
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            "{name:?} is no name for a cluster: letters, digits and dashes"
        );
        let directory = etcd.directory().join(&name);
        fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
        // Keys and tokens lie here.
        fs::set_permissions(&directory, Permissions::from_mode(0o700))?;

        let authority = Authority::new(&name)?;
        let tokens = Tokens::new();
        credentials::write(&directory, &authority, &tokens)?;
        let cluster = Self { name, server: String::new(), directory, authority, components: Vec::new() };
        let cluster =
            cluster.with_api_server(assets, etcd, &tokens, &feature_gates, &api_server_arguments).await?;
        cluster.with_controllers(assets, etcd, &tokens).await
    }

    /// kube-apiserver cannot tell which port it got, so a port is chosen that was free just before; if somebody else
    /// takes it first, another is tried.
    async fn with_api_server(
        mut self,
        assets: &Assets,
        etcd: &Etcd,
        tokens: &Tokens,
        feature_gates: &BTreeMap<String, bool>,
        arguments: &[String],
    ) -> Result<Self> {
        for attempt in 1.. {
            let port = free_port()?;
            self.server = format!("https://127.0.0.1:{port}");
            self.write_kubeconfig("admin.kubeconfig", "admin", &Proof::Token(&tokens.admin))?;
            let mut command = assets.supervised(Program::KubeApiserver);
            command
                .current_dir(etcd.directory())
                .args(api_server_flags(&self.name, &self.directory, port))
                .args(feature_gates.iter().map(|(gate, on)| format!("--feature-gates={gate}={on}")))
                .args(arguments);
            let component = self.component(Program::KubeApiserver, command)?;
            match self.api_server_ready(&component).await {
                Ok(()) => {
                    self.components.push(component);
                    break;
                }
                Err(error)
                    if attempt < PORT_ATTEMPTS && format!("{error}").contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self)
    }

    async fn with_controllers(mut self, assets: &Assets, etcd: &Etcd, tokens: &Tokens) -> Result<Self> {
        let file = |name: &str| self.directory.join(name).into_os_string();
        self.write_kubeconfig("controllers.kubeconfig", "controllers", &Proof::Token(&tokens.controllers))?;
        let mut command = assets.supervised(Program::KubeControllerManager);
        command
            .current_dir(etcd.directory())
            .arg("--kubeconfig")
            .arg(file("controllers.kubeconfig"))
            .arg("--service-account-private-key-file")
            .arg(file("service-accounts.key"))
            .arg("--root-ca-file")
            .arg(file("authority.crt"))
            .args(["--use-service-account-credentials", "--leader-elect=false", "--secure-port=0"])
            // The defaults are for a shared, large cluster: with them cleaning a namespace takes seconds.
            .args(["--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-namespace-syncs=20"])
            .arg(format!("--controllers={}", CONTROLLERS.join(",")));
        let controllers = self.component(Program::KubeControllerManager, command)?;

        self.write_kubeconfig("scheduler.kubeconfig", "scheduler", &Proof::Token(&tokens.scheduler))?;
        let mut command = assets.supervised(Program::KubeScheduler);
        command
            .current_dir(etcd.directory())
            .arg("--kubeconfig")
            .arg(file("scheduler.kubeconfig"))
            .args(["--leader-elect=false", "--secure-port=0"]);
        let scheduler = self.component(Program::KubeScheduler, command)?;

        self.components.extend([controllers, scheduler]);
        self.controllers_ready().await?;
        Ok(self)
    }

    fn component(&self, program: Program, command: Command) -> Result<Component> {
        let log = self.directory.join(format!("{}.log", program.name()));
        Component::start(format!("{} of {}", program.name(), self.name), command, log)
    }

    async fn api_server_ready(&self, component: &Component) -> Result<()> {
        let client = self.client().await?;
        let deadline = Instant::now() + START;
        loop {
            if let Some(failure) = component.failure() {
                return Err(failure);
            }
            let request = http::Request::get("/readyz").body(Vec::new())?;
            // Neither an error nor a late answer says anything but that it is not ready.
            if let Ok(Ok(answer)) = timeout(ANSWER, client.request_text(request)).await
                && answer == "ok"
            {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{} is not ready after {} s", component.process().name, START.as_secs());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The controller manager serves no readiness (it has no port); that it made the account `default` shows it.
    async fn controllers_ready(&self) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, "default");
        let deadline = Instant::now() + START;
        loop {
            if let Some(failure) = self.components.iter().find_map(Component::failure) {
                return Err(failure);
            }
            if let Ok(Ok(Some(_))) = timeout(ANSWER, accounts.get_opt("default")).await {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("the controllers of {} do not work after {} s", self.name, START.as_secs());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL of its API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A kubeconfig of a user who may do everything (group `system:masters`). It has the authority's certificate, so
    /// clients verify the server.
    pub fn kubeconfig(&self) -> PathBuf {
        self.directory.join("admin.kubeconfig")
    }

    /// A kubeconfig of another user, who has only the rights that RBAC gives to this name, to the group if one is given,
    /// and to `system:authenticated`. The user proves who they are with a client certificate.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn kubeconfig_for(&self, user: &str, group: Option<&str>) -> Result<PathBuf> {
        let credential = self.authority.user(user, group)?;
        let file = format!("{}.kubeconfig", Uuid::new_v4());
        self.write_kubeconfig(&file, user, &Proof::Certificate(&credential))
    }

    fn write_kubeconfig(&self, file: &str, user: &str, proof: &Proof<'_>) -> Result<PathBuf> {
        let path = self.directory.join(file);
        kubeconfig::write(&path, &self.name, &self.server, &self.authority.certificate(), user, proof)?;
        Ok(path)
    }

    /// The API server's certificate and its key, both PEM, for somebody who stands in front of it: clients cannot tell
    /// the two apart.
    pub(crate) fn certificate(&self) -> Result<(Vec<u8>, Vec<u8>)> {
        let read = |name: &str| {
            let path = self.directory.join(name);
            fs::read(&path).with_context(|| format!("could not read {}", path.display()))
        };
        Ok((read("server.crt")?, read("server.key")?))
    }

    /// A client that may do everything. It belongs to the runtime that it is made in.
    ///
    /// # Errors
    /// The kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        client(&self.kubeconfig()).await
    }

    /// Its processes.
    pub fn processes(&self) -> Vec<Process> {
        self.components.iter().map(|component| component.process().clone()).collect()
    }

    /// Why it is broken: a component ended without being asked.
    pub fn failure(&self) -> Option<Error> {
        self.components.iter().find_map(Component::failure)
    }

    /// Waits until a component ended without being asked, and says why.
    pub async fn failed(&self) -> Error {
        select_all(self.components.iter().map(|component| Box::pin(component.failed()))).await.0
    }

    /// Ends it and waits until its processes are gone. Dropping it ends it too, without waiting.
    pub async fn stop(self) {
        for component in self.components {
            component.stop().await;
        }
    }
}

/// A client for the current context of a kubeconfig. Nothing in the world is reached through a proxy, whatever the
/// environment says.
pub(crate) async fn client(kubeconfig: &Path) -> Result<Client> {
    let read = || format!("could not use {}", kubeconfig.display());
    let file = Kubeconfig::read_from(kubeconfig).with_context(read)?;
    let mut config =
        Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.with_context(read)?;
    config.proxy_url = None;
    Client::try_from(config).with_context(read)
}

fn api_server_flags(name: &str, directory: &Path, port: u16) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    [
        ("etcd-servers", format!("unix://{CLIENT_SOCKET}")),
        ("etcd-prefix", format!("/{name}")),
        ("bind-address", Ipv4Addr::LOCALHOST.to_string()),
        ("secure-port", port.to_string()),
        ("tls-cert-file", file("server.crt")),
        ("tls-private-key-file", file("server.key")),
        ("client-ca-file", file("authority.crt")),
        ("token-auth-file", file("tokens.csv")),
        ("authorization-mode", "Node,RBAC".to_owned()),
        ("allow-privileged", "true".to_owned()),
        ("service-account-issuer", "https://kubernetes.default.svc.cluster.local".to_owned()),
        ("service-account-key-file", file("service-accounts.pub")),
        ("service-account-signing-key-file", file("service-accounts.key")),
        ("service-cluster-ip-range", SERVICE_RANGE.to_owned()),
        // An address of loopback may not be in the endpoints of the Service `kubernetes`, and the machine may have no
        // other: there are no endpoints then. Nothing in the world routes to a Service.
        ("advertise-address", Ipv4Addr::LOCALHOST.to_string()),
        ("endpoint-reconciler-type", "none".to_owned()),
        // Where logs of pods are fetched from. A node's host name would have to be resolved.
        ("kubelet-preferred-address-types", "InternalIP".to_owned()),
    ]
    .into_iter()
    .map(|(flag, value)| format!("--{flag}={value}"))
    .collect()
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
    Ok(listener.local_addr()?.port())
}
