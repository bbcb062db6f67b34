//! How an upgrade ends that does not end well.

use crate::error::{Code, Error, Remains};

/// There are no agents.
pub(super) fn nothing_here(namespace: &str) -> Error {
    Error::refused(Code::NOT_UPGRADABLE, format!("there are no agents in namespace {namespace}"))
        .cause("this cluster is not connected, or its connector lives elsewhere")
        .fix("check --context and --namespace; to connect it: eksconnect register --name NAME")
}

/// How many agents there are to be is not known from what is there: none.
pub(super) fn scaled_to_none(namespace: &str) -> Error {
    Error::refused(Code::NOT_UPGRADABLE, format!("the agents in namespace {namespace} are scaled to none"))
        .cause("an upgrade leaves their number as it is, and none cannot be ACTIVE")
        .fix("say how many there shall be: --replicas N")
}

/// What is reached without a proxy was named, and no proxy is in use.
pub(super) fn no_proxy() -> Error {
    Error::usage(Code::COMMAND_LINE, "--no-proxy needs a proxy, and the agents use none")
        .fix("add --https-proxy URL, or leave --no-proxy out")
}

/// `error` made the agents go back to what they were, and that worked.
/// `credentials` is a Secret that has new ones, which stay.
pub(super) fn rolled_back(name: &str, error: Error, credentials: Option<String>) -> Error {
    let mut back = Error::failed(
        Code::ROLLED_BACK,
        format!(
            "the new agents of {name} did not work; they were rolled back, and {name} is ACTIVE as before"
        ),
    );
    // How they stood is over; why they did not work is not.
    back.facts = error.facts.into_iter().filter(|fact| !["fix", "state"].contains(&fact.label)).collect();
    back.remains = credentials.into_iter().map(new_credentials).collect();
    back.fix("remove the cause, then upgrade again")
}

fn new_credentials(secret: String) -> Remains {
    Remains {
        what: format!("{secret}, with the new credentials"),
        remove_with: "eksconnect upgrade --pull-secret-file FILE, with those of before".to_owned(),
    }
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
