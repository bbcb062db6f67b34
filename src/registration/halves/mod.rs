//! Registering for two administrators, who may not do each other's half: one makes the roles and the registration and
//! writes the activation into a file, the other applies the connector with it. The first may make the roles alone.

pub mod account;
pub mod account_plan;
mod account_worker;
pub mod cluster;
mod cluster_plan;
pub(super) mod ready;
pub mod roles;
mod unasked;
