//! From the API server's objects to rows. Whatever is not there, or not as it should be, is taken for nothing: the
//! objects are others'.

use jiff::Timestamp;
use serde_json::Value;

use super::quantity;
use super::{EventRow, NamespaceRow, NodeRow, PodRow, Resources, ServerRow, WorkloadKind, WorkloadRow};

/// The longest text that is kept of an object. What is longer is not read by people.
const LONGEST: usize = 400;

fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn created(object: &Value) -> Option<Timestamp> {
    time(&object["metadata"]["creationTimestamp"])
}

/// Of the answer to `/version`.
pub fn server(version: &Value, ready: Option<bool>) -> ServerRow {
    ServerRow { version: text(&version["gitVersion"]), platform: text(&version["platform"]), ready }
}

/// Of a Node.
pub fn node(node: &Value) -> NodeRow {
    let (status, info) = (&node["status"], &node["status"]["nodeInfo"]);
    let mut conditions: Vec<String> = list(&status["conditions"])
        .filter(|condition| condition["type"] != "Ready" && condition["status"] == "True")
        .map(|condition| text(&condition["type"]))
        .collect();
    if node["spec"]["unschedulable"] == true {
        conditions.push("cordoned".to_owned());
    }
    let ready = list(&status["conditions"]).find(|condition| condition["type"] == "Ready");
    let labels = node["metadata"]["labels"].as_object().into_iter().flatten();
    NodeRow {
        name: text(&node["metadata"]["name"]),
        ready: ready.is_some_and(|condition| condition["status"] == "True"),
        conditions,
        roles: labels
            .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
            .map(str::to_owned)
            .collect(),
        version: text(&info["kubeletVersion"]),
        platform: format!("{}/{}", text(&info["operatingSystem"]), text(&info["architecture"])),
        capacity: resources(&status["capacity"]),
        allocatable: resources(&status["allocatable"]),
        created: created(node),
    }
}

fn resources(of: &Value) -> Resources {
    let amount = |name: &str| of[name].as_str().and_then(quantity::parse).unwrap_or_default();
    Resources { cpu: amount("cpu"), memory: amount("memory"), pods: amount("pods") }
}

/// Of a Namespace.
pub fn namespace(namespace: &Value) -> NamespaceRow {
    NamespaceRow {
        name: text(&namespace["metadata"]["name"]),
        phase: text(&namespace["status"]["phase"]),
        created: created(namespace),
    }
}

/// Of a workload; `None` of one that another workload has made.
pub fn workload(kind: WorkloadKind, object: &Value) -> Option<WorkloadRow> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let owned = list(&object["metadata"]["ownerReferences"]).any(|owner| owner["controller"] == true);
    let replicas = spec["replicas"].as_u64().unwrap_or(1);
    let row = |ready, wanted, state: String, well| WorkloadRow {
        namespace: text(&object["metadata"]["namespace"]),
        name: text(&object["metadata"]["name"]),
        ready,
        wanted,
        state,
        well,
        created: created(object),
    };
    let of_pods = |ready: u64, wanted: u64| {
        let well = ready >= wanted;
        row(ready, Some(wanted), if well { "available" } else { "not available" }.to_owned(), well)
    };
    match kind {
        WorkloadKind::ReplicaSet if owned => None,
        WorkloadKind::Deployment | WorkloadKind::StatefulSet | WorkloadKind::ReplicaSet => {
            Some(of_pods(number(&status["readyReplicas"]), replicas))
        }
        WorkloadKind::DaemonSet => {
            Some(of_pods(number(&status["numberReady"]), number(&status["desiredNumberScheduled"])))
        }
        WorkloadKind::Job => {
            let has = |condition: &str| {
                list(&status["conditions"]).any(|c| c["type"] == condition && c["status"] == "True")
            };
            let (state, well) = match (has("Failed"), has("Complete"), has("Suspended")) {
                (true, _, _) => ("failed", false),
                (_, true, _) => ("complete", true),
                (_, _, true) => ("suspended", true),
                _ => ("running", true),
            };
            let wanted = spec["completions"].as_u64().or_else(|| spec["parallelism"].as_u64()).unwrap_or(1);
            Some(row(number(&status["succeeded"]), Some(wanted), state.to_owned(), well))
        }
        WorkloadKind::CronJob => {
            let schedule = text(&spec["schedule"]);
            let state = if spec["suspend"] == true { format!("{schedule}, suspended") } else { schedule };
            Some(row(list(&status["active"]).count() as u64, None, state, true))
        }
    }
}

/// Of a Pod.
pub fn pod(pod: &Value) -> PodRow {
    let (meta, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    let containers = list(&spec["containers"]).count() as u64;
    let ready =
        list(&status["containerStatuses"]).filter(|container| container["ready"] == true).count() as u64;
    let restarts =
        list(&status["containerStatuses"]).map(|container| number(&container["restartCount"])).sum();
    let shown = pod_status(pod);
    let well = match shown.as_str() {
        "Running" => ready >= containers,
        "Succeeded" | "Completed" => true,
        _ => false,
    };
    PodRow {
        namespace: text(&meta["namespace"]),
        name: text(&meta["name"]),
        ready,
        containers,
        status: shown,
        restarts,
        node: spec["nodeName"].as_str().map(str::to_owned),
        well,
        created: created(pod),
    }
}

/// As kubectl shows it (`printPod` of pkg/printers/internalversion): what its containers wait for or ended with says
/// more than the phase.
fn pod_status(pod: &Value) -> String {
    let status = &pod["status"];
    if pod["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    let of_pod = if status["reason"].is_string() { text(&status["reason"]) } else { text(&status["phase"]) };
    let inits: Vec<&Value> = list(&status["initContainerStatuses"]).collect();
    let specified = list(&pod["spec"]["initContainers"]).count();
    for (index, container) in inits.iter().enumerate() {
        let state = &container["state"];
        // A sidecar goes on; a plain init container ends with 0.
        if state["terminated"]["exitCode"] == 0 || container["started"] == true {
            continue;
        }
        return match reason(state) {
            Some(reason) if reason != "PodInitializing" => format!("Init:{reason}"),
            Some(_) | None => format!("Init:{index}/{specified}"),
        };
    }
    let reasons: Vec<String> =
        list(&status["containerStatuses"]).filter_map(|container| reason(&container["state"])).collect();
    let running = list(&status["containerStatuses"]).any(|container| container["ready"] == true);
    match reasons.into_iter().next() {
        Some(reason) if reason == "Completed" && running => "Running".to_owned(),
        Some(reason) => reason,
        None => of_pod,
    }
}

/// Why a container does not run.
fn reason(state: &Value) -> Option<String> {
    let why = ["waiting", "terminated"].iter().find_map(|key| state[*key]["reason"].as_str());
    if let Some(why) = why.filter(|why| !why.is_empty()) {
        return Some(why.to_owned());
    }
    let code = state["terminated"]["exitCode"].as_i64()?;
    Some(format!("ExitCode:{code}"))
}

/// Of an Event of the core group.
pub fn event(event: &Value) -> EventRow {
    let about = &event["involvedObject"];
    let (kind, namespace, name) = (text(&about["kind"]), text(&about["namespace"]), text(&about["name"]));
    let at = [&event["series"]["lastObservedTime"], &event["lastTimestamp"], &event["eventTime"]];
    let count = event["series"]["count"].as_u64().or_else(|| event["count"].as_u64());
    EventRow {
        at: at.into_iter().find_map(time).or_else(|| created(event)),
        warning: event["type"] == "Warning",
        reason: text(&event["reason"]),
        object: if namespace.is_empty() {
            format!("{kind} {name}")
        } else {
            format!("{kind} {namespace}/{name}")
        },
        message: text(&event["message"]),
        count: count.unwrap_or(1),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_shown_as_kubectl_shows_it() {
        let pod_with = |status: Value| {
            pod(&json!({
                "metadata": { "name": "a", "namespace": "web" },
                "spec": { "containers": [{}, {}], "initContainers": [{}, {}] },
                "status": status,
            }))
        };
        let container =
            |ready: bool, state: Value| json!({ "ready": ready, "restartCount": 2, "state": state });
        let running = || container(true, json!({ "running": {} }));
        let row = pod_with(json!({ "phase": "Running", "containerStatuses": [running(), running()] }));
        assert_eq!((row.status.as_str(), row.ready, row.restarts, row.well), ("Running", 2, 4, true));
        let crashing = container(false, json!({ "waiting": { "reason": "CrashLoopBackOff" } }));
        let row = pod_with(json!({ "phase": "Running", "containerStatuses": [running(), crashing] }));
        assert_eq!((row.status.as_str(), row.well), ("CrashLoopBackOff", false));
        let init = json!({ "state": { "waiting": { "reason": "PodInitializing" } } });
        let done = json!({ "state": { "terminated": { "exitCode": 0, "reason": "Completed" } } });
        let row = pod_with(json!({ "phase": "Pending", "initContainerStatuses": [done, init] }));
        assert_eq!((row.status.as_str(), row.well), ("Init:1/2", false));
        let broken = json!({ "state": { "waiting": { "reason": "ErrImagePull" } } });
        let row = pod_with(json!({ "phase": "Pending", "initContainerStatuses": [broken] }));
        assert_eq!(row.status, "Init:ErrImagePull");
        let ended = container(false, json!({ "terminated": { "exitCode": 3 } }));
        assert_eq!(pod_with(json!({ "phase": "Failed", "containerStatuses": [ended] })).status, "ExitCode:3");
        assert_eq!(pod_with(json!({ "phase": "Failed", "reason": "Evicted" })).status, "Evicted");
        assert_eq!(pod(&json!({})).status, "", "nothing is expected of an object");
    }

    #[test]
    fn workloads_by_their_kind() {
        let deployment = json!({ "spec": { "replicas": 3 }, "status": { "readyReplicas": 2 } });
        let row = workload(WorkloadKind::Deployment, &deployment).unwrap();
        assert_eq!((row.ready, row.wanted, row.well), (2, Some(3), false));
        let owned = json!({ "metadata": { "ownerReferences": [{ "controller": true }] } });
        assert_eq!(workload(WorkloadKind::ReplicaSet, &owned), None);
        let job =
            json!({ "status": { "succeeded": 1, "conditions": [{ "type": "Complete", "status": "True" }] } });
        assert_eq!(workload(WorkloadKind::Job, &job).unwrap().state, "complete");
        let cron = json!({ "spec": { "schedule": "0 3 * * *", "suspend": true } });
        assert_eq!(workload(WorkloadKind::CronJob, &cron).unwrap().state, "0 3 * * *, suspended");
        let daemons = json!({ "status": { "numberReady": 1, "desiredNumberScheduled": 1 } });
        assert!(workload(WorkloadKind::DaemonSet, &daemons).unwrap().well);
    }

    #[test]
    fn a_node_with_its_capacity_and_conditions() {
        let row = node(&json!({
            "metadata": { "name": "n1", "labels": { "node-role.kubernetes.io/control-plane": "" } },
            "spec": { "unschedulable": true },
            "status": {
                "capacity": { "cpu": "4", "memory": "8Gi", "pods": "110" },
                "conditions": [
                    { "type": "Ready", "status": "True" },
                    { "type": "DiskPressure", "status": "True" },
                    { "type": "PIDPressure", "status": "False" },
                ],
            },
        }));
        assert!(row.ready);
        assert_eq!(row.conditions, ["DiskPressure", "cordoned"]);
        assert_eq!(row.roles, ["control-plane"]);
        assert_eq!(row.capacity, Resources { cpu: 4.0, memory: 8.0 * 1024f64.powi(3), pods: 110.0 });
    }

    #[test]
    fn an_event_of_either_form() {
        let old = event(&json!({
            "type": "Warning", "reason": "BackOff", "message": "x", "count": 7,
            "lastTimestamp": "2026-11-28T10:00:00Z",
            "involvedObject": { "kind": "Pod", "namespace": "web", "name": "a" },
        }));
        assert_eq!((old.object.as_str(), old.count, old.warning), ("Pod web/a", 7, true));
        let new = event(&json!({
            "lastTimestamp": null, "eventTime": "2026-11-28T10:00:00.000000Z",
            "series": { "count": 3, "lastObservedTime": "2026-11-28T11:00:00.000000Z" },
            "involvedObject": { "kind": "Node", "name": "n1" },
        }));
        assert_eq!((new.object.as_str(), new.count), ("Node n1", 3));
        assert_eq!(new.at, "2026-11-28T11:00:00Z".parse().ok());
    }
}
