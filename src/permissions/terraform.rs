//! A policy as Terraform reads it.

use super::policy::{Document, Statement};
use super::table::Command;

/// A data source with the document, and a managed policy made from it.
pub fn hcl(document: &Document, commands: &[Command]) -> String {
    let statements: Vec<String> = document.statement.iter().map(statement).collect();
    let commands: Vec<&str> = commands.iter().map(|command| command.name()).collect();
    format!(
        "# What the caller of eksconnect {} needs.\ndata \"aws_iam_policy_document\" \"eksconnect\" {{\n{}}}\n\n\
         resource \"aws_iam_policy\" \"eksconnect\" {{\n  name_prefix = \"eksconnect-\"\n  policy      = \
         data.aws_iam_policy_document.eksconnect.json\n}}\n",
        commands.join(", "),
        statements.join("\n"),
    )
}

fn statement(statement: &Statement) -> String {
    let actions: Vec<String> = statement.action.iter().map(|action| (*action).to_owned()).collect();
    let mut out = format!(
        "  statement {{\n    sid       = {}\n    effect    = {}\n    actions   = {}\n    resources = {}\n",
        text(statement.sid),
        text(statement.effect),
        list(&actions, 4),
        list(&statement.resource, 4),
    );
    for (test, keys) in &statement.condition {
        for (variable, values) in keys {
            out.push_str(&format!(
                "    condition {{\n      test     = {}\n      variable = {}\n      values   = {}\n    }}\n",
                text(test),
                text(variable),
                list(values, 6),
            ));
        }
    }
    out + "  }\n"
}

/// `indent` is that of the attribute.
fn list(values: &[String], indent: usize) -> String {
    let (outer, inner) = (" ".repeat(indent), " ".repeat(indent + 2));
    let values: Vec<String> = values.iter().map(|value| text(value)).collect();
    match values.as_slice() {
        [one] => format!("[{one}]"),
        many => format!("[\n{inner}{},\n{outer}]", many.join(&format!(",\n{inner}"))),
    }
}

/// No name of an action, ARN or key has anything in it that HCL would read otherwise.
fn text(value: &str) -> String {
    format!("\"{value}\"")
}
