//! What several test files share.

pub(crate) mod agent;
pub(crate) mod aws_caller;
pub(crate) mod python;
pub(crate) mod recorder;
