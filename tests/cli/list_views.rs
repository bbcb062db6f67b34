//! Everybody with any part of access, whoever made it.

use eksconnect_sandbox::aws::control::CallerSpec;
use serde_json::{Value, json};

use crate::documents::Schema;
use crate::support::{NAMESPACE, Scene};
use crate::viewers::{ANA, VIEWER};

fn schema() -> Schema {
    Schema::new(include_str!("../../docs/schemas/views.json"))
}

fn of<'a>(document: &'a Value, principal: &str) -> &'a Value {
    let views = document["views"].as_array().unwrap();
    views
        .iter()
        .find(|view| view["principal"] == principal)
        .unwrap_or_else(|| panic!("no {principal}: {document:#}"))
}

#[tokio::test]
async fn whoever_granted_it_each_part_is_shown_and_what_completes_it() {
    let mut scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    let empty = scene.run(&["list-views"]).await.expect(0);
    assert!(empty.stdout.contains("Nobody can view") && empty.stdout.contains("grant-view --principal self"));

    scene.grant_as_eksctl().await;
    scene.rights(VIEWER, &[]).await;
    let found = scene.run(&["list-views", "-o", "json"]).await.expect(0).json();
    schema().fits(&found);
    schema().refuses_other_members(&found);
    let ana = of(&found, ANA);
    assert_eq!(
        (&ana["impersonation"], &ana["rbac"], &ana["scope"], &ana["madeBy"]),
        (&json!("anything"), &json!("present"), &json!("cluster"), &json!(["official template"]))
    );
    assert_eq!(ana["iam"], "unknown", "it is in another account than the credentials");
    let tighten = format!("eksconnect grant-view --principal {ANA}");
    assert_eq!(
        (&ana["advice"][0]["severity"], &ana["advice"][0]["command"]),
        (&json!("loose"), &json!(tighten))
    );
    let viewer = of(&found, VIEWER);
    assert_eq!((&viewer["impersonation"], &viewer["rbac"]), (&json!("missing"), &json!("present")));
    assert_eq!(viewer["advice"][0]["command"], format!("eksconnect grant-view --principal {VIEWER}"));

    let run = scene.run(&["list-views"]).await.expect(0);
    insta::assert_snapshot!("some", run.stdout);

    // Without AWS all is there but what IAM says.
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"] {
        scene.unset(name);
    }
    let run = scene.run(&["list-views"]).await.expect(0).says(&["What IAM allows is not known"]);
    assert!(run.stdout.contains("  ?  "), "{}", run.stdout);
    let found = scene.run(&["list-views", "-o", "json"]).await.expect(0).json();
    schema().fits(&found);
    assert_eq!(of(&found, ANA)["impersonation"], "anything");
}

#[tokio::test]
async fn a_grant_is_whole_once_iam_allows_it() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    let account = scene.lease.account().id.clone();
    let able = scene.lease.aws().add_caller(&account, CallerSpec::user("able", None)).await.unwrap();
    let other = json!({ "Effect": "Allow", "Action": "ec2:DescribeInstances", "Resource": "*" });
    let nothing = json!({ "Version": "2012-10-17", "Statement": [other] });
    let unable =
        scene.lease.aws().add_caller(&account, CallerSpec::user("unable", Some(nothing))).await.unwrap();
    for arn in [&able.arn, &unable.arn] {
        scene.ceiling(arn, &[]).await;
        scene.rights(arn, &[]).await;
    }
    let found = scene.run(&["list-views", "--name", "onprem1", "-o", "json"]).await.expect(0).json();
    schema().fits(&found);
    let able = of(&found, &able.arn);
    assert_eq!(
        (&able["impersonation"], &able["rbac"], &able["iam"], &able["madeBy"], &able["advice"]),
        (&json!("viewOnly"), &json!("present"), &json!("present"), &json!(["somebody else"]), &json!([]))
    );
    let lacking = of(&found, &unable.arn);
    assert_eq!(lacking["iam"], "missing");
    assert!(lacking["iamLacks"].to_string().contains("eks:AccessKubernetesApi"), "{lacking:#}");
    let command = format!("eksconnect grant-view --principal {} --attach-iam-policy", unable.arn);
    assert_eq!(lacking["advice"][0]["command"], command);
}

#[tokio::test]
async fn what_lets_the_connector_be_anybody_is_told_first_of_all() {
    let scene = Scene::new().await;
    scene.connector_in(NAMESPACE).await;
    let objects =
        include_str!("fixtures/eksctl-grants.yaml").replace(&format!("    resourceNames: [\"{ANA}\"]\n"), "");
    scene.kubectl_apply(&objects).await;
    let found = scene.run(&["list-views", "-o", "json"]).await.expect(0).json();
    schema().fits(&found);
    assert_eq!(found["anyone"][0]["role"], "eks-connector-service");
    let command = "kubectl delete clusterrolebinding eks-connector-service";
    assert_eq!(found["anyone"][0]["advice"]["command"], command);
    assert_eq!(of(&found, ANA)["impersonation"], "anything");
    let run = scene.run(&["list-views"]).await.expect(0);
    assert!(run.stdout.contains("anybody at all") && run.stdout.contains(command), "{}", run.stdout);
}

#[tokio::test]
async fn without_a_connector_or_the_right_to_read_the_rules_it_says_so() {
    let mut scene = Scene::new().await;
    scene.run(&["list-views"]).await.expect_error("EKSC0620", 3).says(&["eksconnect register"]);
    scene.connector_in(NAMESPACE).await;
    scene.become_user("nobody", &[]).await;
    let run = scene.run(&["list-views"]).await.expect_error("EKSC0305", 1);
    run.says(&["read the access rules of the cluster", "rbac.authorization.k8s.io"]);
}
