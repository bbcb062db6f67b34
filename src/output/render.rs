//! What `render` shows.

use std::path::Path;

use serde_json::{Value, json};

use super::console::{Console, NOTE};
use super::document::API_VERSION;
use crate::cli::Format;
use crate::manifest::{Object, Settings, yaml_stream};

/// What a person has to see to beside the objects.
pub fn render_notes(console: &Console, settings: &Settings) {
    let (namespace, secrets) = (&settings.namespace, &settings.secrets);
    let (name, key) = (&secrets.activation, &secrets.activation_key);
    let minor = settings.server_minor;
    let mut notes = vec![
        format!(
            "Secret {namespace}/{name} is not part of this: it needs the activation code under the key {key}, from \
             whatever manages your Secrets. Once every agent has its state, any other value will do."
        ),
        format!("Rendered for Kubernetes 1.{minor} and later; --kubernetes-version names an older one."),
    ];
    if let Some(pull) = &secrets.pull {
        notes.push(format!(
            "Secret {namespace}/{pull} is not part of this either (kubernetes.io/dockerconfigjson)."
        ));
    }
    for note in notes {
        console.say(&format!("{NOTE}‼{NOTE:#} {note}"));
    }
}

/// The objects: a stream of YAML documents, or with `-o json` a List.
pub fn rendered_objects(console: &Console, objects: &[Object]) {
    match console.format() {
        Format::Text | Format::Yaml => console.result(yaml_stream(objects).trim_end()),
        Format::Json => {
            let items: Vec<&Value> = objects.iter().map(|object| &object.body).collect();
            console.document(&json!({ "apiVersion": "v1", "kind": "List", "items": items }));
        }
    }
}

/// The files that were written.
pub fn rendered_files(console: &Console, directory: &Path, all: &[String], written: &[String]) {
    if console.format() != Format::Text {
        return console.document(&json!({
            "apiVersion": API_VERSION,
            "kind": "RenderResult",
            "directory": directory.display().to_string(),
            "files": all,
            "written": written,
        }));
    }
    let shown = directory.display();
    console.result(&match written.len() {
        0 => format!("{shown} is as it should be; nothing to do."),
        count => {
            let files = if count == 1 { "file" } else { "files" };
            format!("{count} {files} written to {shown}: kubectl apply --server-side -k {shown}")
        }
    });
}
