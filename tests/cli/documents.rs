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
    let scene = Scene::new().await;
    page.fits(&scene.run(&["explain", "EKSC0412", "-o", "json"]).await.expect(0).json());

    let planned = scene.register(&["--dry-run", "-o", "json"]).await.expect(0).json();
    plan.fits(&planned);
    let registered = scene.register(&["-o", "json"]).await.expect(0).json();
    result.fits(&registered);
    result.fits(&scene.register(&["-o", "json"]).await.expect(0).json());
    plan.fits(&scene.register(&["--dry-run", "-o", "json"]).await.expect(0).json());
    error.fits(&scene.run(&["register", "--name", "onprem2", "-o", "json"]).await.expect(3).json());
    error.fits(&scene.run(&["register", "--name", "a.b", "-o", "json"]).await.expect(2).json());
    scene.refuse("eks", "DescribeCluster", 403, "AccessDeniedException", "no").await;
    error.fits(&scene.register(&["-o", "json"]).await.expect(1).json());

    // A schema that accepts anything would prove nothing.
    for (schema, document) in [(&result, &registered), (&plan, &planned)] {
        for member in document.as_object().unwrap().keys() {
            let mut spoiled = document.clone();
            spoiled[member] = json!({ "not": "this" });
            assert!(!schema.accepts(&spoiled) || document[member].is_object(), "{member} may be anything");
        }
    }
}
