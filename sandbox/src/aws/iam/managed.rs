//! Managed policies: a few of AWS's own, and those that an account has of its own.

use crate::aws::state::Account;

/// AWS's managed policies that the emulator knows, with the statements that matter here.
const AWS_MANAGED: &[(&str, &str)] = &[
    (
        "arn:aws:iam::aws:policy/AdministratorAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
    ),
    (
        "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:UpdateInstanceInformation","ssmmessages:CreateControlChannel","ssmmessages:CreateDataChannel","ssmmessages:OpenControlChannel","ssmmessages:OpenDataChannel"],"Resource":"*"}]}"#,
    ),
    (
        "arn:aws:iam::aws:policy/IAMReadOnlyAccess",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:Get*","iam:List*","iam:Simulate*"],"Resource":"*"}]}"#,
    ),
    (
        "arn:aws:iam::aws:policy/aws-service-role/AmazonEKSConnectorServiceRolePolicy",
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ssm:CreateActivation","ssm:DescribeInstanceInformation","ssm:DeleteActivation"],"Resource":"*"}]}"#,
    ),
];

/// The document of a managed policy, if there is one with this ARN.
pub(crate) fn managed_policy<'a>(account: &'a Account, arn: &str) -> Option<&'a str> {
    let own = account.policies.get(arn).map(String::as_str);
    own.or_else(|| AWS_MANAGED.iter().find(|(known, _)| *known == arn).map(|(_, document)| *document))
}
