//! The AWS emulator's front: protocols, signatures, credentials, unknown operations.

use std::time::Duration;

use eksconnect_sandbox::aws::control::CallerSpec;
use eksconnect_sandbox::aws::{Emulator, Options};
use serde_json::json;

use crate::support::aws_caller::{AwsCaller, send};

async fn start() -> (Emulator, AwsCaller) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let aws = AwsCaller::new(&emulator).await;
    (emulator, aws)
}

/// Service, method, path, headers, body.
type Sample = (&'static str, &'static str, &'static str, Vec<(&'static str, &'static str)>, &'static str);

/// One request of each service.
fn samples() -> [Sample; 4] {
    let form = ("content-type", "application/x-www-form-urlencoded");
    let target = ("x-amz-target", "AmazonSSM.DescribeActivations");
    [
        ("eks", "GET", "/clusters", vec![], ""),
        ("iam", "POST", "/", vec![form], "Action=ListRoles&Version=2010-05-08"),
        ("sts", "POST", "/", vec![form], "Action=GetCallerIdentity&Version=2011-06-15"),
        ("ssm", "POST", "/", vec![("content-type", "application/x-amz-json-1.1"), target], "{}"),
    ]
}

#[tokio::test]
async fn a_registration_gives_its_code_once() {
    let (_emulator, aws) = start().await;
    let role = aws.agent_role().await;
    let body = json!({"name": "c1", "connectorConfig": {"roleArn": role, "provider": "OTHER"}, "tags": {"a/b": "c d"}});
    let made = aws.eks("POST", "/cluster-registrations", Some(body)).await.ok().json();
    let mut expected = made["cluster"].clone();
    let code = expected["connectorConfig"].as_object_mut().unwrap().remove("activationCode").unwrap();
    assert_eq!(code.as_str().unwrap().len(), 20);
    let described = aws.eks("GET", "/clusters/c1", None).await.ok();
    assert!(!described.text.contains(code.as_str().unwrap()));
    assert_eq!(described.json()["cluster"], expected);
    assert_eq!(expected["status"], "PENDING");
    assert!(expected["createdAt"].is_number(), "timestamps are numbers");
}

#[tokio::test]
async fn a_request_without_signature_is_refused_in_its_protocol() {
    let (_emulator, aws) = start().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    for (service, method, path, headers, body) in samples() {
        for authorization in [None, Some("AWS4-HMAC-SHA256 Credential=x"), Some("Bearer x")] {
            let mut request =
                client.request(method.parse().unwrap(), format!("{}{path}", aws.endpoint)).body(body);
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            if let Some(authorization) = authorization {
                request = request.header("authorization", authorization);
            }
            let answer = send(request).await;
            let name =
                if authorization.is_none() { "MissingAuthenticationToken" } else { "IncompleteSignature" };
            let query = ["iam", "sts"].contains(&service);
            let code = if query { name.to_owned() } else { format!("{name}Exception") };
            assert_eq!(answer.error(), (if service == "ssm" { 400 } else { 403 }, code), "{service}");
        }
    }
}

#[tokio::test]
async fn a_signature_for_another_service_or_region_is_refused() {
    let (_emulator, aws) = start().await;
    for (service, method, path, headers, body) in samples() {
        if service == "eks" {
            continue;
        }
        let wrong = if service == "ssm" { "eks" } else { "ssm" };
        let answer = aws.signed(wrong, method, path, &headers, body.to_owned()).await;
        let message = format!("Credential should be scoped to correct service: '{service}'.");
        assert_eq!(answer.message(), message);
    }
    let eks = |aws: AwsCaller| async move { aws.eks("GET", "/clusters", None).await };
    let elsewhere = AwsCaller { host: Some("eks.us-east-1.amazonaws.com".to_owned()), ..aws.clone() };
    let answer = eks(elsewhere).await;
    assert_eq!(answer.error(), (403, "InvalidSignatureException".to_owned()));
    assert_eq!(answer.message(), "Credential should be scoped to a valid Region, not 'eu-west-1'.");
    let answer = eks(aws.in_region("moon")).await;
    assert_eq!(answer.message(), "Credential should be scoped to a valid Region, not 'moon'.");
    // IAM is one for all Regions.
    aws.in_region("ap-south-1").iam("ListRoles", &[]).await.ok();
}

#[tokio::test]
async fn what_is_signed_cannot_be_changed() {
    let (_emulator, aws) = start().await;
    let url = format!("{}/clusters?include=all", aws.endpoint);
    let host = aws.endpoint.replace("http://", "");
    let signature = aws.signature("eks", "GET", &url, &host, &[], b"");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let signed = |url: &str, body: &'static str| {
        let mut request = client.get(url).body(body);
        for (name, value) in &signature {
            request = request.header(name, value);
        }
        send(request)
    };
    assert_eq!(signed(&url, "").await.status, 200);
    for (url, body) in [(url.replace("all", "one"), ""), (url.clone(), "x")] {
        assert_eq!(signed(&url, body).await.error(), (403, "InvalidSignatureException".to_owned()));
    }
    let mut old = client.get(&url);
    for (name, value) in &signature {
        let value = if name == "x-amz-date" { "20200101T000000Z" } else { value };
        old = old.header(name, value.replace(&signature_date(&signature), "20200101"));
    }
    let answer = send(old).await;
    assert_eq!(answer.code(), "InvalidSignatureException");
    assert!(
        answer.message().starts_with("Signature expired: 20200101T000000Z is now earlier than"),
        "{answer:?}"
    );
}

fn signature_date(signature: &[(String, String)]) -> String {
    signature.iter().find(|(name, _)| name == "x-amz-date").unwrap().1[..8].to_owned()
}

#[tokio::test]
async fn paths_and_queries_are_signed_as_clients_do() {
    let (_emulator, aws) = start().await;
    let role = aws.agent_role().await;
    let cluster = aws.register("c1", &role).await.ok().json()["cluster"].clone();
    let path = format!("/tags/{}", cluster["arn"].as_str().unwrap().replace(':', "%3A").replace('/', "%2F"));
    aws.eks("POST", &path, Some(json!({"tags": {"a": "1", "b c": "2"}}))).await.ok();
    aws.eks("DELETE", &format!("{path}?tagKeys=a&tagKeys=zz"), None).await.ok();
    assert_eq!(aws.eks("GET", &path, None).await.ok().json(), json!({"tags": {"b c": "2"}}));
    aws.eks("DELETE", &format!("{path}?tagKeys=b%20c"), None).await.ok();
    assert_eq!(aws.eks("GET", &path, None).await.ok().json(), json!({"tags": {}}));
}

#[tokio::test]
async fn temporary_keys_need_their_token_and_expire() {
    let (emulator, aws) = start().await;
    let control = emulator.control();
    let caller = |expired| CallerSpec { expired, ..CallerSpec::role("Admin", "me", None) };
    let session = aws.as_caller(&control.add_caller(&aws.account, caller(false)).await.unwrap());
    let answer = session.sts("GetCallerIdentity", &[]).await.ok();
    let arn = format!("arn:aws:sts::{}:assumed-role/Admin/me", aws.account);
    assert_eq!(answer.xml("Arn"), Some(arn.as_str()));
    session.eks("GET", "/clusters", None).await.ok();

    let without = AwsCaller { session_token: None, ..session.clone() };
    let other = AwsCaller { session_token: Some("x".to_owned()), ..session.clone() };
    for caller in [without, other] {
        let answer = caller.eks("GET", "/clusters", None).await;
        assert_eq!(answer.error(), (403, "UnrecognizedClientException".to_owned()));
        assert_eq!(answer.message(), "The security token included in the request is invalid.");
        assert_eq!(caller.iam("ListRoles", &[]).await.error(), (403, "InvalidClientTokenId".to_owned()));
    }
    let expired = aws.as_caller(&control.add_caller(&aws.account, caller(true)).await.unwrap());
    let answer = expired.eks("GET", "/clusters", None).await;
    assert_eq!(answer.error(), (403, "ExpiredTokenException".to_owned()));
    assert_eq!(answer.message(), "The security token included in the request is expired");
    assert_eq!(expired.sts("GetCallerIdentity", &[]).await.error(), (403, "ExpiredToken".to_owned()));
    // The clock that can be moved is the one that counts.
    control.move_clock(13 * 60 * 60).await.unwrap();
    assert_eq!(session.eks("GET", "/clusters", None).await.code(), "ExpiredTokenException");
}

#[tokio::test]
async fn unknown_operations_and_unreadable_bodies_are_errors_and_are_logged() {
    let (emulator, aws) = start().await;
    let unknown = "UnknownOperationException".to_owned();
    assert_eq!(aws.eks("GET", "/clusters/c1/addons", None).await.error(), (404, unknown.clone()));
    assert_eq!(aws.ssm("GetParameter", json!({})).await.error(), (400, unknown.clone()));
    assert_eq!(aws.iam("ListUsers", &[]).await.error(), (400, "InvalidAction".to_owned()));
    let log = emulator.control().log(0, Some(&aws.account)).await.unwrap();
    let seen: Vec<_> = log.iter().map(|entry| (entry.operation.as_str(), entry.error.as_deref())).collect();
    assert_eq!(
        seen,
        [
            ("GET /clusters/c1/addons", Some(unknown.as_str())),
            ("GetParameter", Some(&unknown)),
            ("ListUsers", Some("InvalidAction")),
        ]
    );
    let body = "{\"name\":".to_owned();
    let answer = aws.signed("eks", "POST", "/cluster-registrations", &[], body).await;
    assert_eq!(answer.error(), (400, "SerializationException".to_owned()));
    let answer =
        aws.eks("POST", "/cluster-registrations", Some(json!({"name": 1, "connectorConfig": {}}))).await;
    assert_eq!(answer.error(), (400, "SerializationException".to_owned()));
}

#[tokio::test]
async fn accounts_and_regions_are_apart() {
    let (emulator, aws) = start().await;
    let other = AwsCaller::new(&emulator).await;
    let role = aws.agent_role().await;
    aws.register("c1", &role).await.ok();
    aws.in_region("us-east-1").register("c1", &role).await.ok();
    assert_eq!(
        other.eks("GET", "/clusters/c1", None).await.error(),
        (404, "ResourceNotFoundException".to_owned())
    );
    assert_eq!(
        other.iam("GetRole", &[("RoleName", "Agent")]).await.error(),
        (404, "NoSuchEntity".to_owned())
    );
    let answer = other.register("c1", &role).await;
    assert_eq!(answer.error(), (403, "AccessDeniedException".to_owned()));
    assert_eq!(answer.message(), "Cross-account pass role is not allowed.");
}

#[tokio::test]
async fn of_many_registrations_of_a_name_at_once_one_succeeds() {
    let (_emulator, aws) = start().await;
    let role = aws.agent_role().await;
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (aws, role) = (aws.clone(), role.clone());
            tokio::spawn(async move { aws.register("c1", &role).await.status })
        })
        .collect();
    let mut statuses = Vec::new();
    for call in calls {
        statuses.push(call.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses[0], 200);
    assert!(statuses[1..].iter().all(|status| *status == 409), "{statuses:?}");
}

#[tokio::test]
async fn a_wrong_page_token_is_refused() {
    let (_emulator, aws) = start().await;
    let answer = aws.iam("ListRoles", &[("Marker", "marker-7")]).await;
    assert_eq!(answer.error(), (400, "ValidationError".to_owned()));
    let answer = aws.eks("GET", "/clusters?nextToken=x", None).await;
    assert_eq!(answer.error(), (400, "InvalidParameterException".to_owned()));
    let answer = aws.ssm("DescribeActivations", json!({"NextToken": "x"})).await;
    assert_eq!(answer.error(), (400, "InvalidNextToken".to_owned()));
    for (path, message) in [
        ("/clusters?maxResults=0", "value greater than or equal to 1"),
        ("/clusters?maxResults=101", "value less than or equal to 100"),
    ] {
        assert!(aws.eks("GET", path, None).await.message().ends_with(message), "{path}");
    }
}

#[tokio::test]
async fn an_emulator_that_is_dropped_stops_listening() {
    let (emulator, aws) = start().await;
    aws.sts("GetCallerIdentity", &[]).await.ok();
    drop(emulator);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let stopped = async {
        while client.get(&aws.endpoint).send().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), stopped).await.unwrap();
}
