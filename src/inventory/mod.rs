//! Finding and showing registrations: all of an account, the one that a cluster is, the cluster that one is, and how both
//! halves of one stand. Reads only.

pub mod agents;
pub mod contexts;
pub mod identity;
pub mod list;
pub mod roles;
pub mod status;
pub mod verdict;
pub mod wait;
pub mod whoami;
