//! Registering: request, desired, observed, and the pure planner between them; and the use case that runs them.

pub mod activation;
pub mod desired;
pub mod grants;
pub mod halves;
pub mod handed;
pub mod installed;
pub mod name;
pub mod observe;
pub mod observed;
pub mod planner;
pub mod proof;
pub mod provider;
pub mod quota;
mod refusal;
pub mod register;
mod remains;
pub mod request;
pub mod rights;
pub mod role_drift;
mod roles;
mod scheduling;
mod situation;
pub mod step;
pub mod takeover;
mod undo;
mod wait;
pub(crate) mod worker;
