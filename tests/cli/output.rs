//! Formats, colours, quiet, and a terminal.

use std::process::Command;

use eksconnect_sandbox::aws::control::FaultKind;
use rexpect::session::PtySession;
use serde_json::json;

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

/// A run on a terminal that is called `term`.
fn on_a_terminal(scene: &Scene, arguments: &[&str], term: &str) -> PtySession {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eksconnect"));
    command.args(arguments).env_clear().envs(scene.environment()).env("TERM", term);
    let timeout = u64::try_from(PATIENCE.as_millis()).unwrap();
    rexpect::session::spawn_command(command, Some(timeout)).unwrap()
}

/// All that a terminal would be sent.
fn shown(scene: &Scene, arguments: &[&str], term: &str) -> String {
    tokio::task::block_in_place(|| on_a_terminal(scene, arguments, term).exp_eof().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_terminal_progress_is_live_and_the_end_is_tidy() {
    let scene = Scene::new().await;
    scene.fail("ssmmessages", "CreateControlChannel", FaultKind::Reset).await;
    let arguments = ["register", "--name", "onprem1", "--wait-timeout", "3s"];
    let sent = shown(&scene, &arguments, "xterm");
    assert!(sent.contains("2 of 2 ready"), "no live progress: {sent}");
    assert!(sent.contains("\u{1b}["), "no colour: {sent}");
    scene.heal().await;
    scene.register(&[]).await.expect(0);
    let sent = shown(&scene, &["register", "--name", "onprem1"], "dumb");
    assert!(!sent.contains('\u{1b}'), "TERM=dumb: {sent:?}");
    assert!(sent.contains("nothing to do"), "{sent}");
}

/// What sets a colour or a weight (ECMA-48, SGR); moving about and erasing is something else.
fn coloured(sent: &str) -> bool {
    let sequences = sent.split("\u{1b}[").skip(1);
    sequences.filter_map(|rest| rest.find(|c: char| c.is_ascii_alphabetic()).map(|end| (rest, end))).any(
        // `0` sets everything back, and is no colour.
        |(rest, end)| rest[end..].starts_with('m') && !matches!(&rest[..end], "" | "0"),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_takes_the_colour_and_leaves_the_progress() {
    let mut scene = Scene::new().await;
    let arguments = ["register", "--name", "onprem1"];
    assert!(coloured(&shown(&scene, &["register", "--name", "onprem1", "--dry-run"], "xterm")));
    for (name, value) in [("NO_COLOR", "1"), ("EKSCONNECT_COLOR", "never")] {
        scene.set(name, value);
        let sent = shown(&scene, &arguments, "xterm");
        assert!(!coloured(&sent), "{name}: {sent:?}");
        assert!(sent.contains("ready") && sent.contains("\u{1b}["), "{name}: no live progress: {sent:?}");
        assert!(sent.contains("is ACTIVE after"), "{name}: {sent}");
        scene.unset(name);
        scene.lease.start_over().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_asked_on_a_terminal_and_only_yes_is_yes() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let first = scene.registrations().await["onprem1"]["activation_id"].clone();
    let renew = ["register", "--name", "onprem1", "--renew"];
    let answered = |answer: &str| {
        tokio::task::block_in_place(|| {
            let mut session = on_a_terminal(&scene, &renew, "xterm");
            let asked = session.exp_string("[y/N]").unwrap();
            session.send_line(answer).unwrap();
            asked + &session.exp_eof().unwrap()
        })
    };
    for no in ["", "n", "no", "yeah"] {
        let said = answered(no);
        assert!(said.contains("EKSC0112") && said.contains("nothing was changed"), "{no:?}: {said}");
        assert!(said.contains("(ACTIVE) is removed and made anew"), "what is asked about is shown: {said}");
        assert_eq!(scene.registrations().await["onprem1"]["activation_id"], first, "{no:?}");
    }
    let said = answered("y");
    assert!(said.contains("is ACTIVE after"), "{said}");
    assert_ne!(scene.registrations().await["onprem1"]["activation_id"], first);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_logs_in_elsewhere_while_a_question_is_open_is_stopped() {
    let [mut scene, other] = Scene::two().await;
    scene.register(&[]).await.expect(0);
    let before = (scene.registrations().await, other.account().await);
    // Credentials that are good for a moment, as those of a session are: they are asked for again and again.
    let credentials = |of: &Scene| {
        let account = of.lease.account();
        let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(5);
        json!({
            "Version": 1, "AccessKeyId": account.access_key_id, "SecretAccessKey": account.secret_access_key,
            "Expiration": soon.to_string(),
        })
        .to_string()
    };
    let file = scene.home_file("session.json", &credentials(&scene));
    scene.home_file(
        ".aws/config",
        &format!("[profile session]\ncredential_process = cat {}\n", file.display()),
    );
    scene.unset("AWS_ACCESS_KEY_ID");
    scene.unset("AWS_SECRET_ACCESS_KEY");
    scene.set("AWS_PROFILE", "session");
    let said = tokio::task::block_in_place(|| {
        let mut session = on_a_terminal(&scene, &["register", "--name", "onprem1", "--renew"], "xterm");
        session.exp_string("[y/N]").unwrap();
        std::fs::write(&file, credentials(&other)).unwrap();
        session.send_line("y").unwrap();
        session.exp_eof().unwrap()
    });
    assert!(said.contains("error[EKSC0417]"), "{said}");
    assert!(said.contains(&other.lease.account().id), "{said}");
    assert_eq!((scene.registrations().await, other.account().await), before);
}
