//! `pause`: does nothing until it is told to end.

use super::Process;

/// Runs `pause`.
pub(super) async fn run(process: Process) -> i32 {
    process.stop.cancelled().await;
    process.log.write("Shutting down, got signal: Terminated");
    0
}
