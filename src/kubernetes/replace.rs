//! Replacing what another tool made, and finding its connectors.

use http::Method;
use serde_json::{Value, json};

use super::api::{Content, operation};
use super::client::Connected;
use super::port::{MANAGER, applied};
use crate::manifest::Object;
use crate::ports::{Applied, Failure};
use crate::registration::installed::{Connector, runs_connector};
use crate::registration::observe::is_ours;

/// StatefulSets a page: large clusters are read in several requests, most in one.
const SETS_A_PAGE: u32 = 500;

impl Connected {
    /// Replaces an object whole, and takes all of its fields for our own applying: a field of another manager would stay
    /// when we no longer want it.
    pub(super) async fn replace_object(&self, object: &Object, seen: &str) -> Result<Applied, Failure> {
        let (updating, path) = (operation("update", &object.reference), object.reference.path());
        let mut body = object.body.clone();
        body["metadata"]["resourceVersion"] = json!(seen);
        self.call(
            &updating,
            Method::PUT,
            &format!("{path}?fieldManager={MANAGER}"),
            Some(Content::json(&body)),
        )
        .await?;
        let owned = json!([{
            "manager": MANAGER,
            "operation": "Apply",
            "apiVersion": object.body["apiVersion"],
            "fieldsType": "FieldsV1",
            // Not nothing: without any field the API server would give all of them to a manager that it invents.
            "fieldsV1": { "f:metadata": { "f:labels": { "f:app.kubernetes.io/managed-by": {} } } },
        }]);
        let owners = Content::merge_patch(&json!({ "metadata": { "managedFields": owned } }));
        self.call(&operation("patch", &object.reference), Method::PATCH, &path, Some(owners)).await?;
        applied(&self.apply_object(object, false).await?)
    }

    pub(super) async fn list_connectors(&self) -> Result<Vec<Connector>, Failure> {
        Ok(self.connector_sets().await?.iter().map(connector).collect())
    }

    /// Every StatefulSet of the cluster that runs a connector, whole.
    pub(super) async fn connector_sets(&self) -> Result<Vec<Value>, Failure> {
        let mut found = Vec::new();
        let mut next = String::new();
        loop {
            let path = format!("/apis/apps/v1/statefulsets?limit={SETS_A_PAGE}{next}");
            let mut page = self.call("list statefulsets.apps", Method::GET, &path, None).await?.json()?;
            if let Value::Array(sets) = page["items"].take() {
                found.extend(sets.into_iter().filter(runs_connector));
            }
            match page["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => next = format!("&continue={token}"),
                None => return Ok(found),
            }
        }
    }
}

fn connector(set: &Value) -> Connector {
    let text = |field: &str| set["metadata"][field].as_str().unwrap_or_default().to_owned();
    Connector { namespace: text("namespace"), name: text("name"), ours: is_ours(set) }
}
