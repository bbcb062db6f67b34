//! How an upgrade ends that does not end well.

use crate::error::{Code, Error};

/// There are no agents.
pub(super) fn nothing_here(namespace: &str) -> Error {
    Error::refused(Code::NOT_UPGRADABLE, format!("there are no agents in namespace {namespace}"))
        .cause("this cluster is not connected, or its connector lives elsewhere")
        .fix("check --context and --namespace; to connect it: eksconnect register --name NAME")
}

/// `error` made the agents go back to what they were, and that worked.
pub(super) fn rolled_back(name: &str, error: Error) -> Error {
    let mut back = Error::failed(
        Code::ROLLED_BACK,
        format!(
            "the new agents of {name} did not work; they were rolled back, and {name} is ACTIVE as before"
        ),
    );
    back.facts = error.facts.into_iter().filter(|fact| fact.label != "fix").collect();
    back.fix("remove the cause, then upgrade again")
}

/// `error` made the agents go back to what they were, and `second` says why that failed.
pub(super) fn not_rolled_back(name: &str, error: Error, second: &Error) -> Error {
    let mut stuck = Error::failed(
        Code::NOT_ROLLED_BACK,
        format!("the new agents of {name} did not work, and could not be rolled back"),
    );
    stuck.facts = error.facts.into_iter().filter(|fact| fact.label != "fix").collect();
    stuck
        .fact("also", format!("rolling back: {}", second.message))
        .fix("remove the cause, then run the same command again; or eksconnect register sets the agents as its options say")
}
