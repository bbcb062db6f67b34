//! How `eksconnect list` grows with the number of registrations: its time should grow as they do, its memory hardly.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use tokio::process::Command;

use crate::aws::control::{Account, AccountSpec};
use crate::aws::{Emulator, Options};

/// So many registrations.
#[derive(Clone, Copy, Debug, Serialize)]
struct Row {
    registrations: u32,
    wall_s: f64,
    ms_each: f64,
    /// The most memory that it held at a time; nothing where the system does not tell.
    peak_mib: Option<f64>,
}

/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(1);

/// Measures, the median of `runs` each. Nothing but AWS is needed, at no distance.
pub(super) async fn measure(
    binary: &Path,
    home: &Path,
    counts: &[u32],
    runs: u16,
    json: bool,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let mut rows = Vec::new();
    for count in counts {
        let emulator = Emulator::start(Options::default()).await?;
        let account = emulator.control().create_account(AccountSpec::default()).await?;
        emulator.control().add_registrations(&account.id, REGION, *count).await?;
        let mut measured = Vec::new();
        for _ in 0..runs {
            measured.push(run(binary, home, emulator.endpoint(), &account, *count).await?);
        }
        measured.sort_by(|one, other| one.wall_s.total_cmp(&other.wall_s));
        rows.push(measured[measured.len() / 2]);
    }
    if json {
        writeln!(out, "{}", serde_json::to_string_pretty(&rows)?)?;
        return Ok(());
    }
    writeln!(out, "{:>13} {:>8} {:>8} {:>9}", "REGISTRATIONS", "WALL s", "ms EACH", "PEAK MiB")?;
    for row in rows {
        let peak = row.peak_mib.map_or_else(|| "-".to_owned(), |peak| format!("{peak:.1}"));
        writeln!(out, "{:>13} {:>8.2} {:>8.2} {peak:>9}", row.registrations, row.wall_s, row.ms_each)?;
    }
    Ok(())
}

const REGION: &str = "eu-west-1";

async fn run(binary: &Path, home: &Path, endpoint: &str, account: &Account, count: u32) -> Result<Row> {
    let clock = Instant::now();
    let mut child = Command::new(binary)
        .args(["list", "--no-contexts", "-o", "json"])
        .env_clear()
        .env("HOME", home)
        .env("NO_PROXY", "127.0.0.1")
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", &account.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &account.secret_access_key)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("could not run {}", binary.display()))?;
    let id = child.id().context("it has ended already")?;
    let watching = tokio::spawn(async move {
        let mut peak = None;
        while let Some(seen) = peak_kib(id) {
            peak = Some(seen);
            tokio::time::sleep(LOOK).await;
        }
        peak
    });
    let mut stdout = child.stdout.take().context("it has no output")?;
    let mut text = String::new();
    tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut text).await?;
    let status = child.wait().await?;
    let wall = clock.elapsed().as_secs_f64();
    ensure!(status.success(), "eksconnect list failed ({status})");
    let listed: serde_json::Value = serde_json::from_str(&text)?;
    let listed = listed["registrations"].as_array().map_or(0, Vec::len);
    ensure!(listed == count as usize, "it lists {listed} registrations of {count}");
    let peak = watching.await?;
    #[expect(clippy::cast_precision_loss, reason = "memory in KiB is a small number")]
    let peak_mib = peak.map(|kib| kib as f64 / 1024.0);
    Ok(Row { registrations: count, wall_s: wall, ms_each: wall * 1000.0 / f64::from(count.max(1)), peak_mib })
}

/// The most memory that a process has held so far, where there is /proc.
fn peak_kib(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
