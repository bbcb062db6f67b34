//! What a request asks of an API server, in the words of RBAC.

use http::{Method, Uri};

/// The resource of a request for the metadata of some kind in a namespace.
pub(crate) const ANY_KIND: &str = "(any)";

/// A request, as far as one can be told from another of its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`; of patches `apply` is a server-side apply, and `try`
    /// one that is a dry run.
    pub(crate) verb: &'static str,
    /// The resource's plural, such as `statefulsets`, or a path that is none, such as `/version`.
    pub(crate) resource: String,
    /// The namespace, unless it is of the whole cluster.
    pub(crate) namespace: Option<String>,
    /// The object's name, unless all are meant.
    pub(crate) name: Option<String>,
}

impl Asked {
    /// Reads it from a request's head (Kubernetes documentation, "API concepts").
    ///
    /// `media_type` is that of the body; of a request without one, that of the answer which it asks for.
    pub(crate) fn of(method: &Method, uri: &Uri, media_type: &str) -> Self {
        let parts: Vec<&str> = uri.path().split('/').filter(|part| !part.is_empty()).collect();
        let of_group = match parts.as_slice() {
            ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
            _ => &[],
        };
        // A namespace by itself is an object like any other.
        let (namespace, rest) = match of_group {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
            rest => (None, rest),
        };
        let (resource, name) = match rest {
            [] => (uri.path().to_owned(), None),
            [resource] => ((*resource).to_owned(), None),
            [resource, name] => ((*resource).to_owned(), Some(*name)),
            [resource, name, below @ ..] => (format!("{resource}/{}", below.join("/")), Some(*name)),
        };
        let query = uri.query().unwrap_or_default();
        let has = |field: &str| query.split('&').any(|pair| pair.split('=').next() == Some(field));
        // Whoever lists the metadata of every kind lists no kind in particular.
        let any_kind = media_type.contains("PartialObjectMetadataList");
        let resource = if any_kind && namespace.is_some() { ANY_KIND.to_owned() } else { resource };
        let verb = match *method {
            Method::GET if has("watch") => "watch",
            Method::GET if name.is_none() && !resource.starts_with('/') => "list",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH if has("dryRun") => "try",
            Method::PATCH if media_type.contains("apply-patch") => "apply",
            Method::PATCH => "patch",
            Method::DELETE => "delete",
            _ => "get",
        };
        Self { verb, resource, namespace: namespace.map(str::to_owned), name: name.map(str::to_owned) }
    }

    /// What requests of the same kind have in common: `apply:statefulsets`. A list of one namespace is another kind than that
    /// of all: RBAC may allow one and deny the other.
    pub(crate) fn kind(&self) -> String {
        let within = self.verb == "list" && self.namespace.is_some() && self.resource != ANY_KIND;
        format!("{}:{}{}", self.verb, self.resource, if within { "@namespace" } else { "" })
    }

    /// The verb that RBAC knows it by.
    pub(crate) fn verb_of_rbac(&self) -> &'static str {
        match self.verb {
            "apply" | "try" => "patch",
            verb => verb,
        }
    }

    /// Whether it is to change something. Reviews are questions that are asked by creating them, and so are tokens.
    pub(crate) fn is_write(&self) -> bool {
        !self.resource.ends_with("reviews")
            && self.resource != "serviceaccounts/token"
            && !matches!(self.verb, "get" | "list" | "watch" | "try")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_told_apart_as_rbac_does() {
        let apply = "application/apply-patch+yaml";
        for (method, uri, media_type, kind, write) in [
            (Method::GET, "/version", "", "get:/version", false),
            (Method::GET, "/apis", "", "get:/apis", false),
            (Method::GET, "/api/v1/nodes?limit=500", "", "list:nodes", false),
            (Method::GET, "/api/v1/namespaces/kube-system", "", "get:namespaces", false),
            (Method::GET, "/api/v1/namespaces/a/secrets/b", "", "get:secrets", false),
            (
                Method::GET,
                "/api/v1/namespaces/a/configmaps?limit=500",
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                "list:(any)",
                false,
            ),
            (Method::GET, "/api/v1/namespaces/a/pods/b/log?tailLines=9", "", "get:pods/log", false),
            (Method::GET, "/api/v1/namespaces/a/pods?labelSelector=x&watch=true", "", "watch:pods", false),
            (
                Method::PATCH,
                "/apis/apps/v1/namespaces/a/statefulsets/b?force=true",
                apply,
                "apply:statefulsets",
                true,
            ),
            (
                Method::PATCH,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles/b?dryRun=All",
                apply,
                "try:clusterroles",
                false,
            ),
            (
                Method::PATCH,
                "/api/v1/namespaces/a/secrets/b",
                "application/merge-patch+json",
                "patch:secrets",
                true,
            ),
            (
                Method::POST,
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                "application/json",
                "create:selfsubjectaccessreviews",
                false,
            ),
            (
                Method::POST,
                "/apis/coordination.k8s.io/v1/namespaces/a/leases",
                "application/json",
                "create:leases",
                true,
            ),
        ] {
            let asked = Asked::of(&method, &uri.parse().unwrap(), media_type);
            assert_eq!((asked.kind().as_str(), asked.is_write()), (kind, write), "{method} {uri}");
        }
    }
}
