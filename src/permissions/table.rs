//! What the table is made of: each action, on what, under which condition, and which commands use it how.

use std::fmt;

/// A command that calls AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// `register`, whole or `--aws-only`.
    Register,
    /// `deregister`.
    Deregister,
    /// `upgrade`.
    Upgrade,
    /// `gc`.
    Gc,
    /// `status`.
    Status,
    /// `list`.
    List,
    /// `whoami`.
    Whoami,
    /// `roles show`.
    RolesShow,
    /// `roles create`.
    RolesCreate,
    /// `roles delete`.
    RolesDelete,
    /// `grant-view`.
    GrantView,
    /// `revoke-view`.
    RevokeView,
    /// `list-views`.
    ListViews,
    /// `verify-view`.
    VerifyView,
    /// `view`.
    View,
}

impl Command {
    /// Every one.
    pub const ALL: [Self; 15] = [
        Self::Register,
        Self::Deregister,
        Self::Upgrade,
        Self::Gc,
        Self::Status,
        Self::List,
        Self::Whoami,
        Self::RolesShow,
        Self::RolesCreate,
        Self::RolesDelete,
        Self::GrantView,
        Self::RevokeView,
        Self::ListViews,
        Self::VerifyView,
        Self::View,
    ];

    /// As it is written on the command line, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Deregister => "deregister",
            Self::Upgrade => "upgrade",
            Self::Gc => "gc",
            Self::Status => "status",
            Self::List => "list",
            Self::Whoami => "whoami",
            Self::RolesShow => "roles-show",
            Self::RolesCreate => "roles-create",
            Self::RolesDelete => "roles-delete",
            Self::GrantView => "grant-view",
            Self::RevokeView => "revoke-view",
            Self::ListViews => "list-views",
            Self::VerifyView => "verify-view",
            Self::View => "view",
        }
    }
}

/// How much a command needs an action. The later ones are stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// It works without, and says what it could not verify.
    Aid,
    /// Under some circumstances only.
    Sometimes,
    /// Without it the command fails, and names it.
    Required,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aid => "aid",
            Self::Sometimes => "sometimes",
            Self::Required => "required",
        })
    }
}

/// What an action is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Nothing that an ARN could name, in a Region.
    Regional,
    /// Nothing that an ARN could name, in the account.
    Account,
    /// Nothing that an ARN could name, in whichever Region.
    AnyRegion,
    /// The registration.
    Registration,
    /// Registrations of any name in any Region.
    AnyRegistration,
    /// The agent role.
    AgentRole,
    /// Roles of any name.
    AnyRole,
    /// The service-linked role.
    ServiceLinkedRole,
    /// The principals that view.
    Principals,
}

/// What an action is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Nothing more.
    None,
    /// The role is passed to EKS or Systems Manager. The sources do not agree on which one is asked for.
    PassedToConnector,
    /// The service-linked role is the connector's.
    ConnectorsOwnRole,
}

/// A command's use of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Which command.
    pub command: Command,
    /// How much it needs it.
    pub need: Need,
    /// What for.
    pub reason: &'static str,
}

/// An action on something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// As IAM names it.
    pub name: &'static str,
    /// On what.
    pub resource: Resource,
    /// Under which condition.
    pub condition: Condition,
    /// Who uses it.
    pub uses: &'static [Use],
}

impl Action {
    /// How much these commands need it; `None` if none does.
    pub fn need(&self, commands: &[Command]) -> Option<Need> {
        self.uses.iter().filter(|one| commands.contains(&one.command)).map(|one| one.need).max()
    }

    /// The statement that it belongs to.
    pub(super) fn sid(&self) -> &'static str {
        match (self.resource, self.condition) {
            (_, Condition::PassedToConnector) => "PassAgentRole",
            (_, Condition::ConnectorsOwnRole) => "MakeServiceLinkedRole",
            (Resource::Regional, Condition::None) => "Region",
            (Resource::Account, Condition::None) => "Account",
            (Resource::AnyRegion, Condition::None) => "EveryRegion",
            (Resource::Registration, Condition::None) => "Registration",
            (Resource::AnyRegistration, Condition::None) => "EveryRegistration",
            (Resource::AgentRole, Condition::None) => "AgentRole",
            (Resource::AnyRole, Condition::None) => "EveryRole",
            (Resource::ServiceLinkedRole, Condition::None) => "ServiceLinkedRole",
            (Resource::Principals, Condition::None) => "Viewers",
        }
    }
}
