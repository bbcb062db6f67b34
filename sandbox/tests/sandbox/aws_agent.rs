//! What a connector's agent does with the AWS emulator, and what that does to the registration.

use eksconnect_sandbox::aws::control::{SettingsChange, SettingsPatch};
use eksconnect_sandbox::aws::{Emulator, Options};
use serde_json::{Value, json};

use crate::support::agent::Agent;
use crate::support::aws_caller::{Answer, AwsCaller};

async fn start() -> (Emulator, AwsCaller, Value) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let aws = AwsCaller::new(&emulator).await;
    let role = aws.agent_role().await;
    let cluster = aws.register("c1", &role).await.ok().json()["cluster"].clone();
    (emulator, aws, cluster)
}

fn activation(cluster: &Value) -> (String, String) {
    let text = |name: &str| cluster["connectorConfig"][name].as_str().unwrap().to_owned();
    (text("activationId"), text("activationCode"))
}

/// An error of Systems Manager that has a code alone.
fn is_bare(answer: &Answer, code: &str) {
    assert_eq!(answer.error(), (400, code.to_owned()));
    assert_eq!(answer.json(), json!({"__type": code}));
}

#[tokio::test]
async fn the_first_control_channel_makes_the_registration_active() {
    let (emulator, aws, cluster) = start().await;
    let (id, code) = activation(&cluster);
    let agent = Agent::new(&aws);
    let instance = agent.register(&id, &code).await.ok().json()["InstanceId"].as_str().unwrap().to_owned();
    let suffix = instance.strip_prefix("eks_c:c1_").unwrap();
    assert!(suffix.len() == 17 && suffix.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{instance}");
    let token = agent.role_token(&instance).await.ok().json();
    assert_eq!(aws.cluster_status("c1").await, "PENDING", "registering alone connects nothing");
    let opened = agent.control_channel(&aws, &instance, &token).await;
    assert_eq!(opened.status, 201);
    assert!(opened.xml("TokenValue").is_some_and(|token| !token.is_empty()), "{opened:?}");
    assert_eq!(aws.cluster_status("c1").await, "ACTIVE");

    let connected = emulator.control().connected_instances(Some(&aws.account)).await.unwrap();
    assert_eq!(connected.len(), 1);
    assert_eq!((connected[0].id.as_str(), connected[0].channels_opened), (instance.as_str(), 1));
    let filters = json!({"Filters": [{"Key": "ActivationIds", "Values": [id]}]});
    let listed = aws.ssm("DescribeInstanceInformation", filters.clone()).await.ok().json();
    assert_eq!(listed["InstanceInformationList"][0]["PingStatus"], "Online");
    emulator.control().move_clock(600).await.unwrap();
    let listed = aws.ssm("DescribeInstanceInformation", filters).await.ok().json();
    assert_eq!(listed["InstanceInformationList"][0]["PingStatus"], "ConnectionLost");
    assert_eq!(aws.cluster_status("c1").await, "ACTIVE");

    aws.eks("DELETE", "/cluster-registrations/c1", None).await.ok();
    assert!(emulator.control().connected_instances(None).await.unwrap().is_empty());
    assert_eq!(agent.role_token(&instance).await.error(), (400, "UnrecognizedClientException".to_owned()));
    assert_eq!(agent.control_channel(&aws, &instance, &token).await.code(), "ResourceNotFoundException");
    is_bare(&agent.register(&id, &code).await, "InvalidActivation");
}

#[tokio::test]
async fn a_registration_of_an_instance_is_checked() {
    let (emulator, aws, cluster) = start().await;
    let (id, code) = activation(&cluster);
    let agent = Agent::new(&aws);
    is_bare(&agent.register(&id, "aaaaaaaaaaaaaaaaaaaa").await, "InvalidActivation");
    is_bare(&agent.register(&uuid::Uuid::new_v4().to_string(), &code).await, "InvalidActivation");
    let elsewhere = Agent::new(&aws.in_region("us-east-1"));
    is_bare(&elsewhere.register(&id, &code).await, "InvalidActivation");

    let body = json!({
        "ActivationCode": "short", "ActivationId": id, "Fingerprint": "f", "PublicKey": "x", "PublicKeyType": "Dsa",
    });
    let answer = agent.send_registration(&body).await;
    assert_eq!(answer.error(), (400, "ValidationException".to_owned()));
    let message = answer.message();
    assert!(message.starts_with("3 validation errors detected: Value at 'activationCode'"), "{message}");
    assert!(!message.contains("short"), "{message}");
    let body = json!({
        "ActivationCode": code, "ActivationId": id, "Fingerprint": "f", "PublicKey": "A".repeat(392), "PublicKeyType": "Rsa",
    });
    is_bare(&agent.send_registration(&body).await, "InvalidPublicKey");

    agent.register(&id, &code).await.ok();
    is_bare(&agent.register(&id, &code).await, "InstanceAlreadyRegistered");
    let settings = SettingsPatch { activation_registration_limit: Some(1), ..SettingsPatch::default() };
    emulator
        .control()
        .change_settings(SettingsChange { settings, ..SettingsChange::default() })
        .await
        .unwrap();
    let role = cluster["connectorConfig"]["roleArn"].as_str().unwrap();
    let limited = aws.register("c2", role).await.ok().json()["cluster"].clone();
    let (id, code) = activation(&limited);
    Agent::new(&aws).register(&id, &code).await.ok();
    is_bare(&Agent::new(&aws).register(&id, &code).await, "RegistrationLimitExceeded");

    let log = emulator.control().log(0, None).await.unwrap();
    let calls: Vec<_> = log.iter().filter(|entry| entry.operation == "RegisterManagedInstance").collect();
    assert!(calls.iter().all(|call| call.parameters["ActivationCode"] == "(secret)"), "{calls:?}");
}

#[tokio::test]
async fn an_activation_expires() {
    let (emulator, aws, cluster) = start().await;
    let role = cluster["connectorConfig"]["roleArn"].as_str().unwrap();
    let active = aws.register("c2", role).await.ok().json()["cluster"].clone();
    Agent::new(&aws).connect(&aws, &active).await;
    emulator.control().move_clock(72 * 60 * 60 - 60).await.unwrap();
    assert_eq!(aws.cluster_status("c1").await, "PENDING");
    emulator.control().move_clock(61).await.unwrap();
    assert_eq!(aws.cluster_status("c1").await, "FAILED");
    assert_eq!(aws.cluster_status("c2").await, "ACTIVE", "an agent that has registered needs no activation");
    let (id, code) = activation(&cluster);
    is_bare(&Agent::new(&aws).register(&id, &code).await, "ActivationExpired");
    let listed = aws.ssm("DescribeActivations", json!({})).await.ok().json();
    assert!(listed["ActivationList"].as_array().unwrap().iter().all(|each| each["Expired"] == true));
}

#[tokio::test]
async fn only_the_registered_key_gets_credentials() {
    let (_emulator, aws, cluster) = start().await;
    let agent = Agent::new(&aws);
    let instance = agent.connect(&aws, &cluster).await;
    let stranger = Agent { fingerprint: agent.fingerprint.clone(), ..Agent::new(&aws) };
    assert_eq!(stranger.role_token(&instance).await.error(), (400, "InvalidSignatureException".to_owned()));
    let other = Agent { fingerprint: "other".to_owned(), ..agent };
    is_bare(&other.role_token(&instance).await, "MachineFingerprintDoesNotMatch");
    let unknown = other.role_token("eks_c:c1_00000000000000000").await;
    assert_eq!(unknown.error(), (400, "UnrecognizedClientException".to_owned()));
}

#[tokio::test]
async fn the_agents_role_must_exist_and_allow_the_channel() {
    let (_emulator, aws, cluster) = start().await;
    let agent = Agent::new(&aws);
    let (id, code) = activation(&cluster);
    let instance = agent.register(&id, &code).await.ok().json()["InstanceId"].as_str().unwrap().to_owned();
    let token = agent.role_token(&instance).await.ok().json();
    let policy = [("RoleName", "Agent"), ("PolicyName", "Agent")];
    aws.iam("DeleteRolePolicy", &policy).await.ok();
    let denied = agent.control_channel(&aws, &instance, &token).await;
    assert_eq!(denied.error(), (403, "AccessDeniedException".to_owned()));
    let (account, arn) = (&aws.account, cluster["arn"].as_str().unwrap());
    assert_eq!(
        denied.message(),
        format!(
            "User: arn:aws:sts::{account}:assumed-role/Agent/{instance} is not authorized to perform: \
             ssmmessages:CreateControlChannel on resource: {arn} because no identity-based policy allows the \
             ssmmessages:CreateControlChannel action"
        )
    );
    assert_eq!(aws.cluster_status("c1").await, "PENDING");
    aws.iam("DeleteRole", &[("RoleName", "Agent")]).await.ok();
    assert_eq!(agent.role_token(&instance).await.error(), (400, "AccessDeniedException".to_owned()));
}
