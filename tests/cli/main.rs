//! eksconnect as a person or a pipeline uses it: the real binary, real Kubernetes API servers, AWS' wire protocols.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests say so that something must hold; clippy.toml allows it in test functions, and helpers are not such"
)]

mod access;
mod adapter;
mod agreement;
mod boundaries;
mod by_hand;
mod causes;
mod code;
mod contention;
mod credentials;
mod deregister;
mod deregister_rest;
mod deregister_whose;
mod documents;
mod errors;
mod failures;
mod gc;
mod generated;
mod grants;
mod grants_at_once;
mod grants_of_others;
mod habits;
mod halves;
mod halves_file;
mod hardening;
mod iam_policy;
mod input;
mod interrupts;
mod inventory;
mod life;
mod list_views;
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
mod roles_alone;
mod round_trips;
mod support;
mod takeover;
mod upgrade;
mod verify_view;
mod view;
mod viewers;
