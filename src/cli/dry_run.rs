//! `--dry-run`, as every command has it that changes something.

use clap::Args;

use super::global::OUTPUT;

/// Whether to show what would be changed instead of changing it, and how to end then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct DryRun {
    /// Show what would be changed, and change nothing
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,
    /// End a dry run with exit code 7 if something would be changed
    #[arg(long, requires = "dry_run", help_heading = OUTPUT)]
    pub detailed_exitcode: bool,
}

/// The same where changes can be shown field by field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Args)]
pub struct DiffRun {
    /// Whether, and how to end.
    #[command(flatten)]
    pub run: DryRun,
    /// Show in a dry run each field that would change in what exists
    #[arg(long, requires = "dry_run", help_heading = OUTPUT)]
    pub diff: bool,
}
