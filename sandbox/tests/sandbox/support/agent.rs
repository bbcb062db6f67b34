//! An agent of the connector as AWS sees it: registers with an activation, asks for credentials, opens its channel.

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::aws_caller::{Answer, AwsCaller, send};

/// An agent with its key, not registered yet.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) endpoint: String,
    pub(crate) region: String,
    pub(crate) key: RsaKeyPair,
    pub(crate) fingerprint: String,
}

impl Agent {
    pub(crate) fn new(aws: &AwsCaller) -> Agent {
        Agent {
            endpoint: aws.endpoint.clone(),
            region: aws.region.clone(),
            key: RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
            fingerprint: uuid::Uuid::new_v4().to_string(),
        }
    }

    fn post(&self, service: &str, path: &str) -> reqwest::RequestBuilder {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let host = format!("{service}.{}.amazonaws.com", self.region);
        client.post(format!("{}{path}", self.endpoint)).header("host", host)
    }

    /// RegisterManagedInstance.
    pub(crate) async fn register(&self, activation_id: &str, code: &str) -> Answer {
        let public: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        let body = json!({
            "ActivationCode": code,
            "ActivationId": activation_id,
            "Fingerprint": self.fingerprint,
            "PublicKey": STANDARD.encode(public.as_ref()),
            "PublicKeyType": "Rsa",
        });
        self.send_registration(&body).await
    }

    /// RegisterManagedInstance with any body.
    pub(crate) async fn send_registration(&self, body: &Value) -> Answer {
        let request = self
            .post("ssm", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "AmazonSSM.RegisterManagedInstance");
        send(request.body(body.to_string())).await
    }

    /// RequestManagedInstanceRoleToken, signed with the agent's key.
    pub(crate) async fn role_token(&self, instance: &str) -> Answer {
        let host = format!("ssm.{}.amazonaws.com", self.region);
        let target = "AmazonSSM.RequestManagedInstanceRoleToken";
        let body = json!({"Fingerprint": self.fingerprint}).to_string();
        let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let scope = format!("{}/{}/ssm/aws4_request", &stamp[..8], self.region);
        let hash = hex::encode(Sha256::digest(body.as_bytes()));
        let canonical = format!(
            "POST\n/\n\nhost:{host}\nx-amz-date:{stamp}\nx-amz-target:{target}\n\nhost;x-amz-date;x-amz-target\n{hash}"
        );
        let digest = hex::encode(Sha256::digest(canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}");
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature).unwrap();
        let request = self
            .post("ssm", "/")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", target)
            .header("x-amz-date", stamp)
            .header(
                "authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential={instance}/{scope}, SignedHeaders=host;x-amz-date;x-amz-target, \
                     Signature={}",
                    STANDARD.encode(signature)
                ),
            );
        send(request.body(body)).await
    }

    /// CreateControlChannel with the credentials of a role token.
    pub(crate) async fn control_channel(&self, aws: &AwsCaller, instance: &str, token: &Value) -> Answer {
        let text = |name: &str| token[name].as_str().unwrap().to_owned();
        let caller = AwsCaller {
            access_key_id: text("AccessKeyId"),
            secret_access_key: text("SecretAccessKey"),
            session_token: Some(text("SessionToken")),
            host: Some(format!("ssmmessages.{}.amazonaws.com", self.region)),
            ..aws.clone()
        };
        let body = json!({"MessageSchemaVersion": "1.0", "RequestId": uuid::Uuid::new_v4().to_string()});
        let path = format!("/v1/control-channel/{instance}");
        let headers = [("content-type", "application/json")];
        caller.signed("ssmmessages", "POST", &path, &headers, body.to_string()).await
    }

    /// The whole way: registered, and its channel open. Gives the instance id.
    pub(crate) async fn connect(&self, aws: &AwsCaller, cluster: &Value) -> String {
        let text = |name: &str| cluster["connectorConfig"][name].as_str().unwrap().to_owned();
        let answer = self.register(&text("activationId"), &text("activationCode")).await.ok().json();
        let instance = answer["InstanceId"].as_str().unwrap().to_owned();
        let token = self.role_token(&instance).await.ok().json();
        self.control_channel(aws, &instance, &token).await.ok();
        instance
    }
}
