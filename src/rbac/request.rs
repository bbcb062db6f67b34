//! What is asked of the API server, as an authorizer sees it.

use std::fmt;

/// A verb on something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    /// `get`, `list`, `impersonate-on:user-info:list`.
    pub verb: String,
    /// On what.
    pub target: Target,
}

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// A resource.
    Resource {
        /// Its API group; the core's is empty.
        group: String,
        /// `pods`.
        resource: String,
        /// `log`, or nothing.
        subresource: String,
        /// The namespace; empty for what has none and for all namespaces at once.
        namespace: String,
        /// The object; empty where a request names none: lists, watches, and what is made.
        name: String,
    },
    /// A path that is no resource: `/version`.
    Path(String),
}

impl Request {
    /// A verb on a resource of the whole cluster, of no object by name. `resource` may have a subresource: `pods/log`.
    pub fn on(verb: &str, group: &str, resource: &str) -> Self {
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        Self {
            verb: verb.to_owned(),
            target: Target::Resource {
                group: group.to_owned(),
                resource: resource.to_owned(),
                subresource: subresource.to_owned(),
                namespace: String::new(),
                name: String::new(),
            },
        }
    }

    /// A verb on a path.
    pub fn path(verb: &str, path: &str) -> Self {
        Self { verb: verb.to_owned(), target: Target::Path(path.to_owned()) }
    }

    /// The same in one namespace; a path has none.
    #[must_use]
    pub fn within(mut self, within: &str) -> Self {
        if let Target::Resource { namespace, .. } = &mut self.target {
            within.clone_into(namespace);
        }
        self
    }

    /// The same on one object; a path has none.
    #[must_use]
    pub fn named(mut self, wanted: &str) -> Self {
        if let Target::Resource { name, .. } = &mut self.target {
            wanted.clone_into(name);
        }
        self
    }

    /// The namespace; empty if there is none.
    pub fn namespace(&self) -> &str {
        match &self.target {
            Target::Resource { namespace, .. } => namespace,
            Target::Path(_) => "",
        }
    }
}

/// As RBAC's own messages and `kubectl auth can-i` say it: `list deployments.apps in namespace web`.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.verb)?;
        match &self.target {
            Target::Path(path) => f.write_str(path),
            Target::Resource { group, resource, subresource, namespace, name } => {
                f.write_str(resource)?;
                if !group.is_empty() {
                    write!(f, ".{group}")?;
                }
                if !subresource.is_empty() {
                    write!(f, "/{subresource}")?;
                }
                if !name.is_empty() {
                    write!(f, " {name}")?;
                }
                if !namespace.is_empty() {
                    write!(f, " in namespace {namespace}")?;
                }
                Ok(())
            }
        }
    }
}
