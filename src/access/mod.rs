//! Who may look into the cluster from the console: principals, what is viewable, grants. Pure but for ports.

pub mod ceiling;
pub mod check;
pub mod desired;
pub mod grants;
pub mod names;
mod narrow;
mod notes;
pub mod objects;
pub mod observe;
pub mod observed;
pub mod operation;
pub mod planner;
pub mod principal;
pub mod removal;
pub mod request;
pub mod step;
pub mod viewable;
pub mod worker;
