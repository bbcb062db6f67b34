//! Calls to AWS as the connector and the agent make them: to the emulator, with the real `Host`, and through a proxy if
//! the pod's environment says so.

use std::{error::Error as _, fmt, time::Duration};

use serde_json::Value;

use super::{Process, proxy};

/// Why a call failed. Displayed as aws-sdk-go does, which is how both programs log it.
#[derive(Debug)]
pub(super) enum Failure {
    /// No answer came.
    Transport(String),
    /// AWS answered with an error.
    Service {
        /// HTTP status.
        status: u16,
        /// Error code, such as `InvalidActivation`.
        code: String,
        /// Message.
        message: String,
        /// `x-amzn-RequestId`.
        request_id: String,
    },
}

impl Failure {
    /// Whether aws-sdk-go would try the same call again.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Service { status, code, .. } => *status >= 500 || code.contains("Throttl"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transport(cause) => write!(f, "RequestError: send request failed\ncaused by: {cause}"),
            Self::Service { status, code, message, request_id } => {
                write!(f, "{code}: {message}\n\tstatus code: {status}, request id: {request_id}")
            }
        }
    }
}

/// A request to send.
pub(super) struct Call<'a> {
    /// The real host, such as `ssm.eu-west-1.amazonaws.com`.
    pub(super) host: &'a str,
    /// Path, beginning with a slash.
    pub(super) path: &'a str,
    /// Headers beside `Host`.
    pub(super) headers: Vec<(String, String)>,
    /// Body.
    pub(super) body: String,
    /// Where it goes instead of to the emulator: the connector's `--agent.endpoint`.
    pub(super) endpoint: Option<&'a str>,
}

/// Posts and gives the body of a successful answer. Tries up to three more times where that may help, as aws-sdk-go.
pub(super) async fn post(process: &Process, call: &Call<'_>) -> Result<String, Failure> {
    let mut pause = Duration::from_millis(50);
    for _ in 0..3 {
        match post_once(process, call).await {
            Err(failure) if failure.is_transient() => tokio::time::sleep(pause).await,
            result => return result,
        }
        pause *= 2;
    }
    post_once(process, call).await
}

async fn post_once(process: &Process, call: &Call<'_>) -> Result<String, Failure> {
    let through = proxy::proxy_for(process, call.host, 443);
    let transport = |cause: String| {
        let hop = match &through {
            Some(proxy) => format!("proxyconnect tcp: dial tcp {}", proxy.trim_start_matches("http://")),
            None => format!("dial tcp {}:443", call.host),
        };
        Failure::Transport(format!("Post \"https://{}{}\": {hop}: {cause}", call.host, call.path))
    };
    // The environment of the sandbox itself must not matter.
    let mut builder = reqwest::Client::builder()
        .no_proxy()
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(30));
    if let Some(proxy) = &through {
        builder = builder.proxy(reqwest::Proxy::all(proxy).map_err(|error| transport(cause_of(&error)))?);
    }
    let client = builder.build().map_err(|error| transport(cause_of(&error)))?;
    let base = call.endpoint.unwrap_or(&process.surroundings.aws_endpoint).trim_end_matches('/');
    let mut request = client.post(format!("{base}{}", call.path)).body(call.body.clone());
    for (name, value) in &call.headers {
        request = request.header(name, value);
    }
    if call.endpoint.is_none() {
        request = request.header(http::header::HOST, call.host);
    }
    let response = request.send().await.map_err(|error| transport(cause_of(&error)))?;
    let status = response.status().as_u16();
    let header = |name: &str| {
        response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    };
    let (type_header, request_id) = (header("x-amzn-errortype"), header("x-amzn-requestid"));
    let body = response.text().await.map_err(|error| transport(cause_of(&error)))?;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    let parsed: Value = serde_json::from_str(&body).unwrap_or_default();
    let field = |name: &str| parsed.get(name).and_then(Value::as_str).map(str::to_owned);
    let code = Some(type_header).filter(|code| !code.is_empty()).or_else(|| field("__type"));
    Err(Failure::Service {
        status,
        code: code.as_deref().map_or("SerializationError", bare_code).to_owned(),
        message: field("message").or_else(|| field("Message")).unwrap_or_default(),
        request_id,
    })
}

/// The code without the shape's namespace before it and the URL that may follow.
fn bare_code(code: &str) -> &str {
    let code = code.rsplit_once('#').map_or(code, |(_, code)| code);
    code.split_once(':').map_or(code, |(code, _)| code)
}

/// The innermost cause, in Go's words where that is known.
pub(super) fn cause_of(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
        if let Some(io) = source.downcast_ref::<std::io::Error>()
            && io.kind() == std::io::ErrorKind::ConnectionRefused
        {
            return "connect: connection refused".to_owned();
        }
    }
    if error.source().is_some() && error.is_timeout() {
        return "i/o timeout".to_owned();
    }
    innermost.to_string()
}
