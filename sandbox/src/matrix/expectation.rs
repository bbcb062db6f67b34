//! How each cell must end: decided beforehand, in a table beside this file, and not what the program happened to do.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::cell::Cell;
use super::fault::{Blow, Fault, times};

/// The table of a command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectations {
    /// What calls are to the command: a role each, by the names of points or kinds.
    roles: BTreeMap<String, Vec<String>>,
    /// The roles of reads and of writes that are not named.
    otherwise: Otherwise,
    /// The first that fits holds.
    rules: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Otherwise {
    read: String,
    write: String,
}

/// How runs end in which a fault strikes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rule {
    /// Roles of the call that it strikes; any if there are none.
    #[serde(default)]
    roles: Vec<String>,
    /// The faults; any if there are none.
    #[serde(default)]
    faults: Vec<String>,
    /// `once` or `lasting`; either if there is none.
    #[serde(default)]
    times: Option<String>,
    /// The exit codes that are right.
    pub(super) exit: Vec<i32>,
    /// Whether a run that ends well must say what it could not verify.
    #[serde(default)]
    pub(super) unverified: bool,
    /// Whether the error need not name the call, since nobody can see that it fails.
    #[serde(default)]
    pub(super) unnamed: bool,
    /// Whether a run that fails must have undone what it made in the cluster, unless there is a registration.
    #[serde(default)]
    pub(super) undone: bool,
    /// Whether a run that ends well may leave something to the next one, of which it says so.
    #[serde(default)]
    pub(super) unfinished: bool,
    /// Further arguments, to shorten a time-out that the fault makes it wait for.
    #[serde(default)]
    pub(super) arguments: Vec<String>,
    /// Why that is right.
    #[serde(rename = "why")]
    _why: String,
}

impl Expectations {
    /// Reads a table.
    ///
    /// # Errors
    /// It is no table, or names a fault or a role that there is not.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let table: Self = serde_yaml::from_str(text).context("the expectations cannot be read")?;
        let otherwise = [&table.otherwise.read, &table.otherwise.write];
        for rule in &table.rules {
            for fault in &rule.faults {
                ensure!(Fault::ALL.iter().any(|each| each.name() == fault), "there is no fault {fault}");
            }
            for role in &rule.roles {
                let known = table.roles.contains_key(role) || otherwise.contains(&role);
                ensure!(known, "there is no role {role}");
            }
            let known = [times(true), times(false)];
            ensure!(
                rule.times.as_deref().is_none_or(|times| known.contains(&times)),
                "times are once or lasting"
            );
        }
        Ok(table)
    }

    /// What the call of a cell is to the command.
    fn role(&self, cell: &Cell) -> &str {
        let point = &cell.point;
        let named = |name: &str| {
            let mut roles = self.roles.iter();
            roles.find(|(_, calls)| calls.iter().any(|call| call == name)).map(|(role, _)| role.as_str())
        };
        let otherwise = if point.call.write { &self.otherwise.write } else { &self.otherwise.read };
        named(&point.label).or_else(|| named(&point.call.kind)).unwrap_or(otherwise)
    }

    /// How a cell with a fault must end; `None` for one that is killed, which ends in no way of its own.
    ///
    /// # Errors
    /// No rule fits.
    pub(super) fn of(&self, cell: &Cell) -> Result<Option<&Rule>> {
        let Blow::Fault { fault, lasting } = cell.blow else { return Ok(None) };
        let role = self.role(cell);
        let fits = |rule: &&Rule| {
            (rule.roles.is_empty() || rule.roles.iter().any(|each| each == role))
                && (rule.faults.is_empty() || rule.faults.iter().any(|each| each == fault.name()))
                && rule.times.as_deref().is_none_or(|each| each == times(lasting))
        };
        let rule = self.rules.iter().find(fits);
        rule.map(Some).with_context(|| format!("no rule says how {} must end", cell.name()))
    }
}
