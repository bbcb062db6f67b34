//! What there is: list, whoami and status, whoever made it and whichever side is gone.

use std::process::Command;

use eksconnect_sandbox::aws::control::{FaultKind, SettingsChange, SettingsPatch};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::halves::aws_eks;
use crate::support::{PATIENCE, Scene, until};
use crate::takeover::{EKSCTL_GRANTS, OFFICIAL, helm_install, kubectl_apply, until_active};

/// A kubeconfig with the scene's own context, one whose server is gone, and one of which nothing is known.
fn several_contexts(scene: &Scene) -> (String, String) {
    let own = std::fs::read_to_string(scene.lease.kubeconfig()).unwrap();
    let current = own.lines().find_map(|line| line.strip_prefix("current-context: ")).unwrap();
    let current = current.trim_matches('"').to_owned();
    let gone = scene.home_file(
        "gone",
        "apiVersion: v1\nkind: Config\ncontexts:\n- name: gone\n  context: {cluster: gone, user: gone}\n\
         clusters:\n- name: gone\n  cluster: {server: 'https://127.0.0.1:1'}\nusers:\n- name: gone\n  user: {token: t}\n",
    );
    (format!("{}:{}", scene.lease.kubeconfig().display(), gone.display()), current)
}

#[tokio::test]
async fn list_shows_every_connected_cluster_and_which_context_it_is() {
    let mut scene = Scene::new().await;
    let empty = scene.run(&["list"]).await.expect(0);
    assert!(empty.stdout.contains("No connected clusters. --all-regions"), "{}", empty.stdout);
    scene.register(&[]).await.expect(0);
    let account = scene.lease.account().id.clone();
    scene.lease.aws().add_registrations(&account, "eu-west-1", 101).await.unwrap();
    // One that EKS runs itself is no connected cluster.
    scene.lease.aws().add_cluster(&account, "eu-west-1", "managed").await.unwrap();
    let (kubeconfig, current) = several_contexts(&scene);
    scene.set("KUBECONFIG", &kubeconfig);

    let shown = scene.run(&["list"]).await.expect(0).says(&["context gone could not be asked"]);
    let line = shown.stdout.lines().find(|line| line.starts_with("onprem1 ")).unwrap();
    assert!(line.contains("ACTIVE") && line.ends_with(&format!("{current} *")), "{line}");
    assert_eq!(shown.stdout.lines().count(), 103, "a head and 102 clusters: {}", shown.stdout);
    let other = shown.stdout.lines().find(|line| line.starts_with("many-0101 ")).unwrap();
    assert!(other.contains("PENDING") && !other.contains(&current), "{other}");

    let listed = scene.run(&["list", "-o", "json"]).await.expect(0).json();
    let clusters = listed["registrations"].as_array().unwrap();
    let names: Vec<&str> = clusters.iter().map(|cluster| cluster["name"].as_str().unwrap()).collect();
    assert!(names.is_sorted() && names.len() == 102 && !names.contains(&"managed"), "{names:?}");
    let own = clusters.iter().find(|cluster| cluster["name"] == "onprem1").unwrap();
    assert_eq!((&own["contexts"], &own["status"]), (&json!([current]), &json!("ACTIVE")));
    assert_eq!(listed["unreadableContexts"][0]["context"], "gone");

    let without = scene.run(&["list", "--no-contexts", "-o", "json"]).await.expect(0).json();
    assert_eq!(without["unreadableContexts"], json!([]));
}

#[tokio::test]
async fn all_regions_are_read_and_those_that_cannot_be_are_said() {
    let scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    scene.lease.aws().add_registrations(&account, "us-east-1", 1).await.unwrap();
    scene.lease.aws().add_registrations(&account, "ap-southeast-7", 2).await.unwrap();
    let change = SettingsChange {
        account: Some(account),
        region: Some("af-south-1".to_owned()),
        settings: SettingsPatch { disabled: Some(true), ..SettingsPatch::default() },
    };
    scene.lease.aws().change_settings(change).await.unwrap();

    let run = scene.run(&["list", "--all-regions", "--no-contexts"]).await.expect(0);
    let run = run.says(&["Regions  all 34", "af-south-1 could not be read: not enabled for this account"]);
    let rows: Vec<Vec<&str>> =
        run.stdout.lines().skip(1).map(|line| line.split_whitespace().take(2).collect()).collect();
    assert_eq!(
        rows,
        [["ap-southeast-7", "many-0001"], ["ap-southeast-7", "many-0002"], ["us-east-1", "many-0001"]]
    );
    let json = scene.run(&["list", "--all-regions", "--no-contexts", "-o", "json"]).await.expect(0).json();
    assert_eq!(
        json["unreadableRegions"],
        json!([{"region": "af-south-1", "reason": "not enabled for this account"}])
    );
    // If no Region can be read, nothing is known.
    scene.refuse("eks", "ListClusters", 403, "AccessDeniedException", "not you").await;
    let run = scene.run(&["list", "--all-regions", "--no-contexts"]).await.expect_error("EKSC0207", 1);
    run.says(&["list the connected clusters of eu-west-1", "eks:ListClusters"]);
}

#[tokio::test]
async fn whoami_tells_the_registration_of_a_context_and_the_reverse() {
    let mut scene = Scene::new().await;
    let run = scene.run(&["whoami"]).await.expect_error("EKSC0440", 1);
    run.says(&["it has no connector", "eksconnect register --name NAME"]);
    scene
        .run(&["whoami", "--name", "onprem1"])
        .await
        .expect_error("EKSC0442", 1)
        .says(&["list --all-regions"]);
    scene.register(&[]).await.expect(0);
    let (kubeconfig, current) = several_contexts(&scene);
    scene.set("KUBECONFIG", &kubeconfig);

    // Its namespace names the Region, whichever is in use.
    for region in ["eu-west-1", "us-east-1"] {
        let run = scene.run(&["whoami", "--region", region]).await.expect(0);
        let expected = format!("{current} is onprem1, ACTIVE in eu-west-1");
        assert!(run.stdout.starts_with(&expected), "{}", run.stdout);
        assert_eq!(run.stderr.contains("need --region eu-west-1"), region != "eu-west-1", "{}", run.stderr);
    }
    let found = scene.run(&["whoami", "-o", "json"]).await.expect(0).json();
    assert_eq!(found["contexts"], json!([{"name": current, "current": true, "because": "activation"}]));

    let run = scene.run(&["whoami", "--name", "onprem1"]).await.expect(0);
    assert!(run.stdout.contains(&format!("onprem1 is {current}, the current context")), "{}", run.stdout);
    assert!(run.stderr.contains("context gone could not be asked"), "{}", run.stderr);

    let gone = scene.lease.home().join("gone");
    scene.set("KUBECONFIG", gone.to_str().unwrap());
    let run = scene.run(&["whoami", "--name", "onprem1"]).await.expect_error("EKSC0441", 1);
    run.says(&["0 contexts were asked", "gone could not be asked"]);

    // Somebody deregistered it, and the agents are still there.
    scene.set("KUBECONFIG", &kubeconfig);
    scene.deregister_by_hand().await;
    let run = scene.run(&["whoami"]).await.expect_error("EKSC0440", 1);
    run.says(&["there is no such registration any more", "--renew"]);
    let run = scene.run(&["status"]).await.expect(0);
    assert!(run.stdout.contains("✗ onprem1 is not registered any more"), "{}", run.stdout);
}

#[tokio::test]
async fn connectors_of_other_tools_are_known_by_their_activation() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    // The official manifest, and what eksctl writes beside it.
    kubectl_apply(&scene, OFFICIAL, &activation).await;
    kubectl_apply(&scene, EKSCTL_GRANTS, &activation).await;
    until_active(&scene, "eks-connector").await;
    let listed = scene.run(&["list", "-o", "json"]).await.expect(0).json();
    assert_eq!(listed["registrations"][0]["contexts"].as_array().unwrap().len(), 1, "{listed:#}");
    let found = scene.run(&["whoami", "-o", "json"]).await.expect(0).json();
    assert_eq!(
        (&found["registration"]["name"], &found["contexts"][0]["because"]),
        (&json!("onprem1"), &json!("activation"))
    );
    let run = scene.run(&["status"]).await.expect(0);
    for words in
        ["by the official manifest or eksctl", "user/ana", "✓ onprem1 is ACTIVE and its 2 agents are ready"]
    {
        assert!(run.stdout.contains(words), "{words}: {}", run.stdout);
    }
}

#[tokio::test]
async fn a_helm_release_in_a_namespace_of_its_own_is_known_too() {
    let scene = Scene::new().await;
    let activation = scene.register_by_hand("Theirs").await;
    helm_install(&scene, &activation).await;
    until_active(&scene, "tools").await;
    let listed = scene.run(&["list", "-o", "json"]).await.expect(0).json();
    assert_eq!(listed["registrations"][0]["contexts"].as_array().unwrap().len(), 1);
    let status = scene.run(&["status", "-o", "json"]).await.expect(0).json();
    assert_eq!(
        (&status["cluster"]["namespace"], &status["cluster"]["madeBy"], &status["verdict"]["health"]),
        (&json!("tools"), &json!("Helm release connect"), &json!("good"))
    );
    assert_eq!(status["cluster"]["statesKept"], 2, "with the prefix of the release: {status:#}");
}

#[tokio::test]
async fn status_does_not_take_a_registration_of_another_region_for_one_that_is_gone() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let elsewhere = ["status", "--region", "eu-west-3"];
    let run = scene.run(&elsewhere).await.expect(0);
    assert!(run.stdout.contains("onprem1 is ACTIVE"), "{}", run.stdout);
    assert!(run.stdout.contains("other commands about onprem1 need --region eu-west-1"), "{}", run.stdout);
    // Its agents belong to the one in eu-west-1.
    let run = scene.run(&[&elsewhere[..], &["--name", "onprem1"]].concat()).await.expect_error("EKSC0442", 1);
    let arn = format!("arn:aws:eks:eu-west-1:{}:cluster/onprem1", scene.lease.account().id);
    run.says(&["no registration onprem1 in eu-west-3", &arn, "--region"]);

    aws_eks(&scene).deregister_cluster().name("onprem1").send().await.unwrap();
    let run = scene.run(&elsewhere).await.expect(0);
    assert!(run.stdout.contains("onprem1 is not registered any more"), "{}", run.stdout);
    let again = "eksconnect register --name onprem1 --renew --region eu-west-1";
    assert!(run.stdout.contains(again), "{}", run.stdout);
    let run = scene.run(&["whoami", "--region", "eu-west-3"]).await.expect_error("EKSC0440", 1);
    run.says(&[again]);
}

#[tokio::test]
async fn status_shows_both_halves_and_a_verdict() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let run = scene.run(&["status", "--name", "onprem1"]).await.expect(0);
    for words in [
        "in eu-west-1 of account",
        "AWS",
        "CLUSTER",
        "status     ACTIVE",
        "activation used",
        "agents     2 of 2 ready",
        "state      kept for 2 of 2 agents",
        "viewers    nobody yet",
        "eks-connector-0  ready",
        "✓ onprem1 is ACTIVE and its 2 agents are ready.",
    ] {
        assert!(run.stdout.contains(words), "{words}:\n{}", run.stdout);
    }
    let status = scene.run(&["status", "-o", "json"]).await.expect(0).json();
    assert_eq!(status["cluster"]["agents"]["pods"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&status["cluster"]["because"], &status["cluster"]["holdsActivationCode"]),
        (&json!("activation"), &json!(false))
    );
    scene.run(&["status", "--name", "onprem2"]).await.expect_error("EKSC0442", 1);
    scene.run(&["status", "--watch"]).await.expect_error("EKSC0107", 2).says(&["--wait-for active"]);
}

#[tokio::test]
async fn status_of_half_a_registration() {
    let mut scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let own = scene.lease.kubeconfig();
    let (_, current) = several_contexts(&scene);
    let gone = scene.lease.home().join("gone");
    scene.set("KUBECONFIG", &format!("{}:{}", gone.display(), own.display()));
    let run = scene.run(&["status", "--name", "onprem1", "--context", "gone"]).await.expect(0);
    for words in ["could not be asked", "… onprem1 is ACTIVE; its cluster could not be asked."] {
        assert!(run.stdout.contains(words), "{words}:\n{}", run.stdout);
    }
    let run = scene.run(&["status", "--context", "gone"]).await.expect_error("EKSC0303", 1);
    assert!(!run.stdout.contains("onprem1"));
    // Another registration than the cluster's.
    let account = scene.lease.account().id.clone();
    scene.lease.aws().add_registrations(&account, "eu-west-1", 1).await.unwrap();
    let run = scene.run(&["status", "--name", "many-0001", "--context", &current]).await.expect(0);
    let expected =
        format!("… many-0001 is PENDING: no agent has connected; the context {current} is another cluster.");
    assert!(run.stdout.contains(&expected), "{}", run.stdout);
    scene.fail("eks", "DescribeCluster", FaultKind::Reset).await;
    scene.run(&["status", "--name", "onprem1", "--context", &current]).await.expect_error("EKSC0206", 1);
}

#[tokio::test]
async fn agents_that_were_deleted_come_back_by_registering_where_their_state_is() {
    let scene = Scene::new().await;
    let there = ["register", "--name", "onprem1", "--namespace", "tools"];
    scene.run(&there).await.expect(0);
    let sets: Api<StatefulSet> = Api::namespaced(scene.client().await, "tools");
    sets.delete("eks-connector", &DeleteParams::default()).await.unwrap();
    let status = scene.run(&["status", "-o", "json"]).await.expect(0).json();
    let (verdict, cluster) = (&status["verdict"], &status["cluster"]);
    assert!(verdict["text"].as_str().unwrap().contains("its agents are gone from the cluster"), "{status:#}");
    // Not made anew: that would be another registration, and in another namespace.
    assert_eq!(verdict["next"], format!("eksconnect {}", there.join(" ")), "{status:#}");
    assert_eq!((&cluster["namespace"], &cluster["statesKept"]), (&json!("tools"), &Value::Null));
    scene.run(&there).await.expect(0);
    let registered = scene.calls().await.iter().filter(|call| call.operation == "RegisterCluster").count();
    assert_eq!(registered, 1);
}

#[tokio::test]
async fn a_kubeconfig_or_a_context_that_is_not_there_is_no_empty_column() {
    let scene = Scene::new().await;
    scene.run(&["list", "--kubeconfig", "/nope"]).await.expect_error("EKSC0301", 2).says(&["--no-contexts"]);
    let run = scene.run(&["list", "--context", "nope"]).await.expect(0);
    assert!(run.stderr.contains("the kubeconfig has no context \"nope\""), "{}", run.stderr);
}

#[tokio::test]
async fn waiting_for_active_ends_with_it_or_names_the_cause() {
    let scene = Scene::new().await;
    scene.register(&["--no-wait", "--agent-image", "registry.invalid/agent:1"]).await.expect(0);
    let wait = ["status", "--name", "onprem1", "--wait-for", "active", "--wait-timeout"];
    let run = scene.run(&[&wait[..], &["12s"]].concat()).await.expect_error("EKSC0412", 4);
    run.says(&["did not become ACTIVE within 12s", "state   PENDING", "registry.invalid/agent:1"]);
    let status = scene.run(&["status", "-o", "json"]).await.expect(0).json();
    assert_eq!(status["verdict"]["health"], "bad");
    assert!(
        status["verdict"]["text"].as_str().unwrap().contains("0 of its 2 agents are ready"),
        "{status:#}"
    );
    assert_ne!(status["cluster"]["agents"]["lastEvents"], json!([]), "{status:#}");
    scene.register(&["--no-wait"]).await.expect(0);
    let active = scene.run(&[&wait[..], &["2m", "-o", "json"]].concat()).await.expect(0).json();
    assert_eq!(active["registration"]["status"], "ACTIVE");
    // Reading changed nothing, though it looked many times.
    let writes: Vec<String> = scene.calls().await.iter().map(|call| call.operation.clone()).collect();
    assert_eq!(writes.iter().filter(|name| *name == "RegisterCluster").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_status_is_redrawn_until_it_is_active() {
    let scene = Scene::new().await;
    scene.register(&["--no-wait"]).await.expect(0);
    let sent = tokio::task::block_in_place(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eksconnect"));
        command.args(["status", "--watch", "--wait-for", "active"]);
        command.env_clear().envs(scene.environment()).env("TERM", "xterm");
        let timeout = u64::try_from(PATIENCE.as_millis()).unwrap();
        let mut session = rexpect::session::spawn_command(command, Some(timeout)).unwrap();
        session.exp_eof().unwrap()
    });
    assert!(sent.contains("\u{1b}[H") && sent.contains("onprem1 is ACTIVE"), "{sent:?}");
}

#[tokio::test]
async fn what_may_not_be_read_is_said_and_the_rest_is_shown() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let reader = scene.lease.cluster().kubeconfig_for("reader", None).unwrap();
    let client = scene.client().await;
    let role: Value = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"},
        "rules": [
            {"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["get", "list"]},
            {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get"]},
        ],
    });
    let binding: Value = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "User", "name": "reader"}],
    });
    let post = kube::api::PostParams::default();
    let roles: kube::Api<k8s_openapi::api::rbac::v1::ClusterRole> = kube::Api::all(client.clone());
    roles.create(&post, &serde_json::from_value(role).unwrap()).await.unwrap();
    let bindings: kube::Api<k8s_openapi::api::rbac::v1::ClusterRoleBinding> = kube::Api::all(client);
    bindings.create(&post, &serde_json::from_value(binding).unwrap()).await.unwrap();
    let arguments = ["status", "-o", "json", "--kubeconfig", reader.to_str().unwrap()];
    let status = scene.run(&arguments).await.expect(0).json();
    assert_eq!(status["verdict"]["health"], "good", "{status:#}");
    let unverified = status["cluster"]["unverified"].to_string();
    for what in ["search every namespace", "activation Secret", "access rules", "list events"] {
        assert!(unverified.contains(what), "{what}: {unverified}");
    }
    // What only says more of the agents does not hide them.
    let agents = &status["cluster"]["agents"];
    assert_eq!(
        (&agents["ready"], agents["pods"].as_array().map(Vec::len)),
        (&json!(2), Some(2)),
        "{agents:#}"
    );
}

#[tokio::test]
async fn status_says_what_a_granted_role_reads_since_it_was_granted() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let viewer = crate::grants::role(&scene, "Viewer").await;
    let grant = ["grant-view", "--principal", &viewer, "--cluster-role", "view"];
    scene.run(&grant).await.expect(0);
    let grown =
        async || scene.run(&["status", "-o", "json"]).await.expect(0).json()["cluster"]["grown"].clone();
    assert_eq!(grown().await, json!([]));

    let roles: Api<ClusterRole> = Api::all(scene.client().await);
    let widgets = json!({
        "metadata": {
            "name": "widgets-view",
            "labels": { "rbac.authorization.k8s.io/aggregate-to-view": "true" },
        },
        "rules": [{ "verbs": ["get", "list"], "apiGroups": ["example.com"], "resources": ["widgets"] }],
    });
    roles.create(&PostParams::default(), &serde_json::from_value(widgets).unwrap()).await.unwrap();
    until("the role view has the widgets", || async {
        let view = serde_json::to_string(&roles.get("view").await.unwrap().rules).unwrap();
        view.contains("widgets")
    })
    .await;
    let found = grown().await;
    assert_eq!((&found[0]["clusterRole"], &found[0]["principal"]), (&json!("view"), &json!(viewer)));
    assert_eq!(found[0]["above"], json!(["get, list on widgets (example.com)"]));
    let run = scene.run(&["status"]).await.expect(0);
    let command = grant.join(" ");
    for words in ["ClusterRole view lets role/Viewer read more than", "widgets (example.com)", &command] {
        assert!(run.stdout.contains(words), "{words}:\n{}", run.stdout);
    }
    // As it says.
    scene.run(&grant).await.expect(0);
    assert_eq!(grown().await, json!([]));
}
