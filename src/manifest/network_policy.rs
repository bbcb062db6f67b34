//! What the agents may connect to, and what may connect to them.

use k8s_openapi::api::networking::v1 as api;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::connector::{Settings, object, template};
use super::{Object, ObjectKind};

/// The choice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NetworkAccess {
    /// Nothing may connect to them.
    #[default]
    DenyIngress,
    /// And they may only connect to what they need.
    LimitEgress,
    /// No policy.
    Unlimited,
}

/// The policy, if there is to be one.
pub(super) fn network_policy(settings: &Settings) -> Option<Object> {
    let yaml = match settings.workload.network {
        NetworkAccess::DenyIngress => include_str!("../../templates/connector/network-policy.yaml"),
        NetworkAccess::LimitEgress => include_str!("../../templates/connector/network-policy-egress.yaml"),
        NetworkAccess::Unlimited => return None,
    };
    let mut policy: api::NetworkPolicy = template(yaml);
    let spec = policy.spec.as_mut();
    for rule in spec.and_then(|spec| spec.egress.as_mut()).into_iter().flatten() {
        let ports = rule.ports.get_or_insert_default();
        // By port and not by address: the addresses change with the control plane's nodes and the proxy's name.
        for port in settings.api_server.ports.iter().copied().chain(settings.workload.proxy.port()) {
            let port = api::NetworkPolicyPort {
                port: Some(IntOrString::Int(i32::from(port))),
                protocol: Some("TCP".to_owned()),
                end_port: None,
            };
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
    }
    Some(object(ObjectKind::NetworkPolicy, settings, &policy))
}

#[cfg(test)]
mod tests {
    use super::super::Proxy;
    use super::super::workload::{ApiServer, Workload};
    use super::*;

    #[test]
    fn egress_is_dns_https_the_api_server_and_the_proxy() {
        let ports = |proxy: Option<&str>| -> Vec<i64> {
            let proxy = Proxy { url: proxy.map(str::to_owned), ..Proxy::default() };
            let settings = Settings {
                namespace: "elsewhere".into(),
                region: "eu-west-1".into(),
                server_minor: 36,
                api_server: ApiServer { addresses: Vec::new(), ports: vec![6443, 443] },
                workload: Workload { network: NetworkAccess::LimitEgress, proxy, ..Workload::default() },
                ..Settings::default()
            };
            let policy = network_policy(&settings).unwrap().body;
            assert_eq!(policy["spec"]["policyTypes"], serde_json::json!(["Ingress", "Egress"]));
            let ports = policy["spec"]["egress"][0]["ports"].as_array().unwrap().clone();
            ports.iter().map(|port| port["port"].as_i64().unwrap()).collect()
        };
        assert_eq!(ports(None), [53, 53, 443, 6443]);
        assert_eq!(ports(Some("http://proxy:3128")), [53, 53, 443, 6443, 3128]);
        assert_eq!(ports(Some("http://proxy")), [53, 53, 443, 6443, 80]);
        assert_eq!(ports(Some("https://[fd00::1]/")), [53, 53, 443, 6443]);
    }
}
