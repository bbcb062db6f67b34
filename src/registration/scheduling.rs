//! Whether a node can run the agents.

use super::observed::NodeFacts;
use crate::manifest::{Toleration, standard_tolerations, workload::Workload};

/// Why the agents cannot be scheduled onto a node of the right platform; `None` if they can.
pub(super) fn obstacle(node: &NodeFacts, workload: &Workload) -> Option<String> {
    if node.cordoned {
        return Some("cordoned".to_owned());
    }
    let standard = standard_tolerations();
    let tolerations: Vec<&Toleration> = standard.iter().chain(&workload.placement.tolerations).collect();
    let keeps_off = |effect: &str| matches!(effect, "NoSchedule" | "NoExecute");
    let taint = node
        .taints
        .iter()
        .find(|taint| keeps_off(&taint.effect) && !tolerations.iter().any(|one| one.bears(taint)));
    if let Some(taint) = taint {
        return Some(format!("tainted {}", taint.key));
    }
    let selector = &workload.placement.node_selector;
    let missing = selector.iter().find(|(key, value)| node.labels.get(*key) != Some(value));
    missing.map(|(key, value)| format!("not labelled {key}={value}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{Placement, Taint};

    fn taint(key: &str, effect: &str) -> Taint {
        Taint { key: key.into(), value: String::new(), effect: effect.into() }
    }

    fn node(taints: &[Taint]) -> NodeFacts {
        NodeFacts {
            name: "n".into(),
            os: "linux".into(),
            arch: "amd64".into(),
            labels: [("pool".to_owned(), "edge".to_owned())].into(),
            taints: taints.to_vec(),
            cordoned: false,
        }
    }

    #[test]
    fn nodes_that_the_agents_cannot_use() {
        let of = |node: &NodeFacts| obstacle(node, &Workload::default());
        assert_eq!(of(&node(&[])), None);
        assert_eq!(of(&node(&[taint("node-role.kubernetes.io/control-plane", "NoSchedule")])), None);
        assert!(of(&node(&[taint("node-role.kubernetes.io/control-plane", "NoExecute")])).is_some());
        assert_eq!(of(&node(&[taint("CriticalAddonsOnly", "NoExecute")])), None);
        assert_eq!(of(&node(&[taint("gpu", "PreferNoSchedule")])), None);
        assert_eq!(of(&node(&[taint("gpu", "NoSchedule")])).as_deref(), Some("tainted gpu"));
        assert_eq!(of(&NodeFacts { cordoned: true, ..node(&[]) }).as_deref(), Some("cordoned"));
    }

    #[test]
    fn the_options_decide_too() {
        let mut placement = Placement::default();
        placement.tolerations.push(Toleration::parse("gpu:NoSchedule").unwrap());
        placement.select("pool=edge").unwrap();
        let workload = Workload { placement, ..Workload::default() };
        assert_eq!(obstacle(&node(&[taint("gpu", "NoSchedule")]), &workload), None);
        assert!(obstacle(&node(&[taint("gpu", "NoExecute")]), &workload).is_some());
        let elsewhere = NodeFacts { labels: [("pool".to_owned(), "core".to_owned())].into(), ..node(&[]) };
        assert_eq!(obstacle(&elsewhere, &workload).as_deref(), Some("not labelled pool=edge"));
    }
}
