//! A bare AWS client: plain HTTP requests signed with Signature Version 4, nothing interpreted.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use eksconnect_sandbox::aws::Emulator;
use eksconnect_sandbox::aws::control::{self, AccountSpec};
use reqwest::Method;
use serde_json::{Value, json};

/// Credentials, a Region and an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct AwsCaller {
    pub(crate) endpoint: String,
    pub(crate) account: String,
    pub(crate) region: String,
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: Option<String>,
    /// `Host` header to send instead of the endpoint's.
    pub(crate) host: Option<String>,
}

/// A trust policy that lets Systems Manager assume a role.
pub(crate) const TRUST: &str = include_str!("../fixtures/eks-connector-agent-trust-policy.json");
/// The agent's documented permissions.
pub(crate) const AGENT_POLICY: &str = include_str!("../fixtures/eks-connector-agent-policy.json");

/// An answer, with what every protocol has.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The content of the first XML element of this name.
    pub(crate) fn xml(&self, element: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(&format!("<{element}>"))?;
        rest.split_once(&format!("</{element}>")).map(|(content, _)| content)
    }

    /// The error code, wherever the protocol has it.
    pub(crate) fn code(&self) -> String {
        if let Some(code) = self.headers.get("x-amzn-errortype") {
            return code.to_str().unwrap().to_owned();
        }
        if let Some(code) = serde_json::from_str(&self.text)
            .ok()
            .and_then(|body: Value| body["__type"].as_str().map(str::to_owned))
        {
            return code;
        }
        self.xml("Code").unwrap_or_default().to_owned()
    }

    /// The error message, wherever the protocol has it.
    pub(crate) fn message(&self) -> String {
        if let Some(message) = self.xml("Message") {
            return message.replace("&apos;", "'").replace("&quot;", "\"").replace("&amp;", "&");
        }
        let body = self.json();
        let message = body.get("message").or_else(|| body.get("Message"));
        message.and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Status and code, for assertions.
    pub(crate) fn error(&self) -> (u16, String) {
        (self.status, self.code())
    }

    /// Panics unless the call succeeded.
    pub(crate) fn ok(self) -> Answer {
        assert!(self.status < 300, "{self:?}");
        self
    }
}

impl AwsCaller {
    /// The first caller of a new account, in `eu-west-1`.
    pub(crate) async fn new(emulator: &Emulator) -> AwsCaller {
        let account = emulator.control().create_account(AccountSpec::default()).await.unwrap();
        AwsCaller {
            endpoint: emulator.endpoint().to_owned(),
            account: account.id,
            region: "eu-west-1".to_owned(),
            access_key_id: account.access_key_id,
            secret_access_key: account.secret_access_key,
            session_token: account.session_token,
            host: None,
        }
    }

    /// Makes the agent's role with its documented policy. Gives its ARN.
    pub(crate) async fn agent_role(&self) -> String {
        let create = [("RoleName", "Agent"), ("AssumeRolePolicyDocument", TRUST)];
        let arn = self.iam("CreateRole", &create).await.ok().xml("Arn").unwrap().to_owned();
        let put = [("RoleName", "Agent"), ("PolicyName", "Agent"), ("PolicyDocument", AGENT_POLICY)];
        self.iam("PutRolePolicy", &put).await.ok();
        arn
    }

    /// RegisterCluster without tags or token.
    pub(crate) async fn register(&self, name: &str, role: &str) -> Answer {
        let body = json!({"name": name, "connectorConfig": {"roleArn": role, "provider": "OTHER"}});
        self.eks("POST", "/cluster-registrations", Some(body)).await
    }

    /// The status that DescribeCluster gives.
    pub(crate) async fn cluster_status(&self, name: &str) -> String {
        let described = self.eks("GET", &format!("/clusters/{name}"), None).await.ok().json();
        described["cluster"]["status"].as_str().unwrap().to_owned()
    }

    /// The same place for another caller.
    pub(crate) fn as_caller(&self, caller: &control::Caller) -> AwsCaller {
        AwsCaller {
            access_key_id: caller.access_key_id.clone(),
            secret_access_key: caller.secret_access_key.clone(),
            session_token: caller.session_token.clone(),
            ..self.clone()
        }
    }

    /// The same caller in another Region.
    pub(crate) fn in_region(&self, region: &str) -> AwsCaller {
        AwsCaller { region: region.to_owned(), ..self.clone() }
    }

    /// A call of EKS.
    pub(crate) async fn eks(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.signed("eks", method, path, &[("content-type", "application/json")], body).await
    }

    /// A call of IAM.
    pub(crate) async fn iam(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.query("iam", "2010-05-08", action, parameters).await
    }

    /// A call of STS.
    pub(crate) async fn sts(&self, action: &str, parameters: &[(&str, &str)]) -> Answer {
        self.query("sts", "2011-06-15", action, parameters).await
    }

    async fn query(&self, service: &str, version: &str, action: &str, parameters: &[(&str, &str)]) -> Answer {
        let mut form = vec![("Action", action), ("Version", version)];
        form.extend_from_slice(parameters);
        let body = serde_urlencoded::to_string(form).unwrap();
        let kind = [("content-type", "application/x-www-form-urlencoded; charset=utf-8")];
        self.signed(service, "POST", "/", &kind, body).await
    }

    /// A call of Systems Manager.
    pub(crate) async fn ssm(&self, operation: &str, body: Value) -> Answer {
        let target = format!("AmazonSSM.{operation}");
        let headers = [("content-type", "application/x-amz-json-1.1"), ("x-amz-target", target.as_str())];
        self.signed("ssm", "POST", "/", &headers, body.to_string()).await
    }

    /// A call signed for a service.
    pub(crate) async fn signed(
        &self,
        service: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Answer {
        let url = format!("{}{path}", self.endpoint);
        let host = self.host.clone().unwrap_or_else(|| self.endpoint.replace("http://", ""));
        let mut request = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .request(Method::from_bytes(method.as_bytes()).unwrap(), &url)
            .header("host", &host)
            .body(body.clone());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        for (name, value) in self.signature(service, method, &url, &host, headers, body.as_bytes()) {
            request = request.header(name, value);
        }
        send(request).await
    }

    /// The headers that sign a request.
    pub(crate) fn signature(
        &self,
        service: &str,
        method: &str,
        url: &str,
        host: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Vec<(String, String)> {
        let credentials = Credentials::new(
            &self.access_key_id,
            &self.secret_access_key,
            self.session_token.clone(),
            None,
            "test",
        );
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let all = headers.iter().copied().chain([("host", host)]);
        let signable = SignableRequest::new(method, url, all, SignableBody::Bytes(body)).unwrap();
        let (instructions, _) = sign(signable, &parameters).unwrap().into_parts();
        instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// Sends a request as it is.
pub(crate) async fn send(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}
