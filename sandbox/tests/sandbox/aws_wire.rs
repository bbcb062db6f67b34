//! The AWS emulator, request by request: protocols, errors, knobs.

use eksconnect_sandbox::aws::{Emulator, Options};
use serde_json::json;

use crate::support::aws_caller::AwsCaller;

const TRUST: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["ssm.amazonaws.com"]},"Action":"sts:AssumeRole"}]}"#;

async fn emulator() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

/// Makes the agent's role. Gives its ARN.
async fn agent_role(aws: &AwsCaller) -> String {
    let parameters = [("RoleName", "Agent"), ("AssumeRolePolicyDocument", TRUST)];
    aws.iam("CreateRole", &parameters).await.ok().xml("Arn").unwrap().to_owned()
}

#[tokio::test]
async fn the_caller_is_told_who_it_is() {
    let emulator = emulator().await;
    let aws = AwsCaller::new(&emulator).await;
    let answer = aws.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(answer.xml("Account"), Some(aws.account.as_str()));
    assert_eq!(answer.xml("Arn"), Some(format!("arn:aws:iam::{}:user/ana", aws.account).as_str()));
}

#[tokio::test]
async fn a_registration_is_pending_and_gives_its_code_once() {
    let emulator = emulator().await;
    let aws = AwsCaller::new(&emulator).await;
    let role = agent_role(&aws).await;
    let body = json!({"name": "c1", "connectorConfig": {"roleArn": role, "provider": "OTHER"}, "tags": {"a/b": "c d"}});
    let made = aws.eks("POST", "/cluster-registrations", Some(body)).await.ok().json();
    let mut expected = made["cluster"].clone();
    let code = expected["connectorConfig"].as_object_mut().unwrap().remove("activationCode").unwrap();
    assert_eq!(code.as_str().unwrap().len(), 20);
    let described = aws.eks("GET", "/clusters/c1", None).await.ok().json();
    assert_eq!(described["cluster"], expected);
    assert_eq!(described["cluster"]["status"], "PENDING");
}
