//! What is generated from the command line itself, and committed under completions/: byte for byte what the binary prints.
//! `EKSCONNECT_REGENERATE=1 cargo test --test cli generated` writes it anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::support::Scene;

fn eksconnect(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eksconnect")).args(arguments).env_clear().output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = eksconnect(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions")
}

/// Every file that is committed, by its path below completions/.
fn generated() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for (shell, file) in [
        ("bash", "eksconnect.bash"),
        ("zsh", "_eksconnect"),
        ("fish", "eksconnect.fish"),
        ("elvish", "eksconnect.elv"),
        ("powershell", "eksconnect.ps1"),
    ] {
        files.insert(file.to_owned(), printed(&["completions", shell]));
    }
    for page in printed(&["man", "--list"]).lines() {
        // eksconnect-roles-show.1 is of the words `roles show`; some commands have a dash in their name.
        let name = page.strip_suffix(".1").unwrap();
        let words = name.strip_prefix("eksconnect-");
        let text = match words {
            None => printed(&["man"]),
            Some(words) => printed(&["man", words]),
        };
        files.insert(format!("man/{page}"), text);
    }
    files
}

fn present() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for directory in ["", "man"] {
        for entry in std::fs::read_dir(committed().join(directory)).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let name = path.strip_prefix(committed()).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    files
}

#[expect(clippy::disallowed_methods, reason = "it is whoever runs the tests who wants the files anew")]
fn wants_them_anew() -> bool {
    std::env::var_os("EKSCONNECT_REGENERATE").is_some()
}

#[test]
fn what_is_committed_is_what_the_binary_prints() {
    let generated = generated();
    if wants_them_anew() {
        drop(std::fs::remove_dir_all(committed()));
        std::fs::create_dir_all(committed().join("man")).unwrap();
        for (name, text) in &generated {
            std::fs::write(committed().join(name), text).unwrap();
        }
    }
    let present = present();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    let how = "write them anew: EKSCONNECT_REGENERATE=1 cargo test --test cli generated";
    assert_eq!(names(&present), names(&generated), "{how}");
    for (name, text) in &generated {
        assert!(present[name] == *text, "completions/{name} is out of date; {how}");
    }
    assert!(present["man/eksconnect-register.1"].contains(".SH EXAMPLES"));
}

/// What a shell gets for the last of these words.
async fn completed(scene: &Scene, words: &[&str]) -> Vec<String> {
    let mut command = scene.command(&[&["--"], words].concat());
    command.env("EKSCONNECT_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string());
    let output = command.env("_CLAP_IFS", "\n").output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn shells_complete_commands_options_and_what_there_is() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().id.clone();
    scene.lease.aws().add_registrations(&account, "eu-west-1", 2).await.unwrap();
    scene.lease.aws().add_registrations(&account, "us-east-1", 1).await.unwrap();
    assert_eq!(completed(&scene, &["eksconnect", "who"]).await, ["whoami"]);
    assert!(
        completed(&scene, &["eksconnect", "status", "--wait-f"]).await.contains(&"--wait-for".to_owned())
    );
    let names = completed(&scene, &["eksconnect", "status", "--name", "m"]).await;
    assert_eq!(names, ["many-0001", "many-0002"]);
    let elsewhere = ["eksconnect", "--region", "us-east-1", "whoami", "--name", ""];
    assert_eq!(completed(&scene, &elsewhere).await, ["many-0001"]);
    let kubeconfig = std::fs::read_to_string(scene.lease.kubeconfig()).unwrap();
    let current = kubeconfig.lines().find_map(|line| line.strip_prefix("current-context: ")).unwrap();
    let contexts = completed(&scene, &["eksconnect", "register", "--context", ""]).await;
    assert_eq!(contexts, [current.trim_matches('"')]);
    // Those who can look in are whom a view can be taken from.
    let viewer = crate::grants::role(&scene, "Viewer").await;
    let taken = ["eksconnect", "revoke-view", "--principal", ""];
    assert_eq!(completed(&scene, &taken).await, Vec::<String>::new());
    scene.register(&[]).await.expect(0);
    scene.run(&["grant-view", "--principal", &viewer]).await.expect(0);
    assert_eq!(completed(&scene, &taken).await, [viewer]);
    assert_eq!(
        completed(&scene, &["eksconnect", "grant-view", "--principal", ""]).await,
        Vec::<String>::new()
    );
    // Whoever presses a key wants no error, and no waiting.
    scene.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    assert_eq!(completed(&scene, &["eksconnect", "status", "--name", ""]).await, Vec::<String>::new());
}

#[test]
fn bash_reads_the_script() {
    let script = printed(&["completions", "bash"]);
    let output = Command::new("bash").args(["-n", "-c", &script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn alone_it_shows_where_to_begin_and_a_wrong_page_is_refused() {
    let output = eksconnect(&[]);
    let text = String::from_utf8(output.stderr).unwrap();
    let (begin, rest) = (text.find("Begin here:"), text.find("See what there is:"));
    assert!(begin.is_some() && begin < rest, "{text}");
    let output = eksconnect(&["man", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("eksconnect man --list"));
}
