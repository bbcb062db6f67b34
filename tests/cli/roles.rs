//! The agent role: made as the account's rules want it, compared with what it should be, repaired if it is ours.

use aws_sdk_iam::Client;
use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_iam::types::Tag;
use eksconnect_sandbox::aws::control::CallerSpec;
use serde_json::{Value, json};

use crate::support::Scene;

const ROLE: &str = "AmazonEKSConnectorAgentRole";
const BOUND: &str = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";
const OTHER_BOUND: &str = "arn:aws:iam::aws:policy/AdministratorAccess";
const TRUST: &str = include_str!("../../policies/agent-trust.json");

/// IAM, for what an administrator does beside eksconnect.
pub(crate) fn iam(scene: &Scene) -> Client {
    let environment = scene.environment();
    let keys = Credentials::new(
        &environment["AWS_ACCESS_KEY_ID"],
        &environment["AWS_SECRET_ACCESS_KEY"],
        None,
        None,
        "test",
    );
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(&environment["AWS_ENDPOINT_URL"])
        .credentials_provider(keys);
    Client::from_conf(config.build())
}

/// The agent role, as the emulator keeps it.
async fn role(scene: &Scene) -> Value {
    scene.account().await["accounts"][&scene.lease.account().id]["roles"][ROLE.to_lowercase()].clone()
}

fn trust_of(role: &Value) -> Value {
    serde_json::from_str(role["trust"].as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn a_role_is_made_with_path_boundary_and_tags() {
    let scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    let options =
        ["--role-path", "/platform/", "--role-permissions-boundary", BOUND, "--role-tag", "team=platform"];
    scene.register(&options).await.expect(0);
    let made = role(&scene).await;
    assert_eq!((&made["path"], &made["permissions_boundary"]), (&json!("/platform/"), &json!(BOUND)));
    assert_eq!(made["tags"], json!({ "team": "platform", "eksconnect:managed": "true" }));
    let arn = format!("arn:aws:iam::{account}:role/platform/{ROLE}");
    assert_eq!(scene.registrations().await["onprem1"]["role_arn"], arn);
    let again = scene.register(&options).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);

    // Another path: the role keeps its own, and that is said.
    let run = scene.register(&["--role-path", "/elsewhere/"]).await.expect(0);
    run.says(&[&format!("exists already, as {arn}; a role keeps its path")]);

    // It is ours, so what differs is brought back, and only that.
    let client = iam(&scene);
    client
        .put_role_permissions_boundary()
        .role_name(ROLE)
        .permissions_boundary(OTHER_BOUND)
        .send()
        .await
        .unwrap();
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
    client.tag_role().role_name(ROLE).tags(tag("team", "x")).tags(tag("cost", "7")).send().await.unwrap();
    let planned = [&options[..], &["--dry-run", "--diff"]].concat();
    let shown = scene.register(&planned).await.expect(0).stdout;
    for line in [
        "~ role         AmazonEKSConnectorAgentRole, its permissions boundary",
        &format!("        - {OTHER_BOUND}"),
        &format!("        + {BOUND}"),
        "~ role         AmazonEKSConnectorAgentRole, its tags",
        "        - x",
        "        + platform",
    ] {
        assert!(shown.contains(line), "{line}:\n{shown}");
    }
    scene.register(&options).await.expect(0);
    let mended = role(&scene).await;
    assert_eq!(mended["permissions_boundary"], BOUND);
    assert_eq!(mended["tags"], json!({ "team": "platform", "cost": "7", "eksconnect:managed": "true" }));
    // Without the options nothing is asked for, and nothing is taken away.
    let run = scene.register(&[]).await.expect(0);
    assert!(run.stdout.contains("nothing to do"), "{}", run.stdout);
    assert_eq!(role(&scene).await["permissions_boundary"], BOUND);
}

#[tokio::test]
async fn a_role_that_may_not_be_read_is_looked_for_under_its_path() {
    let [scene, mut other] = Scene::two().await;
    let account = scene.lease.account().id.clone();
    scene.register(&["--role-path", "/platform/"]).await.expect(0);
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": ["iam:GetRole", "iam:GetRolePolicy"], "Resource": "*" },
    ] });
    let blind =
        scene.lease.aws().add_caller(&account, CallerSpec::user("blind", Some(policy))).await.unwrap();
    other.set("AWS_ACCESS_KEY_ID", &blind.access_key_id);
    other.set("AWS_SECRET_ACCESS_KEY", &blind.secret_access_key);
    let second = ["register", "--name", "onprem2", "--role-path", "/platform/", "--no-wait"];
    other.run(&second).await.expect(0).says(&["could not read the agent role: iam:GetRole is denied"]);
    let registrations = scene.registrations().await;
    assert_eq!(registrations["onprem2"]["role_arn"], registrations["onprem1"]["role_arn"]);
}

#[tokio::test]
async fn a_boundary_that_is_not_to_be_had_is_told_apart() {
    let scene = Scene::new().await;
    let foreign = ["--role-permissions-boundary", "arn:aws:iam::444455556666:policy/Bound"];
    scene.register(&foreign).await.expect_error("EKSC0113", 3).says(&["account 444455556666"]);
    let missing = format!("arn:aws:iam::{}:policy/Missing", scene.lease.account().id);
    let run = scene.register(&["--role-permissions-boundary", &missing]).await;
    run.expect_error("EKSC0113", 5).says(&["does not exist or is not attachable"]);
    assert!(!scene.namespace_exists().await);
}

#[tokio::test]
async fn a_trust_policy_of_ours_that_lost_systems_manager_is_repaired_and_keeps_the_rest() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let client = iam(&scene);
    // Conditions and statements of others are no drift.
    let mut wider = trust_of(&role(&scene).await);
    wider["Statement"][0]["Condition"] =
        json!({ "StringEquals": { "aws:SourceAccount": scene.lease.account().id } });
    let others = json!({ "Sid": "Others", "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" },
        "Action": "sts:AssumeRole" });
    wider["Statement"].as_array_mut().unwrap().push(others.clone());
    let set = async |document: &Value| {
        client
            .update_assume_role_policy()
            .role_name(ROLE)
            .policy_document(document.to_string())
            .send()
            .await
            .unwrap();
    };
    set(&wider).await;
    let run = scene.register(&[]).await.expect(0);
    assert!(run.stdout.contains("nothing to do"), "{}", run.stdout);
    assert_eq!(trust_of(&role(&scene).await), wider);

    let without = json!({ "Version": "2012-10-17", "Statement": [others] });
    set(&without).await;
    let plan = scene.register(&["--dry-run", "--diff", "-o", "json"]).await.expect(0).json();
    assert_eq!(plan["steps"][0]["action"], "put trust policy of role AmazonEKSConnectorAgentRole");
    assert_eq!(plan["steps"][0]["diff"][0]["field"], "Statement.SSMAccess");
    assert_eq!(plan["steps"][0]["diff"][0]["from"], Value::Null);
    scene.register(&[]).await.expect(0).says(&["repaired"]);
    let mended = trust_of(&role(&scene).await);
    let ours: Value = serde_json::from_str(TRUST).unwrap();
    assert_eq!(mended["Statement"], json!([others, ours["Statement"][0]]));

    // Whoever denies it means it.
    let mut denied = ours;
    denied["Statement"][0]["Effect"] = json!("Deny");
    set(&denied).await;
    scene.register(&[]).await.expect_error("EKSC0405", 3);
    assert_eq!(trust_of(&role(&scene).await), denied);
}

#[tokio::test]
async fn a_deleted_role_is_made_again_for_a_registration_that_is_active() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let client = iam(&scene);
    let name = "AmazonEKSConnectorAgentRole";
    let policy = client.delete_role_policy().role_name(name).policy_name("AmazonEKSConnectorAgentPolicy");
    policy.send().await.unwrap();
    client.delete_role().role_name(name).send().await.unwrap();
    let run = scene.register(&["-o", "json"]).await.expect(0);
    let done = run.json()["done"].to_string();
    assert!(done.contains("AmazonEKSConnectorAgentRole: created"), "{done}");
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    assert_eq!(scene.registrations().await.len(), 1);
}

#[tokio::test]
async fn a_role_of_somebody_else_is_shown_and_left() {
    let scene = Scene::new().await;
    let client = iam(&scene);
    let trust = |service: &str| TRUST.replace("ssm.amazonaws.com", service);
    let create = client.create_role().role_name(ROLE).assume_role_policy_document(trust("ec2.amazonaws.com"));
    create.send().await.unwrap();
    scene.register(&[]).await.expect_error("EKSC0405", 3).says(&["does not let ssm.amazonaws.com assume it"]);
    let update = client.update_assume_role_policy().role_name(ROLE);
    update.policy_document(trust("ssm.amazonaws.com")).send().await.unwrap();
    let policy =
        include_str!("../../policies/agent-permissions.json").replace("arn:aws:eks:*:*:cluster/*", "*");
    let put = client.put_role_policy().role_name(ROLE).policy_name("AmazonEKSConnectorAgentPolicy");
    put.policy_document(&policy).send().await.unwrap();
    let before = role(&scene).await;

    let asked = ["--role-permissions-boundary", BOUND, "--dry-run", "--diff"];
    let run = scene.register(&asked).await.expect(0);
    for line in [
        "Left as it is: inline policy of role AmazonEKSConnectorAgentRole",
        "      Statement.SsmControlChannel.Resource",
        "        - *",
        "        + arn:aws:eks:*:*:cluster/*",
        "Left as it is: permissions boundary of role AmazonEKSConnectorAgentRole",
    ] {
        assert!(run.stdout.contains(line), "{line}:\n{}", run.stdout);
    }
    let plan = scene.register(&[&asked[..], &["-o", "json"]].concat()).await.expect(0).json();
    assert_eq!(plan["leftAsItIs"][1]["diff"][0]["to"], BOUND);
    let run = scene.register(&asked[..2]).await.expect(0);
    run.says(&[
        "was not made by eksconnect; its inline policy differs and is left",
        "its permissions boundary differs",
    ]);
    assert_eq!(role(&scene).await, before);
}

#[tokio::test]
async fn a_policy_that_may_not_be_read_is_said_and_left() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    scene.register(&[]).await.expect(0);
    iam(&scene)
        .delete_role_policy()
        .role_name(ROLE)
        .policy_name("AmazonEKSConnectorAgentPolicy")
        .send()
        .await
        .unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": "iam:GetRolePolicy", "Resource": "*" },
    ] });
    let blind =
        scene.lease.aws().add_caller(&account, CallerSpec::user("blind", Some(policy))).await.unwrap();
    scene.set("AWS_ACCESS_KEY_ID", &blind.access_key_id);
    scene.set("AWS_SECRET_ACCESS_KEY", &blind.secret_access_key);
    let result = scene.register(&["-o", "json"]).await.expect(0).json();
    let said = "could not read the agent role's inline policy: iam:GetRolePolicy is denied";
    assert_eq!(result["unverified"], json!([said]));
    assert_eq!(role(&scene).await["inline"], json!({}));
}

#[tokio::test]
async fn the_documented_policy_suffices_for_a_regulated_account() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    let documented: Value =
        serde_json::from_str(include_str!("../../policies/caller-register.json")).unwrap();
    let options = ["--role-permissions-boundary", BOUND, "--role-tag", "team=platform"];
    let spoil = async |scene: &Scene| {
        let client = iam(scene);
        let document = TRUST.replace("ssm.amazonaws.com", "ec2.amazonaws.com");
        client.update_assume_role_policy().role_name(ROLE).policy_document(document).send().await.unwrap();
        let put = client.put_role_permissions_boundary().role_name(ROLE).permissions_boundary(OTHER_BOUND);
        put.send().await.unwrap();
        client.untag_role().role_name(ROLE).tag_keys("team").send().await.unwrap();
    };
    scene.register(&options).await.expect(0);
    for denied in ["iam:UpdateAssumeRolePolicy", "iam:PutRolePermissionsBoundary", "iam:TagRole", ""] {
        scene.env.clear();
        spoil(&scene).await;
        let mut policy = documented.clone();
        if !denied.is_empty() {
            let deny = json!({ "Effect": "Deny", "Action": denied, "Resource": "*" });
            policy["Statement"].as_array_mut().unwrap().push(deny);
        }
        let spec = CallerSpec::user(&format!("without-{}", denied.replace(':', "-")), Some(policy));
        let caller = scene.lease.aws().add_caller(&account, spec).await.unwrap();
        scene.set("AWS_ACCESS_KEY_ID", &caller.access_key_id);
        scene.set("AWS_SECRET_ACCESS_KEY", &caller.secret_access_key);
        let run = scene.register(&options).await;
        if denied.is_empty() {
            run.expect(0);
        } else {
            run.expect_error("EKSC0207", 1).says(&[denied]);
        }
    }
}
