//! Who may look into the cluster from the console: principals, what is viewable, grants. Pure but for ports.

mod asking;
pub mod ceiling;
pub mod check;
pub mod connector;
pub mod desired;
pub mod grants;
pub mod grown;
pub mod names;
mod narrow;
mod notes;
pub mod objects;
pub mod observe;
pub mod observed;
pub mod operation;
pub mod picture;
pub mod planner;
pub mod principal;
pub mod questions;
pub mod removal;
pub mod request;
pub mod scope;
pub mod step;
pub mod verification;
pub mod verify;
pub mod viewable;
pub mod views;
pub mod worker;
