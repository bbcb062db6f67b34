//! OpenShift lets a pod run only if a SecurityContextConstraints allows all that it asks for. None of OpenShift's own
//! allows DAC_OVERRIDE but the privileged ones, so the agents get one of theirs, and the right to use it.

use std::borrow::Cow;

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::{ClusterResourceScope, Resource};
use serde::{Deserialize, Serialize};

use super::connector::{Settings, object, own_name, place_subjects, template};
use super::{Object, ObjectKind};

/// The API group whose presence tells OpenShift.
pub const SECURITY_GROUP: &str = "security.openshift.io";

/// Name of the Role and of the RoleBinding, and of the constraints in the official namespace.
pub(super) const USE_CONSTRAINTS: &str = "eks-connector-scc";

/// security.openshift.io/v1 SecurityContextConstraints, the fields that are used here (openshift/api,
/// `security/v1/types.go`). k8s-openapi has Kubernetes' own kinds alone.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct SecurityContextConstraints {
    api_version: Cow<'static, str>,
    kind: Cow<'static, str>,
    metadata: ObjectMeta,
    allowed_capabilities: Vec<String>,
    required_drop_capabilities: Vec<String>,
    default_add_capabilities: Vec<String>,
    allow_privileged_container: bool,
    allow_privilege_escalation: bool,
    default_allow_privilege_escalation: bool,
    allow_host_dir_volume_plugin: bool,
    #[serde(rename = "allowHostIPC")]
    allow_host_ipc: bool,
    allow_host_network: bool,
    #[serde(rename = "allowHostPID")]
    allow_host_pid: bool,
    allow_host_ports: bool,
    read_only_root_filesystem: bool,
    run_as_user: Strategy,
    fs_group: Strategy,
    supplemental_groups: Strategy,
    se_linux_context: Strategy,
    seccomp_profiles: Vec<String>,
    volumes: Vec<String>,
    priority: i32,
    users: Vec<String>,
    groups: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strategy {
    r#type: String,
}

impl Resource for SecurityContextConstraints {
    const API_VERSION: &'static str = "security.openshift.io/v1";
    const GROUP: &'static str = SECURITY_GROUP;
    const KIND: &'static str = "SecurityContextConstraints";
    const VERSION: &'static str = "v1";
    const URL_PATH_SEGMENT: &'static str = "securitycontextconstraints";
    type Scope = ClusterResourceScope;
}

/// What OpenShift needs, where it is OpenShift.
pub(super) fn openshift_objects(settings: &Settings) -> Vec<Object> {
    if !settings.openshift {
        return Vec::new();
    }
    let mut constraints: SecurityContextConstraints =
        template(include_str!("../../templates/openshift/security-context-constraints.yaml"));
    let name = own_name(constraints.metadata.name.as_deref().unwrap_or_default(), settings);
    constraints.metadata.name = Some(name.clone());
    let mut role: Role = template(include_str!("../../templates/openshift/role.yaml"));
    for rule in role.rules.iter_mut().flatten() {
        rule.resource_names = Some(vec![name.clone()]);
    }
    let mut binding: RoleBinding = template(include_str!("../../templates/openshift/role-binding.yaml"));
    place_subjects(&mut binding.subjects, settings);
    vec![
        object(ObjectKind::SecurityContextConstraints, settings, &constraints),
        object(ObjectKind::Role, settings, &role),
        object(ObjectKind::RoleBinding, settings, &binding),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::stateful_set;
    use super::super::workload::{ApiServer, Workload};
    use super::*;
    use serde_json::{Value, json};

    fn settings(openshift: bool) -> Settings {
        Settings {
            namespace: "elsewhere".into(),
            region: "eu-west-1".into(),
            server_minor: 36,
            api_server: ApiServer::default(),
            workload: Workload::default(),
            openshift,
            ..Settings::default()
        }
    }

    #[test]
    fn the_constraints_allow_what_the_pods_ask_for_and_no_more() {
        assert!(openshift_objects(&settings(false)).is_empty());
        let objects = openshift_objects(&settings(true));
        let constraints = &objects[0].body;
        let set = stateful_set(&settings(true), "id-1").body;
        let pod = &set["spec"]["template"]["spec"];
        let containers =
            || pod["initContainers"].as_array().into_iter().chain(pod["containers"].as_array()).flatten();
        let mut added: Vec<&Value> = containers()
            .filter_map(|container| container["securityContext"]["capabilities"]["add"].as_array())
            .flatten()
            .collect();
        added.dedup();
        assert_eq!(json!(added), constraints["allowedCapabilities"]);
        for container in containers() {
            assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
            assert_eq!(
                container["securityContext"]["capabilities"]["drop"],
                constraints["requiredDropCapabilities"]
            );
        }
        assert_eq!(pod["securityContext"], json!({ "seccompProfile": { "type": "RuntimeDefault" } }));
        for volume in pod["volumes"].as_array().unwrap() {
            let kinds = constraints["volumes"].as_array().unwrap().iter().filter_map(Value::as_str);
            assert_eq!(kinds.filter(|kind| volume.get(*kind).is_some()).count(), 1, "{volume}");
        }
        // Nobody but the service account, and that by name.
        assert_eq!((&constraints["users"], &constraints["groups"]), (&json!([]), &json!([])));
        assert_eq!(constraints["metadata"]["name"], "eks-connector-elsewhere");
        assert_eq!(objects[1].body["rules"][0]["resourceNames"], json!(["eks-connector-elsewhere"]));
        assert_eq!(objects[2].body["subjects"][0]["namespace"], "elsewhere");
    }
}
