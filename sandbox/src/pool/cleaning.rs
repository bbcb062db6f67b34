//! Giving a cluster back as it was: what is there now is compared with what was there when the cluster was new, and
//! everything else is removed or restored, round after round until nothing differs.
//!
//! Namespaces are not left to their controller, which waits 5 s before it begins: once a namespace is terminating nothing
//! new comes into it, so its objects are deleted here and it is finalised.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{self, StreamExt, TryStreamExt};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy};
use kube::core::{DynamicObject, TypeMeta};
use kube::discovery::{ApiCapabilities, ApiGroup, ApiResource, Discovery, Scope, verbs};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

/// How long a cluster may take to be clean. It takes about half a second.
const CLEANING: Duration = Duration::from_secs(40);

/// After this long finalizers are taken away: whoever was to act on them does not.
const FINALIZERS: Duration = Duration::from_millis(500);

/// How many requests run at once.
const PARALLEL: usize = 8;

/// The namespaces that every cluster has. What is in them is compared; others are removed as a whole.
const SYSTEM: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Kinds whose content changes by itself: only that they are there counts.
const LIVELY: [&str; 5] = ["Lease", "Endpoints", "EndpointSlice", "Pod", "ComponentStatus"];

/// What makes an object this one: kind with group, namespace (empty for an object of the cluster), name.
type Key = (String, String, String);

/// What was in a cluster when it was new.
pub(super) struct Baseline(BTreeMap<Key, Value>);

/// An object that is in the cluster now, and how it is reached.
struct Found {
    resource: ApiResource,
    namespaced: bool,
    object: DynamicObject,
}

impl Baseline {
    /// Takes it of a cluster that nobody uses, once nothing in it changes any more.
    pub(super) async fn take(client: &Client) -> Result<Self> {
        let deadline = Instant::now() + CLEANING;
        let mut last = contents(&observe(client).await?);
        loop {
            sleep(Duration::from_millis(100)).await;
            let now = contents(&observe(client).await?);
            if now == last {
                return Ok(Self(now));
            }
            if Instant::now() > deadline {
                bail!("a new cluster does not come to rest");
            }
            last = now;
        }
    }

    /// Makes the cluster what it was.
    ///
    /// # Errors
    /// It cannot be made so: the API server does not answer, or an object of the system is gone.
    pub(super) async fn restore(&self, client: &Client) -> Result<()> {
        timeout(CLEANING, self.restore_in_rounds(client).boxed()).await.context("still not clean in time")?
    }

    /// The objects that were not there when the cluster was new, as they are now.
    pub(super) async fn surplus(&self, client: &Client) -> Result<Vec<DynamicObject>> {
        let found = observe(client).await?;
        Ok(found
            .into_iter()
            .filter(|found| !self.0.contains_key(&found.key()))
            .map(|found| found.object)
            .collect())
    }

    /// What is not as it was when the cluster was new, sorted: `Kind namespace/name` for what is there beyond that, and
    /// with `changed` or `gone` before it.
    pub(super) async fn differences(&self, client: &Client) -> Result<Vec<String>> {
        let live = contents(&observe(client).await?);
        let named = |(kind, namespace, name): &Key| {
            let kind = kind.split('.').next().unwrap_or_default();
            format!("{kind} {namespace}/{name}")
        };
        let new = live.keys().filter(|key| !self.0.contains_key(key)).map(&named);
        let other = self.0.iter().filter_map(|(key, was)| match live.get(key) {
            Some(is) if is == was => None,
            Some(_) => Some(format!("changed {}", named(key))),
            None => Some(format!("gone {}", named(key))),
        });
        let mut differences: Vec<String> = new.chain(other).collect();
        differences.sort();
        Ok(differences)
    }

    async fn restore_in_rounds(&self, client: &Client) -> Result<()> {
        let begun = Instant::now();
        loop {
            let found = observe(client).await?;
            let live = contents(&found);
            if let Some((kind, _, name)) =
                self.0.keys().find(|key| is_of_cluster(key) && !live.contains_key(*key))
            {
                bail!("{kind} {name} is gone");
            }
            let surplus: Vec<_> = found.iter().filter(|found| !self.0.contains_key(&found.key())).collect();
            let changed: Vec<_> = found
                .iter()
                .filter(|found| self.wanted(found).is_some_and(|wanted| *wanted != found.content()))
                .collect();
            if surplus.is_empty() && changed.is_empty() {
                return Ok(());
            }
            // A failed request is tried again in the next round, if its object still differs by then.
            self.put_back(client, &changed).await;
            remove(client, &surplus, begun.elapsed() > FINALIZERS).await;
        }
    }

    fn wanted(&self, found: &Found) -> Option<&Value> {
        self.0.get(&found.key())
    }

    async fn put_back(&self, client: &Client, changed: &[&Found]) {
        let mut requests = Vec::new();
        for found in changed {
            let wanted = self.wanted(found).cloned().unwrap_or_default();
            let Ok(mut object) = serde_json::from_value::<DynamicObject>(wanted) else { continue };
            object.metadata.resource_version = found.object.resource_version();
            let (api, name) = (found.api(client), found.object.name_any());
            let request = async move { drop(api.replace(&name, &PostParams::default(), &object).await) };
            requests.push(request.boxed());
        }
        together(requests).await;
    }
}

impl Found {
    fn key(&self) -> Key {
        (
            format!("{}.{}", self.resource.kind, self.resource.group),
            self.object.namespace().unwrap_or_default(),
            self.object.name_any(),
        )
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        match self.object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &self.resource),
            None => Api::all_with(client.clone(), &self.resource),
        }
    }

    /// What of it must stay the same: nothing that the API server or a controller writes by itself.
    fn content(&self) -> Value {
        if LIVELY.contains(&self.resource.kind.as_str()) {
            return Value::Null;
        }
        let mut object = self.object.clone();
        object.metadata.managed_fields = None;
        object.metadata.resource_version = None;
        object.metadata.generation = None;
        object.metadata.uid = None;
        object.metadata.creation_timestamp = None;
        let mut content = serde_json::to_value(&object).unwrap_or_default();
        if let Value::Object(fields) = &mut content {
            fields.remove("status");
        }
        content
    }

    /// A namespace that is to go, with everything in it.
    fn is_namespace(&self) -> bool {
        self.resource.kind == "Namespace" && self.resource.group.is_empty()
    }

    /// Rules that may refuse that anything is deleted.
    fn may_refuse(&self) -> bool {
        self.resource.group == "admissionregistration.k8s.io"
    }
}

fn is_of_cluster(key: &Key) -> bool {
    key.1.is_empty()
}

fn contents(found: &[Found]) -> BTreeMap<Key, Value> {
    found.iter().map(|found| (found.key(), found.content())).collect()
}

/// Everything that can be listed and deleted, of every kind that the API server knows now.
async fn observe(client: &Client) -> Result<Vec<Found>> {
    let discovery = Discovery::new(client.clone())
        .run_aggregated()
        .await
        .context("could not ask which kinds there are")?;
    let kinds = discovery.groups().flat_map(ApiGroup::recommended_resources).filter(is_kept);
    let lists: Vec<BoxFuture<'_, Result<Vec<Found>>>> =
        kinds.map(|(resource, capabilities)| list(client, resource, capabilities.scope).boxed()).collect();
    let lists: Vec<_> = stream::iter(lists).buffer_unordered(PARALLEL).try_collect().await?;
    Ok(lists.into_iter().flatten().filter(|found| !is_systems_own(found)).collect())
}

async fn list(client: &Client, resource: ApiResource, scope: Scope) -> Result<Vec<Found>> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let objects = match api.list(&ListParams::default()).await {
        Ok(list) => list.items,
        // Removed since it was asked which kinds there are.
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(error) => return Err(error).with_context(|| format!("could not list {}", resource.plural)),
    };
    let found = objects.into_iter().map(|mut object| {
        // Items of a list do not say their kind.
        object.types.get_or_insert_with(|| TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
        Found { resource: resource.clone(), namespaced: scope == Scope::Namespaced, object }
    });
    Ok(found.collect())
}

fn is_kept((resource, capabilities): &(ApiResource, ApiCapabilities)) -> bool {
    capabilities.supports_operation(verbs::LIST)
        && capabilities.supports_operation(verbs::DELETE)
        // The same objects as the core group's.
        && resource.group != "events.k8s.io"
}

/// What the system makes by itself, and late: each controller's account when it first needs it, and in each namespace
/// the account and the ConfigMap that pods need.
fn is_systems_own(found: &Found) -> bool {
    let namespace = found.object.namespace().unwrap_or_default();
    let name = found.object.name_any();
    SYSTEM.contains(&namespace.as_str())
        && match found.resource.kind.as_str() {
            "ServiceAccount" => namespace == "kube-system" || name == "default",
            "ConfigMap" => name == "kube-root-ca.crt" || namespace == "kube-system",
            // The identities of API servers, and what nodes renew.
            "Lease" => namespace != "default",
            _ => false,
        }
}

/// Asks once for everything that must go.
async fn remove(client: &Client, surplus: &[&Found], finalizers_too: bool) {
    let (refusing, other): (Vec<&Found>, Vec<&Found>) =
        surplus.iter().copied().partition(|found| found.may_refuse());
    let (namespaces, other): (Vec<&Found>, Vec<&Found>) =
        other.into_iter().partition(|found| found.is_namespace());
    let filled: BTreeSet<_> =
        other.iter().filter(|found| found.namespaced).filter_map(|found| found.object.namespace()).collect();

    each(client, &refusing, finalizers_too).await;
    let requests = namespaces.into_iter().map(|found| {
        let empty = !filled.contains(&found.object.name_any());
        remove_namespace(client, found, empty).boxed()
    });
    together(requests.collect()).await;
    each(client, &other, finalizers_too).await;
}

/// Deletes objects; one that stays although it was deleted loses its finalizers. What fails is tried again by the
/// next round.
async fn each(client: &Client, objects: &[&Found], finalizers_too: bool) {
    let requests = objects.iter().map(|found| {
        let (api, name) = (found.api(client), found.object.name_any());
        let held = finalizers_too && found.object.metadata.deletion_timestamp.is_some();
        let request = async move {
            if held {
                let none = json!({ "metadata": { "finalizers": null } });
                drop(api.patch(&name, &PatchParams::default(), &Patch::Merge(none)).await);
            }
            let now = DeleteParams {
                grace_period_seconds: Some(0),
                propagation_policy: Some(PropagationPolicy::Background),
                ..DeleteParams::default()
            };
            drop(api.delete(&name, &now).await);
        };
        request.boxed()
    });
    together(requests.collect()).await;
}

async fn together(requests: Vec<BoxFuture<'_, ()>>) {
    stream::iter(requests).buffer_unordered(PARALLEL).collect::<()>().await;
}

async fn remove_namespace(client: &Client, found: &Found, empty: bool) {
    let name = found.object.name_any();
    if found.object.metadata.deletion_timestamp.is_none() {
        drop(found.api(client).delete(&name, &DeleteParams::default()).await);
        return;
    }
    if !empty {
        return;
    }
    let mut object = found.object.clone();
    object.metadata.finalizers = None;
    object.data["spec"]["finalizers"] = json!([]);
    if let Ok(body) = serde_json::to_vec(&object)
        && let Ok(request) = http::Request::put(format!("/api/v1/namespaces/{name}/finalize"))
            .header("Content-Type", "application/json")
            .body(body)
    {
        drop(client.request::<Value>(request).await);
    }
}
