//! What applying an object would change in the live one, field by field.

use serde_json::Value;

/// One field that would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldChange {
    /// Where: `spec.template.spec.containers[connector-agent].image`.
    pub field: String,
    /// What it is; `None` if there is none.
    pub from: Option<Value>,
    /// What it would be; `None` if it would go.
    pub to: Option<Value>,
}

/// Compares what is with what would be.
pub fn difference(live: &Value, applied: &Value) -> Vec<FieldChange> {
    let mut changes = Vec::new();
    compare("", Some(live), Some(applied), &mut changes);
    changes
}

fn compare(field: &str, from: Option<&Value>, to: Option<&Value>, changes: &mut Vec<FieldChange>) {
    match (from, to) {
        (from, to) if from == to => {}
        (Some(Value::Object(from)), Some(Value::Object(to))) => {
            let added = to.keys().filter(|key| !from.contains_key(*key));
            for key in from.keys().chain(added) {
                compare(&member(field, key), from.get(key), to.get(key), changes);
            }
        }
        (Some(Value::Array(from)), Some(Value::Array(to))) => {
            let names = |items: &[Value]| -> Option<Vec<String>> {
                items.iter().map(|item| item["name"].as_str().map(str::to_owned)).collect()
            };
            // Items with names keep them when others come before them; the others have nothing but their place.
            if let (Some(before), Some(after)) = (names(from), names(to)) {
                let find =
                    |items: &[Value], name: &str| items.iter().find(|item| item["name"] == name).cloned();
                let added = after.iter().filter(|name| !before.contains(name));
                for name in before.iter().chain(added) {
                    let (from, to) = (find(from, name), find(to, name));
                    compare(&format!("{field}[{name}]"), from.as_ref(), to.as_ref(), changes);
                }
            } else {
                for index in 0..from.len().max(to.len()) {
                    compare(&format!("{field}[{index}]"), from.get(index), to.get(index), changes);
                }
            }
        }
        (from, to) => {
            changes.push(FieldChange { field: field.to_owned(), from: from.cloned(), to: to.cloned() });
        }
    }
}

/// Keys with dots are written in brackets, as `kubectl` reads them: `metadata.labels[app.kubernetes.io/name]`.
fn member(field: &str, key: &str) -> String {
    match (field, key.contains(['.', '/'])) {
        (_, true) => format!("{field}[{key}]"),
        ("", false) => key.to_owned(),
        (field, false) => format!("{field}.{key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_named_as_people_name_them() {
        let live = json!({
            "data": { "seelog.xml": "old" }, "gone": 1,
            "containers": [{ "name": "a", "image": "x:1" }, { "name": "b" }], "verbs": ["get"],
        });
        let applied = json!({
            "data": { "seelog.xml": "new" },
            "containers": [{ "name": "c" }, { "name": "a", "image": "x:2" }, { "name": "b" }], "verbs": ["get", "list"],
        });
        let shown: Vec<String> = difference(&live, &applied)
            .into_iter()
            .map(|change| {
                let text = |value: Option<Value>| value.map_or("-".to_owned(), |value| value.to_string());
                format!("{} {} {}", change.field, text(change.from), text(change.to))
            })
            .collect();
        assert_eq!(
            shown,
            [
                r#"containers[a].image "x:1" "x:2""#,
                r#"containers[c] - {"name":"c"}"#,
                r#"data[seelog.xml] "old" "new""#,
                "gone 1 -",
                r#"verbs[1] - "list""#,
            ]
        );
        assert_eq!(difference(&live, &live), []);
    }
}
