//! Adapters to the cluster. kube's types stop here, but for k8s-openapi's objects.

mod access;
mod agents;
mod api;
mod certificate;
mod client;
mod diagnose;
mod lease;
mod port;
mod replace;
mod rights;
mod secrets;
mod transport;

pub use client::{ClusterSettings, Connected, connect};
pub use port::KubernetesCluster;
