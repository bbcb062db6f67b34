//! The objects of AWS's manifest of the connector, as tests lay them down and spoil them.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

const CONNECTOR: &str = "public.ecr.aws/eks-connector/eks-connector:0.0.11";
const AGENT: &str = "public.ecr.aws/amazon-ssm-agent/amazon-ssm-agent:3.2.2303.0";

/// What an agent activates itself with, and where.
pub(crate) struct Activation {
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) region: String,
}

/// The objects of AWS's manifest, for one replica in a namespace.
pub(crate) fn manifest(namespace: &str, activation: &Activation) -> Vec<Value> {
    let capabilities = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": { "add": ["DAC_OVERRIDE"], "drop": ["ALL"] },
    });
    let pod_name =
        json!({ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } });
    let account = json!({ "name": "service-account-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" });
    let vault = json!({ "name": "eks-agent-vault", "mountPath": "/var/lib/amazon/ssm/Vault" });
    let shared = json!({ "name": "eks-connector-shared", "mountPath": "/var/eks/shared" });
    let config = |file: &str| json!({ "name": "eks-agent-config", "mountPath": format!("/etc/amazon/ssm/{file}"), "subPath": file });
    let init = json!({
        "name": "connector-init",
        "image": CONNECTOR,
        "imagePullPolicy": "IfNotPresent",
        "env": [
            pod_name,
            { "name": "EKS_ACTIVATION_CODE", "valueFrom": { "secretKeyRef": {
                "name": "eks-connector-activation-config", "key": "code" } } },
            { "name": "EKS_ACTIVATION_ID", "value": activation.id },
        ],
        "args": [
            "init",
            "--activation.id=$(EKS_ACTIVATION_ID)",
            "--activation.code=$(EKS_ACTIVATION_CODE)",
            format!("--agent.region={}", activation.region),
            format!("--state.secretNamespace={namespace}"),
        ],
        "volumeMounts": [account, vault],
        "securityContext": capabilities,
    });
    let agent = json!({
        "name": "connector-agent",
        "image": AGENT,
        "env": [{ "name": "AWS_EC2_METADATA_DISABLED", "value": "true" }],
        "volumeMounts": [shared, vault, config("amazon-ssm-agent.json"), config("seelog.xml")],
        "securityContext": capabilities,
    });
    let proxy = json!({
        "name": "connector-proxy",
        "image": CONNECTOR,
        "env": [pod_name],
        "args": ["server", format!("--state.secretNamespace={namespace}")],
        "volumeMounts": [account, shared, vault],
        "securityContext": capabilities,
    });
    let metadata = |name: &str| json!({ "name": name, "namespace": namespace });
    let subject = json!([{ "kind": "ServiceAccount", "name": "eks-connector", "namespace": namespace }]);
    let cluster_role = format!("eks-connector-cluster-meta-access-{namespace}");
    let agent_config = json!({
        "Profile": { "KeyAutoRotateDays": 7 },
        "Agent": { "ContainerMode": true },
        "Identity": { "ConsumptionOrder": ["OnPrem"] },
    });
    vec![
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": metadata("eks-connector-activation-config"),
            "type": "Opaque", "data": { "code": STANDARD.encode(&activation.code) },
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": metadata("eks-connector-secret-access"),
            "rules": [
                { "apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "update"],
                  "resourceNames": ["eks-connector-state-0"] },
                { "apiGroups": [""], "resources": ["secrets"], "verbs": ["create"] },
            ],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": metadata("eks-connector-secret-access"), "subjects": subject,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "eks-connector-secret-access" },
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": cluster_role },
            "rules": [{ "nonResourceURLs": ["/version"], "verbs": ["get"] }],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": cluster_role }, "subjects": subject,
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": cluster_role },
        }),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata("eks-connector"),
            "automountServiceAccountToken": false,
        }),
        json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {
                "name": "eks-connector-token", "namespace": namespace,
                "annotations": { "kubernetes.io/service-account.name": "eks-connector" },
            },
        }),
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("eks-connector-agent"),
            "data": { "amazon-ssm-agent.json": agent_config.to_string(), "seelog.xml": "<seelog/>" },
        }),
        json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata("eks-connector"),
            "spec": {
                "replicas": 1,
                "serviceName": "eks-connector",
                "selector": { "matchLabels": { "app": "eks-connector" } },
                "template": {
                    "metadata": { "labels": { "app": "eks-connector" } },
                    "spec": {
                        "serviceAccountName": "eks-connector",
                        "tolerations": [{ "key": "node-role.kubernetes.io/master", "effect": "NoSchedule" }],
                        "initContainers": [init],
                        "containers": [agent, proxy],
                        "volumes": [
                            { "name": "eks-connector-shared", "emptyDir": {} },
                            { "name": "eks-agent-vault", "emptyDir": {} },
                            { "name": "eks-agent-config", "configMap": { "name": "eks-connector-agent" } },
                            { "name": "service-account-token", "secret": { "secretName": "eks-connector-token" } },
                        ],
                    },
                },
            },
        }),
    ]
}

/// The template of the StatefulSet's pods, to spoil it.
pub(crate) fn pod_spec(objects: &mut [Value]) -> &mut Value {
    &mut find(objects, "StatefulSet", "eks-connector")["spec"]["template"]["spec"]
}

pub(crate) fn find<'a>(objects: &'a mut [Value], kind: &str, name: &str) -> &'a mut Value {
    objects.iter_mut().find(|object| object["kind"] == kind && object["metadata"]["name"] == name).unwrap()
}
