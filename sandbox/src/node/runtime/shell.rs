//! A shell of a few commands, for workloads of tests: what is written for it also runs on a real cluster.
//!
//! `sh -c SCRIPT` with commands separated by `;`, `&&` or line ends: `echo`, `cat`, `printenv`, `test -f`, `sleep`,
//! `true`, `false`, `exit`, and `until COMMAND; do COMMAND; done` (not nested). Words are split at blanks; double or single quotes keep them together. There is no
//! expansion: `printenv NAME` prints a variable.

use std::time::Duration;

use super::Process;

/// Runs `sh`. As the first process of a container it ignores SIGTERM, as a shell does.
pub(super) async fn run(process: Process) -> i32 {
    let [flag, script, ..] = process.arguments.as_slice() else { return 0 };
    if flag != "-c" {
        process.log.write(format!("sh: can't open '{flag}': No such file or directory"));
        return 2;
    }
    let commands: Vec<&str> = script.split([';', '\n']).map(str::trim).collect();
    let (mut at, mut last, mut loop_start) = (0, 0, None);
    while let Some(command) = commands.get(at) {
        at += 1;
        let (looping, command) = match command.strip_prefix("until ") {
            Some(condition) => (true, condition),
            None => (false, command.strip_prefix("do ").unwrap_or(command)),
        };
        if command == "done" {
            at = loop_start.unwrap_or(at);
            continue;
        }
        match list(&process, command, last).await {
            Step::Exit(code) => return code,
            Step::Status(status) => last = status,
        }
        if looping {
            loop_start = Some(at - 1);
            if last == 0 {
                let done = commands.iter().skip(at).position(|command| *command == "done");
                at += done.map_or(0, |done| done + 1);
            }
        }
    }
    last
}

/// What a command leaves.
enum Step {
    /// Its status.
    Status(i32),
    /// The shell ends.
    Exit(i32),
}

/// Runs commands joined by `&&`.
async fn list(process: &Process, list: &str, mut last: i32) -> Step {
    for (place, command) in list.split("&&").enumerate() {
        if place > 0 && last != 0 {
            break;
        }
        let words = words(command);
        let Some((name, arguments)) = words.split_first() else { continue };
        if name == "exit" {
            return Step::Exit(arguments.first().map_or(last, |code| code.parse().unwrap_or(2)));
        }
        last = command_status(process, name, arguments).await;
    }
    Step::Status(last)
}

async fn command_status(process: &Process, name: &str, arguments: &[String]) -> i32 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match (name, words.as_slice()) {
        ("true", _) => 0,
        ("false", _) => 1,
        ("echo", words) => {
            process.log.write(if words.is_empty() { "\n".to_owned() } else { words.join(" ") });
            0
        }
        ("printenv", [name]) => match process.environment.get(*name) {
            Some(value) => {
                process.log.write(value);
                0
            }
            None => 1,
        },
        ("cat", paths) => {
            let mut status = 0;
            for path in paths {
                match process.files.read(path).await {
                    Ok(content) => process.log.write(String::from_utf8_lossy(&content)),
                    Err(_) => {
                        process.log.write(format!("cat: can't open '{path}': No such file or directory"));
                        status = 1;
                    }
                }
            }
            status
        }
        ("test", ["-f", path]) => i32::from(process.files.read(path).await.is_err()),
        ("sleep", ["infinity"]) => std::future::pending().await,
        ("sleep", [seconds]) => match seconds.parse() {
            Ok(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                0
            }
            Err(_) => {
                process.log.write(format!("sleep: invalid number '{seconds}'"));
                1
            }
        },
        _ => {
            process.log.write(format!("sh: {name}: not found"));
            127
        }
    }
}

/// Splits a command into words.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for character in command.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            Some(_) => word.get_or_insert_default().push(character),
            None if character == '"' || character == '\'' => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            None if character.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(character),
        }
    }
    words.extend(word);
    words
}
