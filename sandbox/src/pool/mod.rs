//! Clusters and accounts for tests: each test leases its own, and gives them back by dropping the lease.
//!
//! The world starts with the first lease of a process and lives as long as the process: its children end with it. It
//! runs on a runtime of its own, since each test has a short-lived one. Clusters are started when they are asked for
//! and none is free, up to [`CLUSTERS`]; whoever waits is served in the order of asking.

mod cleaning;
mod lease;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use futures::future::try_join_all;
use tokio::runtime::Runtime;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use self::cleaning::Baseline;
pub use self::lease::{Lease, LeaseOptions};
use crate::environment;
use crate::progress::Progress;
use crate::workspace::Workspace;
use crate::world::{Site, SiteSpec, World, WorldOptions};

/// How many clusters a process has at most: on two cores a third lets one be cleaned while two are in use.
pub const CLUSTERS: usize = 3;

static RUNTIME: OnceLock<Runtime> = OnceLock::new();
static POOL: OnceCell<Arc<Pool>> = OnceCell::const_new();

/// Leases a clean cluster with a fresh AWS account. Waits while all clusters are in use.
///
/// Whoever holds a lease and asks for another may wait for ever: see [`lease_together`].
///
/// # Errors
/// The world or the cluster does not start.
pub async fn lease(options: LeaseOptions) -> Result<Lease> {
    let mut leases = lease_together(vec![options]).await?;
    leases.pop().context("no lease")
}

/// Leases several clusters at once, for a test that needs more than one. Each lease has an account of its own too.
///
/// # Errors
/// They are more than [`CLUSTERS`], or the world or a cluster does not start.
pub async fn lease_together(options: Vec<LeaseOptions>) -> Result<Vec<Lease>> {
    ensure!(options.len() <= CLUSTERS, "there are {CLUSTERS} clusters, not {}", options.len());
    let runtime = runtime()?;
    let pool = POOL
        .get_or_try_init(|| async { runtime.spawn(Pool::start()).await?.map(Arc::new) })
        .await
        .context("the world for tests did not start")?;
    let pool = Arc::clone(pool);
    // On the world's runtime: what belongs to the world must not end with the runtime of a test.
    runtime.spawn(Pool::leases(pool, options)).await?
}

fn runtime() -> Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    // Of two that come at once one is kept; the other does nothing yet.
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("world").enable_all().build()?;
    if let Err(unused) = RUNTIME.set(runtime) {
        unused.shutdown_background();
    }
    RUNTIME.get().context("no runtime for the world")
}

/// A cluster of the pool, with what it looked like when it was new.
struct Place {
    spec: SiteSpec,
    site: Site,
    baseline: Baseline,
}

impl Place {
    async fn clean(&self) -> Result<()> {
        if let Some(failure) = self.site.cluster().failure() {
            return Err(failure);
        }
        let client = self.site.cluster().client().await?;
        self.baseline.restore(&client).await
    }
}

/// The clusters that nobody uses, and how many there are in all, these and the others.
#[derive(Default)]
struct Places {
    idle: Vec<Place>,
    existing: usize,
}

struct Pool {
    world: World,
    workspace: Workspace,
    /// One permit for each cluster that may be in use or in cleaning.
    permits: Arc<Semaphore>,
    places: Mutex<Places>,
    named: AtomicUsize,
}

impl Pool {
    async fn start() -> Result<Self> {
        let workspace = Workspace::new(&environment::target_directory().join("sandbox/pool"))?;
        let world = World::start(WorldOptions {
            directory: workspace.path().to_owned(),
            sites: Vec::new(),
            progress: Progress::stderr(),
        })
        .await?;
        Ok(Self {
            world,
            workspace,
            permits: Arc::new(Semaphore::new(CLUSTERS)),
            places: Mutex::default(),
            named: AtomicUsize::new(1),
        })
    }

    async fn leases(pool: Arc<Self>, options: Vec<LeaseOptions>) -> Result<Vec<Lease>> {
        // All or none: with a part of them two tests would wait for each other.
        let mut permits = Arc::clone(&pool.permits).acquire_many_owned(u32::try_from(options.len())?).await?;
        let mut takes = Vec::new();
        for options in options {
            let permit = permits.split(1).context("too few permits")?;
            takes.push(Lease::take(Arc::clone(&pool), options, permit).boxed());
        }
        try_join_all(takes).await
    }

    /// A clean cluster like `spec`: an idle one, else a new one. The caller holds a permit, so one may exist.
    async fn place(&self, spec: SiteSpec) -> Result<Place> {
        let surplus = {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(index) = places.idle.iter().position(|place| place.spec == spec) {
                let place = places.idle.swap_remove(index);
                if place.site.cluster().failure().is_none() {
                    return Ok(place);
                }
                places.existing -= 1;
            }
            places.existing += 1;
            // Not all of them can be in use, since the caller holds a permit: an idle one of another kind makes room.
            if places.existing > CLUSTERS {
                places.existing -= 1;
                places.idle.pop()
            } else {
                None
            }
        };
        if let Some(surplus) = surplus {
            surplus.site.stop().await;
        }
        let started = self.start_place(spec).await;
        if started.is_err() {
            self.forget_place();
        }
        started
    }

    async fn start_place(&self, spec: SiteSpec) -> Result<Place> {
        let name = format!("cluster-{}", self.named.fetch_add(1, Ordering::Relaxed));
        let site = self.world.start_site(&name, &spec).await?;
        let baseline = Baseline::take(&site.cluster().client().await?).await?;
        Ok(Place { spec, site, baseline })
    }

    /// Cleans a cluster that was in use, and only then lets the next one in. One that cannot be cleaned is ended.
    async fn give_back(&self, place: Place, permit: OwnedSemaphorePermit) {
        match place.clean().await {
            Ok(()) => {
                let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
                places.idle.push(place);
            }
            Err(error) => {
                let name = place.site.cluster().name();
                Progress::stderr().say(&format!("{name} could not be cleaned and is replaced: {error:#}"));
                place.site.stop().await;
                self.forget_place();
            }
        }
        drop(permit);
    }

    fn forget_place(&self) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).existing -= 1;
    }
}
