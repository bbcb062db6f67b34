//! Adapters to the cluster. kube's types stop here, but for k8s-openapi's objects.

mod access;
mod agents;
mod api;
mod certificate;
mod clearing;
mod client;
mod contexts;
mod diagnose;
mod lease;
mod port;
mod replace;
mod rights;
mod secrets;
mod survey;
mod transport;

pub use client::{ClusterSettings, Connected, connect};
pub use contexts::KubeContexts;
pub use port::KubernetesCluster;
