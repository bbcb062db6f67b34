//! eksconnect as a person or a pipeline uses it: the real binary, real Kubernetes API servers, AWS' wire protocols.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests say so that something must hold; clippy.toml allows it in test functions, and helpers are not such"
)]

mod access;
mod adapter;
mod boundaries;
mod by_hand;
mod causes;
mod code;
mod contention;
mod credentials;
mod documents;
mod errors;
mod failures;
mod halves;
mod hardening;
mod input;
mod interrupts;
mod matrix;
mod numbers;
mod openshift;
mod options;
mod output;
mod principals;
mod providers;
mod rbac;
mod register;
mod render;
mod rights;
mod roles;
mod round_trips;
mod support;
mod takeover;
