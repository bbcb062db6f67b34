//! Whether a run ended as it must, from the outside alone: what it said, its files, and what became of account and
//! cluster.

use std::collections::BTreeMap;

use serde_json::Value;

use super::call::Call;
use super::cell::Cell;
use super::expectation::Rule;
use super::stage::{Person, Run};
use super::standing::{Codes, Named, Standing};

/// What must hold of every run: no panic, and no code in anything that it said or wrote.
pub(super) fn always(run: &Run, person: &Person, codes: &Codes) -> Vec<String> {
    let mut problems = Vec::new();
    if run.stderr.contains("panicked at") || run.document()["code"] == "EKSC0901" {
        problems.push("it panicked".to_owned());
    }
    for (name, text) in [("standard output", &run.stdout), ("standard error", &run.stderr)] {
        if codes.are_in(text.as_bytes()) {
            problems.push(format!("an activation code is on {name}"));
        }
    }
    match person.files() {
        Ok(files) => {
            let leaks = files.iter().filter(|(_, content)| codes.are_in(content));
            problems.extend(leaks.map(|(path, _)| format!("an activation code is in {}", path.display())));
        }
        Err(error) => problems.push(format!("its files cannot be read: {error:#}")),
    }
    problems
}

/// How a run ended that a fault struck.
pub(super) struct Struck<'a> {
    pub(super) cell: &'a Cell,
    pub(super) rule: &'a Rule,
    pub(super) run: &'a Run,
    /// The requests to the cluster that may have died with the one that was struck: a reset takes with it whatever else is
    /// on the connection.
    pub(super) beside: Vec<Call>,
    /// How things stood before it, and stand now.
    pub(super) before: &'a Standing,
    pub(super) now: &'a Standing,
    /// What need not be reported: what was there before, and of a command that takes away what stays.
    pub(super) kept: &'a Standing,
}

impl Struck<'_> {
    /// What is wrong with it.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let Some(code) = self.run.code else { return vec!["a signal ended it".to_owned()] };
        if !self.rule.exit.contains(&code) {
            problems.push(format!("the exit code is {code} and not one of {:?}", self.rule.exit));
        }
        let document = self.run.document();
        if document.is_null() {
            problems.push("it printed no document".to_owned());
            return problems;
        }
        if code == 0 {
            let denied = format!("{} is denied", self.cell.point.call.operation);
            let says = document["unverified"].as_array().is_some_and(|list| !list.is_empty())
                || self.run.stderr.contains(&denied);
            if self.rule.unverified && !says {
                problems.push("it does not say what it could not verify".to_owned());
            }
            return problems;
        }
        if document["exitCode"] != code {
            problems.push(format!("the document says that the exit code is {}", document["exitCode"]));
        }
        if !self.rule.unnamed && !self.names_operation(&document) {
            let operation = &self.cell.point.call.operation;
            problems.push(format!("the error does not name the operation {operation}"));
        }
        problems.extend(self.unreported(&document));
        let made: Vec<String> =
            self.now.objects.difference(&self.before.objects).map(Named::to_string).collect();
        if self.rule.undone && self.now.registrations.is_empty() && !made.is_empty() {
            problems.push(format!("not undone: {}", made.join(", ")));
        }
        if matches!(code, 1 | 3) && !self.is_as_before() {
            let differences = self.now.differences(self.before);
            problems.push(format!("exit code {code} says that nothing is left: {}", differences.join("; ")));
        }
        problems
    }

    /// Whether all is as it was. A Lease may still be held where its own writes fail: it ends by itself.
    fn is_as_before(&self) -> bool {
        if self.cell.point.call.write && self.cell.point.call.kind.ends_with(":leases") {
            let unheld = |standing: &Standing| Standing { held: BTreeMap::new(), ..standing.clone() };
            return unheld(self.now) == unheld(self.before);
        }
        self.now == self.before
    }

    /// Whether the error names the operation that was struck, or one that died with the same connection.
    fn names_operation(&self, document: &Value) -> bool {
        let facts = document["facts"].as_array().into_iter().flatten();
        let said: Vec<&str> =
            facts.filter_map(|fact| fact["text"].as_str()).chain(document["message"].as_str()).collect();
        let names = |operation: &str| said.iter().any(|text| text.contains(operation));
        names(&self.cell.point.call.operation) || self.beside.iter().any(|call| names(&call.operation))
    }

    /// What is there now, should not be, and is not in the error's list of what remains; and what is in that list and
    /// is not there, unless it says that it may not be.
    fn unreported(&self, document: &Value) -> Vec<String> {
        if self.cell.command.removes && self.is_as_before() {
            // Nothing has been begun: that is all that there is to say.
            return Vec::new();
        }
        let remains: Vec<(&str, String)> = document["remains"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|each| (each["what"].as_str().unwrap_or_default(), words(&each["removeWith"])))
            .collect();
        let mut problems = Vec::new();
        let mut removals = Vec::new();
        for (what, removal) in self.left() {
            if !remains.iter().any(|(_, command)| command.contains(&removal)) {
                problems.push(format!("left and not reported: {what}"));
            }
            removals.push(removal);
        }
        for (what, command) in &remains {
            if !what.contains("may ") && !removals.iter().any(|removal| command.contains(removal)) {
                problems.push(format!("reported, and it is not there: {what}"));
            }
        }
        problems
    }

    /// What is there now and should not be, with the words of a command that removes it.
    fn left(&self) -> Vec<(String, String)> {
        let (before, now) = (self.kept, self.now);
        let mut left = Vec::new();
        for role in now.roles.difference(&before.roles) {
            let linked = role.starts_with("AWSServiceRoleFor");
            let command = if linked { "delete-service-linked-role" } else { "delete-role" };
            left.push((format!("role {role}"), format!(" iam {command} --role-name {role} ")));
        }
        for name in now.registrations.keys().filter(|name| !before.registrations.contains_key(*name)) {
            left.push((format!("registration {name}"), format!(" eks deregister-cluster --name {name} ")));
        }
        let objects: Vec<&Named> = now.objects.difference(&before.objects).collect();
        let is_new = |namespace: &str| {
            objects.iter().any(|object| object.kind == "Namespace" && object.name == namespace)
        };
        for object in &objects {
            // What is in a namespace goes with it, and pods go with what they belong to.
            if object.namespace.as_deref().is_some_and(is_new) || object.kind == "Pod" {
                continue;
            }
            if ["eksconnect:impersonate:", "eksconnect:view:"].iter().any(|of| object.name.starts_with(of)) {
                // The parts of a grant go together.
                left.push((object.to_string(), " revoke-view --principal ".to_owned()));
                continue;
            }
            let kind = object.kind.to_lowercase();
            let place =
                object.namespace.as_ref().map(|namespace| format!("-n {namespace} ")).unwrap_or_default();
            left.push((object.to_string(), format!(" delete {kind} {place}{} ", object.name)));
        }
        left
    }
}

/// The words of commands, each between two spaces.
fn words(commands: &Value) -> String {
    let text = commands.as_str().unwrap_or_default().replace(';', " ; ");
    format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_by_whole_words() {
        let commands = words(&Value::from("kubectl delete clusterrole a; kubectl delete clusterrole ab"));
        assert!(commands.contains(" delete clusterrole ab "));
        assert!(commands.contains(" delete clusterrole a "));
        assert!(!words(&Value::from("kubectl delete clusterrole ab")).contains(" delete clusterrole a "));
    }
}
