//! The printed policies are exact: each command works with its own, with any required action taken out it fails and names
//! that action, and what is called an aid is one.

use std::collections::BTreeSet;

use eksconnect_sandbox::aws::control::CallerSpec;
use serde_json::{Value, json};

use crate::support::{Run, Scene};

/// A command, as `iam-policy` calls it and as it is run, and what it then cannot do without.
struct Proof {
    command: &'static str,
    arguments: &'static [&'static str],
    /// What is run before each time, in a fresh account and cluster; `None` if it changes nothing.
    before: Option<&'static [&'static [&'static str]]>,
    /// What it cannot do without in these circumstances; `None` for what is said to be required.
    needs: Option<&'static [&'static str]>,
}

const REGISTER: &[&str] = &["register", "--name", "onprem1"];

const READS: [Proof; 4] = [
    Proof { command: "list", arguments: &["list", "--no-contexts"], before: None, needs: None },
    Proof { command: "whoami", arguments: &["whoami"], before: None, needs: None },
    Proof { command: "status", arguments: &["status", "--name", "onprem1"], before: None, needs: None },
    Proof { command: "roles-show", arguments: &["roles", "show"], before: None, needs: None },
];

const REGISTERS: [Proof; 2] = [
    Proof { command: "register", arguments: REGISTER, before: Some(&[]), needs: None },
    Proof {
        command: "register",
        arguments: &["register", "--name", "onprem1", "--renew", "--yes"],
        before: Some(&[REGISTER]),
        needs: Some(&["eks:DeregisterCluster", "ssm:DeregisterManagedInstance"]),
    },
];

const ROLES: [Proof; 1] =
    [Proof { command: "roles-create", arguments: &["roles", "create"], before: Some(&[]), needs: None }];

/// The principal who is to view.
const VIEWER: &str = "arn:aws:iam::%ACCOUNT%:role/Viewer";

const GRANT: &[&str] = &["grant-view", "--principal", VIEWER, "--attach-iam-policy"];

const VIEWS: [Proof; 4] = [
    Proof {
        command: "grant-view",
        arguments: &["grant-view", "--principal", VIEWER],
        before: Some(&[REGISTER]),
        needs: None,
    },
    Proof {
        command: "grant-view",
        arguments: GRANT,
        before: Some(&[REGISTER]),
        needs: Some(&["iam:GetRole", "iam:GetRolePolicy", "iam:PutRolePolicy"]),
    },
    Proof {
        command: "revoke-view",
        arguments: &["revoke-view", "--principal", VIEWER],
        before: Some(&[REGISTER, GRANT]),
        needs: None,
    },
    Proof {
        command: "revoke-view",
        arguments: &["revoke-view", "--principal", VIEWER, "--detach-iam-policy"],
        before: Some(&[REGISTER, GRANT]),
        needs: Some(&["iam:GetRole", "iam:GetRolePolicy", "iam:DeleteRolePolicy"]),
    },
];

/// The policy of a command for the scene's account, Region and registration, and its actions by how much they are needed.
async fn printed(scene: &Scene, command: &str) -> (Value, Vec<(String, String)>) {
    let account = scene.lease.account().id.clone();
    let place = ["--account", &account, "--region", scene.lease.region(), "--name", "onprem1"];
    let document =
        scene.run(&[&["iam-policy", command, "-o", "json"], &place[..]].concat()).await.expect(0).json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let actions = document["actions"].as_array().unwrap();
    let actions = actions.iter().map(|action| (text(&action["action"]), text(&action["need"]))).collect();
    (document["policy"].clone(), actions)
}

/// A policy with only those actions that are kept.
fn keeping(policy: &Value, keep: impl Fn(&str) -> bool) -> Value {
    let mut policy = policy.clone();
    let statements = policy["Statement"].as_array_mut().unwrap();
    for statement in statements.iter_mut() {
        statement["Action"].as_array_mut().unwrap().retain(|action| keep(action.as_str().unwrap()));
    }
    statements.retain(|statement| statement["Action"] != json!([]));
    if statements.is_empty() {
        statements.push(json!({"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}));
    }
    policy
}

/// Runs the command as somebody with just this policy.
async fn run(scene: &mut Scene, proof: &Proof, policy: Value) -> Run {
    let was = scene.lease.account().id.clone();
    if let Some(before) = proof.before {
        scene.lease.start_over().await.unwrap();
        crate::grants::role(scene, "Viewer").await;
        for arguments in before {
            run_in(scene, arguments).await.expect(0);
        }
    }
    let account = scene.lease.account().id.clone();
    // The account is another one after a fresh start.
    let policy = serde_json::from_str(&policy.to_string().replace(&was, &account)).unwrap();
    let caller =
        scene.lease.aws().add_caller(&account, CallerSpec::user("least", Some(policy))).await.unwrap();
    scene.set("AWS_ACCESS_KEY_ID", &caller.access_key_id);
    scene.set("AWS_SECRET_ACCESS_KEY", &caller.secret_access_key);
    let run = run_in(scene, proof.arguments).await;
    scene.env.clear();
    run
}

async fn run_in(scene: &Scene, arguments: &[&str]) -> Run {
    let account = &scene.lease.account().id;
    let arguments: Vec<String> = arguments.iter().map(|word| word.replace("%ACCOUNT%", account)).collect();
    scene.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// It works with its policy; with anything taken out that it needs, it fails and names that; with nothing but what is said to
/// be required it works too, if nothing else is needed in its circumstances. Gives how many actions were taken out.
async fn prove(scene: &mut Scene, proof: &Proof) -> usize {
    let (policy, actions) = printed(scene, proof.command).await;
    run(scene, proof, policy).await.expect(0);
    let said = actions.iter().filter(|(_, need)| need == "required").map(|(action, _)| action.as_str());
    let required: BTreeSet<&str> =
        proof.needs.map_or_else(|| said.collect(), |all| all.iter().copied().collect());
    for action in &required {
        let (policy, _) = printed(scene, proof.command).await;
        let ended = run(scene, proof, keeping(&policy, |one| one != *action)).await;
        let (command, said) = (proof.command, &ended.stderr);
        assert!(
            matches!(ended.code, Some(1 | 3 | 5)),
            "{command} without {action}: {:?}\n{said}",
            ended.code
        );
        assert!(said.contains(*action), "{command} without {action} does not name it:\n{said}");
    }
    if proof.needs.is_none() {
        let (policy, _) = printed(scene, proof.command).await;
        run(scene, proof, keeping(&policy, |one| required.contains(one))).await.expect(0);
    }
    required.len()
}

async fn prove_all(proofs: &[Proof]) -> usize {
    let mut scene = Scene::new().await;
    if proofs.iter().any(|proof| proof.before.is_none()) {
        scene.run(REGISTER).await.expect(0);
    }
    let mut proven = 0;
    for proof in proofs {
        proven += prove(&mut scene, proof).await;
    }
    proven
}

#[tokio::test]
async fn what_reads_works_with_its_policy_and_names_what_is_taken_out() {
    assert!(prove_all(&READS).await >= 5);
}

#[tokio::test]
async fn register_works_with_its_policy_and_names_what_is_taken_out() {
    assert!(prove_all(&REGISTERS).await >= 10);
}

#[tokio::test]
async fn views_are_given_and_taken_with_the_policies_and_what_is_taken_out_is_named() {
    assert!(prove_all(&VIEWS).await >= 6);
}

#[tokio::test]
async fn roles_work_with_their_policies_and_name_what_is_taken_out() {
    assert!(prove_all(&ROLES).await >= 4);
}

#[tokio::test]
async fn the_languages_say_the_same() {
    let scene = Scene::new().await;
    let json = scene.run(&["iam-policy", "register", "status"]).await.expect(0);
    let document: Value = serde_json::from_str(&json.stdout).unwrap();
    let terraform =
        scene.run(&["iam-policy", "register", "status", "--as", "terraform"]).await.expect(0).stdout;
    let template =
        scene.run(&["iam-policy", "register", "status", "--as", "cloudformation"]).await.expect(0).stdout;
    let template: Value = serde_yaml::from_str(&template.replace("!Ref ", "")).unwrap();
    let policy = &template["Resources"]["EksconnectCaller"]["Properties"]["PolicyDocument"];
    assert_eq!(*policy, document);
    for statement in document["Statement"].as_array().unwrap() {
        assert!(terraform.contains(&format!("sid       = {}", statement["Sid"])), "{terraform}");
        for action in statement["Action"].as_array().unwrap() {
            assert!(terraform.contains(&action.to_string()), "{action}: {terraform}");
        }
    }
    assert_eq!(terraform.matches('{').count(), terraform.matches('}').count());
    let all = scene.run(&["iam-policy"]).await.expect(0).stdout;
    assert!(all.contains("iam:DeleteRole"), "{all}");
    scene
        .run(&["iam-policy", "nonsense"])
        .await
        .expect_error("EKSC0107", 2)
        .says(&["possible values: register"]);
}
