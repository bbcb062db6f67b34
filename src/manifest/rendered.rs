//! The objects as files for GitOps: the same that registering applies, but for what a repository must not hold.

use super::connector::{Settings, base_objects, namespace};
use super::object::Object;
use super::stateful_set::stateful_set;

/// A file to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderedFile {
    /// Its name.
    pub name: String,
    /// Its content, YAML.
    pub content: String,
}

/// Everything that an activation's agents need but Secrets, the namespace first.
pub fn rendered(settings: &Settings, activation_id: &str) -> Vec<Object> {
    let mut objects = vec![namespace(settings, None)];
    objects.extend(base_objects(settings));
    objects.push(stateful_set(settings, activation_id));
    objects
}

/// The objects as one stream of YAML documents.
pub fn yaml_stream(objects: &[Object]) -> String {
    objects.iter().map(|object| format!("---\n{}", yaml(object))).collect()
}

/// The objects, a file each, and the `kustomization.yaml` that names them in their order.
pub fn kustomization(objects: &[Object]) -> Vec<RenderedFile> {
    let name = |object: &Object| {
        let reference = &object.reference;
        format!("{}-{}.yaml", reference.kind.name().to_lowercase(), reference.name)
    };
    let resources: String = objects.iter().map(|object| format!("  - {}\n", name(object))).collect();
    let index =
        format!("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n{resources}");
    let mut files: Vec<RenderedFile> =
        objects.iter().map(|object| RenderedFile { name: name(object), content: yaml(object) }).collect();
    files.push(RenderedFile { name: "kustomization.yaml".to_owned(), content: index });
    files
}

#[expect(clippy::expect_used, reason = "JSON values serialise to YAML, and a test renders every object")]
fn yaml(object: &Object) -> String {
    let text = serde_yaml::to_string(&object.body).expect("a JSON value serialises");
    format!("{}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::super::workload::{ApiServer, Workload};
    use super::super::{NetworkAccess, ObjectKind, Proxy};
    use super::*;
    use serde_json::Value;

    #[test]
    fn every_object_survives_yaml_and_none_is_a_secret() {
        let proxy = Proxy { url: Some("http://proxy:3128".into()), ..Proxy::default() };
        let settings = Settings {
            namespace: "elsewhere".into(),
            region: "eu-west-1".into(),
            server_minor: 26,
            api_server: ApiServer { addresses: vec!["$(KUBERNETES_SERVICE_HOST)".into()], ports: vec![6443] },
            workload: Workload { network: NetworkAccess::LimitEgress, proxy, ..Workload::default() },
            openshift: true,
            ..Settings::default()
        };
        let objects = rendered(&settings, "id-1");
        assert_eq!(objects[0].reference.kind, ObjectKind::Namespace);
        assert!(objects.iter().all(|object| object.reference.kind != ObjectKind::Secret));
        let files = kustomization(&objects);
        for (object, file) in objects.iter().zip(&files) {
            let read: Value = serde_yaml::from_str(&file.content).unwrap();
            assert_eq!(read, object.body, "{}", file.name);
            assert!(files.last().unwrap().content.contains(&format!("  - {}\n", file.name)));
        }
        let mut names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), objects.len() + 1, "no file stands for two objects");
    }
}
