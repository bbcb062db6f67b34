//! The node's Lease in `kube-node-lease`, by which the controller manager knows that the node lives.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::MicroTime, jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// How long the Lease counts, in seconds: the kubelet's `nodeLeaseDurationSeconds`.
const DURATION: i32 = 40;

/// Renews the Lease every ten seconds, for ever. A renewal that fails is tried again at the next turn, as a kubelet's.
pub(super) async fn renew(client: Client, node: String) {
    let leases: Api<Lease> = Api::namespaced(client, "kube-node-lease");
    loop {
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": { "name": node, "namespace": "kube-node-lease" },
            "spec": {
                "holderIdentity": node,
                "leaseDurationSeconds": DURATION,
                "renewTime": MicroTime(Timestamp::now()),
            },
        });
        let renewed =
            leases.patch(&node, &PatchParams::apply("kubelet").force(), &Patch::Apply(&lease)).await;
        let pause = match renewed {
            Ok(_) => Duration::from_secs(10),
            // The namespace is made a moment after the API server is ready.
            Err(error) => {
                tracing::debug!(%error, node, "lease not renewed");
                Duration::from_secs(1)
            }
        };
        tokio::time::sleep(pause).await;
    }
}
