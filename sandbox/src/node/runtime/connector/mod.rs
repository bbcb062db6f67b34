//! The EKS Connector: `init` registers the pod as a managed instance, `server` proxies to the API server. Behaves as
//! version 0.0.11 of github.com/aws/amazon-eks-connector does, log lines and exit codes included.

mod flags;
mod init;
mod klog;
mod server;
mod state;

use self::{flags::Flags, klog::Klog};
use super::Process;

/// Exit code after klog's fatal messages.
const FATAL: i32 = 255;
/// Exit code of a Go program that SIGTERM ends.
const TERMINATED: i32 = 2;

/// Runs the connector.
pub(super) async fn run(process: Process) -> i32 {
    let stop = process.stop.clone();
    tokio::select! {
        code = command(process) => code,
        () = stop.cancelled() => TERMINATED,
    }
}

async fn command(process: Process) -> i32 {
    let klog = Klog::new(process.log.clone());
    let Some((name, arguments)) = process.arguments.split_first() else {
        process.log.write(
            "connects any k8s cluster to AWS cloud\n\nUsage:\n  eks-connector [command]\n\nAvailable Commands:\n  \
             init        Initialize EKS connector\n  server      Run EKS connector proxy server",
        );
        return 0;
    };
    let parsed = match name.as_str() {
        "init" => Flags::parse(arguments, init::FLAGS),
        "server" => Flags::parse(arguments, server::FLAGS),
        _ => Err(format!("unknown command \"{name}\" for \"eks-connector\"")),
    };
    let flags = match parsed {
        Ok(flags) => flags,
        Err(message) => {
            process.log.write(format!("Error: {message}"));
            klog.fatal("root.go:20", &message);
            return 1;
        }
    };
    let ended = match name.as_str() {
        "init" => init::run(&process, &flags, &klog).await,
        _ => server::run(&process, &flags, &klog).await,
    };
    match ended {
        Ok(()) => 0,
        Err(fatal) => {
            klog.fatal(fatal.place, &fatal.message);
            FATAL
        }
    }
}

/// What ends the connector: a message of klog's fatal severity.
struct Fatal {
    /// Source file and line, as klog writes it.
    place: &'static str,
    message: String,
}
