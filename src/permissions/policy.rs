//! A policy document from the table.

use std::collections::BTreeMap;

use serde::Serialize;

use super::table::{Action, Command, Condition, Resource};
use crate::registration::step::SERVICE_LINKED_ROLE;

/// A policy document. Its members are in the order in which people write them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    /// The version of the language.
    pub version: &'static str,
    /// What it allows.
    pub statement: Vec<Statement>,
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Its name.
    pub sid: &'static str,
    /// Always `Allow`.
    pub effect: &'static str,
    /// The actions.
    pub action: Vec<&'static str>,
    /// On what.
    pub resource: Vec<String>,
    /// If what: by operator and key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<&'static str, BTreeMap<&'static str, Vec<String>>>,
}

/// What is known of where the commands will be used; the less, the wider the policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The account.
    pub account: Option<String>,
    /// The Region.
    pub region: Option<String>,
    /// The registration.
    pub name: Option<String>,
    /// Path, without the first slash, and name of the agent role.
    pub role: String,
}

impl Default for Place {
    fn default() -> Self {
        let role = crate::registration::request::DEFAULT_ROLE_NAME.to_owned();
        Self { account: None, region: None, name: None, role }
    }
}

impl Place {
    fn account(&self) -> &str {
        self.account.as_deref().unwrap_or("*")
    }

    fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("*")
    }

    fn resources(&self, resource: Resource) -> Vec<String> {
        let (account, region) = (self.account(), self.region());
        let name = self.name.as_deref().unwrap_or("*");
        let role = |path: &str| format!("arn:aws:iam::{account}:role/{path}");
        match resource {
            Resource::Regional | Resource::AnyRegion | Resource::Account => vec!["*".to_owned()],
            Resource::AnyRegistration => vec![format!("arn:aws:eks:*:{account}:cluster/*")],
            Resource::Registration => vec![format!("arn:aws:eks:{region}:{account}:cluster/{name}")],
            Resource::AgentRole => {
                let bare = self.role.rsplit('/').next().unwrap_or_default();
                let mut arns = vec![role(&self.role)];
                // A role that does not exist yet may be checked by its name alone.
                arns.extend((bare != self.role).then(|| role(bare)));
                arns
            }
            Resource::ServiceLinkedRole => vec![
                role(&format!("aws-service-role/eks-connector.amazonaws.com/{SERVICE_LINKED_ROLE}")),
                role(SERVICE_LINKED_ROLE),
            ],
            Resource::Principals => vec![role("*"), format!("arn:aws:iam::{account}:user/*")],
        }
    }

    fn condition(&self, action: &Action) -> BTreeMap<&'static str, BTreeMap<&'static str, Vec<String>>> {
        let mut keys: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        match action.condition {
            Condition::None => {}
            Condition::PassedToConnector => {
                let services = ["eks.amazonaws.com", "ssm.amazonaws.com"];
                keys.insert("iam:PassedToService", services.map(str::to_owned).into());
            }
            Condition::ConnectorsOwnRole => {
                keys.insert("iam:AWSServiceName", vec!["eks-connector.amazonaws.com".to_owned()]);
            }
        }
        if action.resource == Resource::Regional
            && let Some(region) = &self.region
        {
            keys.insert("aws:RequestedRegion", vec![region.clone()]);
        }
        if keys.is_empty() { BTreeMap::new() } else { [("StringEquals", keys)].into() }
    }
}

/// What allows some commands: one statement for each kind of resource and condition.
pub fn document(commands: &[Command], place: &Place) -> Document {
    let mut statement: Vec<Statement> = Vec::new();
    for action in super::actions(commands) {
        let sid = action.sid();
        match statement.iter_mut().find(|one| one.sid == sid) {
            Some(one) => one.action.push(action.name),
            None => statement.push(Statement {
                sid,
                effect: "Allow",
                action: vec![action.name],
                resource: place.resources(action.resource),
                condition: place.condition(action),
            }),
        }
    }
    Document { version: "2012-10-17", statement }
}
