//! What `iam-policy` shows.

use serde_json::{Value, json};

use super::console::Console;
use super::document::API_VERSION;
use crate::cli::{Format, Language, PolicyRequest};
use crate::permissions::{Command, actions, document, hcl, template};

/// A policy in the language that is asked for; with `-o json|yaml` each action with what it is for.
pub fn policy(console: &Console, request: &PolicyRequest, language: Language) {
    let document = document(&request.commands, &request.place);
    let text = match language {
        Language::Json => serde_json::to_string_pretty(&document).unwrap_or_default(),
        Language::Terraform => hcl(&document, &request.commands),
        Language::Cloudformation => template(&document, &request.commands),
    };
    if console.format() == Format::Text {
        return console.result(text.trim_end());
    }
    let commands: Vec<&str> = request.commands.iter().map(|command| command.name()).collect();
    console.document(&json!({
        "apiVersion": API_VERSION,
        "kind": "CallerPolicy",
        "commands": commands,
        "policy": document,
        "actions": reasons(&request.commands),
        "language": match language {
            Language::Json => "json",
            Language::Terraform => "terraform",
            Language::Cloudformation => "cloudformation",
        },
        "text": text,
    }));
}

fn reasons(commands: &[Command]) -> Vec<Value> {
    let mut reasons = Vec::new();
    for action in actions(commands) {
        for used in action.uses.iter().filter(|one| commands.contains(&one.command)) {
            reasons.push(json!({
                "action": action.name,
                "command": used.command.name(),
                "need": used.need.to_string(),
                "for": used.reason,
            }));
        }
    }
    reasons
}
