//! Real Kubernetes control planes: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes.
//!
//! One etcd serves several clusters: each API server keeps its objects under a prefix of its own. Nothing outlives the
//! process that started it, however that one ends: see `component`.

mod assets;
mod authority;
mod build;
mod cluster;
mod component;
mod etcd;
mod kubeconfig;

pub use assets::Assets;
pub use cluster::{Cluster, ClusterOptions};
pub use component::Process;
pub use etcd::Etcd;
