//! What `-o json` prints fits the schemas that are promised (docs/schemas).

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::support::Scene;

/// A schema, compiled.
pub(crate) struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    pub(crate) fn new(text: &str) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", serde_json::from_str(text).unwrap()).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn accepts(&self, document: &Value) -> bool {
        self.schemas.validate(document, self.index).is_ok()
    }

    #[track_caller]
    pub(crate) fn fits(&self, document: &Value) {
        if let Err(error) = self.schemas.validate(document, self.index) {
            panic!("{error}\n{document:#}");
        }
    }

    /// A schema that accepts anything would prove nothing.
    #[track_caller]
    pub(crate) fn refuses_other_members(&self, document: &Value) {
        for member in document.as_object().unwrap().keys() {
            let mut spoiled = document.clone();
            spoiled[member] = json!({ "not": "this" });
            assert!(!self.accepts(&spoiled) || document[member].is_object(), "{member} may be anything");
        }
    }
}

#[tokio::test]
async fn results_plans_and_errors_fit_their_schemas() {
    let result = Schema::new(include_str!("../../docs/schemas/register-result.json"));
    let plan = Schema::new(include_str!("../../docs/schemas/register-plan.json"));
    let error = Schema::new(include_str!("../../docs/schemas/error.json"));
    let page = Schema::new(include_str!("../../docs/schemas/error-page.json"));
    let [scene, other] = Scene::two().await;
    page.fits(&scene.run(&["explain", "EKSC0412", "-o", "json"]).await.expect(0).json());

    let planned = scene.register(&["--dry-run", "-o", "json"]).await.expect(0).json();
    plan.fits(&planned);
    let registered = scene.register(&["-o", "json"]).await.expect(0).json();
    result.fits(&registered);
    result.fits(&scene.register(&["-o", "json"]).await.expect(0).json());
    plan.fits(&scene.register(&["--dry-run", "-o", "json"]).await.expect(0).json());
    error.fits(&scene.run(&["register", "--name", "onprem2", "-o", "json"]).await.expect(3).json());
    error.fits(&scene.run(&["register", "--name", "a.b", "-o", "json"]).await.expect(2).json());

    // A cluster has one registration: the halves are another's.
    let file = other.lease.home().join("onprem3.json");
    let half = Schema::new(include_str!("../../docs/schemas/register-account-result.json"));
    let half_plan = Schema::new(include_str!("../../docs/schemas/register-account-plan.json"));
    let activation = Schema::new(include_str!("../../docs/schemas/activation.json"));
    let other_half = Schema::new(include_str!("../../docs/schemas/register-cluster-result.json"));
    let account = [
        "register",
        "--name",
        "onprem3",
        "--provider",
        "GKE",
        "--aws-only",
        "-o",
        "json",
        "--activation-out",
    ];
    let account = [&account[..], &[file.to_str().unwrap()]].concat();
    let planned_half = other.run(&[&account[..], &["--dry-run", "--diff"]].concat()).await.expect(0).json();
    half_plan.fits(&planned_half);
    let made_half = other.run(&account).await.expect(0).json();
    half.fits(&made_half);
    let handed: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    activation.fits(&handed);
    let cluster = ["register", "--cluster-only", "--namespace", "third", "-o", "json", "--activation-file"];
    let cluster = [&cluster[..], &[file.to_str().unwrap()]].concat();
    plan.fits(&other.run(&[&cluster[..], &["--dry-run"]].concat()).await.expect(0).json());
    let connected = other.run(&cluster).await.expect(0).json();
    other_half.fits(&connected);
    let render = Schema::new(include_str!("../../docs/schemas/render-result.json"));
    let directory = scene.lease.home().join("rendered");
    let id = handed["activationId"].as_str().unwrap();
    let written = ["render", "--activation-id", id, "-o", "json", "--kustomize", directory.to_str().unwrap()];
    let rendered = scene.run(&written).await.expect(0).json();
    render.fits(&rendered);
    scene.refuse("eks", "DescribeCluster", 403, "AccessDeniedException", "no").await;
    error.fits(&scene.register(&["-o", "json"]).await.expect(1).json());

    scene.heal().await;
    let upgrade = Schema::new(include_str!("../../docs/schemas/upgrade-result.json"));
    let upgrade_plan = Schema::new(include_str!("../../docs/schemas/upgrade-plan.json"));
    let fewer = ["upgrade", "--name", "onprem1", "--replicas", "1", "-o", "json"];
    let to_be_upgraded = scene.run(&[&fewer[..], &["--dry-run", "--diff"]].concat()).await.expect(0).json();
    upgrade_plan.fits(&to_be_upgraded);
    let upgraded = scene.run(&fewer).await.expect(0).json();
    upgrade.fits(&upgraded);
    let collection = Schema::new(include_str!("../../docs/schemas/gc-result.json"));
    let collection_plan = Schema::new(include_str!("../../docs/schemas/gc-plan.json"));
    let to_be_collected = scene.run(&["gc", "-o", "json", "--dry-run"]).await.expect(0).json();
    collection_plan.fits(&to_be_collected);
    let collected = scene.run(&["gc", "-o", "json"]).await.expect(0).json();
    collection.fits(&collected);
    let removal = Schema::new(include_str!("../../docs/schemas/deregister-result.json"));
    let removal_plan = Schema::new(include_str!("../../docs/schemas/deregister-plan.json"));
    let deregister = ["deregister", "--name", "onprem1", "--namespace", "eks-connector", "-o", "json"];
    let to_be_removed = scene.run(&[&deregister[..], &["--dry-run"]].concat()).await.expect(0).json();
    removal_plan.fits(&to_be_removed);
    let removed = scene.run(&[&deregister[..], &["--yes"]].concat()).await.expect(0).json();
    removal.fits(&removed);

    // A schema that accepts anything would prove nothing.
    for (schema, document) in [
        (&result, &registered),
        (&plan, &planned),
        (&half_plan, &planned_half),
        (&half, &made_half),
        (&activation, &handed),
        (&other_half, &connected),
        (&render, &rendered),
        (&upgrade, &upgraded),
        (&upgrade_plan, &to_be_upgraded),
        (&collection, &collected),
        (&collection_plan, &to_be_collected),
        (&removal, &removed),
        (&removal_plan, &to_be_removed),
    ] {
        schema.refuses_other_members(document);
    }
}

#[tokio::test]
async fn what_becomes_of_grants_fits_its_schemas() {
    let granted = Schema::new(include_str!("../../docs/schemas/grant-view-result.json"));
    let grant_plan = Schema::new(include_str!("../../docs/schemas/grant-view-plan.json"));
    let revoked = Schema::new(include_str!("../../docs/schemas/revoke-view-result.json"));
    let revoke_plan = Schema::new(include_str!("../../docs/schemas/revoke-view-plan.json"));
    let error = Schema::new(include_str!("../../docs/schemas/error.json"));
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let viewer = format!("arn:aws:iam::{}:role/AmazonEKSConnectorAgentRole", scene.lease.account().id);
    let grant = ["grant-view", "-o", "json", "--principal", &viewer];
    let with = |more: &[&'static str]| [&grant[..], more].concat();
    grant_plan.fits(&scene.run(&with(&["--dry-run"])).await.expect(0).json());
    granted.fits(&scene.run(&with(&["--attach-iam-policy"])).await.expect(0).json());
    granted.fits(&scene.run(&with(&["--namespace-scope", "default"])).await.expect(0).json());
    grant_plan.fits(&scene.run(&with(&["--dry-run", "--diff"])).await.expect(0).json());
    error.fits(&scene.run(&with(&["--cluster-role", "nowhere"])).await.expect(3).json());
    let revoke = ["revoke-view", "-o", "json", "--principal", &viewer];
    revoke_plan.fits(&scene.run(&[&revoke[..], &["--dry-run"]].concat()).await.expect(0).json());
    revoked.fits(&scene.run(&revoke).await.expect(0).json());
    revoked.fits(&scene.run(&revoke).await.expect(0).json());
    let plan = Schema::new(include_str!("../../docs/schemas/register-plan.json"));
    let result = Schema::new(include_str!("../../docs/schemas/register-result.json"));
    let register = ["--grant-view", &viewer, "-o", "json"];
    let planned = scene.register(&[&register[..], &["--dry-run"]].concat()).await.expect(0).json();
    plan.fits(&planned);
    assert_eq!(planned["views"][0]["arn"], viewer);
    let registered = scene.register(&register).await.expect(0).json();
    result.fits(&registered);
    assert_eq!(registered["views"][0]["proof"]["held"], "view-only", "{registered:#}");
}

#[tokio::test]
async fn what_is_read_fits_its_schemas() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    for (schema, arguments) in [
        (include_str!("../../docs/schemas/registration-list.json"), &["list"][..]),
        (include_str!("../../docs/schemas/registration-list.json"), &["list", "--all-regions"]),
        (include_str!("../../docs/schemas/whoami.json"), &["whoami"]),
        (include_str!("../../docs/schemas/whoami.json"), &["whoami", "--name", "onprem1"]),
        (include_str!("../../docs/schemas/registration-status.json"), &["status"]),
        (include_str!("../../docs/schemas/roles.json"), &["roles", "show"]),
        (include_str!("../../docs/schemas/roles-plan.json"), &["roles", "create", "--dry-run", "--diff"]),
        (include_str!("../../docs/schemas/roles-result.json"), &["roles", "create"]),
        (include_str!("../../docs/schemas/caller-policy.json"), &["iam-policy", "register"]),
        (include_str!("../../docs/schemas/caller-policy.json"), &["iam-policy", "--as", "terraform"]),
        (include_str!("../../docs/schemas/completions.json"), &["completions", "zsh"]),
        (include_str!("../../docs/schemas/manual-page.json"), &["man", "register"]),
        (include_str!("../../docs/schemas/manual-pages.json"), &["man", "--list"]),
    ] {
        let schema = Schema::new(schema);
        let document = scene.run(&[arguments, &["-o", "json"]].concat()).await.expect(0).json();
        schema.fits(&document);
        for member in document.as_object().unwrap().keys() {
            let mut spoiled = document.clone();
            spoiled[member] = if document[member].is_number() { json!("7") } else { json!(7) };
            assert!(!schema.accepts(&spoiled), "{arguments:?}: {member} may be anything");
        }
    }
}
