//! Tests of the sandbox, in one binary: it is linked once, and its tests share what they start.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests say so that something must hold; clippy.toml allows it in test functions, and helpers are not such"
)]

mod aws_acceptance;
mod aws_access;
mod aws_agent;
mod aws_knobs;
mod aws_wire;
mod controlplane;
mod demo;
mod node_admission;
mod node_cluster;
mod node_connector;
mod node_manifest;
mod node_pods;
mod node_volumes;
mod pool;
mod support;
mod world;
