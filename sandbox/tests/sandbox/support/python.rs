//! A Python virtual environment with the AWS CLI and boto3, made once and kept below the target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is installed, at which versions.
const REQUIREMENTS: &str = include_str!("../python/requirements.txt");

/// The virtual environment's `bin` directory, or why there is none here.
///
/// Panics where CI is set and there is none: there, what needs Python is never left out.
pub(crate) fn environment() -> Result<PathBuf, String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "whether a test may be left out is for the environment to say"
    )]
    let ci = std::env::var_os("CI").is_some();
    let made = make();
    assert!(!ci || made.is_ok(), "{made:?}");
    made
}

fn make() -> Result<PathBuf, String> {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let home = base.join("aws-acceptance");
    let (stamp, bin) = (home.join("installed.txt"), home.join("bin"));
    fs::create_dir_all(base).map_err(|error| error.to_string())?;
    // Two test runs at once must not install over each other.
    let lock = File::create(base.join("aws-acceptance.lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(bin);
    }
    if home.exists() {
        fs::remove_dir_all(&home).map_err(|error| error.to_string())?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    let requirements = home.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS).map_err(|error| error.to_string())?;
    // pip keeps the environment of the test: it may need it to reach its registry.
    let mut pip = Command::new(bin.join("python"));
    run(pip
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements))?;
    fs::write(&stamp, REQUIREMENTS).map_err(|error| error.to_string())?;
    Ok(bin)
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr)))
}
