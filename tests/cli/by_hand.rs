//! What others do beside eksconnect: calls to AWS, and what they leave in a cluster.

use aws_credential_types::Credentials;
use aws_sdk_eks::types::{ConnectorConfigProvider, ConnectorConfigRequest};
use aws_sdk_iam::config::{BehaviorVersion, Region};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, ResourceExt};

use crate::support::Scene;

/// A registration that somebody made with the aws CLI, the console or eksctl.
pub(crate) struct Activation {
    pub(crate) id: String,
    pub(crate) code: String,
}

impl Scene {
    fn credentials(&self) -> Credentials {
        let account = self.lease.account();
        let token = account.session_token.clone();
        Credentials::new(&account.access_key_id, &account.secret_access_key, token, None, "test")
    }

    /// EKS, as the scene's user.
    pub(crate) fn eks(&self) -> aws_sdk_eks::Client {
        let config = aws_sdk_eks::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.lease.region().to_owned()))
            .endpoint_url(self.lease.endpoint())
            .credentials_provider(self.credentials());
        aws_sdk_eks::Client::from_conf(config.build())
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        let config = aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .endpoint_url(self.lease.endpoint())
            .credentials_provider(self.credentials());
        aws_sdk_iam::Client::from_conf(config.build())
    }

    pub(crate) async fn deregister_by_hand(&self) {
        self.eks().deregister_cluster().name("onprem1").send().await.expect("it is there");
    }

    /// Registers `onprem1` without tags, with a role that others made.
    pub(crate) async fn register_by_hand(&self, role: &str) -> Activation {
        let iam = self.iam();
        let linked = iam.create_service_linked_role().aws_service_name("eks-connector.amazonaws.com").send();
        linked.await.expect("the service-linked role");
        let trust = include_str!("../../policies/agent-trust.json");
        let made = iam.create_role().role_name(role).assume_role_policy_document(trust).send().await;
        let arn = made.expect("a role").role.expect("it").arn;
        let policy = include_str!("../../policies/agent-permissions.json");
        let put = iam.put_role_policy().role_name(role).policy_name("Connector").policy_document(policy);
        put.send().await.expect("a policy");
        let config = ConnectorConfigRequest::builder()
            .role_arn(arn)
            .provider(ConnectorConfigProvider::Other)
            .build()
            .expect("a configuration");
        let registered = self.eks().register_cluster().name("onprem1").connector_config(config).send().await;
        let config = registered.expect("a registration").cluster.expect("it").connector_config.expect("its");
        let (id, code) = (config.activation_id, config.activation_code);
        Activation { id: id.expect("an id"), code: code.expect("a code") }
    }

    /// Makes a role look as eksctl leaves it.
    pub(crate) async fn as_eksctl(&self, role: &str) {
        let iam = self.iam();
        let tag = aws_sdk_iam::types::Tag::builder().key("alpha.eksctl.io/cluster-name").value("onprem1");
        iam.tag_role().role_name(role).tags(tag.build().expect("a tag")).send().await.expect("tagged");
        let policy = include_str!("../../policies/agent-permissions.json");
        let put =
            iam.put_role_policy().role_name(role).policy_name("eks-connector-agent").policy_document(policy);
        put.send().await.expect("a policy");
        iam.delete_role_policy()
            .role_name(role)
            .policy_name("Connector")
            .send()
            .await
            .expect("the other one goes");
    }

    /// Everything in a namespace but what Kubernetes itself puts there.
    pub(crate) async fn objects_in(&self, namespace: &str) -> Vec<String> {
        let client = self.client().await;
        let mut found = Vec::new();
        for (group, version, kind, plural) in [
            ("", "v1", "ConfigMap", "configmaps"),
            ("", "v1", "Secret", "secrets"),
            ("", "v1", "ServiceAccount", "serviceaccounts"),
            ("apps", "v1", "StatefulSet", "statefulsets"),
            ("coordination.k8s.io", "v1", "Lease", "leases"),
            ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            ("rbac.authorization.k8s.io", "v1", "Role", "roles"),
            ("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings"),
        ] {
            let resource = kube::api::ApiResource::from_gvk_with_plural(
                &kube::api::GroupVersionKind::gvk(group, version, kind),
                plural,
            );
            let objects: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let objects = objects.list(&ListParams::default()).await.expect("a list");
            found.extend(objects.iter().map(|object| format!("{kind} {}", object.name_any())));
        }
        found.retain(|object| object != "ConfigMap kube-root-ca.crt" && object != "ServiceAccount default");
        found
    }
}
