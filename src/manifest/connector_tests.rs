//! The connector's objects.

use super::super::stateful_set::stateful_set;
use super::*;

fn settings() -> Settings {
    Settings {
        namespace: "elsewhere".into(),
        region: "eu-west-1".into(),
        server_minor: 36,
        api_server: ApiServer::default(),
        workload: Workload::default(),
        inherited: Inherited::default(),
        openshift: false,
        secrets: SecretNames::default(),
    }
}

fn with_replicas(replicas: u32) -> Settings {
    Settings { workload: Workload { replicas, ..Workload::default() }, ..settings() }
}

fn all(settings: &Settings) -> Vec<Object> {
    let mark = RegistrationMark::new("arn:x", "id-1", Timestamp::UNIX_EPOCH);
    let mut objects = base_objects(settings);
    objects.push(namespace(settings, Some(&mark)));
    objects.push(stateful_set(settings, "id-1"));
    objects.push(activation_secret(settings, &mark));
    objects
}

#[test]
fn every_object_is_labelled_and_in_the_chosen_namespace() {
    for object in all(&settings()) {
        let metadata = &object.body["metadata"];
        assert_eq!(metadata["labels"]["app.kubernetes.io/managed-by"], "eksconnect", "{}", object.reference);
        assert_eq!(object.body["kind"], object.reference.kind.name());
        assert_eq!(object.body["apiVersion"], object.reference.kind.api_version());
        if object.reference.kind == ObjectKind::Namespace {
            assert_eq!(metadata["name"], "elsewhere");
        } else if !object.reference.kind.is_cluster_scoped() {
            assert_eq!(metadata["namespace"], "elsewhere", "{}", object.reference);
        }
        assert!(!object.body.to_string().contains("\"namespace\":\"eks-connector\""), "{}", object.reference);
    }
}

#[test]
fn two_connectors_share_no_cluster_scoped_object() {
    let names = |namespace: &str| -> Vec<String> {
        base_objects(&Settings { namespace: namespace.into(), openshift: true, ..settings() })
            .into_iter()
            .filter(|object| object.reference.kind.is_cluster_scoped())
            .map(|object| object.reference.name)
            .collect()
    };
    let official = names(DEFAULT_NAMESPACE);
    let meta = "eks-connector-cluster-meta-access";
    assert_eq!(official, [meta, meta, "eks-connector"]);
    assert!(names("elsewhere").iter().all(|name| !official.contains(name)));
}

#[test]
fn the_state_role_names_exactly_the_replicas_secrets() {
    for replicas in [1, 2, 5] {
        let objects = base_objects(&with_replicas(replicas));
        let role = objects.iter().find(|object| object.reference.kind == ObjectKind::Role).unwrap();
        let names: Vec<_> = (0..replicas).map(|ordinal| format!("eks-connector-state-{ordinal}")).collect();
        assert_eq!(role.body["rules"][0]["resourceNames"], json!(names));
        assert_eq!(role.body["rules"][1]["verbs"], json!(["create"]));
    }
}

#[test]
fn the_budget_depends_on_replicas_and_version() {
    let budget = |settings: &Settings| {
        base_objects(settings)
            .into_iter()
            .find(|object| object.reference.kind == ObjectKind::PodDisruptionBudget)
    };
    assert!(budget(&with_replicas(1)).is_none());
    let new = budget(&settings()).unwrap();
    assert_eq!(new.body["spec"]["unhealthyPodEvictionPolicy"], "AlwaysAllow");
    let old = budget(&Settings { server_minor: 25, ..settings() }).unwrap();
    assert_eq!(old.body["spec"].get("unhealthyPodEvictionPolicy"), None);
}

#[test]
fn the_code_reaches_the_init_container_only_by_reference() {
    let set = stateful_set(&settings(), "id-1");
    let pod = &set.body["spec"]["template"]["spec"];
    let environment = pod["initContainers"][0]["env"].as_array().unwrap();
    let code = environment.iter().find(|variable| variable["name"] == "EKS_ACTIVATION_CODE").unwrap();
    assert_eq!(code.get("value"), None);
    assert_eq!(code["valueFrom"]["secretKeyRef"]["name"], ACTIVATION_SECRET);
    let id = environment.iter().find(|variable| variable["name"] == "EKS_ACTIVATION_ID").unwrap();
    assert_eq!(id["value"], "id-1");
    for container in pod["containers"].as_array().unwrap() {
        assert!(!container.to_string().contains("ACTIVATION"), "{container}");
    }
}
