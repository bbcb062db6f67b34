//! What holds an object that should be gone.

use serde_json::Value;

use super::seen::Contents;

/// The conditions of a namespace that say why it is not gone yet (Kubernetes API, `NamespaceConditionType`).
const CONDITIONS: [&str; 5] = [
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
];

/// How many objects are named.
const SHOWN: usize = 5;

fn conditions(live: &Value) -> impl Iterator<Item = &str> {
    let all = live["status"]["conditions"].as_array().into_iter().flatten();
    all.filter(|it| it["status"] == "True" && CONDITIONS.iter().any(|name| it["type"] == *name))
        .filter_map(|it| it["message"].as_str())
}

/// The first thing that the API server says about why a namespace is not gone.
pub(super) fn first_condition(live: &Value) -> Option<String> {
    conditions(live).next().map(str::to_owned)
}

fn finalizers(metadata: &Value) -> Option<String> {
    let finalizers = metadata["finalizers"].as_array()?;
    let names: Vec<&str> = finalizers.iter().filter_map(Value::as_str).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// What holds an object, a line each: objects with finalizers first, for they are what can be acted on.
pub(super) fn what_holds(live: &Value, contents: Option<&Contents>) -> Vec<String> {
    let mut held = Vec::new();
    held.extend(finalizers(&live["metadata"]).map(|names| format!("it has the finalizers {names}")));
    for content in contents.into_iter().flat_map(|contents| &contents.objects) {
        if let Some(names) = finalizers(&content.metadata) {
            held.push(format!("{} {} waits for its finalizers: {names}", content.kind, content.name()));
        }
    }
    if held.len() > SHOWN {
        let more = held.len() - SHOWN;
        held.truncate(SHOWN);
        held.push(format!("and {more} more"));
    }
    held.extend(conditions(live).map(str::to_owned));
    held
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::seen::Content;
    use super::*;

    #[test]
    fn objects_come_before_what_the_server_says() {
        let live = json!({
            "metadata": { "name": "n" },
            "status": { "conditions": [
                { "type": "NamespaceFinalizersRemaining", "status": "True", "message": "Some content" },
                { "type": "NamespaceContentRemaining", "status": "False", "message": "no" },
            ] },
        });
        let metadata = json!({ "name": "held", "finalizers": ["example.com/wait"] });
        let held = Content { api_version: "v1".into(), kind: "ConfigMap".into(), metadata };
        let contents = Contents { objects: vec![held], unreadable: Vec::new() };
        assert_eq!(
            what_holds(&live, Some(&contents)),
            ["ConfigMap held waits for its finalizers: example.com/wait", "Some content"]
        );
        assert_eq!(first_condition(&live).as_deref(), Some("Some content"));
    }
}
