//! What verify-view and view say is what the console gets: the connector's own server is asked as the console asks it, with an
//! identity and nothing else, and both agree on every question.

use std::collections::BTreeSet;

use eksconnect::access::viewable::RESOURCES;
use serde_json::{Value, json};

use crate::support::{NAMESPACE, Scene};
use crate::view::inhabit;

/// The name of nothing.
const NOBODY: &str = "eksconnect-verify-view";

/// Somebody who is looked at: as a person names it, and as EKS names it to the connector.
struct Viewer {
    written: String,
    identity: String,
}

impl Viewer {
    fn new(account: &str, written: &str, identity: &str) -> Self {
        let identity = format!("arn:aws:iam::{account}:{identity}");
        let written = match written {
            "" => identity.clone(),
            "self" => written.to_owned(),
            session if session.starts_with("assumed-role/") => format!("arn:aws:sts::{account}:{session}"),
            other => format!("arn:aws:iam::{account}:{other}"),
        };
        Self { written, identity }
    }
}

/// A connected cluster, whose connector is asked.
struct Console {
    scene: Scene,
    compared: usize,
}

impl Console {
    async fn get(&self, viewer: &Viewer, method: &str, path: &str) -> (u16, Value) {
        let pod = format!("{NAMESPACE}/eks-connector-0");
        for node in self.scene.lease.nodes() {
            if let Ok((status, body)) = node.ask_connector(&pod, Some(&viewer.identity), method, path).await {
                return (status, serde_json::from_str(&body).unwrap_or(Value::String(body)));
            }
        }
        panic!("no connector answers");
    }

    /// In the words of verify-view.
    async fn verdict(&self, viewer: &Viewer, method: &str, path: &str) -> &'static str {
        let (status, body) = self.get(viewer, method, path).await;
        match (status, body["message"].as_str().unwrap_or_default()) {
            (403, message) if message.contains("cannot impersonate") => "refusedByImpersonation",
            (403, _) => "refusedByRbac",
            (200 | 404, _) => "allowed",
            (status, _) => panic!("{status} to {method} {path}: {body}"),
        }
    }

    /// Every question of verify-view, and its answer.
    async fn agrees_with_verify_view(&mut self, viewer: &Viewer, scope: &[&str]) {
        let arguments = [&["verify-view", "-o", "json", "--principal", &viewer.written], scope].concat();
        let run = self.scene.run(&arguments).await;
        let found = run.json();
        assert_eq!(found["principal"], viewer.identity, "{}", run.stderr);
        assert_eq!(run.code, Some(if found["complete"] == true { 0 } else { 6 }), "{}", run.stderr);
        let place = found["namespaces"][0].as_str().unwrap_or("default");
        for check in found["checks"].as_array().unwrap() {
            let expected = self.verdict(viewer, "GET", &path_of(check)).await;
            assert_eq!(check["verdict"], expected, "{} {scope:?}: {check:#}", viewer.written);
            self.compared += 1;
        }
        for check in found["beyond"].as_array().unwrap() {
            let (method, path) = beyond(check["what"].as_str().unwrap(), place);
            let expected = self.verdict(viewer, method, &path).await;
            assert_eq!(check["verdict"], expected, "{} {scope:?}: {check:#}", viewer.written);
            self.compared += 1;
        }
    }

    /// Every part of view: the same objects, or refused for the same reason.
    async fn agrees_with_view(&mut self, viewer: &Viewer, scope: &[&str]) {
        let arguments =
            [&["view", "-o", "json", "--limit", "0", "--principal", &viewer.written], scope].concat();
        let seen = self.scene.run(&arguments).await.expect(0).json();
        let parts = &seen["parts"];
        for (resource, part) in [
            ("nodes", &parts["nodes"]),
            ("pods", &parts["pods"]),
            ("deployments", &parts["workloads"]["deployments"]),
            ("daemonsets", &parts["workloads"]["daemonsets"]),
            ("statefulsets", &parts["workloads"]["statefulsets"]),
            ("jobs", &parts["workloads"]["jobs"]),
            ("cronjobs", &parts["workloads"]["cronjobs"]),
        ] {
            let viewable = RESOURCES.iter().find(|viewable| viewable.resource == resource).unwrap();
            let places: Vec<Option<&str>> = match seen["namespaces"].as_array() {
                Some(names) if viewable.namespaced => names.iter().map(Value::as_str).collect(),
                Some(_) | None => vec![None],
            };
            let (mut names, mut refusals) = (BTreeSet::new(), BTreeSet::new());
            for place in places {
                let (status, body) = self.get(viewer, "GET", &viewable.path(place)).await;
                let message = body["message"].as_str().unwrap_or_default();
                match status {
                    200 => names.extend(body["items"].as_array().unwrap().iter().map(name)),
                    403 if message.contains("cannot impersonate") => {
                        refusals.insert((place.map(str::to_owned), "impersonation".to_owned()));
                    }
                    403 => drop(refusals.insert((place.map(str::to_owned), "rbac".to_owned()))),
                    other => panic!("{other} to {resource}: {body}"),
                }
            }
            let shown: BTreeSet<String> = part["items"].as_array().unwrap().iter().map(row_name).collect();
            let refused = part["refused"].as_array().unwrap().iter();
            let refused: BTreeSet<(Option<String>, String)> = refused
                .map(|one| {
                    (one["namespace"].as_str().map(str::to_owned), one["by"].as_str().unwrap().to_owned())
                })
                .collect();
            assert_eq!((shown, refused), (names, refusals), "{resource} to {} {scope:?}", viewer.written);
            self.compared += 1;
        }
        let (status, version) = self.get(viewer, "GET", "/version").await;
        let expected = if status == 200 { version["gitVersion"].clone() } else { Value::Null };
        assert_eq!(seen["status"]["version"], expected, "{}", viewer.written);
        self.compared += 1;
    }
}

fn name(object: &Value) -> String {
    format!("{}/{}", object["metadata"]["namespace"].as_str().unwrap_or("-"), object["metadata"]["name"])
}

fn row_name(row: &Value) -> String {
    format!("{}/{}", row["namespace"].as_str().unwrap_or("-"), row["name"])
}

fn path_of(check: &Value) -> String {
    if let Some(path) = check["path"].as_str() {
        return path.to_owned();
    }
    let (group, resource) = (check["group"].as_str().unwrap(), check["resource"].as_str().unwrap());
    let viewable = RESOURCES.iter().find(|it| (it.group, it.resource) == (group, resource)).unwrap();
    match check["verb"].as_str().unwrap() {
        "list" => format!("{}?limit=1", viewable.path(check["namespace"].as_str())),
        "get" => {
            format!("{}/{NOBODY}", viewable.path(Some(check["namespace"].as_str().unwrap_or("default"))))
        }
        other => panic!("{other}"),
    }
}

fn beyond(what: &str, place: &str) -> (&'static str, String) {
    let secrets = format!("/api/v1/namespaces/{place}/secrets");
    match what {
        "get secrets" => ("GET", format!("{secrets}/{NOBODY}")),
        "list secrets" => ("GET", format!("{secrets}?limit=1")),
        "delete pods" => ("DELETE", format!("/api/v1/namespaces/{place}/pods/{NOBODY}?dryRun=All")),
        "delete namespaces" => ("DELETE", format!("/api/v1/namespaces/{NOBODY}?dryRun=All")),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_connectors_server_agrees_with_verify_view_and_view() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    inhabit(&scene).await;
    scene
        .apply_all(&[json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "db" } })])
        .await;
    let account = scene.lease.account().id.clone();
    let viewer = |written: &str, identity: &str| Viewer::new(&account, written, identity);

    // In single namespaces: all of a grant, half of one, the other half, and what is wider than its ceiling.
    let scoped = viewer("role/team/Scoped", "role/Scoped");
    let unheard = viewer("user/unit/Unheard", "user/unit/Unheard");
    let powerless = viewer("assumed-role/Powerless/session-1", "role/Powerless");
    let wide = viewer("", "user/Wide");
    scene.ceiling(&scoped.identity, &["web"]).await;
    scene.rights(&scoped.identity, &["web", "db"]).await;
    scene.rights(&unheard.identity, &["web"]).await;
    scene.ceiling(&powerless.identity, &["web"]).await;
    scene.ceiling(&wide.identity, &["web"]).await;
    scene.make_admin(&wide.identity).await;
    let mut console = Console { scene, compared: 0 };
    let nobody = viewer("", "role/Nobody");
    for viewer in [&scoped, &unheard, &powerless, &wide, &nobody] {
        for scope in
            [&[][..], &["--all-namespaces"], &["--namespace-scope", "web", "--namespace-scope", "db"]]
        {
            console.agrees_with_verify_view(viewer, scope).await;
            console.agrees_with_view(viewer, scope).await;
        }
    }

    // In the whole cluster: constrained, as documented, and as documented to somebody who may do anything.
    let sso = viewer(
        "role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_View_0123456789abcdef",
        "role/AWSReservedSSO_View_0123456789abcdef",
    );
    let documented = viewer("self", "user/ana");
    let admin = viewer("", "role/Admin");
    console.scene.ceiling(&sso.identity, &[]).await;
    console.scene.rights(&sso.identity, &[]).await;
    console.scene.impersonation(&documented.identity).await;
    console.scene.rights(&documented.identity, &[]).await;
    console.scene.impersonation(&admin.identity).await;
    console.scene.make_admin(&admin.identity).await;
    for viewer in [&sso, &documented, &admin] {
        for scope in [&[][..], &["--namespace-scope", "web"]] {
            console.agrees_with_verify_view(viewer, scope).await;
            console.agrees_with_view(viewer, scope).await;
        }
    }
    #[expect(clippy::print_stderr, reason = "how much was compared is what the test is worth")]
    {
        eprintln!("{} answers of verify-view and view compared with the connector's", console.compared);
    }
    assert!(console.compared > 1500, "{}", console.compared);
}
