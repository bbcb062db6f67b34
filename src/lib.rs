//! eksconnect as a library: not a public API. It exists so that the binary is thin and the parts can be tested; anything
//! here may change with any release.
//!
//! The way of a call: `cli` turns arguments into a validated request; `registration` observes through `ports`, plans
//! without input or output, and executes with the engine of `plan`; `output` shows it. `aws` and `kubernetes` implement
//! the ports and are wired here.

pub mod access;
pub mod activation_file;
pub mod aws;
pub mod cli;
pub mod directory;
pub mod environment;
pub mod error;
pub mod inventory;
pub mod kubernetes;
pub mod manifest;
pub mod output;
pub mod page_file;
pub mod permissions;
pub mod plan;
pub mod ports;
pub mod rbac;
pub mod registration;
mod run;

pub use run::run;
