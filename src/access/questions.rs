//! What the console asks of the API server, and a few things that it must not be given. Pure.

use super::scope::Scope;
use super::viewable::{RESOURCES, Viewable, paths};
use crate::rbac::Request;

/// The name of objects that do not exist. Asked for one, the API server refuses, or says that there is none: that is how
/// it is found out whether a read is allowed without reading anything.
const NOBODY: &str = "eksconnect-verify-view";

/// The namespace in which single objects are asked for where all namespaces count. It exists in every cluster.
const ANY_NAMESPACE: &str = "default";

/// Something to be asked of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What an authorizer is asked.
    pub request: Request,
    /// How the API server itself is asked.
    pub call: Call,
    /// What it is about.
    pub topic: Topic,
}

/// A request to the API server that reads no object and changes none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// A read of that path.
    Get(String),
    /// A deletion of what is at that path: nothing.
    Delete(String),
}

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A kind of object.
    Kind {
        /// Which.
        viewable: &'static Viewable,
        /// `get` or `list`.
        verb: &'static str,
        /// The namespace; `None` for what has none, and for all at once.
        namespace: Option<String>,
    },
    /// A path that is no resource.
    Path(String),
    /// Something that nobody is to be given.
    Beyond(&'static str),
}

/// Every question that the console asks where the principal views.
pub fn questions(scope: &Scope) -> Vec<Question> {
    let mut questions = Vec::new();
    for viewable in RESOURCES {
        let places = if viewable.namespaced { scope.places() } else { vec![None] };
        for place in places {
            questions.push(list(viewable, place));
            questions.push(get(viewable, place));
        }
    }
    questions.extend(paths().into_iter().map(|path| Question {
        request: Request::path("get", &path),
        call: Call::Get(path.clone()),
        topic: Topic::Path(path),
    }));
    questions
}

fn list(viewable: &'static Viewable, place: Option<&str>) -> Question {
    let request = Request::on("list", viewable.group, viewable.resource);
    Question {
        request: place.map_or_else(|| request.clone(), |place| request.clone().within(place)),
        call: Call::Get(format!("{}?limit=1", viewable.path(place))),
        topic: Topic::Kind { viewable, verb: "list", namespace: place.map(str::to_owned) },
    }
}

fn get(viewable: &'static Viewable, place: Option<&str>) -> Question {
    let asked_in = viewable.namespaced.then_some(place.unwrap_or(ANY_NAMESPACE));
    let request = Request::on("get", viewable.group, viewable.resource).named(NOBODY);
    let request = match asked_in {
        Some(namespace) => request.within(namespace),
        // To an authorizer, a namespace is in itself (RequestInfo of the API server).
        None if viewable.resource == "namespaces" => request.within(NOBODY),
        None => request,
    };
    Question {
        request,
        call: Call::Get(format!("{}/{NOBODY}", viewable.path(asked_in))),
        topic: Topic::Kind { viewable, verb: "get", namespace: place.map(str::to_owned) },
    }
}

/// What is asked to find out whether the connector is held to viewing.
pub fn beyond(scope: &Scope) -> Vec<Question> {
    let place = scope.places().into_iter().flatten().next().unwrap_or(ANY_NAMESPACE);
    let secrets = format!("/api/v1/namespaces/{place}/secrets");
    let on = |verb, resource| Request::on(verb, "", resource).within(place).named(NOBODY);
    let question = |request, call, words| Question { request, call, topic: Topic::Beyond(words) };
    vec![
        question(on("get", "secrets"), Call::Get(format!("{secrets}/{NOBODY}")), "get secrets"),
        question(
            on("list", "secrets"),
            // Only the one that does not exist, so that none is read where it is allowed.
            Call::Get(format!("{secrets}?limit=1&fieldSelector=metadata.name%3D{NOBODY}")),
            "list secrets",
        ),
        question(
            on("delete", "pods"),
            Call::Delete(format!("/api/v1/namespaces/{place}/pods/{NOBODY}")),
            "delete pods",
        ),
        question(
            Request::on("delete", "", "namespaces").named(NOBODY).within(NOBODY),
            Call::Delete(format!("/api/v1/namespaces/{NOBODY}")),
            "delete namespaces",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn find(questions: &[Question], text: &str) -> Question {
        let found = questions.iter().find(|question| question.request.to_string() == text);
        found.cloned().unwrap_or_else(|| panic!("no {text} in {questions:#?}"))
    }

    #[test]
    fn lists_take_one_object_and_gets_ask_for_one_that_does_not_exist() {
        let all = questions(&Scope::Cluster);
        assert_eq!(find(&all, "list pods").call, Call::Get("/api/v1/pods?limit=1".to_owned()));
        let get = find(&all, "get pods eksconnect-verify-view in namespace default");
        assert_eq!(get.call, Call::Get("/api/v1/namespaces/default/pods/eksconnect-verify-view".to_owned()));
        find(&all, "get nodes eksconnect-verify-view");
        assert_eq!(find(&all, "get /version").topic, Topic::Path("/version".to_owned()));
        assert_eq!(all.len(), RESOURCES.len() * 2 + paths().len());
    }

    #[test]
    fn in_namespaces_what_has_none_is_asked_once() {
        let scope = Scope::Namespaces(BTreeSet::from(["db".to_owned(), "web".to_owned()]));
        let some = questions(&scope);
        find(&some, "list pods in namespace db");
        find(&some, "get deployments.apps eksconnect-verify-view in namespace web");
        let nodes = some.iter().filter(|question| question.request == Request::on("list", "", "nodes"));
        assert_eq!(nodes.count(), 1);
    }

    #[test]
    fn no_secret_is_ever_read() {
        for question in beyond(&Scope::Cluster) {
            let (Call::Get(path) | Call::Delete(path)) = question.call;
            assert!(path.contains(NOBODY), "{path}");
        }
    }
}
