//! A part of the matrix: commands that are killed after each of their calls, and calls that fail in every way. The whole
//! takes too long for every change: `cargo sandbox matrix`.

use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};

use eksconnect_sandbox::Progress;
use eksconnect_sandbox::matrix::{Choice, Report, Setting, try_out};

/// Into how many parts the matrix is cut. One takes about two minutes on two cores.
const PARTS: u64 = 96;

/// What the matrix depends on, but for tests and documents.
const SOURCES: [&str; 5] = ["src", "sandbox/src", "templates", "policies", "Cargo.lock"];

/// Of which commands every cell is known to end well. A part of a new command's would be bad for what is known.
const PROVEN: [&str; 6] = ["register", "grant-view", "revoke-view", "deregister", "upgrade", "gc"];

/// Cells that have shown a defect. They are tried with every change.
const ONCE_BAD: [&str; 15] = [
    // An object that was made, and whose answer was lost, was neither undone nor listed.
    "register/k8s/apply:clusterroles/malformed/lasting",
    "register/k8s/apply:namespaces/reset-after/lasting",
    // The next attempt found it, and it did not count as made.
    "register/k8s/apply:serviceaccounts/reset-before/lasting",
    // So it was with the roles.
    "register/aws/iam:CreateRole/reset-after/lasting",
    "register/aws/iam:CreateServiceLinkedRole/reset-after/lasting",
    // An answer that lost its end was final.
    "register/aws/eks:DescribeCluster/malformed/once",
    "register/aws/iam:GetRole/malformed/once",
    "register/k8s/create:leases/malformed/once",
    // Who may not read the agent role waited three minutes for one that nobody had made.
    "register/aws/iam:GetRole/denied/lasting",
    // A Lease that could not be taken was taken for agents of which some may have been upgraded.
    "upgrade/k8s/update:leases/500/lasting",
    // A watch whose beginning never came was waited for until the end.
    "register/k8s/list:statefulsets@namespace/hang/once",
    // A page that is not JSON and does not say that it is was final.
    "deregister/k8s/get:securitycontextconstraints/malformed/once",
    // Agents that could not be seen were taken for agents that do not work.
    "upgrade/k8s/list:statefulsets@namespace/500/lasting",
    "register/k8s/watch:statefulsets/hang/once",
    // A failed call was not named.
    "register/k8s/watch:pods/hang/lasting",
];

async fn tried(choice: Choice) -> Report {
    let setting = Setting {
        binary: Path::new(env!("CARGO_BIN_EXE_eksconnect")),
        directory: &Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix"),
        // The other tests need some too.
        clusters: 2,
        progress: Progress::silent(),
    };
    let report = try_out(&choice, &setting).await.unwrap();
    let mut table = Vec::new();
    report.write(&mut table).unwrap();
    Progress::stderr().say(&String::from_utf8(table).unwrap());
    report
}

/// Every change of the sources chooses another part.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_the_sources_choose() {
    let part = hash() % PARTS;
    Progress::stderr().say(&format!("Part {} of {PARTS} of the matrix, as the sources choose:", part + 1));
    let report = tried(Choice {
        commands: PROVEN.map(str::to_owned).to_vec(),
        part: Some((part, PARTS)),
        ..Choice::default()
    })
    .await;
    assert!(report.tried() > 0);
    assert_eq!(report.bad(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_once_ended_badly() {
    let only = ONCE_BAD.map(str::to_owned).to_vec();
    let report = tried(Choice { only, ..Choice::default() }).await;
    assert_eq!(report.tried(), ONCE_BAD.len(), "a cell is no longer called so");
    assert_eq!(report.bad(), []);
}

/// Another number for every change of the sources.
pub(crate) fn hash() -> u64 {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut left: Vec<PathBuf> = SOURCES.iter().map(|source| root.join(source)).collect();
    let mut files = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            files.push(path);
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    for file in files {
        hasher.write(file.strip_prefix(root).unwrap().as_os_str().as_encoded_bytes());
        hasher.write(&std::fs::read(file).unwrap());
    }
    hasher.finish()
}
