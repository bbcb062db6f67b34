//! How many round trips wait for each other, counted in what AWS and the API server logged of a run on a slow line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use eksconnect_sandbox::aws::control::{Latency, Selector};
use eksconnect_sandbox::calls::{self, AUDIT_POLICY, Call, PERSON, SERVICES, Side, in_a_row};
use eksconnect_sandbox::delay::Relay;
use eksconnect_sandbox::pool::LeaseOptions;
use eksconnect_sandbox::world::SiteSpec;
use tempfile::TempDir;

use crate::support::Scene;

/// So long that calls which are made at once overlap, however busy the machine is.
const LATENCY: Duration = Duration::from_millis(400);

struct SlowLine {
    scene: Scene,
    relay: Relay,
    audit: PathBuf,
    _directory: TempDir,
}

/// What a run called, and over how many connections to the cluster.
struct Seen {
    calls: Vec<Call>,
    connections: usize,
    /// What the API server was told about who asks.
    agents: Vec<String>,
}

impl SlowLine {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let (policy, audit) = (directory.path().join("policy.yaml"), directory.path().join("audit.log"));
        std::fs::write(&policy, AUDIT_POLICY).unwrap();
        let site = SiteSpec {
            api_server_arguments: vec![
                format!("--audit-policy-file={}", policy.display()),
                format!("--audit-log-path={}", audit.display()),
            ],
            ..SiteSpec::default()
        };
        let mut scene = Scene::with(LeaseOptions { site, ..LeaseOptions::default() }).await;
        let server = scene.lease.cluster().server().to_owned();
        let target: SocketAddr = server.strip_prefix("https://").unwrap().parse().unwrap();
        let relay = Relay::start(target, LATENCY).await.unwrap();
        let kubeconfig = scene.lease.cluster().kubeconfig_for(PERSON, Some("system:masters")).unwrap();
        let kubeconfig = std::fs::read_to_string(kubeconfig).unwrap();
        let kubeconfig = kubeconfig.replace(&server, &format!("https://{}", relay.address()));
        let file = scene.home_file("slow", &kubeconfig);
        scene.set("KUBECONFIG", file.to_str().unwrap());
        for service in SERVICES {
            let selector = Selector {
                service: Some(service.to_owned()),
                account: Some(scene.lease.account().id.clone()),
                ..Selector::default()
            };
            let milliseconds = u64::try_from(LATENCY.as_millis()).unwrap();
            scene.lease.aws().set_latency(Latency { selector, milliseconds }).await.unwrap();
        }
        Self { scene, relay, audit, _directory: directory }
    }

    async fn register(&self) -> Seen {
        self.run(&["register", "--name", "onprem1"]).await
    }

    async fn run(&self, arguments: &[&str]) -> Seen {
        let (logged, opened) = (self.scene.last_call().await, self.relay.connections());
        let audited = std::fs::read_to_string(&self.audit).unwrap_or_default().len();
        self.scene.run(arguments).await.expect(0);
        let audit = std::fs::read_to_string(&self.audit).unwrap().split_off(audited);
        let account = &self.scene.lease.account().id;
        let log = self.scene.lease.aws().log(logged, Some(account)).await.unwrap();
        let mut calls = calls::of_aws(&log).unwrap();
        calls.extend(calls::of_cluster(&audit, LATENCY).unwrap());
        let agent = |line: &str| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["userAgent"].as_str().unwrap().to_owned()
        };
        let agents = audit.lines().map(agent).collect();
        Seen { calls, connections: self.relay.connections() - opened, agents }
    }
}

/// `[both, AWS, cluster]` in a row. Asking again for what is not there yet is waiting, not depending.
fn chain(seen: &Seen) -> [usize; 3] {
    let last_asked = seen.calls.iter().rposition(|call| call.name == "DescribeCluster");
    let waits = |(index, call): &(usize, &Call)| {
        call.name.starts_with("RegisterCluster (")
            || (call.name == "DescribeCluster" && Some(*index) != last_asked)
    };
    let calls: Vec<&Call> =
        seen.calls.iter().enumerate().filter(|call| !waits(call)).map(|(_, call)| call).collect();
    let of = |side| in_a_row(calls.iter().copied().filter(|call| call.side == side));
    [in_a_row(calls.iter().copied()), of(Side::Aws), of(Side::Cluster)]
}

fn listed(seen: &Seen) -> String {
    let mut calls: Vec<&Call> = seen.calls.iter().collect();
    calls.sort_by_key(|call| call.began);
    let line = |call: &Call| format!("{} {} {}", call.began, call.ended, call.name);
    calls.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn as_many_as_documented_and_one_connection_to_the_cluster() {
    let line = SlowLine::new().await;
    // docs/decisions/the-chain-of-round-trips.md lists them. AWS answers while the handshake with the cluster goes on,
    // which so counts as one.
    let fresh = line.register().await;
    let [both, aws, _] = chain(&fresh);
    assert!(both <= 13 && aws <= 5, "{both}, {aws}:\n{}", listed(&fresh));
    let again = line.register().await;
    let [both, aws, cluster] = chain(&again);
    assert!(both <= 3 && aws == 1 && cluster == 2, "{both}, {aws}, {cluster}:\n{}", listed(&again));
    let reviews = again.calls.iter().filter(|call| call.name.contains("selfsubjectaccessreviews")).count();
    assert!(reviews > 20, "the rights are asked about: {reviews}");

    // However many requests go out at once, there is one TLS handshake.
    assert_eq!((fresh.connections, again.connections), (1, 1));
    let ours = concat!("eksconnect/", env!("CARGO_PKG_VERSION"));
    assert!(!fresh.agents.is_empty() && fresh.agents.iter().all(|agent| agent == ours), "{:?}", fresh.agents);
}

#[tokio::test]
async fn a_grant_waits_for_six_round_trips_and_one_that_stands_for_four() {
    let line = SlowLine::new().await;
    line.register().await;
    let grant = ["grant-view", "--principal", "self"];
    let self_first = line.run(&grant).await;
    // Who that is; what is there, and the version before the metrics; each object and what IAM decides; the roles; their bindings.
    // What the connector is asked as is not in the log.
    let [both, aws, cluster] = chain(&self_first);
    assert!(both <= 6 && aws <= 3 && cluster <= 5, "{both}, {aws}, {cluster}:\n{}", listed(&self_first));
    let again = line.run(&grant).await;
    let [both, aws, cluster] = chain(&again);
    assert!(both <= 4 && aws <= 3 && cluster <= 3, "{both}, {aws}, {cluster}:\n{}", listed(&again));
}
