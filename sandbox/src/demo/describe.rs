//! DescribeCluster over the wire, as any client of AWS calls it.

use std::time::SystemTime;

use anyhow::{Context, Result, ensure};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use serde_json::Value;

use crate::aws::control::Account;

/// The response to DescribeCluster.
///
/// # Errors
/// No answer, or an error of AWS.
pub(super) async fn cluster(endpoint: &str, region: &str, account: &Account, name: &str) -> Result<Value> {
    let url = format!("{endpoint}/clusters/{name}");
    let mut request = http::Request::get(&url).body(())?;
    let host = request.uri().authority().context("the endpoint has no host")?.to_string();
    request.headers_mut().insert(http::header::HOST, host.parse()?);

    let identity = Credentials::new(
        account.access_key_id.clone(),
        account.secret_access_key.clone(),
        account.session_token.clone(),
        None,
        "sandbox",
    )
    .into();
    let parameters = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("eks")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?;
    let headers = [("host", host.as_str())];
    let signable = SignableRequest::new("GET", url.as_str(), headers.into_iter(), SignableBody::Bytes(b""))?;
    let (instructions, _) = sign(signable, &parameters.into())?.into_parts();
    instructions.apply_to_request_http1x(&mut request);

    let (parts, ()) = request.into_parts();
    let response = reqwest::Client::builder()
        // What is for loopback is never for a proxy.
        .no_proxy()
        .build()?
        .get(&url)
        .headers(parts.headers)
        .send()
        .await
        .context("could not call DescribeCluster")?;
    let status = response.status();
    let body = response.text().await?;
    ensure!(status.is_success(), "DescribeCluster failed ({status}): {body}");
    serde_json::from_str(&body).context("DescribeCluster gave no JSON")
}
