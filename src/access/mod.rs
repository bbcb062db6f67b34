//! Who may look into the cluster from the console: principals, what is viewable, grants. Pure but for ports.

pub mod grants;
pub mod names;
pub mod principal;
pub mod viewable;
