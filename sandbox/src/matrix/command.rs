//! The commands that the matrix is made for. To add one, add a line to [`COMMANDS`] and its expectations beside this file.

use super::standing::Standing;

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
    /// What is wrong with how things stand after a good run.
    pub(super) goal: fn(&Standing) -> Vec<String>,
    /// How each cell must end ([`super::expectation`]).
    pub(super) expectations: &'static str,
}

/// Every command of the matrix.
pub(super) static COMMANDS: &[Command] = &[Command {
    name: "register",
    arguments: &["register", "--name", NAME],
    before: &[],
    goal: registered,
    expectations: include_str!("register.yaml"),
}];

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
