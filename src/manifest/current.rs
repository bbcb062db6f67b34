//! What was chosen about the agents that stand in a cluster, read back from their objects.

use k8s_openapi::api::core::v1 as api;
use serde_json::Value;

use super::connector::{PROXY_CA, PULL_SECRET};
use super::placement::FIXED;
use super::proxy::ALWAYS_DIRECT;
use super::stateful_set::standard_image;
use super::workload::{ApiServer, Workload};
use super::{Images, NetworkAccess, Placement, Proxy, Toleration, standard_tolerations};

/// The choices that a live StatefulSet of ours shows. `policy` is the live NetworkPolicy, `authorities` what the
/// ConfigMap of certificates holds, `api_server` where pods reach the API server.
pub fn workload_of(
    set: &Value,
    policy: Option<&Value>,
    authorities: Option<String>,
    api_server: &ApiServer,
) -> Workload {
    let spec = &set["spec"];
    let pod = &spec["template"]["spec"];
    let named =
        |list: &Value, name: &str| list.as_array().into_iter().flatten().any(|entry| entry["name"] == name);
    Workload {
        replicas: spec["replicas"].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        images: Images::Named {
            connector: image_of(pod, "connector-init"),
            agent: image_of(pod, "connector-agent"),
        },
        placement: placement_of(pod),
        proxy: Proxy {
            authorities: authorities.filter(|_| named(&pod["volumes"], PROXY_CA)),
            ..proxy_of(pod, api_server)
        },
        network: network_of(policy),
        pull_secret: None,
        keeps_pull_secret: named(&pod["imagePullSecrets"], PULL_SECRET),
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    [&pod["initContainers"], &pod["containers"]].into_iter().filter_map(Value::as_array).flatten()
}

fn image_of(pod: &Value, container: &str) -> Option<String> {
    let found = containers(pod).find(|it| it["name"] == container)?;
    found["image"].as_str().map(str::to_owned)
}

fn placement_of(pod: &Value) -> Placement {
    let labels = pod["nodeSelector"].as_object().into_iter().flatten();
    let node_selector = labels
        .filter(|(key, _)| !FIXED.iter().any(|(fixed, _)| fixed == key))
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let standard = standard_tolerations();
    let tolerations = pod["tolerations"].as_array().into_iter().flatten();
    let tolerations = tolerations
        .filter_map(|it| serde_json::from_value::<api::Toleration>(it.clone()).ok())
        .map(Toleration::from_api)
        .filter(|it| !standard.contains(it))
        .collect();
    Placement { node_selector, tolerations }
}

fn proxy_of(pod: &Value, api_server: &ApiServer) -> Proxy {
    let variable = |name: &str| {
        let agent = containers(pod).find(|it| it["name"] == "connector-agent")?;
        let mut variables = agent["env"].as_array().into_iter().flatten();
        variables.find(|it| it["name"] == name)?["value"].as_str()
    };
    let ours =
        |one: &&str| ALWAYS_DIRECT.contains(one) || api_server.addresses.iter().any(|address| address == one);
    let exceptions = variable("NO_PROXY").unwrap_or_default().split(',').filter(|one| !one.is_empty());
    Proxy {
        url: variable("HTTPS_PROXY").map(str::to_owned),
        exceptions: exceptions.filter(|one| !ours(one)).map(str::to_owned).collect(),
        authorities: None,
    }
}

fn network_of(policy: Option<&Value>) -> NetworkAccess {
    let Some(policy) = policy else { return NetworkAccess::Unlimited };
    let limits = policy["spec"]["policyTypes"].as_array().into_iter().flatten().any(|it| it == "Egress");
    if limits { NetworkAccess::LimitEgress } else { NetworkAccess::DenyIngress }
}

/// What becomes of an image when the agents are brought to the images of this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewed {
    /// It becomes this one, from the same registry.
    To(String),
    /// It is newer than that of this version, and stays.
    Newer,
    /// It is another repository's than the one that AWS publishes, and stays.
    Unknown,
}

/// What becomes of the image of `container`, which is `current`.
pub fn renewed(container: &str, current: &str) -> Renewed {
    let standard = standard_image(container);
    let (Some((name, tag)), Some((_, path))) = (split_tag(&standard), standard.split_once('/')) else {
        return Renewed::Unknown;
    };
    let repository = name.split_once('/').map_or(name, |(_, repository)| repository);
    let Some((current_name, current_tag)) = split_tag(current) else { return Renewed::Unknown };
    let Some(registry) = current_name.strip_suffix(repository).and_then(|rest| rest.strip_suffix('/')) else {
        return Renewed::Unknown;
    };
    if number(current_tag) > number(tag) {
        return Renewed::Newer;
    }
    Renewed::To(format!("{registry}/{path}"))
}

/// Name and tag; one that is named by a digest has no version that could be compared.
fn split_tag(reference: &str) -> Option<(&str, &str)> {
    let (name, tag) = reference.rsplit_once(':')?;
    (!reference.contains('@') && !tag.contains('/')).then_some((name, tag))
}

/// The numbers of a version, for comparing: `3.2.2303.0`.
fn number(tag: &str) -> Vec<u64> {
    tag.trim_start_matches('v').split('.').map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, stateful_set};
    use super::*;

    fn read_back(workload: Workload) -> Workload {
        let api_server = ApiServer { addresses: vec!["10.96.0.1".into()], ports: vec![6443] };
        let settings = Settings {
            namespace: "eks-connector".into(),
            region: "eu-west-1".into(),
            server_minor: 36,
            api_server: api_server.clone(),
            workload: workload.clone(),
            ..Settings::default()
        };
        let objects = super::super::base_objects(&settings);
        let policy = objects.iter().find(|object| object.reference.kind.name() == "NetworkPolicy");
        let set = stateful_set(&settings, "id-1").body;
        workload_of(&set, policy.map(|object| &object.body), workload.proxy.authorities, &api_server)
    }

    #[test]
    fn what_was_chosen_is_read_back() {
        let mut placement = Placement::default();
        placement.select("pool=edge").unwrap();
        placement.tolerations.push(Toleration::parse("dedicated=connect:NoSchedule").unwrap());
        placement.tolerations.push(Toleration::parse("any").unwrap());
        let proxy = Proxy {
            url: Some("http://proxy:3128".into()),
            exceptions: vec![".corp.example.com".into(), "10.0.0.0/8".into()],
            authorities: Some("PEM".into()),
        };
        let images =
            Images::Named { connector: Some("m.example/c:1".into()), agent: Some("m.example/a:2".into()) };
        for network in [NetworkAccess::DenyIngress, NetworkAccess::LimitEgress, NetworkAccess::Unlimited] {
            let chosen = Workload {
                replicas: 3,
                images: images.clone(),
                placement: placement.clone(),
                proxy: proxy.clone(),
                network,
                pull_secret: None,
                keeps_pull_secret: true,
            };
            assert_eq!(read_back(chosen.clone()), chosen);
        }
        let standard = read_back(Workload::default());
        let images = Images::Named {
            connector: Some(standard_image("connector-init")),
            agent: Some(standard_image("connector-agent")),
        };
        assert_eq!(standard, Workload { images, ..Workload::default() });
    }

    #[test]
    fn images_are_renewed_within_their_registry() {
        let standard = standard_image("connector-init");
        assert_eq!(
            renewed("connector-init", "public.ecr.aws/eks-connector/eks-connector:0.0.1"),
            Renewed::To(standard)
        );
        let mirrored = "mirror.example.com:5000/aws/eks-connector/eks-connector:0.0.9";
        let to = "mirror.example.com:5000/aws/eks-connector/eks-connector:0.0.11";
        assert_eq!(renewed("connector-init", mirrored), Renewed::To(to.into()));
        for (image, kept) in [
            ("public.ecr.aws/eks-connector/eks-connector:0.1.0", Renewed::Newer),
            ("mirror.example.com/connector:1", Renewed::Unknown),
            ("eks-connector/eks-connector:0.0.1", Renewed::Unknown),
        ] {
            assert_eq!(renewed("connector-init", image), kept, "{image}");
        }
        let digest = format!("public.ecr.aws/eks-connector/eks-connector@sha256:{}", "0".repeat(64));
        assert_eq!(renewed("connector-init", &digest), Renewed::Unknown);
    }
}
