//! Where credentials come from, and each way in which a source fails, told apart.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::Scene;

const ISSUER: &str = "oidc.example.com/pipelines";

/// Who runs has no keys.
fn without_keys(scene: &mut Scene) {
    scene.unset("AWS_ACCESS_KEY_ID");
    scene.unset("AWS_SECRET_ACCESS_KEY");
}

/// Makes a role that everybody with a token of that subject may assume.
async fn role_for_subject(scene: &Scene, subject: &str) -> String {
    let account = scene.lease.account().clone();
    let keys = Credentials::new(account.access_key_id, account.secret_access_key, None, None, "test");
    let config = aws_sdk_iam::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-west-1"))
        .endpoint_url(scene.lease.endpoint())
        .credentials_provider(keys)
        .build();
    let trust = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": { "Federated": format!("arn:aws:iam::{}:oidc-provider/{ISSUER}", account.id) },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": { "StringEquals": { format!("{ISSUER}:sub"): subject } },
    }] });
    let client = aws_sdk_iam::Client::from_conf(config);
    let made = client.create_role().role_name("Pipeline").assume_role_policy_document(trust.to_string());
    made.send().await.unwrap().role.unwrap().arn
}

/// A token that expires that many seconds from now.
fn token(subject: &str, expires_in: i64) -> String {
    let expiry = jiff::Timestamp::now().as_second() + expires_in;
    let claims = json!({ "iss": format!("https://{ISSUER}"), "sub": subject, "aud": "sts.amazonaws.com", "exp": expiry });
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(json!({ "alg": "RS256" })), part(claims), URL_SAFE_NO_PAD.encode("signature"))
}

#[tokio::test]
async fn a_pipelines_own_identity() {
    let mut scene = Scene::new().await;
    let role = role_for_subject(&scene, "repo:connect").await;
    without_keys(&mut scene);
    scene.set("AWS_ROLE_ARN", &role);
    let file = scene.home_file("token", &token("repo:connect", 600));
    scene.set("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().unwrap());
    // The role may do nothing: who it is it may always know.
    let run = scene.register(&["--dry-run"]).await.expect_error("EKSC0207", 1);
    run.says(&["assumed-role/Pipeline/", "eks:DescribeCluster"]);

    for (content, error, says) in [
        (token("repo:connect", -600), "EKSC0203", "Token expired"),
        (token("repo:another", 600), "EKSC0212", "Not authorized to perform sts:AssumeRoleWithWebIdentity"),
        ("no token at all".to_owned(), "EKSC0212", "not a valid JWT"),
    ] {
        scene.home_file("token", &content);
        let run = scene.register(&["-vv"]).await.expect_error(error, 1).says(&[says]);
        assert!(!run.stderr.contains(&content), "the token is a secret: {}", run.stderr);
    }
    std::fs::remove_file(&file).unwrap();
    scene.register(&[]).await.expect_error("EKSC0212", 1).says(&["No such file"]);
    assert!(!scene.namespace_exists().await);
}

#[tokio::test]
async fn a_session_of_single_sign_on() {
    let mut scene = Scene::new().await;
    without_keys(&mut scene);
    scene.home_file(
        ".aws/config",
        "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n\
         [profile corp]\nsso_session = corp\nsso_account_id = 111122223333\nsso_role_name = Deployer\n",
    );
    // Nobody has logged in yet.
    let run = scene.register(&["--profile", "corp"]).await.expect_error("EKSC0212", 1);
    run.says(&["token", "aws sso login"]);
    // The file's name is the SHA-1 of the session's.
    let cached = json!({
        "startUrl": "https://corp.awsapps.com/start",
        "region": "eu-west-1",
        "accessToken": "an-access-token",
        "expiresAt": "2020-01-01T00:00:00Z",
    });
    scene.home_file(".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json", &cached.to_string());
    for arguments in [&["--profile", "corp", "-vv"][..], &["-vv"]] {
        scene.set("AWS_PROFILE", "corp");
        let run = scene.register(arguments).await.expect_error("EKSC0203", 1);
        let run = run.says(&["expired", "aws sso login"]);
        assert!(!run.stderr.contains("an-access-token"), "{}", run.stderr);
    }
}

#[tokio::test]
async fn a_profile_whose_source_fails() {
    let mut scene = Scene::new().await;
    let account = scene.lease.account().clone();
    without_keys(&mut scene);
    let works = json!({ "Version": 1, "AccessKeyId": account.access_key_id, "SecretAccessKey": account.secret_access_key });
    let works = scene.home_file("works.json", &works.to_string());
    let config = format!(
        "[profile fails]\ncredential_process = sh -c 'echo a-secret-of-the-process; exit 3'\n\
         [profile garbage]\ncredential_process = echo a-secret-of-the-process\n\
         [profile works]\ncredential_process = cat {}\n\
         [profile role]\nrole_arn = arn:aws:iam::{}:role/Nowhere\nsource_profile = works\n\
         [profile circle]\nrole_arn = arn:aws:iam::{}:role/Nowhere\nsource_profile = nowhere\n",
        works.display(),
        account.id,
        account.id,
    );
    scene.home_file(".aws/config", &config);
    scene.register(&["--profile", "works", "--dry-run"]).await.expect(0).says(&["as user/ana"]);
    for (profile, says) in [
        ("fails", "exit"),
        ("garbage", "process"),
        ("role", "is not authorized to perform: sts:AssumeRole on resource"),
        ("circle", "nowhere"),
    ] {
        let run = scene.register(&["--profile", profile, "-vv"]).await;
        let error = if profile == "circle" { "EKSC0202" } else { "EKSC0212" };
        let run = run.expect_error(error, 1).says(&[says]);
        assert!(!run.stderr.contains("a-secret-of-the-process"), "{}", run.stderr);
        assert!(!run.stderr.contains(&account.secret_access_key), "{}", run.stderr);
    }
}

#[tokio::test]
async fn an_instances_metadata_that_never_answer_are_asked_once() {
    let mut scene = Scene::new().await;
    without_keys(&mut scene);
    scene.unset("AWS_EC2_METADATA_DISABLED");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    scene.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{}", listener.local_addr().unwrap()));
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let silent = tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            open.push(listener.accept().await.unwrap());
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    scene.register(&[]).await.expect_error("EKSC0202", 1);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    silent.abort();
}

/// The scene's kubeconfig with another user.
fn as_user(scene: &Scene, user: &Value) -> String {
    let kubeconfig = std::fs::read_to_string(scene.lease.kubeconfig()).unwrap();
    let mut kubeconfig: Value = serde_yaml::from_str(&kubeconfig).unwrap();
    kubeconfig["users"][0]["user"] = user.clone();
    scene.home_file("as-user", &kubeconfig.to_string()).display().to_string()
}

fn plugin(script: &str) -> Value {
    json!({ "exec": {
        "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", script],
        "interactiveMode": "Never",
    } })
}

#[tokio::test]
async fn a_credential_plugin_that_works_fails_prints_garbage_hangs_or_is_not_there() {
    let scene = Scene::new().await;
    let kubeconfig = std::fs::read_to_string(scene.lease.kubeconfig()).unwrap();
    let kubeconfig: Value = serde_yaml::from_str(&kubeconfig).unwrap();
    let credential = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": { "token": kubeconfig["users"][0]["user"]["token"] },
    });
    let works = as_user(&scene, &plugin(&format!("echo '{credential}'")));
    scene.register(&["--kubeconfig", &works, "--dry-run"]).await.expect(0);
    // It ends once nobody reads what it says.
    let hangs = "while sleep 0.2; do echo a-secret-token || exit; done";
    for (script, says) in [
        ("echo a-secret-token; exit 3", "exit status: 3"),
        ("echo a-secret-token", "does not print an ExecCredential"),
        (hangs, "has not ended within 1s"),
    ] {
        let user = as_user(&scene, &plugin(script));
        let run = scene.register(&["--kubeconfig", &user, "-vv", "--timeout", "1s"]).await;
        let run = run.expect_error("EKSC0313", 1).says(&[says, "kubectl auth whoami"]);
        assert!(!run.stderr.contains("a-secret-token"), "{}", run.stderr);
    }
    let mut missing = plugin("");
    missing["exec"]["command"] = json!("no-such-plugin");
    let user = as_user(&scene, &missing);
    scene
        .register(&["--kubeconfig", &user])
        .await
        .expect_error("EKSC0313", 1)
        .says(&["no-such-plugin cannot be started"]);
}

#[tokio::test]
async fn an_expired_client_certificate_is_said_before_the_api_server_is_asked() {
    let scene = Scene::new().await;
    let certificate = include_str!("../fixtures/credentials/expired-client.pem");
    let user = json!({ "client-certificate-data": STANDARD.encode(certificate), "client-key-data": "" });
    let kubeconfig = as_user(&scene, &user);
    let run = scene.register(&["--kubeconfig", &kubeconfig]).await.expect_error("EKSC0314", 1);
    run.says(&["valid until 2021-01-31 12:00 UTC"]);
    // Whoever has a token beside it logs in with that.
    let original = std::fs::read_to_string(scene.lease.kubeconfig()).unwrap();
    let original: Value = serde_yaml::from_str(&original).unwrap();
    let file = scene.home_file("expired-client.pem", certificate);
    let user = json!({ "client-certificate": file, "client-key": file, "token": original["users"][0]["user"]["token"] });
    let run = scene.register(&["--kubeconfig", &as_user(&scene, &user), "--dry-run"]).await;
    assert!(!run.stderr.contains("EKSC0314"), "{}", run.stderr);
}

/// A proxy that wants a password. Counts the connections that had it.
async fn proxy() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let used = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&used);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, Arc::clone(&count)));
        }
    });
    (address, used)
}

/// Carries one connection: a tunnel after CONNECT, else the request as it is, which names its server.
async fn carry(mut client: TcpStream, used: Arc<AtomicUsize>) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let password = format!("Basic {}", STANDARD.encode("ana:p@ss"));
    let authorized = text.lines().any(|line| {
        line.to_ascii_lowercase().starts_with("proxy-authorization:") && line.ends_with(&password)
    });
    if !authorized {
        let refusal =
            b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        drop(client.write_all(refusal).await);
        return;
    }
    used.fetch_add(1, Ordering::Relaxed);
    let target = text.split_whitespace().nth(1).unwrap_or_default().trim_start_matches("http://");
    let Ok(mut server) = TcpStream::connect(target.split('/').next().unwrap_or_default()).await else {
        return;
    };
    let begun = if text.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await
    } else {
        server.write_all(&head).await
    };
    if begun.is_ok() {
        drop(tokio::io::copy_bidirectional(&mut client, &mut server).await);
    }
}

#[tokio::test]
async fn proxies_that_want_a_password() {
    let mut scene = Scene::new().await;
    scene.unset("NO_PROXY");
    let (for_aws, used_for_aws) = proxy().await;
    let (for_cluster, used_for_cluster) = proxy().await;
    scene.set("HTTP_PROXY", &format!("http://ana:p%40ss@{for_aws}"));
    scene.set("HTTPS_PROXY", &format!("http://ana:p%40ss@{for_cluster}"));
    let run = scene.register(&["-vv"]).await.expect(0);
    assert!(used_for_aws.load(Ordering::Relaxed) > 0 && used_for_cluster.load(Ordering::Relaxed) > 0);
    assert!(!run.stderr.contains("p@ss") && !run.stderr.contains("p%40ss"), "{}", run.stderr);

    scene.set("HTTPS_PROXY", &format!("http://ana:wrong@{for_cluster}"));
    let run = scene.register(&["-vv", "--dry-run", "--timeout", "2s"]).await.expect_error("EKSC0303", 1);
    assert!(!run.stderr.contains("wrong"), "{}", run.stderr);
    scene.set("HTTPS_PROXY", &format!("http://ana:p%40ss@{for_cluster}"));
    scene.set("HTTP_PROXY", &format!("http://ana:wrong@{for_aws}"));
    let run = scene.register(&["-vv", "--dry-run", "--timeout", "2s"]).await;
    assert!(matches!(run.code, Some(1)), "{}", run.stderr);
    assert!(!run.stderr.contains("wrong"), "{}", run.stderr);
    // Around them.
    scene.set("NO_PROXY", "127.0.0.1");
    scene.register(&["--dry-run"]).await.expect(0);
}
