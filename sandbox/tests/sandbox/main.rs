//! Tests of the sandbox, through its public interface.

mod aws_wire;
mod support;
