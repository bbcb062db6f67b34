//! No Region, no credentials, no cluster, no rights: each told apart.

use eksconnect_sandbox::aws::control::{Caller, CallerSpec};
use serde_json::{Value, json};

use crate::support::{NAMESPACE, Scene};

fn become_caller(scene: &mut Scene, caller: &Caller) {
    scene.set("AWS_ACCESS_KEY_ID", &caller.access_key_id);
    scene.set("AWS_SECRET_ACCESS_KEY", &caller.secret_access_key);
    match &caller.session_token {
        Some(token) => scene.set("AWS_SESSION_TOKEN", token),
        None => scene.unset("AWS_SESSION_TOKEN"),
    }
}

#[tokio::test]
async fn no_region() {
    let mut scene = Scene::new().await;
    scene.unset("AWS_REGION");
    scene.register(&[]).await.expect_error("EKSC0201", 2).says(&["--region"]);
    // The option, another variable of the AWS tools, and the profile each name one.
    scene.register(&["--region", "eu-central-1", "--dry-run"]).await.expect(0).says(&["eu-central-1"]);
    scene.set("AWS_DEFAULT_REGION", "eu-west-2");
    scene.register(&["--dry-run"]).await.expect(0).says(&["eu-west-2"]);
    scene.unset("AWS_DEFAULT_REGION");
    scene.home_file(".aws/config", "[profile there]\nregion = eu-west-3\n");
    scene.set("AWS_PROFILE", "there");
    scene.register(&["--dry-run"]).await.expect(0).says(&["eu-west-3"]);
}

#[tokio::test]
async fn no_credentials_expired_ones_and_wrong_ones() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().clone();
    let expired = CallerSpec { session_token: true, expired: true, ..CallerSpec::user("late", None) };
    let expired = scene.lease.aws().add_caller(&account.id, expired).await.unwrap();
    become_caller(&mut scene, &expired);
    scene.register(&[]).await.expect_error("EKSC0203", 1).says(&["expired"]);

    scene.set("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX");
    scene.unset("AWS_SESSION_TOKEN");
    scene.register(&[]).await.expect_error("EKSC0204", 1).says(&["security token"]);
    scene.set("AWS_ACCESS_KEY_ID", &account.access_key_id);
    scene.set("AWS_SECRET_ACCESS_KEY", "wrong");
    scene.register(&[]).await.expect_error("EKSC0204", 1).says(&["signature"]);

    scene.unset("AWS_ACCESS_KEY_ID");
    scene.unset("AWS_SECRET_ACCESS_KEY");
    scene.register(&[]).await.expect_error("EKSC0202", 1).says(&["aws configure"]);
    assert!(!scene.namespace_exists().await);
}

#[tokio::test]
async fn profiles() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().clone();
    scene.register(&["--profile", "nowhere"]).await.expect_error("EKSC0205", 2).says(&["nowhere"]);
    scene.set("AWS_PROFILE", "nowhere");
    scene.register(&[]).await.expect_error("EKSC0205", 2);
    // A profile named on the command line wins over keys in the environment.
    let content = format!(
        "[work]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        account.access_key_id, account.secret_access_key
    );
    scene.home_file(".aws/credentials", &content);
    scene.unset("AWS_PROFILE");
    scene.set("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX");
    scene.register(&["--profile", "work", "--dry-run"]).await.expect(0).says(&["as user/ana"]);
}

#[tokio::test]
async fn a_profile_that_assumes_a_role() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().clone();
    let role =
        scene.lease.aws().add_caller(&account.id, CallerSpec::role("Deployer", "x", None)).await.unwrap();
    let name = role.arn.split('/').nth(1).unwrap();
    let content = format!(
        "[profile deploy]\nrole_arn = arn:aws:iam::{}:role/{name}\nsource_profile = base\n\
         [profile base]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        account.id, account.access_key_id, account.secret_access_key
    );
    scene.home_file(".aws/config", &content);
    scene.unset("AWS_ACCESS_KEY_ID");
    scene.unset("AWS_SECRET_ACCESS_KEY");
    scene.register(&["--profile", "deploy", "--dry-run"]).await.expect(0).says(&["assumed-role/Deployer/"]);
    scene.set("AWS_PROFILE", "deploy");
    scene.register(&["--dry-run"]).await.expect(0).says(&["assumed-role/Deployer/"]);
}

#[tokio::test]
async fn settings_that_would_abort_the_sdk_are_refused() {
    let mut scene = Scene::new().await;
    scene.set("AWS_MAX_ATTEMPTS", "0");
    scene.register(&[]).await.expect_error("EKSC0210", 2).says(&["AWS_MAX_ATTEMPTS"]);
    scene.unset("AWS_MAX_ATTEMPTS");
    scene.set("AWS_RETRY_MODE", "legacy");
    scene.register(&["--dry-run"]).await.expect(0);
}

#[tokio::test]
async fn no_kubeconfig_no_context_and_a_wrong_one() {
    let mut scene = Scene::new().await;
    scene
        .register(&["--context", "elsewhere"])
        .await
        .expect_error("EKSC0302", 2)
        .says(&["elsewhere", "contexts:"]);
    scene.register(&["--kubeconfig", "/nowhere"]).await.expect_error("EKSC0301", 2).says(&["/nowhere"]);
    let broken = scene.home_file("broken", "{ not yaml");
    scene.register(&["--kubeconfig", broken.to_str().unwrap()]).await.expect_error("EKSC0307", 2);
    let empty = scene.home_file("empty", "apiVersion: v1\nkind: Config\n");
    scene.register(&["--kubeconfig", empty.to_str().unwrap()]).await.expect_error("EKSC0301", 2);
    scene.unset("KUBECONFIG");
    scene.register(&[]).await.expect_error("EKSC0301", 2).says(&[".kube/config", "--kubeconfig"]);
}

#[tokio::test]
async fn several_kubeconfig_files() {
    let mut scene = Scene::new().await;
    let own = scene.lease.kubeconfig();
    let other = scene.home_file(
        "other",
        "apiVersion: v1\nkind: Config\ncurrent-context: other\ncontexts:\n- name: other\n  context: {cluster: c, user: u}\n\
         clusters:\n- name: c\n  cluster: {server: 'https://127.0.0.1:1'}\nusers:\n- name: u\n  user: {token: t}\n",
    );
    let context = std::fs::read_to_string(&own).unwrap();
    let context = context
        .lines()
        .find_map(|line| line.strip_prefix("current-context: "))
        .unwrap()
        .trim_matches('"')
        .to_owned();
    scene.set("KUBECONFIG", &format!("{}:{}", other.display(), own.display()));
    scene.register(&["--context", &context, "--dry-run"]).await.expect(0).says(&[&context]);
    // The first file's current context counts.
    scene.register(&["--dry-run"]).await.expect_error("EKSC0303", 1).says(&["127.0.0.1:1"]);
    scene.set("KUBECONFIG", &format!("{}:{}", own.display(), other.display()));
    scene.register(&["--dry-run"]).await.expect(0).says(&[&context]);

    // What belongs together may be in as many files; such as are not there, and empty names, count for nothing.
    let whole: Value = serde_yaml::from_str(&std::fs::read_to_string(&own).unwrap()).unwrap();
    let mut files = Vec::new();
    for part in ["users", "clusters", "contexts"] {
        let one = json!({ "apiVersion": "v1", "kind": "Config", part: whole[part] });
        files.push(scene.home_file(part, &one.to_string()).display().to_string());
    }
    let current = json!({ "apiVersion": "v1", "kind": "Config", "current-context": context });
    files.push(scene.home_file("current", &current.to_string()).display().to_string());
    scene.set("KUBECONFIG", &format!("/nowhere/config::{}", files.join(":")));
    scene.register(&["--dry-run"]).await.expect(0).says(&[&context]);
}

#[tokio::test]
async fn an_unreachable_cluster_and_unreachable_aws() {
    let mut scene = Scene::new().await;
    let nowhere = scene.home_file(
        "nowhere",
        "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts:\n- name: x\n  context: {cluster: c, user: u}\n\
         clusters:\n- name: c\n  cluster: {server: 'https://127.0.0.1:1'}\nusers:\n- name: u\n  user: {token: t}\n",
    );
    let run = scene.register(&["--kubeconfig", nowhere.to_str().unwrap()]).await.expect_error("EKSC0303", 1);
    run.says(&["refused", "kubectl cluster-info"]);
    scene.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    scene.register(&[]).await.expect_error("EKSC0206", 1).says(&["efused"]);
    assert!(!scene.namespace_exists().await);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_verified() {
    let scene = Scene::new().await;
    let server = scene.lease.cluster().server().to_owned();
    let distrust = scene.home_file(
        "distrust",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts:\n- name: x\n  context: {{cluster: c, user: u}}\n\
             clusters:\n- name: c\n  cluster: {{server: '{server}'}}\nusers:\n- name: u\n  user: {{token: t}}\n"
        ),
    );
    scene.register(&["--kubeconfig", distrust.to_str().unwrap()]).await.expect_error("EKSC0311", 1);
}

#[tokio::test]
async fn a_token_that_the_cluster_does_not_know() {
    let scene = Scene::new().await;
    let kubeconfig = std::fs::read_to_string(scene.lease.kubeconfig()).unwrap();
    let line = kubeconfig.lines().find(|line| line.trim_start().starts_with("token:")).unwrap();
    let token = line.trim_start().trim_start_matches("token:").trim();
    let wrong = scene.home_file("wrong", &kubeconfig.replace(token, "wrong"));
    let run = scene.register(&["--kubeconfig", wrong.to_str().unwrap()]).await.expect_error("EKSC0304", 1);
    run.says(&["kubectl auth whoami"]);
}

#[tokio::test]
async fn a_denied_action_of_aws_is_named_and_the_documented_policy_suffices() {
    let mut scene = Scene::new().await;
    let documented: serde_json::Value =
        serde_json::from_str(include_str!("../../policies/caller-register.json")).unwrap();
    for denied in
        ["iam:CreateRole", "eks:DescribeCluster", "iam:PutRolePolicy", "iam:CreateServiceLinkedRole"]
    {
        let account = scene.lease.account().id.clone();
        let mut policy = documented.clone();
        let deny = json!({ "Effect": "Deny", "Action": denied, "Resource": "*" });
        policy["Statement"].as_array_mut().unwrap().push(deny);
        let name = denied.replace(':', "-");
        let caller =
            scene.lease.aws().add_caller(&account, CallerSpec::user(&name, Some(policy))).await.unwrap();
        become_caller(&mut scene, &caller);
        let run = scene.register(&[]).await;
        assert!(matches!(run.code, Some(1 | 5)), "{denied}: {}", run.stderr);
        run.says(&["error[EKSC0207]", denied, &format!("allow {denied} to the caller")]);
        assert!(!scene.namespace_exists().await, "{denied}");
        scene.lease.start_over().await.unwrap();
        return_to(&mut scene);
    }
    let account = scene.lease.account().id.clone();
    let caller =
        scene.lease.aws().add_caller(&account, CallerSpec::user("least", Some(documented))).await.unwrap();
    become_caller(&mut scene, &caller);
    scene.register(&[]).await.expect(0);
    scene.register(&[]).await.expect(0);
    assert!(scene.namespace_exists().await, "{NAMESPACE}");
}

#[tokio::test]
async fn without_the_right_to_tag_our_tags_are_left_out_and_the_users_are_not() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "*", "Resource": "*" },
        { "Effect": "Deny", "Action": "eks:TagResource", "Resource": "*" },
    ] });
    let caller =
        scene.lease.aws().add_caller(&account, CallerSpec::user("plain", Some(policy))).await.unwrap();
    become_caller(&mut scene, &caller);
    let run = scene.register(&["--tag", "team=platform"]).await.expect_error("EKSC0207", 5);
    run.says(&["allow eks:TagResource to the caller"]);
    assert_eq!(scene.registrations().await.len(), 0);
    scene.register(&[]).await.expect(0).says(&["without tags, since eks:TagResource is denied", "untagged"]);
    assert_eq!(scene.registrations().await["onprem1"]["tags"], json!({}));
    // The activation's id proves whose it is.
    let again = scene.register(&[]).await.expect(0);
    assert!(again.stdout.contains("nothing to do"), "{}", again.stdout);
}

/// After starting over the account is another one.
fn return_to(scene: &mut Scene) {
    scene.env.clear();
}
