//! Command line of the sandbox.

use std::process::ExitCode;

#[tokio::main]
#[expect(clippy::print_stderr, reason = "the last word on an error is here, where nothing else can say it")]
async fn main() -> ExitCode {
    match eksconnect_sandbox::cli::run(std::env::args_os(), &mut std::io::stdout()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
