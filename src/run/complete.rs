//! Live values for completions: a shell waits for them, so they are found quickly or not at all.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access::grants::grants;
use crate::aws;
use crate::cli::Live;
use crate::environment;
use crate::kubernetes::{ClusterSettings, KubeContexts, KubernetesCluster, connect};
use crate::manifest::DEFAULT_NAMESPACE;
use crate::ports::{Access, Contexts, Inventory};

/// How long a shell may wait.
const QUICK: Duration = Duration::from_secs(2);

/// The sources of live values, in the place that the words before name.
pub(super) fn live(arguments: &[OsString]) -> Live {
    let written = |option: &str| {
        let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
        let after = words.iter().position(|word| *word == option).and_then(|index| words.get(index + 1));
        let joined = words.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
        after.copied().or(joined).map(str::to_owned)
    };
    let word = |option: &str, variable: &str| written(option).or_else(|| environment::option(variable));
    let cluster = ClusterSettings {
        kubeconfig: word("--kubeconfig", "EKSCONNECT_KUBECONFIG").map(PathBuf::from),
        from_environment: environment::kubeconfig_files(),
        context: word("--context", "EKSCONNECT_CONTEXT"),
        attempt_timeout: QUICK,
        plugin_timeout: QUICK,
    };
    let of_all = ClusterSettings { context: None, ..cluster.clone() };
    let namespace = written("--namespace").unwrap_or_else(|| DEFAULT_NAMESPACE.to_owned());
    let settings = aws::AwsSettings {
        region: word("--region", "EKSCONNECT_REGION"),
        profile: word("--profile", "EKSCONNECT_PROFILE"),
        profile_from_environment: environment::aws_profile(),
        max_attempts: Some("1".to_owned()),
        attempt_timeout: QUICK,
    };
    Live {
        names: Arc::new(move || names(&settings)),
        contexts: Arc::new(move || contexts(&of_all)),
        principals: Arc::new(move || principals(&cluster, &namespace)),
    }
}

fn contexts(settings: &ClusterSettings) -> Vec<String> {
    KubeContexts::of(settings).map(|contexts| contexts.names()).unwrap_or_default()
}

fn names(settings: &aws::AwsSettings) -> Vec<String> {
    quickly(async {
        let aws = aws::connect(settings).await.ok()?;
        aws::EksInventory::new(&aws).names().await.ok()
    })
}

fn principals(settings: &ClusterSettings, namespace: &str) -> Vec<String> {
    quickly(async {
        let cluster = KubernetesCluster::new(connect(settings).await.ok()?);
        let rules = cluster.rules().await.ok()?;
        Some(grants(&rules, namespace).principals.into_iter().map(|principal| principal.name).collect())
    })
}

/// What is found in time. Nothing where anything is in the way: whoever presses a key wants no error.
fn quickly(finding: impl Future<Output = Option<Vec<String>>>) -> Vec<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let found = runtime.block_on(async { tokio::time::timeout(QUICK, finding).await.ok().flatten() });
    runtime.shutdown_background();
    found.unwrap_or_default()
}
