//! The printed policies are exact: each command works with its own, with any required action taken out it fails and names
//! that action, and what is called an aid is one.

use std::collections::BTreeSet;

use eksconnect_sandbox::aws::control::CallerSpec;
use serde_json::{Value, json};

use crate::support::{Run, Scene};

/// A command, as `iam-policy` calls it and as it is run, and whether it needs a fresh account each time.
struct Proof {
    command: &'static str,
    arguments: &'static [&'static str],
    fresh: bool,
}

const PROOFS: &[Proof] = &[
    Proof { command: "list", arguments: &["list", "--no-contexts"], fresh: false },
    Proof { command: "whoami", arguments: &["whoami"], fresh: false },
    Proof { command: "status", arguments: &["status", "--name", "onprem1"], fresh: false },
    Proof { command: "roles-show", arguments: &["roles", "show"], fresh: false },
    Proof { command: "roles-create", arguments: &["roles", "create"], fresh: true },
    Proof { command: "register", arguments: &["register", "--name", "onprem1"], fresh: true },
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
    if proof.fresh {
        scene.lease.start_over().await.unwrap();
        scene.env.clear();
    }
    let account = scene.lease.account().id.clone();
    // The account is another one by now.
    let text = policy.to_string();
    let old = text.split(':').find(|part| part.len() == 12 && part.bytes().all(|byte| byte.is_ascii_digit()));
    let policy =
        old.map_or_else(|| policy.clone(), |old| serde_json::from_str(&text.replace(old, &account)).unwrap());
    let caller =
        scene.lease.aws().add_caller(&account, CallerSpec::user("least", Some(policy))).await.unwrap();
    scene.set("AWS_ACCESS_KEY_ID", &caller.access_key_id);
    scene.set("AWS_SECRET_ACCESS_KEY", &caller.secret_access_key);
    let run = scene.run(proof.arguments).await;
    scene.env.clear();
    run
}

#[tokio::test]
async fn each_command_works_with_its_policy_and_names_what_is_taken_out() {
    let mut scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let mut proven = 0;
    for proof in PROOFS {
        let (policy, actions) = printed(&scene, proof.command).await;
        run(&mut scene, proof, policy.clone()).await.expect(0);
        let required: BTreeSet<&str> = actions
            .iter()
            .filter(|(_, need)| need == "required")
            .map(|(action, _)| action.as_str())
            .collect();
        assert!(!required.is_empty(), "{}", proof.command);
        for action in &required {
            let ended = run(&mut scene, proof, keeping(&policy, |one| one != *action)).await;
            let (command, said) = (proof.command, &ended.stderr);
            assert!(
                matches!(ended.code, Some(1 | 3 | 5)),
                "{command} without {action}: {:?}\n{said}",
                ended.code
            );
            assert!(said.contains(*action), "{command} without {action} does not name it:\n{said}");
            proven += 1;
        }
        run(&mut scene, proof, keeping(&policy, |one| required.contains(one))).await.expect(0);
    }
    assert!(proven >= 12, "{proven}");
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
