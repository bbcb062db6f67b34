//! A policy as CloudFormation reads it.

use super::policy::{Document, Statement};
use super::table::Command;

/// A template that makes a managed policy. Without a name of its own it needs `CAPABILITY_IAM` alone.
pub fn template(document: &Document, commands: &[Command]) -> String {
    let commands: Vec<&str> = commands.iter().map(|command| command.name()).collect();
    let statements: String = document.statement.iter().map(statement).collect();
    format!(
        "AWSTemplateFormatVersion: \"2010-09-09\"\nDescription: What the caller of eksconnect {} needs\nResources:\n  \
         EksconnectCaller:\n    Type: AWS::IAM::ManagedPolicy\n    Properties:\n      PolicyDocument:\n        Version: \
         \"{}\"\n        Statement:\n{statements}Outputs:\n  PolicyArn:\n    Value: !Ref EksconnectCaller\n",
        commands.join(", "),
        document.version,
    )
}

fn statement(statement: &Statement) -> String {
    let list = |values: &mut dyn Iterator<Item = &str>, indent: usize| -> String {
        values.map(|value| format!("{}- \"{value}\"\n", " ".repeat(indent))).collect()
    };
    let mut out = format!(
        "          - Sid: {}\n            Effect: {}\n            Action:\n{}            Resource:\n{}",
        statement.sid,
        statement.effect,
        list(&mut statement.action.iter().copied(), 14),
        list(&mut statement.resource.iter().map(String::as_str), 14),
    );
    if !statement.condition.is_empty() {
        out.push_str("            Condition:\n");
    }
    for (test, keys) in &statement.condition {
        out.push_str(&format!("              {test}:\n"));
        for (key, values) in keys {
            out.push_str(&format!("                \"{key}\":\n"));
            out.push_str(&list(&mut values.iter().map(String::as_str), 18));
        }
    }
    out
}
