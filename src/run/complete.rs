//! Live values for completions: a shell waits for them, so they are found quickly or not at all.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::aws;
use crate::cli::Live;
use crate::environment;
use crate::kubernetes::{ClusterSettings, KubeContexts};
use crate::ports::{Contexts, Inventory};

/// How long a shell may wait.
const QUICK: Duration = Duration::from_secs(2);

/// The sources of live values, in the place that the words before name.
pub(super) fn live(arguments: &[OsString]) -> Live {
    let word = |option: &str, variable: &str| {
        let words: Vec<&str> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
        let after = words.iter().position(|word| *word == option).and_then(|index| words.get(index + 1));
        let joined = words.iter().find_map(|word| word.strip_prefix(option)?.strip_prefix('='));
        after.copied().or(joined).map(str::to_owned).or_else(|| environment::option(variable))
    };
    let kubeconfig = word("--kubeconfig", "EKSCONNECT_KUBECONFIG").map(PathBuf::from);
    let settings = aws::AwsSettings {
        region: word("--region", "EKSCONNECT_REGION"),
        profile: word("--profile", "EKSCONNECT_PROFILE"),
        profile_from_environment: environment::aws_profile(),
        max_attempts: Some("1".to_owned()),
        attempt_timeout: QUICK,
    };
    Live {
        names: Arc::new(move || names(&settings)),
        contexts: Arc::new(move || contexts(kubeconfig.clone())),
    }
}

fn contexts(kubeconfig: Option<PathBuf>) -> Vec<String> {
    let settings = ClusterSettings {
        kubeconfig,
        from_environment: environment::kubeconfig_files(),
        context: None,
        attempt_timeout: QUICK,
        plugin_timeout: QUICK,
    };
    KubeContexts::of(&settings).map(|contexts| contexts.names()).unwrap_or_default()
}

/// None where anything is in the way: whoever presses a key wants no error.
fn names(settings: &aws::AwsSettings) -> Vec<String> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return Vec::new();
    };
    let found = runtime.block_on(async {
        let asking = async {
            let aws = aws::connect(settings).await.ok()?;
            aws::EksInventory::new(&aws).names().await.ok()
        };
        tokio::time::timeout(QUICK, asking).await.ok().flatten()
    });
    runtime.shutdown_background();
    found.unwrap_or_default()
}
