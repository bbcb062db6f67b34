//! The options of a registration that two administrators make, each one's half.

use std::path::PathBuf;

use clap::Args;

const HALVES: &str = "Two administrators";

/// Which half, and the file between the two.
#[derive(Debug, Args)]
pub(super) struct HalfArgs {
    /// Make only the roles and the registration; no cluster is needed
    #[arg(
        long,
        requires = "activation_out",
        conflicts_with_all = [
            "cluster_only", "namespace", "no_wait", "wait_timeout", "replicas", "connector_image", "agent_image",
            "node_selector", "toleration", "image_registry", "https_proxy", "no_proxy", "proxy_ca_file",
            "network_policy", "pull_secret_file", "renew", "replace", "adopt", "grant_view",
        ],
        help_heading = HALVES
    )]
    pub(super) aws_only: bool,
    /// File for the activation, to be made: for its owner alone, it has the code in it
    // What an option needs is not asked for where that is in conflict with another: so each names its own conflicts.
    #[arg(long, value_name = "FILE", requires = "aws_only", conflicts_with = "cluster_only", help_heading = HALVES)]
    pub(super) activation_out: Option<PathBuf>,
    /// Only connect the cluster, with an activation that was handed over; no AWS credentials are needed
    #[arg(
        long,
        requires = "activation_file",
        conflicts_with_all = [
            "provider", "role_name", "role_path", "role_permissions_boundary", "role_tags", "role_arn", "tags",
            "renew", "replace", "grant_view",
        ],
        help_heading = HALVES
    )]
    pub(super) cluster_only: bool,
    /// What --activation-out wrote, or aws eks register-cluster printed; - for standard input
    #[arg(
        long,
        value_name = "FILE|-",
        requires = "cluster_only",
        conflicts_with_all = ["aws_only", "activation_out"],
        help_heading = HALVES
    )]
    pub(super) activation_file: Option<PathBuf>,
}
