//! Independent acceptance of the AWS emulator: the aws CLI and boto3, unmodified, and the service models of botocore.

use std::path::{Path, PathBuf};
use std::process::Output;

use eksconnect_sandbox::aws::control::{Account, AccountSpec};
use eksconnect_sandbox::aws::{Emulator, Options};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::python;
use crate::support::recorder::Recorder;

/// An emulator behind a recorder, an account, and a home of its own for what is run.
struct Stage {
    bin: PathBuf,
    emulator: Emulator,
    recorder: Recorder,
    account: Account,
    home: TempDir,
}

impl Stage {
    /// `None` where there is no Python and that is allowed.
    async fn new() -> Option<Stage> {
        let bin = match tokio::task::spawn_blocking(python::environment).await.unwrap() {
            Ok(bin) => bin,
            Err(reason) => {
                #[expect(clippy::print_stderr, reason = "says why a test is left out")]
                {
                    eprintln!("left out: {reason}");
                }
                return None;
            }
        };
        let emulator = Emulator::start(Options::default()).await.unwrap();
        let recorder = Recorder::start(emulator.endpoint()).await;
        let account = emulator.control().create_account(AccountSpec::default()).await.unwrap();
        Some(Stage { bin, emulator, recorder, account, home: TempDir::new().unwrap() })
    }

    /// A program of the virtual environment with nothing in its environment but what a person sets.
    async fn run(&self, program: &str, arguments: &[&str]) -> Output {
        Command::new(self.bin.join(program))
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("NO_PROXY", "127.0.0.1")
            .env("AWS_ENDPOINT_URL", &self.recorder.endpoint)
            .env("AWS_REGION", "eu-west-1")
            .env("AWS_DEFAULT_REGION", "eu-west-1")
            .env("AWS_ACCESS_KEY_ID", &self.account.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &self.account.secret_access_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .output()
            .await
            .unwrap()
    }

    /// What `aws` printed.
    async fn aws(&self, command: &str) -> Value {
        let output = self.run_aws(command).await;
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        if output.stdout.is_empty() { Value::Null } else { serde_json::from_slice(&output.stdout).unwrap() }
    }

    /// The error that `aws` ended with.
    async fn aws_fails(&self, command: &str) -> String {
        let output = self.run_aws(command).await;
        assert!(!output.status.success(), "{command}: {}", text(&output.stdout));
        text(&output.stderr).trim().to_owned()
    }

    async fn run_aws(&self, command: &str) -> Output {
        let arguments: Vec<&str> = command.split_whitespace().collect();
        self.run("aws", &arguments).await
    }

    /// Checks every answer so far against botocore's models, and that the check notices mistakes.
    async fn validate(&self) {
        let recording = self.home.path().join("recording.jsonl");
        tokio::fs::write(&recording, self.recorder.lines()).await.unwrap();
        let (script, recording) =
            (file("python/validate_responses.py"), recording.to_str().unwrap().to_owned());
        for arguments in [&[script.as_str(), &recording][..], &[&script, "--prove", &recording]] {
            let output = self.run("python", arguments).await;
            assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        }
    }
}

/// A file beside this one.
fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sandbox").join(name).to_str().unwrap().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The sequence of the user guide's page on the EKS Connector, as it is written there.
#[tokio::test]
async fn the_aws_cli_runs_the_documented_sequence() {
    let Some(stage) = Stage::new().await else { return };
    let account = &stage.account.id;

    let create = "iam create-service-linked-role --aws-service-name eks-connector.amazonaws.com";
    let mut role = stage.aws(create).await["Role"].take();
    for member in ["RoleId", "CreateDate"] {
        assert!(role.as_object_mut().unwrap().remove(member).is_some(), "{member}");
    }
    assert_eq!(
        role,
        json!({
            "Path": "/aws-service-role/eks-connector.amazonaws.com/",
            "RoleName": "AWSServiceRoleForAmazonEKSConnector",
            "Arn": format!(
                "arn:aws:iam::{account}:role/aws-service-role/eks-connector.amazonaws.com/\
                 AWSServiceRoleForAmazonEKSConnector"
            ),
            "AssumeRolePolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [{
                    "Action": ["sts:AssumeRole"],
                    "Effect": "Allow",
                    "Principal": {"Service": ["eks-connector.amazonaws.com"]},
                }],
            },
        })
    );
    let taken = stage.aws_fails(create).await;
    assert!(
        taken.ends_with(
            "An error occurred (InvalidInput) when calling the CreateServiceLinkedRole operation: Service role name \
             AWSServiceRoleForAmazonEKSConnector has been taken in this account, please try a different suffix."
        ),
        "{taken}"
    );

    let trust = file("fixtures/eks-connector-agent-trust-policy.json");
    let create = format!(
        "iam create-role --role-name AmazonEKSConnectorAgentRole --assume-role-policy-document file://{trust}"
    );
    let role = stage.aws(&create).await["Role"].take();
    let arn = format!("arn:aws:iam::{account}:role/AmazonEKSConnectorAgentRole");
    assert_eq!(role["Arn"], arn);
    let document: Value = serde_json::from_slice(&std::fs::read(trust).unwrap()).unwrap();
    assert_eq!(role["AssumeRolePolicyDocument"], document);
    let exists = stage.aws_fails(&create).await;
    assert!(exists.contains("(EntityAlreadyExists)"), "{exists}");

    let boundary = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";
    let bound =
        "iam put-role-permissions-boundary --role-name AmazonEKSConnectorAgentRole --permissions-boundary";
    assert_eq!(stage.aws(&format!("{bound} {boundary}")).await, Value::Null);
    let shown = stage.aws("iam get-role --role-name AmazonEKSConnectorAgentRole").await["Role"].take();
    assert_eq!(shown["PermissionsBoundary"]["PermissionsBoundaryArn"], boundary);
    let missing = stage.aws_fails(&format!("{bound} arn:aws:iam::{account}:policy/Missing")).await;
    assert!(missing.contains("(NoSuchEntity)"), "{missing}");

    let policy = file("fixtures/eks-connector-agent-policy.json");
    let put = format!(
        "iam put-role-policy --role-name AmazonEKSConnectorAgentRole --policy-name AmazonEKSConnectorAgentPolicy \
         --policy-document file://{policy}"
    );
    assert_eq!(stage.aws(&put).await, Value::Null);

    let register = format!(
        "eks register-cluster --name my-first-registered-cluster --connector-config roleArn={arn},provider=OTHER \
         --region eu-west-1"
    );
    let cluster = stage.aws(&register).await["cluster"].take();
    assert_eq!(cluster["connectorConfig"]["activationCode"].as_str().unwrap().len(), 20);
    let taken = stage.aws_fails(&register).await;
    assert!(
        taken.ends_with(
            "An error occurred (ResourceInUseException) when calling the RegisterCluster operation: Cluster already \
             exists with name: my-first-registered-cluster"
        ),
        "{taken}"
    );
    let described =
        stage.aws("eks describe-cluster --name my-first-registered-cluster").await["cluster"].take();
    assert_eq!(described["status"], "PENDING");
    assert_eq!(described["connectorConfig"]["activationId"], cluster["connectorConfig"]["activationId"]);
    assert_eq!(stage.aws("eks list-clusters").await, json!({"clusters": []}));
    let all = json!({"clusters": ["my-first-registered-cluster"]});
    assert_eq!(stage.aws("eks list-clusters --include all").await, all);
    assert_eq!(
        stage.aws("eks list-clusters --include all --region us-east-1").await,
        json!({"clusters": []})
    );

    stage.aws("eks deregister-cluster --name my-first-registered-cluster").await;
    let gone = stage.aws_fails("eks describe-cluster --name my-first-registered-cluster").await;
    assert!(
        gone.ends_with(
            "An error occurred (ResourceNotFoundException) when calling the DescribeCluster operation: No cluster found \
             for name: my-first-registered-cluster."
        ),
        "{gone}"
    );
    stage.validate().await;
    let log = stage.emulator.control().log(0, Some(account)).await.unwrap();
    assert_eq!(log.last().map(|entry| entry.operation.as_str()), Some("DescribeCluster"));
}

#[tokio::test]
async fn boto3_runs_every_operation_and_every_answer_fits_the_models() {
    let Some(stage) = Stage::new().await else { return };
    let arguments = [
        file("python/boto3_sequence.py"),
        file("fixtures/eks-connector-agent-trust-policy.json"),
        file("fixtures/eks-connector-agent-policy.json"),
    ];
    let output = stage.run("python", &arguments.each_ref().map(String::as_str)).await;
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    stage.validate().await;
}
