//! What no plan may do, whatever led to it: grant a wildcard, grant to a group, or let the connector be anybody. Everything else
//! sees to that; this makes sure of it before anything is done.

use serde_json::Value;

use super::removal::Removal;
use super::step::Step;
use crate::error::{Code, Error};
use crate::plan::Plan;

/// Makes sure that nothing in a plan is wider than a grant may be.
///
/// # Errors
/// Something is: a defect.
pub(super) fn check(plan: &Plan<Step>) -> Result<(), Error> {
    match plan.iter().find_map(|(_, planned)| Some((&planned.step, wide(&planned.step)?))) {
        None => Ok(()),
        Some((step, why)) => {
            let message = format!("the plan is wider than a grant may be: {}", step.describe());
            Err(Error::failed(Code::INTERNAL, message).cause(why))
        }
    }
}

/// Why a step must not be done, if it must not.
fn wide(step: &Step) -> Option<&'static str> {
    match step {
        Step::Apply(object) => rules(&object.body).find_map(wide_rule).or_else(|| to_a_group(&object.body)),
        // What others gave beside it stays as it is; but nothing is left that names nobody.
        Step::Change(Removal::Amend { change, .. }) => rules(change).find_map(|rule| {
            let documented = has(rule, "verbs", "impersonate") && has(rule, "resources", "users");
            (documented && is_empty(rule, "resourceNames"))
                .then_some("a rule would let the connector be anybody")
        }),
        Step::Change(Removal::Delete { .. })
        | Step::Remove { .. }
        | Step::AttachPolicy { .. }
        | Step::DetachPolicy { .. }
        | Step::AwaitAllowed { .. }
        | Step::Verify(_)
        | Step::VerifyRevoked { .. } => None,
    }
}

fn wide_rule(rule: &Value) -> Option<&'static str> {
    let fields = ["verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs"];
    if fields.iter().flat_map(|field| words(rule, field)).any(|word| word.contains('*')) {
        return Some("a rule has a wildcard");
    }
    let be_somebody =
        words(rule, "verbs").any(|verb| verb == "impersonate" || verb == "impersonate:user-info");
    if be_somebody && is_empty(rule, "resourceNames") {
        return Some("a rule would let the connector be anybody");
    }
    let names_nothing =
        rule.get("resourceNames").is_some_and(|names| names.as_array().is_none_or(Vec::is_empty));
    names_nothing.then_some("a rule names nothing, and so everything")
}

fn to_a_group(body: &Value) -> Option<&'static str> {
    let mut subjects = body["subjects"].as_array().into_iter().flatten();
    subjects.any(|subject| subject["kind"] == "Group").then_some("a group would get it")
}

fn rules(body: &Value) -> impl Iterator<Item = &Value> {
    body["rules"].as_array().into_iter().flatten()
}

fn words<'a>(rule: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    rule[field].as_array().into_iter().flatten().filter_map(Value::as_str)
}

fn has(rule: &Value, field: &str, wanted: &str) -> bool {
    words(rule, field).any(|word| word == wanted)
}

fn is_empty(rule: &Value, field: &str) -> bool {
    words(rule, field).next().is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::manifest::{Object, ObjectKind, ObjectRef};

    fn applied(body: Value) -> Option<&'static str> {
        wide(&Step::Apply(Object { reference: ObjectRef::new(ObjectKind::ClusterRole, "", "x"), body }))
    }

    fn changed(rules: Value) -> Option<&'static str> {
        let object = ObjectRef::new(ObjectKind::ClusterRole, "", "x");
        let (seen, what) = (String::new(), String::new());
        wide(&Step::Change(Removal::Amend { object, seen, change: json!({ "rules": rules }), what }))
    }

    #[test]
    fn what_is_wider_than_a_grant_is_found() {
        let of_rule = |rule: Value| applied(json!({ "rules": [rule] }));
        assert_eq!(of_rule(json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["pods"] })), None);
        for field in ["verbs", "apiGroups", "resources", "nonResourceURLs"] {
            assert_eq!(of_rule(json!({ field: ["a", "*"] })), Some("a rule has a wildcard"), "{field}");
        }
        assert!(of_rule(json!({ "nonResourceURLs": ["/apis/*"] })).is_some());
        for verb in ["impersonate", "impersonate:user-info"] {
            let users = json!({ "verbs": [verb], "resources": ["users"], "resourceNames": ["arn"] });
            assert_eq!(of_rule(users), None);
            assert!(of_rule(json!({ "verbs": [verb], "resources": ["users"] })).is_some(), "{verb}");
        }
        assert!(of_rule(json!({ "verbs": ["get"], "resourceNames": [] })).is_some());
        assert!(applied(json!({ "subjects": [{ "kind": "Group", "name": "all" }] })).is_some());
        assert!(applied(json!({ "subjects": [{ "kind": "User", "name": "arn" }] })).is_none());
    }

    #[test]
    fn what_is_left_of_others_names_somebody() {
        let users = |names: Value| json!([{ "verbs": ["impersonate"], "resources": ["users"], "resourceNames": names }]);
        assert_eq!(changed(users(json!(["arn"]))), None);
        assert!(changed(users(json!([]))).is_some());
        assert!(changed(json!([{ "verbs": ["impersonate"], "resources": ["users"] }])).is_some());
        // Somebody else's rule about something else.
        assert_eq!(changed(json!([{ "verbs": ["*"], "resources": ["*"] }])), None);
        let mut plan = Plan::default();
        let body = json!({ "rules": [{ "verbs": ["*"] }] });
        plan.add(
            Step::Apply(Object { reference: ObjectRef::new(ObjectKind::ClusterRole, "", "x"), body }),
            [],
        );
        assert_eq!(check(&plan).unwrap_err().code, Code::INTERNAL);
    }
}
