//! The AWS emulator's knobs: settings, clock, faults, latency, log, dump.

use std::time::{Duration, Instant};

use eksconnect_sandbox::aws::control::{
    AccountSpec, Fault, FaultKind, Latency, RepeatToken, Selector, SettingsChange, SettingsPatch, When,
};
use eksconnect_sandbox::aws::{Emulator, Options};
use serde_json::{Value, json};

use crate::support::aws_caller::{AwsCaller, TRUST};

async fn start() -> (Emulator, AwsCaller) {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let aws = AwsCaller::new(&emulator).await;
    (emulator, aws)
}

async fn set(
    emulator: &Emulator,
    account: Option<&AwsCaller>,
    region: Option<&str>,
    settings: SettingsPatch,
) {
    let change = SettingsChange {
        account: account.map(|aws| aws.account.clone()),
        region: region.map(str::to_owned),
        settings,
    };
    emulator.control().change_settings(change).await.unwrap();
}

/// Propagation is counted on the clock that tests move, so that none of them waits.
#[tokio::test]
async fn a_new_role_takes_a_while_to_be_seen() {
    let (emulator, aws) = start().await;
    let settings = SettingsPatch { iam_propagation_ms: Some(60_000), ..SettingsPatch::default() };
    set(&emulator, Some(&aws), None, settings).await;
    let role = aws.agent_role().await;
    aws.iam("GetRole", &[("RoleName", "Agent")]).await.ok();
    for _ in 0..2 {
        let answer = aws.register("c1", &role).await;
        assert_eq!(answer.error(), (400, "InvalidRequestException".to_owned()));
        assert_eq!(answer.message(), "Nonexistent role or missing ssm service principal in trust policy");
    }
    emulator.control().move_clock(61).await.unwrap();
    aws.register("c1", &role).await.ok();
    // A change of the trust policy takes as long, both ways.
    let other = TRUST.replace("ssm.amazonaws.com", "ec2.amazonaws.com");
    let update = |document| [("RoleName", "Agent"), ("PolicyDocument", document)];
    aws.iam("UpdateAssumeRolePolicy", &update(other.as_str())).await.ok();
    aws.register("c2", &role).await.ok();
    emulator.control().move_clock(61).await.unwrap();
    assert_eq!(aws.register("c3", &role).await.status, 400);
    aws.iam("UpdateAssumeRolePolicy", &update(TRUST)).await.ok();
    assert_eq!(aws.register("c3", &role).await.status, 400);
    emulator.control().move_clock(61).await.unwrap();
    aws.register("c3", &role).await.ok();
}

#[tokio::test]
async fn a_new_service_linked_role_propagates() {
    let (emulator, aws) = start().await;
    let settings =
        SettingsPatch { service_linked_role_propagation_ms: Some(60_000), ..SettingsPatch::default() };
    set(&emulator, None, None, settings).await;
    let role = aws.agent_role().await;
    let answer = aws.register("c1", &role).await;
    assert_eq!(answer.error(), (428, "ResourcePropagationDelayException".to_owned()));
    let arn = format!(
        "arn:aws:iam::{}:role/aws-service-role/eks-connector.amazonaws.com/AWSServiceRoleForAmazonEKSConnector",
        aws.account
    );
    assert_eq!(answer.message(), format!("Service linked role '{arn}' is propagating, please retry later."));
    emulator.control().move_clock(61).await.unwrap();
    aws.register("c1", &role).await.ok();
}

#[tokio::test]
async fn a_region_that_is_not_enabled_knows_no_key_of_the_account() {
    let (emulator, aws) = start().await;
    let settings = SettingsPatch { disabled: Some(true), ..SettingsPatch::default() };
    let region = Some("af-south-1".to_owned());
    let change = SettingsChange { account: Some(aws.account.clone()), region, settings };
    emulator.control().change_settings(change).await.unwrap();
    let there = aws.in_region("af-south-1");
    let answer = there.eks("GET", "/clusters", None).await;
    assert_eq!(answer.error(), (403, "UnrecognizedClientException".to_owned()));
    there.iam("ListRoles", &[]).await.ok();
    aws.eks("GET", "/clusters", None).await.ok();
}

#[tokio::test]
async fn registrations_that_are_given_are_listed_page_by_page() {
    let (emulator, aws) = start().await;
    let arn = emulator.control().add_registrations(&aws.account, "eu-west-1", 101).await.unwrap();
    assert!(arn.ends_with(":cluster/many-0101"), "{arn}");
    let page = aws.eks("GET", "/clusters?include=all", None).await.ok().json();
    assert_eq!(page["clusters"].as_array().unwrap().len(), 100);
    assert!(page["nextToken"].is_string());
    assert_eq!(aws.cluster_status("many-0101").await, "PENDING");
}

#[tokio::test]
async fn a_quota_holds_in_its_region() {
    let (emulator, aws) = start().await;
    let settings = SettingsPatch { registered_clusters: Some(1), ..SettingsPatch::default() };
    set(&emulator, Some(&aws), Some("eu-west-1"), settings).await;
    let role = aws.agent_role().await;
    for (aws, limit) in [(aws.clone(), 1.0), (aws.in_region("us-east-1"), 10.0)] {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", "ServiceQuotasV20190624.GetServiceQuota"),
        ];
        let body = json!({"ServiceCode": "eks", "QuotaCode": "L-FDFA5F81"}).to_string();
        let quota = aws.signed("servicequotas", "POST", "/", &headers, body).await.ok().json();
        assert_eq!(quota["Quota"]["Value"], limit);
        aws.register("c1", &role).await.ok();
        let second = aws.register("c2", &role).await;
        let expected = if limit > 1.0 { 200 } else { 400 };
        assert_eq!(second.status, expected, "{second:?}");
    }
}

#[tokio::test]
async fn a_repeated_token_gives_the_first_answer_or_a_conflict() {
    let (emulator, aws) = start().await;
    let role = aws.agent_role().await;
    let register = async |name: &str, token: &str, provider: &str| {
        let config = json!({"roleArn": role, "provider": provider});
        let body = json!({"name": name, "connectorConfig": config, "clientRequestToken": token});
        aws.eks("POST", "/cluster-registrations", Some(body)).await
    };
    let in_use = (409, "ResourceInUseException".to_owned());
    let first = register("c1", "t1", "OTHER").await.ok().json();
    assert_eq!(register("c1", "t1", "OTHER").await.ok().json(), first);
    assert_eq!(register("c1", "t2", "OTHER").await.error(), in_use);
    assert_eq!(register("c1", "t1", "GKE").await.error(), in_use, "other parameters");
    let settings = SettingsPatch { repeat_token: Some(RepeatToken::InUse), ..SettingsPatch::default() };
    set(&emulator, Some(&aws), None, settings).await;
    assert_eq!(register("c1", "t1", "OTHER").await.error(), in_use);
}

#[tokio::test]
async fn a_registration_can_be_creating_first() {
    let (emulator, aws) = start().await;
    let settings = SettingsPatch { creating_ms: Some(60_000), ..SettingsPatch::default() };
    set(&emulator, Some(&aws), None, settings).await;
    let role = aws.agent_role().await;
    assert_eq!(aws.register("c1", &role).await.ok().json()["cluster"]["status"], "CREATING");
    emulator.control().move_clock(61).await.unwrap();
    assert_eq!(aws.cluster_status("c1").await, "PENDING");
}

fn throttled() -> FaultKind {
    let (code, message) = ("ThrottlingException".to_owned(), "Rate exceeded".to_owned());
    FaultKind::Error { status: 429, code, message }
}

#[tokio::test]
async fn a_fault_strikes_before_or_after_the_effect_at_the_nth_call() {
    let (emulator, aws) = start().await;
    let other = AwsCaller::new(&emulator).await;
    let control = emulator.control();
    let role = aws.agent_role().await;
    let throttling = (429, "ThrottlingException".to_owned());

    let mut fault = Fault::once("eks", "RegisterCluster", throttled());
    fault.selector.account = Some(aws.account.clone());
    fault.nth = 2;
    let id = control.add_fault(fault.clone()).await.unwrap();
    let others_role = other.agent_role().await;
    other.register("c1", &others_role).await.ok();
    aws.register("c1", &role).await.ok();
    let answer = aws.register("c2", &role).await;
    assert_eq!(answer.error(), throttling);
    assert_eq!(answer.message(), "Rate exceeded");
    assert_eq!(aws.eks("GET", "/clusters/c2", None).await.status, 404, "no effect");
    aws.register("c2", &role).await.ok();
    let listed = control.faults().await.unwrap();
    assert_eq!((listed[0].id, listed[0].seen, listed[0].struck), (id, 3, 1));
    control.clear_fault(id).await.unwrap();

    let after = Fault { when: When::After, nth: 1, ..fault };
    control.add_fault(after).await.unwrap();
    assert_eq!(aws.register("c3", &role).await.error(), throttling);
    assert_eq!(aws.cluster_status("c3").await, "PENDING", "it took effect");

    // A fault that lasts, of a whole service, in another protocol.
    let selector = Selector { service: Some("iam".to_owned()), ..Selector::default() };
    let kind =
        FaultKind::Error { status: 503, code: "ServiceUnavailable".to_owned(), message: "x".to_owned() };
    control.add_fault(Fault { selector, nth: 1, times: None, when: When::Before, kind }).await.unwrap();
    for _ in 0..3 {
        assert_eq!(aws.iam("ListRoles", &[]).await.error(), (503, "ServiceUnavailable".to_owned()));
    }
    control.clear_faults(Some(&aws.account)).await.unwrap();
    assert_eq!(control.faults().await.unwrap().len(), 1, "the one that selects no account");
    control.clear_faults(None).await.unwrap();
    aws.iam("ListRoles", &[]).await.ok();
}

#[tokio::test]
async fn a_connection_can_be_cut_hang_or_end_in_the_middle() {
    let (emulator, aws) = start().await;
    let control = emulator.control();
    let url = format!("{}/clusters", aws.endpoint);
    let host = aws.endpoint.replace("http://", "");
    let request = |timeout: Duration| {
        let client = reqwest::Client::builder().no_proxy().timeout(timeout).build().unwrap();
        let mut request = client.get(&url);
        for (name, value) in aws.signature("eks", "GET", &url, &host, &[], b"") {
            request = request.header(name, value);
        }
        request.send()
    };
    let long = Duration::from_secs(30);

    control.add_fault(Fault::once("eks", "ListClusters", FaultKind::Reset)).await.unwrap();
    let error = request(long).await.unwrap_err();
    let mut source: &dyn std::error::Error = &error;
    while let Some(deeper) = source.source() {
        source = deeper;
    }
    let kind = source.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
    assert_eq!(kind, Some(std::io::ErrorKind::ConnectionReset), "{error:?}");

    control.add_fault(Fault::once("eks", "ListClusters", FaultKind::Hang)).await.unwrap();
    assert!(request(Duration::from_millis(300)).await.unwrap_err().is_timeout());

    control.add_fault(Fault::once("eks", "ListClusters", FaultKind::MalformedBody)).await.unwrap();
    let answer = request(long).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(serde_json::from_str::<Value>(&answer.text().await.unwrap()).is_err());

    let statuses: Vec<u16> = control.log(0, None).await.unwrap().iter().map(|entry| entry.status).collect();
    assert_eq!(statuses, [0, 0, 200]);
    assert_eq!(request(long).await.unwrap().status(), 200);
}

/// Whoever prints an answer that it cannot read would show everything that matters in it.
#[tokio::test]
async fn a_malformed_answer_is_the_true_one_without_its_end() {
    let (emulator, aws) = start().await;
    let control = emulator.control();
    let role = aws.agent_role().await;
    let id =
        control.add_fault(Fault::once("eks", "RegisterCluster", FaultKind::MalformedBody)).await.unwrap();
    let answer = aws.register("c1", &role).await;
    let [code] =
        <[String; 1]>::try_from(control.activation_codes(Some(&aws.account)).await.unwrap()).unwrap();
    assert!(answer.text.contains(&code), "{}", answer.text);
    assert!(serde_json::from_str::<Value>(&answer.text).is_err(), "{}", answer.text);
    let faults = control.faults().await.unwrap();
    let fault = faults.iter().find(|fault| fault.id == id).unwrap();
    assert_eq!((fault.struck, fault.over), (1, 1));
    // Deregistered or not, a code that was given stays known.
    aws.eks("DELETE", "/cluster-registrations/c1", None).await.ok();
    assert_eq!(control.activation_codes(Some(&aws.account)).await.unwrap(), [code]);
    assert!(control.activation_codes(Some("000000000000")).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_most_specific_latency_holds() {
    let (emulator, aws) = start().await;
    let control = emulator.control();
    let selector = |service: Option<&str>, operation: Option<&str>| Selector {
        service: service.map(str::to_owned),
        operation: operation.map(str::to_owned),
        account: None,
    };
    let set = async |service, operation, milliseconds| {
        let latency = Latency { selector: selector(service, operation), milliseconds };
        control.set_latency(latency).await.unwrap();
    };
    set(None, None, 250).await;
    set(Some("sts"), Some("GetCallerIdentity"), 1).await;
    let timed = async |operation: &str| {
        let started = Instant::now();
        match operation {
            "sts" => aws.sts("GetCallerIdentity", &[]).await.ok(),
            _ => aws.eks("GET", "/clusters", None).await.ok(),
        };
        started.elapsed()
    };
    assert!(timed("eks").await >= Duration::from_millis(250));
    assert!(timed("sts").await < Duration::from_millis(250));
    let log = control.log(0, None).await.unwrap();
    assert!(log[0].duration_ms >= 250, "{log:?}");
    set(None, None, 0).await;
    set(Some("sts"), Some("GetCallerIdentity"), 0).await;
    assert!(control.latencies().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_log_tells_every_call_and_no_secret() {
    let (emulator, aws) = start().await;
    let other = AwsCaller::new(&emulator).await;
    let control = emulator.control();
    aws.iam("GetRole", &[("RoleName", "Agent")]).await;
    other.in_region("us-east-1").sts("GetCallerIdentity", &[]).await.ok();
    let entry = &control.log(0, Some(&aws.account)).await.unwrap()[0];
    assert_eq!((entry.service.as_str(), entry.operation.as_str()), ("iam", "GetRole"));
    assert_eq!((entry.status, entry.error.as_deref()), (404, Some("NoSuchEntity")));
    assert_eq!(entry.region.as_deref(), Some("eu-west-1"));
    assert_eq!(entry.principal, Some(format!("arn:aws:iam::{}:user/ana", aws.account)));
    assert_eq!(Value::Object(entry.parameters.clone()), json!({"RoleName": "Agent"}));
    let all = control.log(0, None).await.unwrap();
    assert_eq!(all.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(control.log(1, None).await.unwrap(), all[1..]);
    control.reset_log().await.unwrap();
    aws.sts("GetCallerIdentity", &[]).await.ok();
    assert_eq!(control.log(0, None).await.unwrap()[0].sequence, 3);
}

#[tokio::test]
async fn the_dump_is_stable_and_shows_every_change_but_no_secret() {
    let (emulator, aws) = start().await;
    let control = emulator.control();
    let dump = async || control.dump(Some(&aws.account)).await.unwrap();
    let role = aws.agent_role().await;
    let before = dump().await;
    assert_eq!(dump().await, before);
    let other = AwsCaller::new(&emulator).await;
    other.agent_role().await;
    assert_eq!(dump().await, before, "another account");
    let cluster = aws.register("c1", &role).await.ok().json();
    let with = dump().await;
    assert_ne!(with, before);
    let code = cluster["cluster"]["connectorConfig"]["activationCode"].as_str().unwrap();
    let text = with.to_string();
    assert!(!text.contains(code) && !text.contains(&aws.secret_access_key));
    assert!(text.contains(cluster["cluster"]["connectorConfig"]["activationId"].as_str().unwrap()));
}

#[tokio::test]
async fn control_refuses_what_it_does_not_know() {
    let (emulator, aws) = start().await;
    let control = emulator.control();
    for id in ["12", "12345678901x", aws.account.as_str()] {
        let spec = AccountSpec { id: Some(id.to_owned()) };
        assert!(control.create_account(spec).await.is_err(), "{id}");
    }
    let chosen = AccountSpec { id: Some("210987654321".to_owned()) };
    assert_eq!(control.create_account(chosen).await.unwrap().id, "210987654321");
    assert_eq!(control.accounts().await.unwrap().len(), 2);
    let change = SettingsChange { account: Some("000000000000".to_owned()), ..SettingsChange::default() };
    assert!(control.change_settings(change).await.is_err());
}

#[tokio::test]
async fn clusters_of_eks_itself_share_the_list_and_the_names() {
    let (emulator, aws) = start().await;
    let arn = emulator.control().add_cluster(&aws.account, "eu-west-1", "own").await.unwrap();
    let role = aws.agent_role().await;
    aws.register("connected", &role).await.ok();
    assert_eq!(aws.eks("GET", "/clusters", None).await.ok().json(), json!({"clusters": ["own"]}));
    let all = aws.eks("GET", "/clusters?include=all", None).await.ok().json();
    assert_eq!(all, json!({"clusters": ["connected", "own"]}));
    let described = aws.eks("GET", "/clusters/own", None).await.ok().json();
    assert_eq!(described["cluster"]["arn"], arn);
    assert!(described["cluster"].get("connectorConfig").is_none());
    assert_eq!(aws.register("own", &role).await.error(), (409, "ResourceInUseException".to_owned()));
    assert_eq!(aws.eks("DELETE", "/cluster-registrations/own", None).await.status, 400);
}
