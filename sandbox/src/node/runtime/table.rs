//! The images that the sandbox's registries have. This is the one place to add one.

use super::{Behaviour, agent, connector, pause, shell};

/// User name for [`PRIVATE_REGISTRY`].
pub const PULL_USER: &str = "puller";
/// Password for [`PRIVATE_REGISTRY`].
pub const PULL_PASSWORD: &str = "sandbox-pull-password";
/// A registry that wants credentials: [`PULL_USER`] and [`PULL_PASSWORD`].
pub const PRIVATE_REGISTRY: &str = "private.example.com";
/// A public copy of what eksconnect installs, as a company's own registry has it.
pub const MIRROR_REGISTRY: &str = "mirror.example.com";

/// A repository with its tags, and what its images do.
pub struct Image {
    /// Hosts of the registries that have it.
    pub registries: &'static [&'static str],
    /// Path of the repository.
    pub repository: &'static str,
    /// Tags; all behave alike.
    pub tags: &'static [&'static str],
    /// Platforms it is built for.
    pub platforms: Platforms,
    /// User that it runs as unless the pod says otherwise.
    pub user: i64,
    /// Program that runs when the pod names no command.
    pub entrypoint: &'static [&'static str],
    /// Arguments when the pod gives none.
    pub arguments: &'static [&'static str],
    /// Programs in the image by which a pod's command may start it.
    pub programs: &'static [&'static str],
    /// What it does.
    pub behaviour: Behaviour,
}

/// How an image's platforms are published. An index is checked when the image is pulled; a single manifest is pulled
/// anywhere, and its program fails on another machine.
pub enum Platforms {
    /// An index of manifests for these architectures.
    Index(&'static [&'static str]),
    /// One manifest, of this architecture.
    Single(&'static str),
}

/// Registries that exist and answer. Others cannot be resolved.
pub const REGISTRIES: &[&str] = &[
    "public.ecr.aws",
    "registry.k8s.io",
    "docker.io",
    "ghcr.io",
    "quay.io",
    MIRROR_REGISTRY,
    PRIVATE_REGISTRY,
];

/// Every known image.
pub const IMAGES: &[Image] = &[
    Image {
        registries: &["public.ecr.aws", MIRROR_REGISTRY, PRIVATE_REGISTRY],
        repository: "eks-connector/eks-connector",
        tags: &["0.0.11", "0.0.12"],
        platforms: Platforms::Single("amd64"),
        user: 0,
        entrypoint: &["/var/eks/connector"],
        arguments: &[],
        programs: &["/var/eks/connector"],
        behaviour: |process| Box::pin(connector::run(process)),
    },
    Image {
        registries: &["public.ecr.aws", MIRROR_REGISTRY, PRIVATE_REGISTRY],
        repository: "amazon-ssm-agent/amazon-ssm-agent",
        tags: &["3.2.2303.0", "3.3.1611.0"],
        platforms: Platforms::Index(&["amd64"]),
        user: 0,
        entrypoint: &["/opt/amazon-ssm-agent/amazon-ssm-agent"],
        arguments: &[],
        programs: &["/opt/amazon-ssm-agent/amazon-ssm-agent", "amazon-ssm-agent"],
        behaviour: |process| Box::pin(agent::run(process)),
    },
    Image {
        registries: &["registry.k8s.io"],
        repository: "pause",
        tags: &["3.10"],
        platforms: Platforms::Index(&["amd64", "arm64"]),
        user: 65535,
        entrypoint: &["/pause"],
        arguments: &[],
        programs: &["/pause"],
        behaviour: |process| Box::pin(pause::run(process)),
    },
    Image {
        registries: &["registry.k8s.io"],
        repository: "e2e-test-images/busybox",
        tags: &["1.36.1-1"],
        platforms: Platforms::Index(&["amd64", "arm64"]),
        user: 0,
        entrypoint: &[],
        arguments: &["sh"],
        programs: &["sh", "/bin/sh"],
        behaviour: |process| Box::pin(shell::run(process)),
    },
    // There is no other image for arm64 alone; this one shows what such a one does elsewhere.
    Image {
        registries: &["registry.k8s.io"],
        repository: "e2e-test-images/busybox-arm64",
        tags: &["1.36.1-1"],
        platforms: Platforms::Index(&["arm64"]),
        user: 0,
        entrypoint: &[],
        arguments: &["sh"],
        programs: &["sh", "/bin/sh"],
        behaviour: |process| Box::pin(shell::run(process)),
    },
];
