//! A Python virtual environment with the AWS CLI and boto3, made once and kept below cargo's target directory.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::environment;

/// What is installed, at which versions.
const REQUIREMENTS: &str = include_str!("requirements.txt");

/// The directory of its programs (`aws`, `python`). Makes the environment first where it is missing or its
/// requirements have changed; that takes about half a minute, and pip's registry. Blocks.
///
/// # Errors
/// There is no Python with `venv` here, or the registry cannot be reached.
pub fn environment() -> Result<PathBuf> {
    let base = environment::target_directory().join("sandbox");
    let home = base.join("python");
    let (stamp, bin) = (home.join("installed.txt"), home.join("bin"));
    fs::create_dir_all(&base).with_context(|| format!("could not make {}", base.display()))?;
    // Two processes at once must not install over each other.
    let lock = File::create(base.join("python.lock")).context("could not make a lock")?;
    lock.lock().context("could not lock")?;
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == REQUIREMENTS) {
        return Ok(bin);
    }
    if home.exists() {
        fs::remove_dir_all(&home).with_context(|| format!("could not remove {}", home.display()))?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    let requirements = home.join("requirements.txt");
    fs::write(&requirements, REQUIREMENTS)
        .with_context(|| format!("could not write {}", requirements.display()))?;
    // pip keeps the environment of this process: it may need it to reach its registry.
    let mut pip = Command::new(bin.join("python"));
    run(pip
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements))?;
    fs::write(&stamp, REQUIREMENTS).with_context(|| format!("could not write {}", stamp.display()))?;
    Ok(bin)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("could not run {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
