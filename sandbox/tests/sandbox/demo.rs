//! The demo, as far as it can be seen without eksconnect: it does not believe a program that only claims success.

use std::process::{Command, Stdio};

#[test]
fn a_registration_that_did_not_happen_fails_the_demo() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_eksconnect-sandbox"))
        .args(["demo", "--eksconnect", "/bin/true", "--directory"])
        .arg(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (shown, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{shown}{said}");
    assert_eq!(shown.matches("\n$ eksconnect register --name onprem1\n").count(), 2, "{shown}");
    assert!(said.contains("No cluster found for name: onprem1."), "{said}");
    let left = std::fs::read_dir(directory.path()).unwrap().count();
    assert_eq!(left, 0, "its files are gone");
}
