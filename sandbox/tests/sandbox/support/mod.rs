//! What several test files share.

pub(crate) mod aws_caller;
