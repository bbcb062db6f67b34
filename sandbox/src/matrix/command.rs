//! The commands that the matrix is made for. To add one, add a line to [`COMMANDS`] and its expectations beside this file.

use super::standing::Standing;
use crate::node::runtime::table::MIRROR_REGISTRY;

/// The name under which everything is registered.
pub(super) const NAME: &str = "onprem1";

/// A command, and what it needs to be tried.
#[derive(Debug)]
pub(super) struct Command {
    /// As it is called on the command line.
    pub(super) name: &'static str,
    /// Its arguments, itself first.
    pub(super) arguments: &'static [&'static str],
    /// What is run before, and must end well: each is the arguments of eksconnect.
    pub(super) before: &'static [&'static [&'static str]],
    /// Whether it takes away: what it leaves is then what should not be there after a good run, and not what is new.
    pub(super) removes: bool,
    /// What is wrong with how things stand after a good run.
    pub(super) goal: fn(&Standing) -> Vec<String>,
    /// How each cell must end ([`super::expectation`]).
    pub(super) expectations: &'static str,
}

/// Every command of the matrix.
pub(super) static COMMANDS: &[Command] = &[
    Command {
        name: "register",
        arguments: &["register", "--name", NAME],
        before: &[],
        removes: false,
        goal: registered,
        expectations: include_str!("register.yaml"),
    },
    Command {
        name: "deregister",
        // Who runs it again may find that nothing is left.
        arguments: &["deregister", "--name", NAME, "--allow-missing"],
        before: &[&["register", "--name", NAME]],
        removes: true,
        goal: deregistered,
        expectations: include_str!("deregister.yaml"),
    },
    Command {
        name: "upgrade",
        arguments: &["upgrade", "--name", NAME, "--image-registry", MIRROR_REGISTRY],
        before: &[&["register", "--name", NAME]],
        removes: false,
        goal: registered,
        expectations: include_str!("upgrade.yaml"),
    },
    Command {
        name: "gc",
        // What was made a moment ago is left alone.
        arguments: &["gc", "--older-than", "1ms"],
        // Leaves the connector without its registration, and the role without one that uses it.
        before: &[&["register", "--name", NAME], &["deregister", "--name", NAME, "--aws-only"]],
        removes: true,
        goal: collected,
        expectations: include_str!("gc.yaml"),
    },
    Command {
        name: "grant-view",
        arguments: GRANT,
        before: &[&["register", "--name", NAME]],
        removes: false,
        goal: granted,
        expectations: include_str!("grant-view.yaml"),
    },
    Command {
        name: "revoke-view",
        arguments: &["revoke-view", "--principal", "self"],
        before: &[&["register", "--name", NAME], GRANT],
        removes: true,
        goal: revoked,
        expectations: include_str!("revoke-view.yaml"),
    },
];

/// A grant of a role of Kubernetes itself that lets read two kinds of objects: each kind that is granted is asked for, and each
/// question has its cells.
const GRANT: &[&str] = &["grant-view", "--principal", "self", "--cluster-role", "system:kube-dns"];

/// One registration, ACTIVE; the two roles; nobody at work.
fn registered(standing: &Standing) -> Vec<String> {
    let mut problems = Vec::new();
    let registrations: Vec<(&str, bool)> =
        standing.registrations.iter().map(|(name, active)| (name.as_str(), *active)).collect();
    if registrations != [(NAME, true)] {
        problems.push(format!("there is not just {NAME}, ACTIVE: {registrations:?}"));
    }
    if standing.roles.len() != 2 {
        problems.push(format!("there are not just the two roles: {:?}", standing.roles));
    }
    problems
}

/// Nothing but the two roles.
fn deregistered(standing: &Standing) -> Vec<String> {
    nothing_but(standing, 2)
}

/// Nothing but the service-linked role, which is the account's.
fn collected(standing: &Standing) -> Vec<String> {
    nothing_but(standing, 1)
}

fn nothing_but(standing: &Standing, roles: usize) -> Vec<String> {
    let mut problems = Vec::new();
    if !standing.registrations.is_empty() || standing.activations != 0 {
        let names: Vec<&String> = standing.registrations.keys().collect();
        problems.push(format!("there are registrations {names:?}, and {} activations", standing.activations));
    }
    if standing.roles.len() != roles {
        problems.push(format!("there are other than {roles} roles: {:?}", standing.roles));
    }
    problems.extend(standing.objects.iter().map(|object| format!("there still is {object}")));
    problems
}

/// The same, and one grant, whole.
fn granted(standing: &Standing) -> Vec<String> {
    let mut problems = registered(standing);
    let parts = parts_of_grants(standing);
    if parts.len() != 3 {
        problems.push(format!("there is not just one grant: {parts:?}"));
    }
    problems
}

/// The same, and nothing of a grant.
fn revoked(standing: &Standing) -> Vec<String> {
    let mut problems = registered(standing);
    problems.extend(parts_of_grants(standing).iter().map(|part| format!("there still is {part}")));
    problems
}

fn parts_of_grants(standing: &Standing) -> Vec<String> {
    let objects = standing.objects.iter().filter(|object| object.name.starts_with("eksconnect:"));
    objects.map(ToString::to_string).collect()
}
