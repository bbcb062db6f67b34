//! What can be viewed: the one list from which the rules of grants, the role of viewers, and what verify-view and view
//! ask are made.
//!
//! It is AWS' dashboard list (`eks-connector-console-dashboard-full-access-group.yaml`, as of 2024) without Secrets, and
//! the read-only paths that clients ask for.

/// A kind of object that can be viewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Viewable {
    /// Its API group; the core's is empty.
    pub group: &'static str,
    /// The version in which it is asked for.
    pub version: &'static str,
    /// `pods`.
    pub resource: &'static str,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
}

/// What a viewer may do with each.
pub const VERBS: [&str; 2] = ["get", "list"];

const fn in_namespaces(group: &'static str, version: &'static str, resource: &'static str) -> Viewable {
    Viewable { group, version, resource, namespaced: true }
}

const fn of_the_cluster(group: &'static str, version: &'static str, resource: &'static str) -> Viewable {
    Viewable { group, version, resource, namespaced: false }
}

/// Every kind of object that can be viewed, grouped by API group.
pub const RESOURCES: &[Viewable] = &[
    of_the_cluster("", "v1", "nodes"),
    of_the_cluster("", "v1", "namespaces"),
    in_namespaces("", "v1", "pods"),
    in_namespaces("", "v1", "configmaps"),
    in_namespaces("", "v1", "endpoints"),
    in_namespaces("", "v1", "events"),
    in_namespaces("", "v1", "limitranges"),
    in_namespaces("", "v1", "persistentvolumeclaims"),
    in_namespaces("", "v1", "podtemplates"),
    in_namespaces("", "v1", "replicationcontrollers"),
    in_namespaces("", "v1", "resourcequotas"),
    in_namespaces("", "v1", "serviceaccounts"),
    in_namespaces("", "v1", "services"),
    in_namespaces("apps", "v1", "deployments"),
    in_namespaces("apps", "v1", "daemonsets"),
    in_namespaces("apps", "v1", "statefulsets"),
    in_namespaces("apps", "v1", "replicasets"),
    in_namespaces("batch", "v1", "jobs"),
    in_namespaces("batch", "v1", "cronjobs"),
    in_namespaces("coordination.k8s.io", "v1", "leases"),
    in_namespaces("discovery.k8s.io", "v1", "endpointslices"),
    in_namespaces("events.k8s.io", "v1", "events"),
    in_namespaces("networking.k8s.io", "v1", "ingresses"),
    in_namespaces("networking.k8s.io", "v1", "networkpolicies"),
    in_namespaces("policy", "v1", "poddisruptionbudgets"),
    in_namespaces("rbac.authorization.k8s.io", "v1", "roles"),
    in_namespaces("rbac.authorization.k8s.io", "v1", "rolebindings"),
    in_namespaces("storage.k8s.io", "v1", "csistoragecapacities"),
];

/// The paths that are no resources and that clients ask for: version, health, and the entries to discovery. Those of each
/// API group are in [`paths`].
const FIXED_PATHS: [&str; 8] =
    ["/version", "/healthz", "/livez", "/readyz", "/api", "/api/v1", "/apis", "/openapi/v3"];

/// Every path that is no resource and can be viewed, without wildcards.
pub fn paths() -> Vec<String> {
    let mut paths: Vec<String> = FIXED_PATHS.iter().map(|path| (*path).to_owned()).collect();
    for viewable in RESOURCES.iter().filter(|viewable| !viewable.group.is_empty()) {
        for path in
            [format!("/apis/{}", viewable.group), format!("/apis/{}/{}", viewable.group, viewable.version)]
        {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    paths
}

impl Viewable {
    /// The path under which the API server lists it, in a namespace or in all.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace.filter(|_| self.namespaced) {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.resource),
            None => format!("{root}/{}", self.resource),
        }
    }

    /// As `kubectl` writes it: `deployments.apps`.
    pub fn name(&self) -> String {
        if self.group.is_empty() {
            self.resource.to_owned()
        } else {
            format!("{}.{}", self.resource, self.group)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_can_be_viewed_is_a_secret_or_a_wildcard() {
        for viewable in RESOURCES {
            assert_ne!(viewable.resource, "secrets");
            assert!(!viewable.group.contains('*') && !viewable.resource.contains('*'));
        }
        assert!(paths().iter().all(|path| !path.contains('*')));
        assert!(paths().contains(&"/apis/apps/v1".to_owned()));
    }

    #[test]
    fn paths_of_lists() {
        let pods = RESOURCES.iter().find(|viewable| viewable.resource == "pods").unwrap();
        assert_eq!(pods.path(None), "/api/v1/pods");
        assert_eq!(pods.path(Some("web")), "/api/v1/namespaces/web/pods");
        let nodes = RESOURCES.iter().find(|viewable| viewable.resource == "nodes").unwrap();
        assert_eq!(nodes.path(Some("web")), "/api/v1/nodes");
        let jobs = RESOURCES.iter().find(|viewable| viewable.resource == "jobs").unwrap();
        assert_eq!(
            (jobs.path(None), jobs.name()),
            ("/apis/batch/v1/jobs".to_owned(), "jobs.batch".to_owned())
        );
    }
}
