//! The agents.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{Container, LocalObjectReference, PodSpec};

use super::connector::{PULL_SECRET, Settings, object, template};
use super::{Object, ObjectKind, Toleration};

/// The agents. The activation's id is part of the pod template: another activation rolls out new pods.
pub fn stateful_set(settings: &Settings, activation_id: &str) -> Object {
    let mut set = standard();
    if let Some(spec) = set.spec.as_mut() {
        if let Some(mark) = settings.workload.proxy.authorities_mark() {
            let metadata = spec.template.metadata.get_or_insert_default();
            metadata.annotations.get_or_insert_default().insert("eksconnect/proxy-ca".to_owned(), mark);
        }
        spec.replicas = Some(i32::try_from(settings.workload.replicas).unwrap_or(i32::MAX));
        if let Some(pod) = spec.template.spec.as_mut() {
            identify(pod, settings, activation_id);
            choose_images(pod, settings);
            settings.workload.placement.apply_to(pod);
            settings.workload.proxy.apply_to(pod, &settings.api_server.addresses);
        }
    }
    settings.inherited.apply_to(&mut set);
    object(ObjectKind::StatefulSet, settings, &set)
}

/// The taints that the agents bear whatever a user adds.
pub fn standard_tolerations() -> Vec<Toleration> {
    let pod = standard().spec.and_then(|spec| spec.template.spec);
    pod.and_then(|pod| pod.tolerations).into_iter().flatten().map(Toleration::from_api).collect()
}

/// The image of a container of the templates.
pub(super) fn standard_image(container: &str) -> String {
    let mut pod = standard().spec.and_then(|spec| spec.template.spec).unwrap_or_default();
    containers(&mut pod).find(|it| it.name == container).and_then(|it| it.image.take()).unwrap_or_default()
}

/// How many agents are ready. Only replicas of the newest template count, and only once the controller has seen that template.
pub fn ready_replicas(set: &StatefulSet) -> u32 {
    let Some(status) = &set.status else { return 0 };
    if status.observed_generation < set.metadata.generation {
        return 0;
    }
    let updated = status.updated_replicas.unwrap_or(0);
    u32::try_from(status.ready_replicas.unwrap_or(0).min(updated)).unwrap_or(0)
}

fn standard() -> StatefulSet {
    template(include_str!("../../templates/connector/stateful-set.yaml"))
}

fn identify(pod: &mut PodSpec, settings: &Settings, activation_id: &str) {
    for variable in containers(pod).flat_map(|container| container.env.iter_mut().flatten()) {
        match variable.name.as_str() {
            "EKS_ACTIVATION_ID" => variable.value = Some(activation_id.to_owned()),
            "EKS_AGENT_REGION" => variable.value = Some(settings.region.clone()),
            "EKS_ACTIVATION_CODE" => {
                let source = variable.value_from.as_mut().and_then(|source| source.secret_key_ref.as_mut());
                if let Some(source) = source {
                    source.name.clone_from(&settings.secrets.activation);
                    source.key.clone_from(&settings.secrets.activation_key);
                }
            }
            _ => {}
        }
    }
}

fn choose_images(pod: &mut PodSpec, settings: &Settings) {
    let workload = &settings.workload;
    for container in containers(pod) {
        container.image =
            container.image.take().map(|standard| workload.images.of(&container.name, &standard));
    }
    let made =
        || (workload.pull_secret.is_some() || workload.keeps_pull_secret).then(|| PULL_SECRET.to_owned());
    pod.image_pull_secrets =
        settings.secrets.pull.clone().or_else(made).map(|name| vec![LocalObjectReference { name }]);
}

fn containers(pod: &mut PodSpec) -> impl Iterator<Item = &mut Container> {
    pod.init_containers.iter_mut().flatten().chain(&mut pod.containers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn agents_of_an_older_template_do_not_count_as_ready() {
        let ready = |observed: i64, ready: i32, updated: i32| {
            let set = json!({
                "metadata": { "generation": 3 },
                "spec": { "selector": {}, "serviceName": "", "template": {} },
                "status": {
                    "replicas": 2, "observedGeneration": observed, "readyReplicas": ready, "updatedReplicas": updated,
                },
            });
            ready_replicas(&serde_json::from_value(set).unwrap())
        };
        assert_eq!([ready(3, 2, 2), ready(3, 2, 1), ready(3, 0, 2), ready(2, 2, 2)], [2, 1, 0, 0]);
    }
}
