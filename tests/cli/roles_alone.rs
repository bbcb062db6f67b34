//! `roles`: what an account's administrator does with the roles before and after anybody registers.

use eksconnect_sandbox::aws::control::CallerSpec;
use serde_json::{Value, json};

use crate::documents::Schema;
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

#[tokio::test]
async fn roles_are_deleted_once_nothing_uses_them_and_only_ours() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let before = roles_of(&scene).await;
    let delete = ["roles", "delete", "--yes"];
    let run = scene.run(&delete).await.expect_error("EKSC0464", 3);
    run.says(&["onprem1 in eu-west-1 uses it", "deregister what uses it first"]);
    let linked = ["roles", "delete", "--role-name", "unused", "--delete-service-linked-role", "--yes"];
    scene.run(&linked).await.expect_error("EKSC0464", 3).says(&["onprem1 in eu-west-1 needs it"]);
    let client = crate::roles::iam(&scene);
    let trust = include_str!("../../policies/agent-trust.json");
    client.create_role().role_name("theirs").assume_role_policy_document(trust).send().await.unwrap();
    let theirs = ["roles", "delete", "--role-name", "theirs", "--yes"];
    scene.run(&theirs).await.expect_error("EKSC0464", 3).says(&["neither eksconnect nor eksctl made it"]);
    client.delete_role().role_name("theirs").send().await.unwrap();
    assert_eq!(roles_of(&scene).await, before);

    scene.run(&["deregister", "--name", "onprem1", "--yes"]).await.expect(0);
    let asked = scene.run(&["roles", "delete"]).await.expect_error("EKSC0112", 3);
    asked.says(&[&format!("- role         {ROLE}")]);
    let planned = scene.run(&["roles", "delete", "--dry-run", "--detailed-exitcode"]).await.expect(7);
    assert!(planned.stdout.contains("Nothing was removed"), "{}", planned.stdout);
    assert_eq!(roles_of(&scene).await, before);
    let both = ["roles", "delete", "--delete-service-linked-role", "--yes"];
    let gone = scene.run(&both).await.expect(0);
    assert!(gone.stdout.contains(&format!("{ROLE}, AWSServiceRoleForAmazonEKSConnector")), "{}", gone.stdout);
    assert_eq!(roles_of(&scene).await, json!({}));
    let again = scene.run(&both).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

#[tokio::test]
async fn a_role_that_stays_without_its_policy_is_listed() {
    let scene = Scene::new().await;
    scene.run(&["roles", "create"]).await.expect(0);
    let before = roles_of(&scene).await;
    let delete = ["roles", "delete", "--yes"];
    scene.refuse("iam", "DeleteRolePolicy", 403, "AccessDenied", "no").await;
    let run = scene.run(&delete).await.expect_error("EKSC0207", 1);
    assert!(!run.stderr.contains("Left in place"), "nothing was changed: {}", run.stderr);
    assert_eq!(roles_of(&scene).await, before);

    scene.heal().await;
    scene.refuse("iam", "DeleteRole", 403, "AccessDenied", "no").await;
    let run = scene.run(&delete).await.expect_error("EKSC0207", 5);
    let run = run.says(&[
        "Left in place",
        &format!("role {ROLE}"),
        &format!(" iam delete-role --role-name {ROLE}"),
    ]);
    assert!(!run.stderr.contains("may be gone"), "it is known to be there: {}", run.stderr);
    assert_eq!(roles_of(&scene).await[ROLE.to_lowercase()]["inline"], json!({}));
    scene.heal().await;
    scene.run(&delete).await.expect(0);
    assert_eq!(roles_of(&scene).await[ROLE.to_lowercase()], Value::Null);
}

#[tokio::test]
async fn what_uses_a_role_is_told_by_its_name_and_said_where_it_is_not_known() {
    let scene = Scene::new().await;
    let schema = Schema::new(include_str!("../../docs/schemas/roles.json"));
    let shown = scene.run(&["roles", "show", "--role-name", "onprem-agent"]).await.expect(0);
    assert!(shown.stdout.contains("eksconnect roles create --role-name onprem-agent"), "{}", shown.stdout);

    scene.register(&[]).await.expect(0);
    let arn = scene.registrations().await["onprem1"]["role_arn"].clone();
    let client = crate::roles::iam(&scene);
    let policy = client.delete_role_policy().role_name(ROLE).policy_name("AmazonEKSConnectorAgentPolicy");
    policy.send().await.unwrap();
    client.delete_role().role_name(ROLE).send().await.unwrap();
    let shown = scene.run(&["roles", "show"]).await.expect(0);
    for words in ["does not exist", "used by    onprem1 in eu-west-1"] {
        assert!(shown.stdout.contains(words), "{words}:\n{}", shown.stdout);
    }
    let seen = scene.run(&["roles", "show", "-o", "json"]).await.expect(0).json();
    schema.fits(&seen);
    assert_eq!((&seen["agentRole"], &seen["usedBy"][0]["name"]), (&Value::Null, &json!("onprem1")));

    // Made anew with another path it is not the role that the registration has, but none that may be deleted either.
    scene.run(&["roles", "create", "--role-path", "/p/"]).await.expect(0);
    let shown = scene.run(&["roles", "show"]).await.expect(0);
    let used = format!("used by    onprem1 in eu-west-1 (as {})", arn.as_str().unwrap());
    assert!(shown.stdout.contains(&used), "{used}:\n{}", shown.stdout);
    let seen = scene.run(&["roles", "show", "-o", "json"]).await.expect(0).json();
    schema.fits(&seen);
    assert_eq!(seen["agentRole"]["usedBy"], seen["usedBy"]);
    assert_eq!((&seen["usedBy"][0]["roleArn"], &seen["unreadRegions"]), (&arn, &json!([])));
    scene
        .run(&["roles", "delete", "--yes"])
        .await
        .expect_error("EKSC0464", 3)
        .says(&["onprem1 in eu-west-1"]);

    scene.refuse("eks", "ListClusters", 403, "AccessDeniedException", "no").await;
    let shown = scene.run(&["roles", "show", "--quiet"]).await.expect(0);
    assert!(shown.stdout.contains("used by    not known (could not list eu-west-1)"), "{}", shown.stdout);
    let shown = scene.run(&["roles", "show", "--quiet", "--all-regions"]).await.expect(0);
    assert!(!shown.stdout.contains("no registration"), "{}", shown.stdout);
    let seen = scene.run(&["roles", "show", "-o", "json"]).await.expect(0).json();
    schema.fits(&seen);
    assert_eq!((&seen["usedBy"], &seen["unreadRegions"]), (&json!([]), &json!(["eu-west-1"])));
}
