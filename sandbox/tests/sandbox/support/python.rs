//! Whether the tests have the Python programs that they need.

use std::path::PathBuf;

/// The virtual environment's `bin` directory, or why there is none here.
///
/// Panics where CI is set and there is none: there, what needs Python is never left out.
pub(crate) fn environment() -> Result<PathBuf, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "whether a test may be left out is for the environment to say"
    )]
    let ci = std::env::var_os("CI").is_some();
    let made = eksconnect_sandbox::python::environment().map_err(|error| format!("{error:#}"));
    assert!(!ci || made.is_ok(), "{made:?}");
    made
}
