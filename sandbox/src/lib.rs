//! A whole world on loopback to test and try eksconnect in: real Kubernetes control planes, an emulator of the AWS
//! services that the EKS Connector needs, and nodes that run pods.
//!
//! Shares no code with eksconnect: a mistake must not hide by being made on both sides.

mod bench;
mod demo;
mod environment;
mod progress;
mod proxy;
mod running;
mod socket;
mod workspace;

pub mod aws;
pub mod calls;
pub mod cli;
pub mod controlplane;
pub mod delay;
pub mod matrix;
pub mod node;
pub mod pool;
pub mod python;
pub mod world;

pub use progress::Progress;
