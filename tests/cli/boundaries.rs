//! The boundaries between the modules are real: what is pure names no SDK, no client, no terminal, nothing
//! asynchronous; and each library stays in its own module (docs/architecture.md).

use std::path::{Path, PathBuf};

/// Where a crate or a word may be named, all else being out of bounds.
const RULES: [(&str, &[&str]); 12] = [
    ("aws_sdk_", &["aws/"]),
    ("aws_config", &["aws/"]),
    ("aws_smithy_types", &["aws/"]),
    ("kube::", &["kubernetes/"]),
    ("hyper_util", &["kubernetes/"]),
    ("clap", &["cli/", "run/"]),
    ("indicatif", &["output/"]),
    ("anstream", &["output/"]),
    ("println!", &[]),
    ("std::env::var", &["environment.rs"]),
    // The second is a type whose only way out leads to the first.
    ("expose_secret", &["activation_file.rs", "kubernetes/secrets.rs", "manifest/pull_secret.rs"]),
    ("crate::output", &["run/", "output/"]),
];

/// What is decided here can be tested without a network, a clock or a runtime.
const PURE: &[&str] = &[
    "access/ceiling.rs",
    "access/check.rs",
    "access/desired.rs",
    "access/grants.rs",
    "access/names.rs",
    "access/narrow.rs",
    "access/notes.rs",
    "access/objects.rs",
    "access/planner.rs",
    "access/principal.rs",
    "access/principal/choice.rs",
    "access/principal/message.rs",
    "access/principal/read.rs",
    "access/principal/unusable.rs",
    "access/removal.rs",
    "access/request.rs",
    "access/step.rs",
    "access/viewable.rs",
    "access/views.rs",
    "registration/activation.rs",
    "registration/deregister/belongs.rs",
    "registration/deregister/garbage.rs",
    "registration/deregister/planner.rs",
    "registration/deregister/remains.rs",
    "registration/deregister/request.rs",
    "registration/deregister/roles.rs",
    "registration/deregister/seen.rs",
    "registration/deregister/step.rs",
    "registration/deregister/target.rs",
    "registration/desired.rs",
    "registration/handed.rs",
    "registration/installed.rs",
    "registration/name.rs",
    "registration/observed.rs",
    "registration/planner.rs",
    "registration/proof.rs",
    "registration/provider.rs",
    "registration/refusal.rs",
    "registration/request.rs",
    "registration/rights.rs",
    "registration/rights/",
    "registration/role_drift.rs",
    "registration/roles.rs",
    "registration/scheduling.rs",
    "registration/situation.rs",
    "registration/step.rs",
    "registration/takeover.rs",
    "registration/remains.rs",
    "inventory/agents.rs",
    "inventory/identity.rs",
    "inventory/verdict.rs",
    "manifest/",
    "permissions/",
    "plan/mod.rs",
    "rbac/",
    "registration/upgrade/planner.rs",
    "registration/upgrade/request.rs",
];

const IMPURE: [&str; 8] =
    ["tokio", "async ", ".await", "std::fs", "std::net", "Timestamp::now", "Instant::now", "crate::ports"];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source file with the lines of code in it, below `src/`.
fn code() -> Vec<(String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    files
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            // Tests may use what they test with.
            let code = text.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
            let lines =
                code.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect();
            (name, lines)
        })
        .filter(|(name, _)| !name.ends_with("_tests.rs"))
        .collect()
}

fn within(name: &str, places: &[&str]) -> bool {
    places.iter().any(|place| name == *place || (place.ends_with('/') && name.starts_with(place)))
}

#[test]
fn each_library_stays_in_its_module() {
    let mut trespasses = Vec::new();
    for (name, lines) in code() {
        for (word, places) in RULES {
            if !within(&name, places) {
                trespasses.extend(
                    lines
                        .iter()
                        .filter(|line| line.contains(word))
                        .map(|line| format!("{name}: {}", line.trim())),
                );
            }
        }
    }
    assert!(trespasses.is_empty(), "{trespasses:#?}");
}

#[test]
fn what_is_pure_stays_pure() {
    let mut trespasses = Vec::new();
    let mut missing = PURE.to_vec();
    for (name, lines) in code().into_iter().filter(|(name, _)| within(name, PURE)) {
        missing.retain(|place| !within(&name, &[place]));
        for word in IMPURE {
            trespasses.extend(
                lines
                    .iter()
                    .filter(|line| line.contains(word))
                    .map(|line| format!("{name}: {}", line.trim())),
            );
        }
    }
    assert!(missing.is_empty(), "these were renamed: {missing:?}");
    assert!(trespasses.is_empty(), "{trespasses:#?}");
}
