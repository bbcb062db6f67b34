//! IAM in the AWS emulator: what callers may do, what roles are trusted for, what is refused.

use eksconnect_sandbox::aws::control::{
    CallerSpec, Identity, MissingServiceLinkedRole, SettingsChange, SettingsPatch,
};
use eksconnect_sandbox::aws::{Emulator, Options};
use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::aws_caller::{AwsCaller, TRUST};

async fn start() -> (Emulator, AwsCaller) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let aws = AwsCaller::new(&emulator).await;
    (emulator, aws)
}

/// A user with just these statements.
async fn user(emulator: &Emulator, aws: &AwsCaller, statements: Value) -> AwsCaller {
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    let spec = CallerSpec::user("eve", Some(policy));
    aws.as_caller(&emulator.control().add_caller(&aws.account, spec).await.unwrap())
}

fn allow(actions: &[&str]) -> Value {
    json!({"Effect": "Allow", "Action": actions, "Resource": "*"})
}

/// What registering a tagged cluster needs in a new account.
const REGISTER: [&str; 6] = [
    "eks:RegisterCluster",
    "eks:TagResource",
    "iam:PassRole",
    "ssm:CreateActivation",
    "ssm:DeleteActivation",
    "iam:CreateServiceLinkedRole",
];

fn registration(role: &str) -> Value {
    json!({"name": "c1", "connectorConfig": {"roleArn": role, "provider": "OTHER"}, "tags": {"team": "a"}})
}

#[tokio::test]
async fn registering_needs_each_of_its_permissions() {
    let (emulator, aws) = start().await;
    let role = aws.agent_role().await;
    // Without the users: eve and her policies are of the test.
    let state = async || {
        let mut dump = emulator.control().dump(Some(&aws.account)).await.unwrap();
        dump["accounts"][&aws.account]["users"].take();
        dump["accounts"].take()
    };
    let before = state().await;
    for missing in REGISTER {
        let rest: Vec<&str> = REGISTER.into_iter().filter(|action| *action != missing).collect();
        let eve = user(&emulator, &aws, json!([allow(&rest)])).await;
        let answer = eve.eks("POST", "/cluster-registrations", Some(registration(&role))).await;
        if missing == "iam:CreateServiceLinkedRole" {
            assert_eq!(answer.error(), (400, "InvalidRequestException".to_owned()));
            let expected = format!(
                "Cluster Management role arn:aws:iam::{}:role/aws-service-role/eks-connector.amazonaws.com/\
                 AWSServiceRoleForAmazonEKSConnector is not available",
                aws.account
            );
            assert_eq!(answer.message(), expected);
            continue;
        }
        assert_eq!(answer.error(), (403, "AccessDeniedException".to_owned()), "{missing}");
        let resource = match missing {
            "iam:PassRole" => role.clone(),
            "eks:TagResource" => format!("arn:aws:eks:eu-west-1:{}:cluster/c1", aws.account),
            "eks:RegisterCluster" => "*".to_owned(),
            _ => format!("arn:aws:ssm:eu-west-1:{}:*", aws.account),
        };
        let expected = format!(
            "User: arn:aws:iam::{}:user/eve is not authorized to perform: {missing} on resource: {resource} because no \
             identity-based policy allows the {missing} action",
            aws.account
        );
        assert_eq!(answer.message(), expected);
    }
    assert_eq!(before, state().await, "a refused call changes nothing");
    let eve = user(&emulator, &aws, json!([allow(&REGISTER)])).await;
    eve.eks("POST", "/cluster-registrations", Some(registration(&role))).await.ok();
    aws.iam("GetRole", &[("RoleName", "AWSServiceRoleForAmazonEKSConnector")]).await.ok();
}

#[tokio::test]
async fn deregistering_needs_permissions_for_what_it_removes() {
    let (emulator, aws) = start().await;
    let role = aws.agent_role().await;
    let cluster = aws.register("c1", &role).await.ok().json()["cluster"].clone();
    let instance = Agent::new(&aws).connect(&aws, &cluster).await;
    let eve = user(&emulator, &aws, json!([allow(&["eks:DeregisterCluster", "ssm:DeleteActivation"])])).await;
    let answer = eve.eks("DELETE", "/cluster-registrations/c1", None).await;
    let resource = format!("arn:aws:ssm:eu-west-1:{}:managed-instance/{instance}", aws.account);
    assert!(
        answer.message().contains(&format!("ssm:DeregisterManagedInstance on resource: {resource} ")),
        "{answer:?}"
    );
    assert_eq!(aws.cluster_status("c1").await, "ACTIVE");
}

#[tokio::test]
async fn conditions_of_a_policy_hold() {
    let (emulator, aws) = start().await;
    let role = aws.agent_role().await;
    let rest: Vec<&str> =
        REGISTER.into_iter().filter(|each| !["iam:PassRole", "eks:RegisterCluster"].contains(each)).collect();
    let pass = |services: &[&str]| {
        json!({"Effect": "Allow", "Action": "iam:PassRole", "Resource": "arn:aws:iam::*:role/Agent",
               "Condition": {"StringEquals": {"iam:PassedToService": services}}})
    };
    let register = |condition: Value| json!({"Effect": "Allow", "Action": "eks:RegisterCluster", "Resource": "*", "Condition": condition});
    let both = ["eks.amazonaws.com", "ssm.amazonaws.com"];
    let region = json!({"StringEquals": {"aws:RequestedRegion": "eu-west-1"}});
    for (pass, register, denied) in [
        (pass(&both[..1]), register(region.clone()), Some("iam:PassRole")),
        (pass(&both[1..]), register(region.clone()), Some("iam:PassRole")),
        (
            pass(&both),
            register(json!({"StringEquals": {"aws:RequestedRegion": "us-east-1"}})),
            Some("eks:RegisterCluster"),
        ),
        (
            pass(&both),
            register(json!({"StringEquals": {"aws:RequestTag/team": "b"}})),
            Some("eks:RegisterCluster"),
        ),
        (
            pass(&both),
            register(json!({"ForAllValues:StringEquals": {"aws:TagKeys": ["cost"]}})),
            Some("eks:RegisterCluster"),
        ),
        (
            pass(&both),
            register(json!({
                "StringLike": {"aws:RequestTag/team": "?"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["team"]},
                "StringEquals": {"aws:RequestedRegion": "eu-west-1"},
            })),
            None,
        ),
    ] {
        let eve = user(&emulator, &aws, json!([allow(&rest), pass, register])).await;
        let answer = eve.eks("POST", "/cluster-registrations", Some(registration(&role))).await;
        match denied {
            Some(action) => assert!(answer.message().contains(&format!("perform: {action} ")), "{answer:?}"),
            None => assert_eq!(answer.status, 200, "{answer:?}"),
        }
    }
}

#[tokio::test]
async fn an_explicit_deny_wins_and_says_so() {
    let (emulator, aws) = start().await;
    let deny = json!({"Effect": "Deny", "Action": "eks:Describe*", "Resource": "arn:aws:eks:*:*:cluster/c?"});
    let eve = user(&emulator, &aws, json!([allow(&["*"]), deny])).await;
    let answer = eve.eks("GET", "/clusters/c1", None).await;
    assert!(answer.message().ends_with("with an explicit deny in an identity-based policy"), "{answer:?}");
    assert_eq!(eve.eks("GET", "/clusters/other", None).await.status, 404);
}

#[tokio::test]
async fn a_policy_that_cannot_be_evaluated_is_refused_when_it_is_given() {
    let (emulator, aws) = start().await;
    let statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*",
                           "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}});
    let policy = json!({"Version": "2012-10-17", "Statement": statement});
    let spec = CallerSpec::user("eve", Some(policy.clone()));
    let error = emulator.control().add_caller(&aws.account, spec).await.unwrap_err().to_string();
    assert!(error.contains("does not evaluate the condition operator IpAddress"), "{error}");
    aws.agent_role().await;
    let policy = policy.to_string();
    let put = [("RoleName", "Agent"), ("PolicyName", "P"), ("PolicyDocument", policy.as_str())];
    assert_eq!(aws.iam("PutRolePolicy", &put).await.error(), (400, "MalformedPolicyDocument".to_owned()));
}

#[tokio::test]
async fn the_service_linked_role_can_be_missing_for_good() {
    let (emulator, aws) = start().await;
    let role = aws.agent_role().await;
    let settings = SettingsPatch {
        missing_service_linked_role: Some(MissingServiceLinkedRole::Refuse),
        ..SettingsPatch::default()
    };
    let account = Some(aws.account.clone());
    emulator.control().change_settings(SettingsChange { account, region: None, settings }).await.unwrap();
    let answer = aws.register("c1", &role).await;
    assert_eq!(answer.error(), (400, "InvalidRequestException".to_owned()));
    aws.iam("CreateServiceLinkedRole", &[("AWSServiceName", "eks-connector.amazonaws.com")]).await.ok();
    aws.register("c1", &role).await.ok();
}

#[tokio::test]
async fn the_role_must_trust_systems_manager() {
    let (_emulator, aws) = start().await;
    let role = aws.agent_role().await;
    let trust = |principal: Value, condition: Value| {
        let statement = json!({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", "Condition": condition});
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    };
    let ssm = json!({"Service": "ssm.amazonaws.com"});
    for (trust, accepted) in [
        (trust(json!({"Service": "ec2.amazonaws.com"}), json!({})), false),
        (trust(ssm.clone(), json!({"StringEquals": {"aws:SourceAccount": "000000000000"}})), false),
        (trust(ssm.clone(), json!({"StringEquals": {"aws:SourceAccount": aws.account}})), true),
        (trust(ssm, json!({"ArnLike": {"aws:SourceArn": format!("arn:aws:ssm:*:{}:*", aws.account)}})), true),
    ] {
        let update = [("RoleName", "Agent"), ("PolicyDocument", trust.as_str())];
        aws.iam("UpdateAssumeRolePolicy", &update).await.ok();
        let answer = aws.register("c1", &role).await;
        if accepted {
            answer.ok();
            aws.eks("DELETE", "/cluster-registrations/c1", None).await.ok();
        } else {
            assert_eq!(answer.error(), (400, "InvalidRequestException".to_owned()));
            assert_eq!(answer.message(), "Nonexistent role or missing ssm service principal in trust policy");
        }
    }
}

#[tokio::test]
async fn a_permissions_boundary_limits_a_role() {
    let (emulator, aws) = start().await;
    let document = json!({"Version": "2012-10-17", "Statement": [allow(&["eks:ListClusters"])]});
    let boundary = emulator.control().add_policy(&aws.account, "Boundary", document).await.unwrap();
    let trust = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"}]});
    let trust = trust.to_string();
    let mut create = vec![("RoleName", "Limited"), ("AssumeRolePolicyDocument", trust.as_str())];
    let unknown = [create.clone(), vec![("PermissionsBoundary", "arn:aws:iam::aws:policy/None")]].concat();
    assert_eq!(aws.iam("CreateRole", &unknown).await.error(), (404, "NoSuchEntity".to_owned()));
    create.push(("PermissionsBoundary", &boundary));
    aws.iam("CreateRole", &create).await.ok();
    let attach = [("RoleName", "Limited"), ("PolicyArn", "arn:aws:iam::aws:policy/AdministratorAccess")];
    aws.iam("AttachRolePolicy", &attach).await.ok();
    let spec = CallerSpec::role("Limited", "me", None);
    let limited = aws.as_caller(&emulator.control().add_caller(&aws.account, spec).await.unwrap());
    limited.eks("GET", "/clusters", None).await.ok();
    assert_eq!(limited.iam("ListRoles", &[]).await.error(), (403, "AccessDenied".to_owned()));
}

#[tokio::test]
async fn every_kind_of_caller_has_its_arn() {
    let (emulator, aws) = start().await;
    let account = &aws.account;
    let text = str::to_owned;
    let sso = "AWSReservedSSO_Admin_0123456789abcdef";
    for (identity, arn) in [
        (Identity::Root, format!("arn:aws:iam::{account}:root")),
        (
            Identity::User { name: text("bo"), path: text("/team/") },
            format!("arn:aws:iam::{account}:user/team/bo"),
        ),
        (Identity::Federated { name: text("fay") }, format!("arn:aws:sts::{account}:federated-user/fay")),
        (
            Identity::Role {
                name: text(sso),
                path: text("/aws-reserved/sso.amazonaws.com/"),
                session: text("bo"),
            },
            format!("arn:aws:sts::{account}:assumed-role/{sso}/bo"),
        ),
    ] {
        let spec = CallerSpec { identity, policy: None, session_token: false, expired: false };
        let caller = emulator.control().add_caller(account, spec).await.unwrap();
        assert_eq!(caller.arn, arn);
        let answer = aws.as_caller(&caller).sts("GetCallerIdentity", &[]).await.ok();
        assert_eq!(answer.xml("Arn"), Some(arn.as_str()));
    }
    let role = aws.iam("GetRole", &[("RoleName", sso)]).await.ok();
    let arn = format!("arn:aws:iam::{account}:role/aws-reserved/sso.amazonaws.com/{sso}");
    assert_eq!(role.xml("Arn"), Some(arn.as_str()));
    let policy =
        json!({"Version": "2012-10-17", "Statement": [allow(&["eks:AccessKubernetesApi"])]}).to_string();
    let named = [("RoleName", sso), ("PolicyName", "View")];
    for (action, parameters) in [
        ("DeleteRole", &named[..1]),
        ("PutRolePolicy", &[named[0], named[1], ("PolicyDocument", policy.as_str())]),
        ("DeleteRolePolicy", &named),
        ("AttachRolePolicy", &[named[0], ("PolicyArn", "arn:aws:iam::aws:policy/IAMReadOnlyAccess")]),
        ("UpdateAssumeRolePolicy", &[named[0], ("PolicyDocument", TRUST)]),
    ] {
        let answer = aws.iam(action, parameters).await;
        assert_eq!(answer.error(), (400, "UnmodifiableEntity".to_owned()), "{action}");
    }
}

#[tokio::test]
async fn limits_of_iam_are_kept() {
    let (_emulator, aws) = start().await;
    aws.agent_role().await;
    let long = TRUST.replace("SSMAccess", &"x".repeat(2048));
    let update = [("RoleName", "Agent"), ("PolicyDocument", long.as_str())];
    assert_eq!(aws.iam("UpdateAssumeRolePolicy", &update).await.error(), (409, "LimitExceeded".to_owned()));
    for (first, second, code) in [("a", "A", "InvalidInput"), ("aws:x", "b", "InvalidInput")] {
        let tags = [
            ("RoleName", "Agent"),
            ("Tags.member.1.Key", first),
            ("Tags.member.1.Value", "1"),
            ("Tags.member.2.Key", second),
            ("Tags.member.2.Value", "2"),
        ];
        assert_eq!(aws.iam("TagRole", &tags).await.error(), (400, code.to_owned()));
    }
    for (path, status) in [("team", 400), ("/a b/", 400), ("//", 400), ("/team/x/", 200)] {
        let create = [("RoleName", "R"), ("Path", path), ("AssumeRolePolicyDocument", TRUST)];
        assert_eq!(aws.iam("CreateRole", &create).await.status, status, "{path}");
    }
}
