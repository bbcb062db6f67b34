//! What a test holds while it uses a cluster and an account.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use kube::Client;
use kube::core::DynamicObject;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::{Place, Pool, runtime};
use crate::aws::control::{self, Account, AccountSpec};
use crate::controlplane::Cluster;
use crate::node::Node;
use crate::world::SiteSpec;

/// What a test wants to lease.
#[derive(Clone, Debug)]
pub struct LeaseOptions {
    /// What the cluster is to be like.
    pub site: SiteSpec,
    /// The Region in its environment.
    pub region: String,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self { site: SiteSpec::default(), region: "eu-west-1".to_owned() }
    }
}

/// A cluster and an AWS account that nobody else uses. They are given back when it is dropped, by a panic too.
pub struct Lease {
    pool: Arc<Pool>,
    // Always there but while it is dropped.
    held: Option<(Place, OwnedSemaphorePermit)>,
    account: Account,
    region: String,
    directory: PathBuf,
}

impl Lease {
    pub(super) async fn take(
        pool: Arc<Pool>,
        options: LeaseOptions,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self> {
        let account = pool.world.emulator().control().create_account(AccountSpec::default()).await?;
        let directory = pool.workspace.path().join("leases").join(Uuid::new_v4().simple().to_string());
        fs::create_dir_all(directory.join("home"))
            .with_context(|| format!("could not make {}", directory.display()))?;
        let place = pool.place(options.site).await?;
        Ok(Self { pool, held: Some((place, permit)), account, region: options.region, directory })
    }

    fn place(&self) -> &Place {
        #[expect(clippy::expect_used, reason = "it is only taken by drop, after which nobody has the lease")]
        let (place, _) = self.held.as_ref().expect("a lease holds a place");
        place
    }

    /// Makes the cluster like new again and takes a fresh account, for a test that goes through many cases.
    ///
    /// # Errors
    /// The cluster cannot be cleaned: it is broken, or an object of the system is gone.
    pub async fn start_over(&mut self) -> Result<()> {
        self.place().clean().await?;
        self.account = self.aws().create_account(AccountSpec::default()).await?;
        Ok(())
    }

    /// The objects in the cluster that were not there when it was new, with everything that is in them: of every kind
    /// that the API server knows, but for what the system makes by itself.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn surplus(&self) -> Result<Vec<DynamicObject>> {
        self.place().baseline.surplus(&self.client().await?).await
    }

    /// What in the cluster is not as it was when it was new, content included: `Kind namespace/name` for what is there
    /// beyond that, and with `changed` or `gone` before it.
    ///
    /// # Errors
    /// The API server does not answer.
    pub async fn differences(&self) -> Result<Vec<String>> {
        self.place().baseline.differences(&self.client().await?).await
    }

    /// The whole environment for a child process that uses the cluster and the account as a person does.
    pub fn env(&self) -> BTreeMap<String, String> {
        let home = self.home();
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.pool.world.bin().display());
        let mut env = vec![
            ("AWS_ACCESS_KEY_ID", self.account.access_key_id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.account.secret_access_key.clone()),
            ("AWS_REGION", self.region.clone()),
            ("AWS_ENDPOINT_URL", self.pool.world.emulator().endpoint().to_owned()),
            // Never looks for credentials of the machine that the tests run on.
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("KUBECONFIG", self.kubeconfig().display().to_string()),
            ("NO_PROXY", "127.0.0.1,localhost".to_owned()),
            ("HOME", home.display().to_string()),
            ("PATH", path),
        ];
        if let Some(token) = &self.account.session_token {
            env.push(("AWS_SESSION_TOKEN", token.clone()));
        }
        env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// An empty directory that is the home of [`Self::env`].
    pub fn home(&self) -> PathBuf {
        self.directory.join("home")
    }

    /// The cluster's control plane: its URL, kubeconfigs for other users.
    pub fn cluster(&self) -> &Cluster {
        self.place().site.cluster()
    }

    /// The kubeconfig of a user who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.cluster().kubeconfig()
    }

    /// A client that may do everything, for the runtime that this is called in.
    ///
    /// # Errors
    /// The kubeconfig cannot be read.
    pub async fn client(&self) -> Result<Client> {
        self.cluster().client().await
    }

    /// The cluster's nodes.
    pub fn nodes(&self) -> &[Node] {
        self.place().site.nodes()
    }

    /// The AWS account, with the keys of a user who may do everything.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// The Region in its environment.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The endpoint of AWS.
    pub fn endpoint(&self) -> &str {
        self.pool.world.emulator().endpoint()
    }

    /// The knobs of AWS. They are shared: set only what concerns this lease's account.
    pub fn aws(&self) -> control::Client {
        self.pool.world.emulator().control()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (Some((place, permit)), Ok(runtime)) = (self.held.take(), runtime()) else { return };
        let pool = Arc::clone(&self.pool);
        let directory = std::mem::take(&mut self.directory);
        runtime.spawn(async move {
            // What is left is removed with the pool's directory.
            drop(fs::remove_dir_all(directory));
            pool.give_back(place, permit).await;
        });
    }
}
