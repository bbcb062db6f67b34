//! Connecting a cluster with the AWS CLI and kubectl, as the user guide's page on the EKS Connector says. Each command
//! waits for the one before it, as a person's do; a person's own time is not in it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::stage::{NAME, Person};

/// The documents that the user guide gives for the agent's role.
const TRUST: &str = include_str!("../../tests/sandbox/fixtures/eks-connector-agent-trust-policy.json");
const PERMISSIONS: &str = include_str!("../../tests/sandbox/fixtures/eks-connector-agent-policy.json");

/// The objects of AWS' manifest, with its placeholders.
const MANIFEST: &str = include_str!("eks-connector.yaml");

const ROLE: &str = "AmazonEKSConnectorAgentRole";

/// How long the cluster may take to become ACTIVE. It takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Does all of it, until AWS says ACTIVE.
///
/// Nothing is left out that the guide says, and nothing is waited for: DescribeCluster is called again at once, while
/// `aws eks wait` would pause for 30 s.
pub(super) async fn connect(person: &Person, region: &str) -> Result<()> {
    let trust = write(person.home(), "eks-connector-agent-trust-policy.json", TRUST)?;
    let permissions = write(person.home(), "eks-connector-agent-policy.json", PERMISSIONS)?;

    aws(person, &["sts", "get-caller-identity"]).await?;
    let service = "eks-connector.amazonaws.com";
    aws(person, &["iam", "create-service-linked-role", "--aws-service-name", service]).await?;
    let create = ["iam", "create-role", "--role-name", ROLE, "--assume-role-policy-document", &trust];
    let created = aws(person, &create).await?;
    let role = text(&created, "/Role/Arn")?;
    let put =
        ["iam", "put-role-policy", "--role-name", ROLE, "--policy-name", "AmazonEKSConnectorAgentPolicy"];
    aws(person, &[&put[..], &["--policy-document", &permissions]].concat()).await?;
    let config = format!("roleArn={role},provider=OTHER");
    let register = ["eks", "register-cluster", "--name", NAME, "--connector-config", &config];
    let registered = aws(person, &register).await?;

    let id = text(&registered, "/cluster/connectorConfig/activationId")?;
    let code = text(&registered, "/cluster/connectorConfig/activationCode")?;
    let manifest = MANIFEST
        .replace("%EKS_ACTIVATION_ID%", id)
        .replace("%EKS_ACTIVATION_CODE%", &STANDARD.encode(code))
        .replace("%AWS_REGION%", region);
    person.run(Path::new("kubectl"), &["apply", "-f", "-"], &manifest).await?;

    let begun = Instant::now();
    loop {
        let described = aws(person, &["eks", "describe-cluster", "--name", NAME]).await?;
        let status = text(&described, "/cluster/status")?;
        if status == "ACTIVE" {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "{NAME} is {status} after {} s", PATIENCE.as_secs());
    }
}

/// Writes a file and gives what the AWS CLI takes in place of its content.
fn write(directory: &Path, name: &str, content: &str) -> Result<String> {
    let path = directory.join(name);
    fs::write(&path, content).with_context(|| format!("could not write {}", path.display()))?;
    Ok(format!("file://{}", path.display()))
}

async fn aws(person: &Person, arguments: &[&str]) -> Result<Value> {
    let output = person.run(Path::new("aws"), arguments, "").await?;
    if output.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&output).with_context(|| format!("`aws {}` printed no JSON", arguments.join(" ")))
}

fn text<'a>(document: &'a Value, pointer: &str) -> Result<&'a str> {
    let value = document.pointer(pointer).and_then(Value::as_str);
    value.with_context(|| format!("the AWS CLI printed no {pointer}"))
}
