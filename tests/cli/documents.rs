//! What `-o json` prints fits the schemas that are promised (docs/schemas).

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Value, json};

use crate::support::Scene;

/// A schema, compiled.
struct Schema {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Schema {
    fn new(text: &str) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("schema.json", serde_json::from_str(text).unwrap()).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn accepts(&self, document: &Value) -> bool {
        self.schemas.validate(document, self.index).is_ok()
    }

    #[track_caller]
    fn fits(&self, document: &Value) {
        if let Err(error) = self.schemas.validate(document, self.index) {
            panic!("{error}\n{document:#}");
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

    // A schema that accepts anything would prove nothing.
    for (schema, document) in [
        (&result, &registered),
        (&plan, &planned),
        (&half_plan, &planned_half),
        (&half, &made_half),
        (&activation, &handed),
        (&other_half, &connected),
        (&render, &rendered),
    ] {
        for member in document.as_object().unwrap().keys() {
            let mut spoiled = document.clone();
            spoiled[member] = json!({ "not": "this" });
            assert!(!schema.accepts(&spoiled) || document[member].is_object(), "{member} may be anything");
        }
    }
}
