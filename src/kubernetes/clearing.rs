//! What is in a namespace, of every kind, and deleting with what belongs to it.

use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};

use super::api::{Content as Body, operation};
use super::client::Connected;
use super::port::KubernetesCluster;
use crate::manifest::{LEASE, ObjectRef};
use crate::ports::{Clearing, Failure, FailureKind, Reply};
use crate::registration::deregister::seen::{Content, Contents};

/// Objects a page.
const A_PAGE: u32 = 500;

/// All kinds in one answer (Kubernetes API, "Aggregated discovery"); older servers answer in the last form.
const DISCOVERY: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,\
                         application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// The metadata of objects and nothing else: no Secret's content is asked for.
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// A kind that can be listed in a namespace.
struct Listable {
    /// Path of its group and version: `/apis/apps/v1`.
    root: String,
    api_version: String,
    kind: String,
    plural: String,
}

impl Clearing for KubernetesCluster {
    fn contents<'a>(&'a self, namespace: &'a str) -> Reply<'a, Contents> {
        Box::pin(self.connected.list_contents(namespace))
    }

    fn lease_namespaces(&self) -> Reply<'_, Vec<String>> {
        Box::pin(self.connected.namespaces_of_leases())
    }

    fn delete_whole<'a>(&'a self, object: &'a ObjectRef, uid: &'a str) -> Reply<'a, ()> {
        Box::pin(self.connected.delete_with_dependents(object, uid))
    }
}

impl Connected {
    async fn list_contents(&self, namespace: &str) -> Result<Contents, Failure> {
        let (listable, mut unreadable) = self.listable_kinds().await?;
        let lists = listable.iter().map(|kind| self.list_of(kind, namespace));
        let mut objects = Vec::new();
        for (kind, answer) in listable.iter().zip(join_all(lists).await) {
            match answer {
                Ok(found) => objects.extend(found),
                // Gone since, as when a custom resource's definition is deleted.
                Err(failure) if failure.kind == FailureKind::NotFound => {}
                Err(failure) if failure.kind == FailureKind::Denied => {
                    unreadable.push(format!("{} ({} is denied)", kind.plural, failure.operation));
                }
                Err(failure) if failure.kind == FailureKind::Rejected => {
                    unreadable.push(format!("{} ({failure})", kind.plural));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(Contents { objects, unreadable })
    }

    /// The kinds that can be listed in a namespace, and the groups of which nothing is known: their servers do not answer.
    async fn listable_kinds(&self) -> Result<(Vec<Listable>, Vec<String>), Failure> {
        let (core, groups) =
            tokio::try_join!(self.discover("/api", "get /api"), self.discover("/apis", "get /apis"))?;
        let whole = [&core, &groups].iter().all(|answer| answer["kind"] == "APIGroupDiscoveryList");
        if !whole {
            return self.listable_kinds_one_by_one(&groups).await;
        }
        let (mut listable, mut unreadable) = (Vec::new(), Vec::new());
        for group in [&core, &groups].into_iter().flat_map(|answer| answer["items"].as_array()).flatten() {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            // The preferred version comes first.
            let Some(version) = group["versions"].get(0) else { continue };
            let number = version["version"].as_str().unwrap_or_default();
            let (root, api_version) = place_of(name, number);
            if version["freshness"] == "Stale" {
                unreadable.push(format!("all of {api_version} (its server does not answer)"));
                continue;
            }
            let resources = version["resources"].as_array().into_iter().flatten();
            let listed = resources.filter(|it| it["scope"] == "Namespaced" && can_be_listed(it));
            listable.extend(listed.filter_map(|resource| {
                Some(Listable {
                    root: root.clone(),
                    api_version: api_version.clone(),
                    kind: resource["responseKind"]["kind"].as_str()?.to_owned(),
                    plural: resource["resource"].as_str()?.to_owned(),
                })
            }));
        }
        Ok((listable, unreadable))
    }

    async fn discover(&self, path: &str, operation: &str) -> Result<Value, Failure> {
        self.call_for(DISCOVERY, operation, Method::GET, path, None).await?.json()
    }

    /// As servers before 1.26 tell them: each group by itself.
    async fn listable_kinds_one_by_one(
        &self,
        groups: &Value,
    ) -> Result<(Vec<Listable>, Vec<String>), Failure> {
        let versions = groups["groups"].as_array().into_iter().flatten();
        let versions = versions.filter_map(|group| group["preferredVersion"]["groupVersion"].as_str());
        let roots: Vec<(String, String)> = std::iter::once(place_of("", "v1"))
            .chain(
                versions
                    .filter_map(|version| version.split_once('/'))
                    .map(|(group, version)| place_of(group, version)),
            )
            .collect();
        let answers = roots.iter().map(|(root, _)| async move {
            let operation = format!("get {root}");
            self.call(&operation, Method::GET, root, None).await.and_then(|answer| answer.json())
        });
        let (mut listable, mut unreadable) = (Vec::new(), Vec::new());
        for ((root, api_version), answer) in roots.iter().zip(join_all(answers).await) {
            match answer {
                Ok(found) => listable.extend(kinds_of(root, api_version, &found)),
                Err(failure) if failure.kind == FailureKind::NotFound => {}
                Err(failure) => unreadable.push(format!("all of {api_version} ({failure})")),
            }
        }
        Ok((listable, unreadable))
    }

    async fn list_metadata(&self, operation: &str, path: &str) -> Result<Value, Failure> {
        self.call_for(METADATA, operation, Method::GET, path, None).await?.json()
    }

    async fn list_of(&self, kind: &Listable, namespace: &str) -> Result<Vec<Content>, Failure> {
        let operation = match kind.api_version.split_once('/') {
            Some((group, _)) => format!("list {}.{group} in namespace {namespace}", kind.plural),
            None => format!("list {} in namespace {namespace}", kind.plural),
        };
        let mut found = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!("{}/namespaces/{namespace}/{}?limit={A_PAGE}{next}", kind.root, kind.plural);
            let page = self.list_metadata(&operation, &path).await?;
            let items = page["items"].as_array().into_iter().flatten();
            found.extend(items.map(|item| Content {
                api_version: kind.api_version.clone(),
                kind: kind.kind.clone(),
                metadata: item["metadata"].clone(),
            }));
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={token}"),
                None => return Ok(found),
            }
        }
    }

    async fn namespaces_of_leases(&self) -> Result<Vec<String>, Failure> {
        let path = format!("/apis/coordination.k8s.io/v1/leases?fieldSelector=metadata.name%3D{LEASE}");
        let list = self.call("list leases.coordination.k8s.io", Method::GET, &path, None).await?.json()?;
        let leases = list["items"].as_array().into_iter().flatten();
        Ok(leases.filter_map(|lease| lease["metadata"]["namespace"].as_str().map(str::to_owned)).collect())
    }

    async fn delete_with_dependents(&self, object: &ObjectRef, uid: &str) -> Result<(), Failure> {
        let body = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": { "uid": uid },
            "propagationPolicy": "Foreground",
        });
        let deleting = operation("delete", object);
        let answer = self.call(&deleting, Method::DELETE, &object.path(), Some(Body::json(&body))).await;
        match answer {
            Ok(_) => Ok(()),
            Err(failure) if matches!(failure.kind, FailureKind::NotFound | FailureKind::Conflict) => Ok(()),
            Err(failure) => Err(failure),
        }
    }
}

/// Where a group's version is found, and what it is called.
fn place_of(group: &str, version: &str) -> (String, String) {
    if group.is_empty() {
        return (format!("/api/{version}"), version.to_owned());
    }
    (format!("/apis/{group}/{version}"), format!("{group}/{version}"))
}

fn can_be_listed(resource: &Value) -> bool {
    resource["verbs"].as_array().into_iter().flatten().any(|verb| verb == "list")
}

fn kinds_of(root: &str, api_version: &str, found: &Value) -> Vec<Listable> {
    let resources = found["resources"].as_array().into_iter().flatten();
    resources
        .filter(|resource| resource["namespaced"] == true && can_be_listed(resource))
        .filter_map(|resource| {
            Some(Listable {
                root: root.to_owned(),
                api_version: api_version.to_owned(),
                kind: resource["kind"].as_str()?.to_owned(),
                plural: resource["name"].as_str()?.to_owned(),
            })
        })
        .collect()
}
