//! All commands have the same habits. The table names every command; one that is missing fails the first test.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::documents::Schema;
use crate::support::{Run, Scene};

/// What a command does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Nothing, and it asks nobody.
    Offline,
    /// It reads.
    Reads,
    /// It changes something; a dry run writes a document of this schema.
    Changes { dry_run: &'static str },
}

/// A command of the table.
struct Habit {
    /// As it is called.
    words: &'static [&'static str],
    /// What else it needs to end well where onprem1 is registered and its cluster is the context's. `%HOME%` is a directory.
    more: &'static [&'static str],
    /// The schema of its document.
    schema: &'static str,
    /// What it does to the world.
    effect: Effect,
    /// What is run before, so that there is something to change.
    before: &'static [&'static [&'static str]],
    /// What makes it ask before it changes something.
    asks: Option<&'static [&'static str]>,
}

const fn offline(
    words: &'static [&'static str],
    more: &'static [&'static str],
    schema: &'static str,
) -> Habit {
    Habit { words, more, schema, effect: Effect::Offline, before: &[], asks: None }
}

const fn reads(words: &'static [&'static str], more: &'static [&'static str], schema: &'static str) -> Habit {
    Habit { words, more, schema, effect: Effect::Reads, before: &[], asks: None }
}

const fn changes(
    words: &'static [&'static str],
    more: &'static [&'static str],
    (schema, dry_run): (&'static str, &'static str),
    asks: Option<&'static [&'static str]>,
) -> Habit {
    Habit { words, more, schema, effect: Effect::Changes { dry_run }, before: &[], asks }
}

const NAME: &[&str] = &["--name", "onprem1"];

const SELF: &[&str] = &["--principal", "self"];

const GRANT: Habit = Habit {
    before: &[&["register", "--name", "onprem1"]],
    ..changes(&["grant-view"], SELF, ("grant-view-result", "grant-view-plan"), None)
};

const REVOKE: Habit = Habit {
    before: &[&["register", "--name", "onprem1"], &["grant-view", "--principal", "self"]],
    ..changes(&["revoke-view"], SELF, ("revoke-view-result", "revoke-view-plan"), None)
};

/// Where the registration is another one there is nothing to do.
const DEREGISTER: Habit = Habit {
    before: &[&[
        "register",
        "--name",
        "gone",
        "--provider",
        "OTHER",
        "--aws-only",
        "--activation-out",
        "%HOME%/gone.json",
    ]],
    ..changes(
        &["deregister"],
        &["--name", "gone", "--aws-only", "--allow-missing"],
        ("deregister-result", "deregister-plan"),
        Some(NAME),
    )
};

const UPGRADE: Habit = Habit {
    before: &[&["register", "--name", "onprem1", "--network-policy", "egress"]],
    ..changes(
        &["upgrade"],
        &["--name", "onprem1", "--network-policy", "ingress"],
        ("upgrade-result", "upgrade-plan"),
        None,
    )
};

const GC: Habit = Habit {
    before: &[&["roles", "create", "--role-name", "Unused"]],
    ..changes(&["gc"], &["--aws-only", "--older-than", "1ms"], ("gc-result", "gc-plan"), None)
};

/// Every command. Those that take the registration away come last.
const HABITS: &[Habit] = &[
    changes(
        &["register"],
        NAME,
        ("register-result", "register-plan"),
        Some(&["--name", "onprem1", "--renew"]),
    ),
    GRANT,
    // They look at what was granted just now.
    reads(&["list-views"], &[], "views"),
    reads(&["verify-view"], SELF, "view-verification"),
    reads(&["view"], SELF, "view"),
    REVOKE,
    reads(&["status"], &[], "registration-status"),
    reads(&["list"], &[], "registration-list"),
    reads(&["whoami"], &[], "whoami"),
    reads(&["roles", "show"], &[], "roles"),
    changes(&["roles", "create"], &[], ("roles-result", "roles-plan"), None),
    offline(
        &["render"],
        &[
            "--activation-id",
            "01234567-89ab-cdef-0123-456789abcdef",
            "--force",
            "--kustomize",
            "%HOME%/rendered",
        ],
        "render-result",
    ),
    offline(&["explain"], &["EKSC0412"], "error-page"),
    offline(&["iam-policy"], &["register"], "caller-policy"),
    offline(&["completions"], &["bash"], "completions"),
    offline(&["man"], &["register"], "manual-page"),
    UPGRADE,
    GC,
    DEREGISTER,
];

/// The options of every command.
const GLOBAL: [&str; 10] = [
    "--region",
    "--profile",
    "--context",
    "--kubeconfig",
    "--timeout",
    "--yes",
    "--output",
    "--quiet",
    "--verbose",
    "--color",
];

fn schema(name: &str) -> Schema {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.json"));
    Schema::new(&std::fs::read_to_string(path).unwrap())
}

async fn run(scene: &Scene, habit: &Habit, more: &[&str]) -> Run {
    let home = scene.lease.home().display().to_string();
    let words = habit.words.iter().chain(habit.more).map(|word| word.replace("%HOME%", &home));
    let words: Vec<String> = words.chain(more.iter().map(|word| (*word).to_owned())).collect();
    scene.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// The account, and what is in the cluster beyond a new one: what was asked for, not what became of it.
async fn world(scene: &Scene) -> (Value, BTreeSet<String>) {
    let dump = scene.account().await;
    let account = &dump["accounts"][&scene.lease.account().id];
    let region = &account["regions"][scene.lease.region()];
    let objects = scene.lease.surplus().await.unwrap();
    let objects = objects
        .iter()
        .map(|object| {
            let metadata = &object.metadata;
            let kind = object.types.as_ref().map(|types| types.kind.as_str()).unwrap_or_default();
            let (uid, name) =
                (metadata.uid.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
            format!("{kind} {name} {uid} {:?} {:?}", metadata.generation, metadata.labels)
        })
        // Events come late, and a Lease is renewed while it is held.
        .filter(|object| !object.starts_with("Event ") && !object.starts_with("Lease "))
        .collect();
    (json!([account["roles"], region["registrations"], region["activations"]]), objects)
}

#[tokio::test]
async fn every_command_is_in_the_table() {
    let scene = Scene::new().await;
    let pages = scene.run(&["man", "--list"]).await.expect(0).stdout;
    let pages: BTreeSet<&str> = pages.lines().filter_map(|page| page.strip_suffix(".1")).collect();
    // A command with subcommands does nothing by itself. list-views is a command, and none of list's.
    let below =
        |page: &str, other: &str| other != "eksconnect-list-views" && other.starts_with(&format!("{page}-"));
    let leaves =
        pages.iter().filter(|page| **page != "eksconnect" && !pages.iter().any(|other| below(page, other)));
    let named: BTreeSet<String> =
        HABITS.iter().map(|habit| format!("eksconnect-{}", habit.words.join("-"))).collect();
    assert_eq!(leaves.map(|page| (*page).to_owned()).collect::<BTreeSet<_>>(), named);
}

#[tokio::test]
async fn help_begins_with_a_sentence_and_examples_and_names_the_options_of_every_command() {
    let scene = Scene::new().await;
    for habit in HABITS {
        let words = habit.words.join(" ");
        let help = scene.run(&[habit.words, &["--help"]].concat()).await.expect(0).stdout;
        let first = help.lines().next().unwrap();
        assert!(!first.ends_with('.') && first.len() > 10, "{words}: {first}");
        let (examples, usage) = (help.find("Examples:"), help.find("Usage:"));
        assert!(examples.is_some() && examples < usage, "{words}: {help}");
        assert!(help.contains(&format!("  eksconnect {words}")), "{words} has no example of its own: {help}");
        for option in GLOBAL {
            assert!(help.contains(option), "{words} does not show {option}: {help}");
        }
        assert!(help.contains("Examples:"), "{words}");
    }
}

#[tokio::test]
async fn a_wrong_option_is_refused_with_a_code_in_every_format() {
    let scene = Scene::new().await;
    let error = schema("error");
    for habit in HABITS {
        let wrong = run(&scene, habit, &["--nonsense"]).await.expect_error("EKSC0107", 2);
        assert_eq!(wrong.stdout, "", "{:?}", habit.words);
        let document = run(&scene, habit, &["--nonsense", "-o", "json"]).await.expect(2).json();
        error.fits(&document);
        assert_eq!((&document["code"], &document["exitCode"]), (&json!("EKSC0107"), &json!(2)));
    }
}

#[tokio::test]
async fn every_result_is_one_document_that_fits_its_schema_and_reads_change_nothing() {
    let mut scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    for habit in HABITS {
        let schema = schema(habit.schema);
        // So that everything is as the command would make it.
        run(&scene, habit, &["--yes"]).await.expect(0);
        let before = (world(&scene).await, scene.last_call().await);
        let json = run(&scene, habit, &["-o", "json"]).await.expect(0);
        let document = json.json();
        schema.fits(&document);
        let kind = document["kind"].as_str().unwrap();
        let yaml = run(&scene, habit, &["-o", "yaml"]).await.expect(0).stdout;
        assert!(yaml.contains(&format!("kind: {kind}")), "{:?}: {yaml}", habit.words);
        // A variable says the same as its option, and quiet leaves the result alone.
        scene.set("EKSCONNECT_OUTPUT", "json");
        let quiet = run(&scene, habit, &["--quiet"]).await.expect(0);
        scene.unset("EKSCONNECT_OUTPUT");
        assert_eq!((quiet.json()["kind"].as_str(), quiet.stderr.as_str()), (Some(kind), ""));
        let text = run(&scene, habit, &["--color", "never", "--yes"]).await.expect(0);
        assert!(!text.stdout.is_empty() && !text.stdout.contains('\u{1b}'), "{:?}", habit.words);
        let calls = scene.calls_since(before.1).await;
        match habit.effect {
            Effect::Offline => assert_eq!(calls, Vec::<String>::new(), "{:?}", habit.words),
            // Here everything is as it should be, so that these have nothing to do either.
            Effect::Reads | Effect::Changes { .. } => {
                let writes = calls.iter().filter(|call| {
                    ![":Get", ":List", ":Describe", ":Simulate"].iter().any(|verb| call.contains(verb))
                });
                assert_eq!(writes.collect::<Vec<_>>(), Vec::<&String>::new(), "{:?}", habit.words);
            }
        }
        assert_eq!(world(&scene).await, before.0, "{:?}", habit.words);
    }
}

#[tokio::test]
async fn a_dry_run_shows_what_would_change_and_changes_nothing() {
    let scene = Scene::new().await;
    // First those that begin with nothing.
    let mut habits: Vec<&Habit> = HABITS.iter().collect();
    habits.sort_by_key(|habit| habit.before.len());
    for habit in habits {
        let Effect::Changes { dry_run } = habit.effect else { continue };
        let home = scene.lease.home().display().to_string();
        for arguments in habit.before {
            let words: Vec<String> = arguments.iter().map(|word| word.replace("%HOME%", &home)).collect();
            scene.run(&words.iter().map(String::as_str).collect::<Vec<_>>()).await.expect(0);
        }
        let before = world(&scene).await;
        let plan = run(&scene, habit, &["--dry-run", "-o", "json"]).await.expect(0).json();
        schema(dry_run).fits(&plan);
        assert_eq!(plan["changes"], true, "{:?}: {plan:#}", habit.words);
        run(&scene, habit, &["--dry-run", "--detailed-exitcode"]).await.expect(7);
        assert_eq!(world(&scene).await, before, "{:?}", habit.words);
    }
}

#[tokio::test]
async fn nothing_is_changed_that_is_asked_about_where_nobody_can_answer() {
    let scene = Scene::new().await;
    scene.register(&[]).await.expect(0);
    let before = world(&scene).await;
    for habit in HABITS {
        let Some(asks) = habit.asks else { continue };
        let run = scene.run(&[habit.words, asks].concat()).await.expect_error("EKSC0112", 3);
        run.says(&["--yes"]);
        let error = scene.run(&[habit.words, asks, &["-o", "json"]].concat()).await.expect(3).json();
        schema("error").fits(&error);
        assert_eq!(world(&scene).await, before, "{:?}", habit.words);
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_an_error_with_a_page() {
    let mut scene = Scene::new().await;
    scene.set("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    scene.set("AWS_MAX_ATTEMPTS", "1");
    // Without AWS, list-views shows what the cluster says.
    let asking =
        HABITS.iter().filter(|habit| habit.effect != Effect::Offline && habit.words != ["list-views"]);
    for habit in asking {
        let error = run(&scene, habit, &["-o", "json", "--timeout", "5s"]).await.expect(1).json();
        schema("error").fits(&error);
        let code = error["code"].as_str().unwrap();
        assert!(code.starts_with("EKSC02"), "{:?}: {error:#}", habit.words);
        let page = scene.run(&["explain", code]).await.expect(0).stdout;
        assert!(page.starts_with(&format!("# {code}: ")), "{page}");
    }
}
