//! Formats, colours, quiet, and a terminal.

use std::process::Command;

use eksconnect_sandbox::aws::control::FaultKind;

use crate::support::{PATIENCE, Scene};

#[tokio::test]
async fn json_and_yaml_are_one_document_with_errors_included() {
    let scene = Scene::new().await;
    let run = scene.register(&["-o", "json"]).await.expect(0);
    let result = run.json();
    assert_eq!(result["apiVersion"], "eksconnect/v1");
    assert_eq!(result["registration"]["name"], "onprem1");
    assert_eq!((&result["changed"], &result["active"]), (&true.into(), &true.into()));
    let yaml = scene.register(&["-o", "yaml"]).await.expect(0).stdout;
    assert!(yaml.contains("kind: RegisterResult") && yaml.contains("changed: false"), "{yaml}");
    let error = scene.run(&["register", "--name", "onprem2", "-o", "json"]).await.expect(3).json();
    assert_eq!(
        (&error["kind"], &error["code"], &error["exitCode"]),
        (&"Error".into(), &"EKSC0403".into(), &3.into())
    );
}

#[tokio::test]
async fn quiet_shows_the_result_and_nothing_else() {
    let scene = Scene::new().await;
    let run = scene.register(&["-q"]).await.expect(0);
    assert_eq!(run.stderr, "");
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
}

#[tokio::test]
async fn colour_is_for_terminals_or_on_demand() {
    let mut scene = Scene::new().await;
    let plain = scene.register(&["--dry-run"]).await.expect(0);
    assert!(!plain.stderr.contains('\u{1b}') && !plain.stdout.contains('\u{1b}'));
    let always = scene.register(&["--dry-run", "--color", "always"]).await.expect(0);
    assert!(always.stderr.contains('\u{1b}') && always.stdout.contains('\u{1b}'));
    scene.set("CLICOLOR_FORCE", "1");
    assert!(scene.register(&["--dry-run"]).await.expect(0).stderr.contains('\u{1b}'));
    assert!(!scene.register(&["--dry-run", "--color", "never"]).await.expect(0).stderr.contains('\u{1b}'));
}

#[tokio::test]
async fn without_a_terminal_each_line_is_written_once() {
    let scene = Scene::new().await;
    let run = scene.register(&[]).await.expect(0);
    for title in ["Service-linked role", "Agent role", "Registration", "Objects", "Agent  "] {
        let lines = run.stderr.lines().filter(|line| line.contains(&format!("✓ {title}"))).count();
        assert_eq!(lines, 1, "{title}:\n{}", run.stderr);
    }
    assert!(!run.stderr.contains('\r'));
}

/// What a terminal would be sent.
fn on_a_terminal(scene: &Scene, arguments: &[&str], term: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eksconnect"));
    command.args(arguments).env_clear().envs(scene.environment()).env("TERM", term);
    let timeout = u64::try_from(PATIENCE.as_millis()).unwrap();
    let mut session = rexpect::session::spawn_command(command, Some(timeout)).unwrap();
    session.exp_eof().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_progress_is_live_and_the_end_is_tidy() {
    let scene = Scene::new().await;
    scene.fail("ssmmessages", "CreateControlChannel", FaultKind::Reset).await;
    let arguments = ["register", "--name", "onprem1", "--wait-timeout", "3s"];
    let sent = tokio::task::block_in_place(|| on_a_terminal(&scene, &arguments, "xterm"));
    assert!(sent.contains("2 of 2 ready"), "no live progress: {sent}");
    assert!(sent.contains("\u{1b}["), "no colour: {sent}");
    scene.heal().await;
    scene.register(&[]).await.expect(0);
    let sent =
        tokio::task::block_in_place(|| on_a_terminal(&scene, &["register", "--name", "onprem1"], "dumb"));
    assert!(!sent.contains('\u{1b}'), "TERM=dumb: {sent:?}");
    assert!(sent.contains("nothing to do"), "{sent}");
}
