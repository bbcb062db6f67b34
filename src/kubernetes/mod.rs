//! Adapters to the cluster. kube's types stop here, but for k8s-openapi's objects.

mod agents;
mod api;
mod client;
mod diagnose;
mod lease;
mod port;
mod replace;
mod rights;
mod secrets;

pub use client::{ClusterSettings, connect};
pub use port::KubernetesCluster;
