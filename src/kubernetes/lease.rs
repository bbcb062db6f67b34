//! The Lease `eksconnect`: one run at a time, and what it intends. Its holder names host, boot, process and start, so
//! that a dead process of the same host is told at once and another host's by expiry.

use std::fs;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::api::{Content, operation};
use super::client::Connected;
use crate::manifest::{LEASE, ObjectKind, ObjectRef};
use crate::ports::{Failure, FailureKind, HeldLease, Reply, Side};
use crate::registration::observed::{Holder, Intent, LeaseFacts};

const DURATION: Duration = Duration::from_secs(30);
const RENEW_EVERY: Duration = Duration::from_secs(8);
const RENEWAL_TAKES_AT_MOST: Duration = Duration::from_secs(5);

/// This process, as no other process at any time on any host.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    host: String,
    boot: String,
    pid: String,
    start: String,
}

impl Process {
    fn this() -> Self {
        let pid = std::process::id().to_string();
        Self {
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            boot: format!("{}.{}", boot_id(), pid_namespace()),
            start: start_of(&pid).unwrap_or_else(|| "unknown".to_owned()),
            pid,
        }
    }

    fn parse(identity: &str) -> Option<Self> {
        let mut parts = identity.split('/').map(str::to_owned);
        let process =
            Self { host: parts.next()?, boot: parts.next()?, pid: parts.next()?, start: parts.next()? };
        parts.next().is_none().then_some(process)
    }

    fn identity(&self) -> String {
        format!("{}/{}/{}/{}", self.host, self.boot, self.pid, self.start)
    }

    /// Whether this is known to be a process of this host that has ended. Unknown is not dead.
    fn is_dead_here(&self, here: &Self) -> bool {
        let same_boot = self.host == here.host && self.boot == here.boot && !self.boot.contains("unknown");
        same_boot && self.start != "unknown" && start_of(&self.pid).as_deref() != Some(self.start.as_str())
    }
}

fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map_or_else(|_| "unknown".to_owned(), |id| id.trim().to_owned())
}

/// Process ids mean something only within their namespace: a container may share host name and boot, but not these.
fn pid_namespace() -> String {
    fs::read_link("/proc/self/ns/pid")
        .map_or_else(|_| "unknown".to_owned(), |link| link.to_string_lossy().replace('/', ""))
}

/// When a process started, in clock ticks since boot (proc(5), field 22 of `stat`; the second field may hold spaces).
fn start_of(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after_name = stat.rsplit_once(')')?.1;
    after_name.split_whitespace().nth(19).map(str::to_owned)
}

fn reference(namespace: &str) -> ObjectRef {
    ObjectRef::new(ObjectKind::Lease, namespace, LEASE)
}

fn micro_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

/// Reads the facts of a live Lease. Its times are those of the holder's clock: whether a holder on another host lives
/// cannot be told from them.
fn facts(live: &Value, here: &Process) -> LeaseFacts {
    let spec = &live["spec"];
    let identity = spec["holderIdentity"].as_str().unwrap_or_default();
    let seconds = spec["leaseDurationSeconds"].as_u64().unwrap_or(DURATION.as_secs());
    let process = Process::parse(identity);
    let dead = process.as_ref().is_some_and(|process| process.is_dead_here(here) || process == here);
    let held_by = (!identity.is_empty() && !dead).then(|| Holder {
        who: process.map_or_else(|| identity.to_owned(), |p| format!("host {}, process {}", p.host, p.pid)),
        duration: Duration::from_secs(seconds),
    });
    let annotation = |key: &str| live["metadata"]["annotations"][key].as_str().map(str::to_owned);
    let intent = || {
        Some(Intent {
            cluster_arn: annotation("eksconnect/cluster-arn")?,
            role: annotation("eksconnect/role")?,
            provider: annotation("eksconnect/provider")?,
            request_token: annotation("eksconnect/request-token")?,
            cluster_uid: annotation("eksconnect/cluster-uid")?,
            started_at: annotation("eksconnect/started-at")?.parse().ok()?,
        })
    };
    LeaseFacts {
        resource_version: live["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned(),
        held_by,
        intent: intent(),
        renewed_at: spec["renewTime"].as_str().and_then(|time| time.parse().ok()),
    }
}

fn body(namespace: &str, holder: &str, intent: &Intent, version: Option<&str>) -> Value {
    let now = micro_time(Timestamp::now());
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": LEASE,
            "namespace": namespace,
            "labels": {
                "app.kubernetes.io/managed-by": "eksconnect",
                "app.kubernetes.io/part-of": "eks-connector",
            },
            "annotations": {
                "eksconnect/cluster-arn": intent.cluster_arn,
                "eksconnect/role": intent.role,
                "eksconnect/provider": intent.provider,
                "eksconnect/request-token": intent.request_token,
                "eksconnect/cluster-uid": intent.cluster_uid,
                "eksconnect/started-at": intent.started_at.to_string(),
            },
        },
        "spec": {
            "holderIdentity": holder,
            "leaseDurationSeconds": DURATION.as_secs(),
            "acquireTime": now,
            "renewTime": now,
        },
    });
    if let Some(version) = version {
        lease["metadata"]["resourceVersion"] = json!(version);
    }
    lease
}

impl Connected {
    pub(super) async fn read_lease(&self, namespace: &str) -> Result<Option<LeaseFacts>, Failure> {
        let lease = reference(namespace);
        let Some(answer) = self.get(&operation("get", &lease), &lease.path()).await? else { return Ok(None) };
        Ok(Some(facts(&answer.json()?, &Process::this())))
    }

    pub(super) async fn take_lease(
        &self,
        namespace: &str,
        seen: Option<&str>,
        intent: &Intent,
    ) -> Result<Arc<dyn HeldLease>, Failure> {
        let lease = reference(namespace);
        let holder = Process::this().identity();
        let content = Some(Content::json(&body(namespace, &holder, intent, seen)));
        let answer = match seen {
            Some(_) => self.call(&operation("update", &lease), Method::PUT, &lease.path(), content).await,
            None => {
                self.call(&operation("create", &lease), Method::POST, &lease.collection_path(), content).await
            }
        };
        let live = match answer {
            Ok(answer) => answer.json()?,
            // A repeated request may find what the lost one did.
            Err(conflict) if conflict.kind == FailureKind::Conflict => {
                let live = match self.get(&operation("get", &lease), &lease.path()).await? {
                    Some(answer) => answer.json()?,
                    None => return Err(conflict),
                };
                let mine = live["spec"]["holderIdentity"] == holder.as_str()
                    && live["metadata"]["annotations"]["eksconnect/request-token"]
                        == intent.request_token.as_str();
                if !mine {
                    return Err(conflict);
                }
                live
            }
            Err(failure) => return Err(failure),
        };
        let version = live["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
        let held = Arc::new(Held {
            connected: self.clone(),
            lease,
            uid: live["metadata"]["uid"].as_str().unwrap_or_default().to_owned(),
            made: seen.is_none(),
            live: Mutex::new(Some(live)),
            renewed: Renewed::now().into(),
            renewal: std::sync::Mutex::new(None),
        });
        tracing::debug!("holding the Lease at version {version}");
        let renewal = tokio::spawn(renew(Arc::downgrade(&held)));
        held.renewal.lock().unwrap_or_else(PoisonError::into_inner).replace(renewal);
        Ok(held)
    }
}

struct Held {
    connected: Connected,
    lease: ObjectRef,
    uid: String,
    made: bool,
    /// As last written; `None` once it is given back or lost.
    live: Mutex<Option<Value>>,
    renewal: std::sync::Mutex<Option<JoinHandle<()>>>,
    /// When it was last written.
    renewed: std::sync::Mutex<Renewed>,
}

/// When the Lease was last written, by both clocks: the steady one stands still while a machine sleeps, and the wall
/// clock can be set back.
#[derive(Clone, Copy)]
enum Renewed {
    At { steady: Instant, wall: Timestamp },
    Never,
}

impl Renewed {
    fn now() -> Self {
        Self::At { steady: Instant::now(), wall: Timestamp::now() }
    }

    /// Whether the Lease may be somebody else's by now.
    fn is_too_old(self, steady: Instant, wall: Timestamp) -> bool {
        match self {
            Self::At { steady: then, .. } if steady.duration_since(then) > DURATION => true,
            Self::At { wall: then, .. } => wall.duration_since(then).as_secs_f64() > DURATION.as_secs_f64(),
            Self::Never => true,
        }
    }
}

impl Held {
    fn note(&self, renewed: Renewed) {
        *self.renewed.lock().unwrap_or_else(PoisonError::into_inner) = renewed;
    }

    /// Writes the Lease anew, changed by `change`; one request at a time, and one attempt: what is repeated later
    /// would write an old time.
    async fn write(&self, change: impl FnOnce(&mut Value), keep: bool) -> Result<(), Failure> {
        let mut live = self.live.lock().await;
        let Some(mut lease) = live.clone() else { return Ok(()) };
        // Before the request: whoever waits for the Lease may see it sooner than its answer is here.
        let renewed = Renewed::now();
        change(&mut lease["spec"]);
        lease["spec"]["renewTime"] = json!(micro_time(Timestamp::now()));
        let content = Content::json(&lease);
        let (updating, path) = (operation("update", &self.lease), self.lease.path());
        let attempt = self.connected.attempt(&updating, &Method::PUT, &path, Some(&content));
        let Ok(answer) = tokio::time::timeout(RENEWAL_TAKES_AT_MOST, attempt).await else {
            return Err(unanswered(&updating));
        };
        match answer {
            Ok(answer) if keep => {
                *live = Some(answer.json()?);
                self.note(renewed);
            }
            Ok(_) => *live = None,
            Err(failure) => {
                if failure.kind == FailureKind::Conflict || failure.kind == FailureKind::NotFound {
                    *live = None;
                    self.note(Renewed::Never);
                }
                return Err(failure);
            }
        }
        Ok(())
    }
}

fn unanswered(operation: &str) -> Failure {
    Failure {
        side: Side::Cluster,
        kind: FailureKind::Unreachable,
        operation: operation.to_owned(),
        message: "no answer in time".to_owned(),
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // It is asleep: while it writes it holds this value alive.
        if let Some(task) = self.renewal.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

/// Renews while the Lease is held. One missed renewal is of no account: two more fit into its duration.
async fn renew(held: Weak<Held>) {
    loop {
        tokio::time::sleep(RENEW_EVERY).await;
        let Some(held) = held.upgrade() else { return };
        let renewed = held.write(|_| {}, true).await;
        if let Err(failure) = renewed {
            tracing::debug!("the Lease could not be renewed: {failure}");
        }
    }
}

impl HeldLease for Held {
    fn release(&self) -> Reply<'_, ()> {
        // A renewal in flight is finished first: both take the lock.
        Box::pin(async { self.write(|spec| spec["holderIdentity"] = json!(""), false).await })
    }

    fn is_lost(&self) -> bool {
        let renewed = *self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        renewed.is_too_old(Instant::now(), Timestamp::now())
    }

    fn is_new(&self) -> bool {
        self.made
    }

    fn discard(&self) -> Reply<'_, ()> {
        Box::pin(async {
            *self.live.lock().await = None;
            self.connected.delete_object(&self.lease, &self.uid).await
        })
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    fn live(holder: &str) -> Value {
        let intent = Intent {
            cluster_arn: "arn".into(),
            role: "Agent".into(),
            provider: "OTHER".into(),
            request_token: "token".into(),
            cluster_uid: "uid".into(),
            started_at: Timestamp::UNIX_EPOCH,
        };
        body("ns", holder, &intent, Some("7"))
    }

    #[test]
    fn who_holds_it() {
        let here = Process::this();
        let process = |host: &str, boot: &str, pid: &str, start: &str| {
            Process { host: host.into(), boot: boot.into(), pid: pid.into(), start: start.into() }.identity()
        };
        let held = |holder: &str| facts(&live(holder), &here).held_by.is_some();

        assert!(held(&process("other", "b", "1", "1")), "another host's");
        assert!(!held(&process(&here.host, &here.boot, &here.pid, "1")), "an earlier process of that id");
        let init = start_of("1").unwrap();
        assert!(held(&process(&here.host, &here.boot, "1", &init)), "a living process of this host");
        assert!(!held(&here.identity()), "our own");
        assert!(!held(""), "released");
        assert!(held("somebody"), "not of our form");

        let mut old = live(&process("other", "b", "1", "1"));
        old["spec"]["renewTime"] = json!("2001-01-01T00:00:00.000000Z");
        assert!(facts(&old, &here).held_by.is_some(), "the other host's clock may be wrong");
    }

    #[test]
    fn a_lease_that_was_not_renewed_in_time_is_lost_by_either_clock() {
        let (steady, wall) = (Instant::now(), Timestamp::now());
        let renewed = Renewed::At { steady, wall };
        let (soon, late) = (Duration::from_secs(29), Duration::from_secs(31));
        let later = |by: Duration| wall + SignedDuration::try_from(by).unwrap();
        assert!(!renewed.is_too_old(steady + soon, later(soon)));
        assert!(renewed.is_too_old(steady + late, later(late)));
        assert!(renewed.is_too_old(steady + soon, later(late)), "the machine slept");
        assert!(renewed.is_too_old(steady + late, later(soon)), "the wall clock was set back");
        assert!(Renewed::Never.is_too_old(steady, wall), "it was taken over");
    }

    #[test]
    fn the_intent_reads_back() {
        let facts = facts(&live("x"), &Process::this());
        assert_eq!(facts.resource_version, "7");
        assert!(facts.renewed_at.is_some());
        let intent = facts.intent.unwrap();
        assert_eq!((intent.request_token.as_str(), intent.role.as_str()), ("token", "Agent"));
    }
}
