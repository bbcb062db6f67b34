//! The table itself.

use super::table::{Action, Command, Condition, Need, Resource, Use};

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
            sometimes(Command::Deregister, "finding a registration that the cluster does not name"),
            aid(Command::Upgrade, "read as register reads it"),
            required(Command::List, "the names"),
            sometimes(Command::Whoami, "finding a registration that the cluster does not name"),
            sometimes(Command::Status, "finding the registration without --name"),
            aid(Command::RolesShow, "which registrations use the agent role"),
        ],
    ),
    on(
        "eks:ListClusters",
        Resource::AnyRegion,
        &[
            required(Command::RolesDelete, "whether a registration of any Region uses the agent role"),
            required(Command::Gc, "whether a registration of any Region uses a role"),
            sometimes(Command::Deregister, "--delete-role: whether another registration uses it"),
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
            required(Command::Deregister, "EKS takes the activation back in the caller's name"),
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
            required(Command::Deregister, "EKS takes the agents' instances back in the caller's name"),
            sometimes(Command::Gc, "EKS takes the agents' instances back in the caller's name"),
        ],
    ),
    on(
        "eks:DescribeCluster",
        Resource::Registration,
        &[
            required(Command::Register, "whether the name is free; the status while waiting"),
            required(Command::Deregister, "whose the registration is"),
            required(Command::Upgrade, "the status, before and after"),
            required(Command::Status, "the status"),
            required(Command::List, "the status"),
            required(Command::Whoami, "the registration"),
            aid(Command::RolesShow, "which registrations use the agent role"),
        ],
    ),
    on(
        "eks:DescribeCluster",
        Resource::AnyRegistration,
        &[
            sometimes(Command::RolesDelete, "whether a registration of any Region uses the agent role"),
            sometimes(Command::Gc, "whether a registration can still become ACTIVE, and which role it uses"),
            sometimes(Command::Deregister, "--delete-role: whether another registration uses it"),
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
            required(Command::Deregister, "the registration"),
        ],
    ),
    on(
        "eks:DeregisterCluster",
        Resource::AnyRegistration,
        &[sometimes(Command::Gc, "registrations that can never become ACTIVE")],
    ),
    on(
        "servicequotas:GetServiceQuota",
        Resource::Regional,
        &[
            aid(Command::Register, "whether there is room for one more"),
            aid(Command::Upgrade, "read as register reads it"),
        ],
    ),
    on(
        "iam:GetRole",
        Resource::AgentRole,
        &[
            aid(Command::Register, "whether the role exists and can be used"),
            aid(Command::Upgrade, "read as register reads it"),
            sometimes(Command::Deregister, "--delete-role: whether it is eksconnect's or eksctl's"),
            required(Command::RolesShow, "the role"),
            required(Command::RolesCreate, "whether the role exists and can be used"),
            required(Command::RolesDelete, "whether the role is eksconnect's own"),
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
            aid(Command::Upgrade, "read as register reads it"),
            aid(Command::Deregister, "--delete-role: read with the role"),
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
            sometimes(Command::Deregister, "--delete-role: the policies that go before it"),
        ],
    ),
    on(
        "iam:ListAttachedRolePolicies",
        Resource::AgentRole,
        &[
            required(Command::RolesDelete, "whether others gave it policies"),
            sometimes(Command::Deregister, "--delete-role: whether others gave it policies"),
        ],
    ),
    on(
        "iam:DeleteRolePolicy",
        Resource::AgentRole,
        &[
            required(Command::RolesDelete, "the policy goes before the role"),
            sometimes(Command::Deregister, "--delete-role: the policy goes before it"),
        ],
    ),
    on(
        "iam:DeleteRole",
        Resource::AgentRole,
        &[required(Command::RolesDelete, "the role"), sometimes(Command::Deregister, "--delete-role")],
    ),
    on("iam:GetRole", Resource::AnyRole, &[sometimes(Command::Gc, "which roles are eksconnect's own")]),
    on("iam:GetRolePolicy", Resource::AnyRole, &[aid(Command::Gc, "read with the role")]),
    on(
        "iam:ListRolePolicies",
        Resource::AnyRole,
        &[sometimes(Command::Gc, "the policies that go before a role")],
    ),
    on(
        "iam:ListAttachedRolePolicies",
        Resource::AnyRole,
        &[sometimes(Command::Gc, "whether others gave it policies")],
    ),
    on("iam:DeleteRolePolicy", Resource::AnyRole, &[sometimes(Command::Gc, "roles that nothing uses")]),
    on("iam:DeleteRole", Resource::AnyRole, &[sometimes(Command::Gc, "roles that nothing uses")]),
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
            aid(Command::Upgrade, "read as register reads it"),
            sometimes(Command::Deregister, "--delete-role, --delete-service-linked-role"),
            sometimes(Command::RolesDelete, "--delete-service-linked-role"),
            aid(Command::RolesShow, "whether the role exists"),
            required(Command::RolesCreate, "whether the role exists"),
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
            aid(Command::ListViews, "whether each principal exists"),
            sometimes(Command::RevokeView, "--detach-iam-policy: whether the principal exists"),
        ],
    ),
    on(
        "iam:GetRolePolicy",
        Resource::Principals,
        &[
            aid(Command::ListViews, "read with each principal"),
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
            aid(Command::ListViews, "whether each principal exists"),
            aid(Command::GrantView, "whether the principal exists"),
            sometimes(Command::RevokeView, "--detach-iam-policy: whether the principal exists"),
        ],
    ),
    on(
        "iam:GetUserPolicy",
        Resource::Principals,
        &[
            aid(Command::ListViews, "read with each principal"),
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
        &[
            aid(Command::GrantView, "whether IAM lets the principal view"),
            aid(Command::ListViews, "whether IAM lets each principal view"),
        ],
    ),
    on(
        "iam:ListRoles",
        Resource::Account,
        &[
            required(Command::Gc, "the roles that Systems Manager can assume"),
            sometimes(Command::VerifyView, "--permission-set: the role of that permission set"),
            sometimes(Command::View, "--permission-set: the role of that permission set"),
            sometimes(Command::GrantView, "--permission-set: the role of that permission set"),
            sometimes(Command::RevokeView, "--permission-set: the role of that permission set"),
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
