//! `roles`: what an account's administrator does with the roles before and after anybody registers.

use eksconnect_sandbox::aws::control::CallerSpec;
use serde_json::{Value, json};

use crate::support::Scene;

const ROLE: &str = "AmazonEKSConnectorAgentRole";

async fn roles_of(scene: &Scene) -> Value {
    scene.account().await["accounts"][&scene.lease.account().id]["roles"].clone()
}

#[tokio::test]
async fn the_roles_are_made_beforehand_and_who_registers_needs_no_right_to_make_them() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    let before = scene.account().await;
    let planned = scene.run(&["roles", "create", "--dry-run", "--detailed-exitcode"]).await.expect(7);
    for line in [&format!("+ role         {ROLE}"), "+ role         AWSServiceRoleForAmazonEKSConnector"] {
        assert!(planned.stdout.contains(line), "{line}:\n{}", planned.stdout);
    }
    assert_eq!(scene.account().await, before, "a dry run changes nothing");
    let shown = scene.run(&["roles", "show"]).await.expect(0);
    assert!(shown.stdout.contains("does not exist"), "{}", shown.stdout);
    assert!(shown.stdout.contains("eksconnect roles create"), "{}", shown.stdout);

    let made = scene.run(&["roles", "create", "--role-path", "/platform/"]).await.expect(0);
    assert!(made.stdout.contains(&format!("arn:aws:iam::{account}:role/platform/{ROLE}")), "{}", made.stdout);
    let again = scene.run(&["roles", "create", "--role-path", "/platform/"]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
    scene.run(&["roles", "create", "--dry-run", "--detailed-exitcode"]).await.expect(0);

    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": ["iam:Create*", "iam:Put*", "iam:Update*"], "Resource": "*" },
    ] });
    let caller =
        scene.lease.aws().add_caller(&account, CallerSpec::user("registrar", Some(policy))).await.unwrap();
    scene.set("AWS_ACCESS_KEY_ID", &caller.access_key_id);
    scene.set("AWS_SECRET_ACCESS_KEY", &caller.secret_access_key);
    scene.register(&[]).await.expect(0);
    let shown = scene.run(&["roles", "show"]).await.expect(0);
    for words in ["made by    eksconnect", "used by    onprem1 in eu-west-1", "✓ Clusters can be registered"]
    {
        assert!(shown.stdout.contains(words), "{words}:\n{}", shown.stdout);
    }
    let seen = scene.run(&["roles", "show", "-o", "json"]).await.expect(0).json();
    assert_eq!(
        (&seen["usable"], &seen["agentRole"]["ours"], &seen["agentRole"]["usedBy"][0]["name"]),
        (&json!("yes"), &json!(true), &json!("onprem1"))
    );
    // What may not be made is named, with the roles that may not be.
    let run = scene.run(&["roles", "create", "--role-name", "another"]).await.expect_error("EKSC0207", 1);
    run.says(&["create the agent role another", "iam:CreateRole"]);
}

#[tokio::test]
async fn a_role_that_differs_is_shown_and_only_a_role_of_ours_repaired() {
    let scene = Scene::new().await;
    scene.run(&["roles", "create"]).await.expect(0);
    let client = crate::roles::iam(&scene);
    client
        .delete_role_policy()
        .role_name(ROLE)
        .policy_name("AmazonEKSConnectorAgentPolicy")
        .send()
        .await
        .unwrap();
    let seen = scene.run(&["roles", "show"]).await.expect(0);
    assert!(seen.stdout.contains("no inline policy of eksconnect's"), "{}", seen.stdout);
    scene.run(&["roles", "create"]).await.expect(0);
    let seen = scene.run(&["roles", "show", "-o", "json"]).await.expect(0).json();
    assert_eq!((&seen["usable"], &seen["agentRole"]["differs"]), (&json!("yes"), &json!([])));

    let trust = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Principal": { "Service": "ec2.amazonaws.com" }, "Action": "sts:AssumeRole" },
    ] });
    client
        .create_role()
        .role_name("theirs")
        .assume_role_policy_document(trust.to_string())
        .send()
        .await
        .unwrap();
    let before = roles_of(&scene).await;
    let seen = scene.run(&["roles", "show", "--role-name", "theirs"]).await.expect(0);
    assert!(seen.stdout.contains("✗ The agents cannot assume theirs"), "{}", seen.stdout);
    scene.run(&["roles", "create", "--role-name", "theirs"]).await.expect_error("EKSC0405", 3);
    assert_eq!(roles_of(&scene).await, before);
}
