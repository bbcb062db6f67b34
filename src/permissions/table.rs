//! The table: each action, on what, under which condition, and which commands use it how.

use std::fmt;

/// A command that calls AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Command {
    /// `register`, whole or `--aws-only`.
    Register,
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
    /// `deregister`.
    Deregister,
    /// `upgrade`.
    Upgrade,
    /// `gc`.
    Gc,
}

impl Command {
    /// Every one.
    pub const ALL: [Self; 12] = [
        Self::Register,
        Self::Status,
        Self::List,
        Self::Whoami,
        Self::RolesShow,
        Self::RolesCreate,
        Self::RolesDelete,
        Self::GrantView,
        Self::RevokeView,
        Self::Deregister,
        Self::Upgrade,
        Self::Gc,
    ];

    /// As it is written on the command line, in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Status => "status",
            Self::List => "list",
            Self::Whoami => "whoami",
            Self::RolesShow => "roles-show",
            Self::RolesCreate => "roles-create",
            Self::RolesDelete => "roles-delete",
            Self::GrantView => "grant-view",
            Self::RevokeView => "revoke-view",
            Self::Deregister => "deregister",
            Self::Upgrade => "upgrade",
            Self::Gc => "gc",
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
            (Resource::ServiceLinkedRole, Condition::None) => "ServiceLinkedRole",
            (Resource::Principals, Condition::None) => "Viewers",
        }
    }
}

const fn on(name: &'static str, resource: Resource, uses: &'static [Use]) -> Action {
    Action { name, resource, condition: Condition::None, uses }
}

const fn required(command: Command, reason: &'static str) -> Use {
    Use { command, need: Need::Required, reason }
}

const fn sometimes(command: Command, reason: &'static str) -> Use {
    Use { command, need: Need::Sometimes, reason }
}

const fn aid(command: Command, reason: &'static str) -> Use {
    Use { command, need: Need::Aid, reason }
}

/// Every action of every command, but for `sts:GetCallerIdentity`, which IAM always allows.
pub const TABLE: &[Action] = &[
    on("eks:RegisterCluster", Resource::Regional, &[required(Command::Register, "the registration")]),
    on(
        "eks:ListClusters",
        Resource::Regional,
        &[
            aid(Command::Register, "whether there is room for one more"),
            required(Command::List, "the names"),
            sometimes(Command::Whoami, "finding a registration that the cluster does not name"),
            sometimes(Command::Status, "finding the registration without --name"),
            aid(Command::RolesShow, "which registrations use the agent role"),
            sometimes(Command::Deregister, "finding a registration that the cluster does not name"),
            aid(Command::Upgrade, "asked in advance, as for registering"),
        ],
    ),
    on(
        "eks:ListClusters",
        Resource::AnyRegion,
        &[
            required(Command::RolesDelete, "whether a registration of any Region uses the agent role"),
            sometimes(Command::Deregister, "--delete-role, --delete-service-linked-role: who uses the role"),
            required(Command::Gc, "registrations, and which roles they use"),
        ],
    ),
    on(
        "ssm:CreateActivation",
        Resource::Regional,
        &[required(Command::Register, "EKS makes the activation in the caller's name")],
    ),
    on(
        "ssm:DeleteActivation",
        Resource::Regional,
        &[
            required(Command::Register, "EKS takes the activation back in the caller's name"),
            sometimes(Command::Deregister, "EKS takes the activation back in the caller's name"),
            sometimes(Command::Gc, "EKS takes the activation back in the caller's name"),
        ],
    ),
    on(
        "ssm:DeregisterManagedInstance",
        Resource::Regional,
        &[
            sometimes(
                Command::Register,
                "removing a registration whose agents are lost, before it is made anew",
            ),
            sometimes(Command::Deregister, "EKS takes the agents' instances away in the caller's name"),
            sometimes(Command::Gc, "EKS takes the agents' instances away in the caller's name"),
        ],
    ),
    on(
        "eks:DescribeCluster",
        Resource::Registration,
        &[
            required(Command::Register, "whether the name is free; the status while waiting"),
            required(Command::Status, "the status"),
            required(Command::List, "the status"),
            required(Command::Whoami, "the registration"),
            aid(Command::RolesShow, "which registrations use the agent role"),
            required(Command::Deregister, "whether the registration is this cluster's"),
            required(Command::Upgrade, "whether the registration is this cluster's, and ACTIVE"),
        ],
    ),
    on(
        "eks:DescribeCluster",
        Resource::AnyRegistration,
        &[
            sometimes(Command::RolesDelete, "whether a registration of any Region uses the agent role"),
            sometimes(Command::Deregister, "--delete-role, --delete-service-linked-role: who uses the role"),
            sometimes(Command::Gc, "each registration's status and role"),
        ],
    ),
    on(
        "eks:TagResource",
        Resource::Registration,
        &[aid(Command::Register, "the tags; with --tag it is required")],
    ),
    on(
        "eks:DeregisterCluster",
        Resource::Registration,
        &[
            sometimes(Command::Register, "taking back a registration that can never become ACTIVE"),
            required(Command::Deregister, "the registration goes"),
        ],
    ),
    on(
        "eks:DeregisterCluster",
        Resource::AnyRegistration,
        &[sometimes(Command::Gc, "registrations that have FAILED or expired go")],
    ),
    on(
        "servicequotas:GetServiceQuota",
        Resource::Regional,
        &[
            aid(Command::Register, "whether there is room for one more"),
            aid(Command::Upgrade, "asked in advance, as for registering"),
        ],
    ),
    on(
        "iam:GetRole",
        Resource::AgentRole,
        &[
            aid(Command::Register, "whether the role exists and can be used"),
            required(Command::RolesShow, "the role"),
            required(Command::RolesCreate, "whether the role exists and can be used"),
            required(Command::RolesDelete, "whether the role is eksconnect's own"),
            sometimes(Command::Deregister, "--delete-role: whether the role may go"),
            aid(Command::Upgrade, "read with the registration"),
            sometimes(Command::Gc, "whether a role is eksconnect's own"),
        ],
    ),
    on(
        "iam:GetRolePolicy",
        Resource::AgentRole,
        &[
            aid(Command::Register, "whether its inline policy is right"),
            aid(Command::RolesShow, "whether its inline policy is right"),
            aid(Command::RolesCreate, "whether its inline policy is right"),
            aid(Command::RolesDelete, "read with the role"),
            aid(Command::Deregister, "read with the role"),
            aid(Command::Upgrade, "read with the role"),
            aid(Command::Gc, "read with the role"),
        ],
    ),
    on(
        "iam:CreateRole",
        Resource::AgentRole,
        &[
            required(Command::Register, "the role, if it does not exist"),
            required(Command::RolesCreate, "the role, if it does not exist"),
        ],
    ),
    on(
        "iam:TagRole",
        Resource::AgentRole,
        &[
            aid(Command::Register, "its tags; with --role-tag it is required"),
            aid(Command::RolesCreate, "its tags; with --role-tag it is required"),
        ],
    ),
    on(
        "iam:PutRolePolicy",
        Resource::AgentRole,
        &[
            required(Command::Register, "its inline policy"),
            required(Command::RolesCreate, "its inline policy"),
        ],
    ),
    on(
        "iam:UpdateAssumeRolePolicy",
        Resource::AgentRole,
        &[
            sometimes(Command::Register, "letting Systems Manager assume a role of eksconnect's own again"),
            sometimes(
                Command::RolesCreate,
                "letting Systems Manager assume a role of eksconnect's own again",
            ),
        ],
    ),
    on(
        "iam:PutRolePermissionsBoundary",
        Resource::AgentRole,
        &[
            sometimes(Command::Register, "another boundary for a role of eksconnect's own"),
            sometimes(Command::RolesCreate, "another boundary for a role of eksconnect's own"),
        ],
    ),
    on(
        "iam:ListRolePolicies",
        Resource::AgentRole,
        &[
            required(Command::RolesDelete, "the policies that go before the role"),
            sometimes(Command::Deregister, "--delete-role: the policies that go before the role"),
            sometimes(Command::Gc, "the policies that go before the role"),
        ],
    ),
    on(
        "iam:ListAttachedRolePolicies",
        Resource::AgentRole,
        &[
            required(Command::RolesDelete, "the policies that go before the role"),
            sometimes(Command::Deregister, "--delete-role: the policies that go before the role"),
            sometimes(Command::Gc, "the policies that go before the role"),
        ],
    ),
    on(
        "iam:DeleteRolePolicy",
        Resource::AgentRole,
        &[
            required(Command::RolesDelete, "the policy goes before the role"),
            sometimes(Command::Deregister, "--delete-role: the policy goes before the role"),
            sometimes(Command::Gc, "the policy goes before the role"),
        ],
    ),
    on(
        "iam:DeleteRole",
        Resource::AgentRole,
        &[
            required(Command::RolesDelete, "the role"),
            sometimes(Command::Deregister, "--delete-role"),
            sometimes(Command::Gc, "a role that nothing uses"),
        ],
    ),
    Action {
        name: "iam:PassRole",
        resource: Resource::AgentRole,
        condition: Condition::PassedToConnector,
        uses: &[required(Command::Register, "AWS asks for it in RegisterCluster")],
    },
    on(
        "iam:GetRole",
        Resource::ServiceLinkedRole,
        &[
            aid(Command::Register, "whether the role exists"),
            aid(Command::RolesShow, "whether the role exists"),
            required(Command::RolesCreate, "whether the role exists"),
            sometimes(Command::Deregister, "--delete-role, --delete-service-linked-role: whether it exists"),
            aid(Command::Upgrade, "read with the registration"),
        ],
    ),
    on(
        "iam:DeleteServiceLinkedRole",
        Resource::ServiceLinkedRole,
        &[
            sometimes(Command::RolesDelete, "--delete-service-linked-role"),
            sometimes(Command::Deregister, "--delete-service-linked-role"),
        ],
    ),
    on(
        "iam:GetServiceLinkedRoleDeletionStatus",
        Resource::ServiceLinkedRole,
        &[
            sometimes(Command::RolesDelete, "--delete-service-linked-role, waited to its end"),
            sometimes(Command::Deregister, "--delete-service-linked-role, waited to its end"),
        ],
    ),
    Action {
        name: "iam:CreateServiceLinkedRole",
        resource: Resource::ServiceLinkedRole,
        condition: Condition::ConnectorsOwnRole,
        uses: &[
            required(Command::Register, "the role, once an account"),
            required(Command::RolesCreate, "the role, once an account"),
        ],
    },
    on(
        "iam:GetRole",
        Resource::Principals,
        &[
            aid(Command::GrantView, "whether the principal exists"),
            sometimes(Command::RevokeView, "--detach-iam-policy: whether the principal exists"),
        ],
    ),
    on(
        "iam:GetRolePolicy",
        Resource::Principals,
        &[
            aid(
                Command::GrantView,
                "which clusters its policy names; with --attach-iam-policy it is required",
            ),
            sometimes(Command::RevokeView, "--detach-iam-policy: which clusters its policy names"),
        ],
    ),
    on(
        "iam:GetUser",
        Resource::Principals,
        &[
            aid(Command::GrantView, "whether the principal exists"),
            sometimes(Command::RevokeView, "--detach-iam-policy: whether the principal exists"),
        ],
    ),
    on(
        "iam:GetUserPolicy",
        Resource::Principals,
        &[
            aid(
                Command::GrantView,
                "which clusters its policy names; with --attach-iam-policy it is required",
            ),
            sometimes(Command::RevokeView, "--detach-iam-policy: which clusters its policy names"),
        ],
    ),
    on(
        "iam:SimulatePrincipalPolicy",
        Resource::Principals,
        &[aid(Command::GrantView, "whether IAM lets the principal view")],
    ),
    on(
        "iam:ListRoles",
        Resource::Account,
        &[
            sometimes(Command::GrantView, "--permission-set: the role of that permission set"),
            sometimes(Command::RevokeView, "--permission-set: the role of that permission set"),
            required(Command::Gc, "the roles of eksconnect's own"),
        ],
    ),
    on(
        "iam:PutRolePolicy",
        Resource::Principals,
        &[
            sometimes(Command::GrantView, "--attach-iam-policy"),
            sometimes(Command::RevokeView, "--detach-iam-policy, where the policy names other clusters too"),
        ],
    ),
    on(
        "iam:PutUserPolicy",
        Resource::Principals,
        &[
            sometimes(Command::GrantView, "--attach-iam-policy"),
            sometimes(Command::RevokeView, "--detach-iam-policy, where the policy names other clusters too"),
        ],
    ),
    on(
        "iam:DeleteRolePolicy",
        Resource::Principals,
        &[sometimes(Command::RevokeView, "--detach-iam-policy")],
    ),
    on(
        "iam:DeleteUserPolicy",
        Resource::Principals,
        &[sometimes(Command::RevokeView, "--detach-iam-policy")],
    ),
];
