//! Command line of the sandbox.

use std::io::{self, ErrorKind};
use std::process::ExitCode;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the last word on an error is here, where nothing else can say it")]
async fn main() -> ExitCode {
    match eksconnect_sandbox::cli::run(std::env::args_os(), &mut io::stdout()).await {
        Ok(code) => code,
        // Whoever read the output has seen enough.
        Err(error)
            if error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe) =>
        {
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
