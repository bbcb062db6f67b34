//! Wrong input: refused before any network, each with its code.

use crate::support::Scene;

#[tokio::test]
async fn each_wrong_option_has_its_own_error_and_asks_nobody() {
    let scene = Scene::new().await;
    for (arguments, code) in [
        (vec!["register", "--name", "on.prem"], "EKSC0101"),
        (vec!["register", "--name", ""], "EKSC0101"),
        (vec!["register", "--name", "a", "--role-name", "no spaces"], "EKSC0102"),
        (vec!["register", "--name", "a", "--role-arn", "Agent"], "EKSC0102"),
        (
            vec!["register", "--name", "a", "--role-arn", "arn:aws:sts::111122223333:assumed-role/R/s"],
            "EKSC0102",
        ),
        (vec!["register", "--name", "a", "--role-path", "platform"], "EKSC0113"),
        (vec!["register", "--name", "a", "--role-permissions-boundary", "Bound"], "EKSC0113"),
        (vec!["register", "--name", "a", "--role-tag", "novalue"], "EKSC0103"),
        (vec!["register", "--name", "a", "--tag", "novalue"], "EKSC0103"),
        (vec!["register", "--name", "a", "--tag", "aws:x=y"], "EKSC0103"),
        (vec!["register", "--name", "a", "--region", "cn-north-1"], "EKSC0104"),
        (vec!["register", "--name", "a", "--region", "mars"], "EKSC0104"),
        (vec!["register", "--name", "a", "--namespace", "Upper"], "EKSC0105"),
        (vec!["explain", "EKSC9999"], "EKSC0106"),
        (vec!["register", "--name", "a", "--connector-image", "a.example/b"], "EKSC0108"),
        (vec!["register", "--name", "a", "--agent-image", "https://a.example/b:1"], "EKSC0108"),
        (vec!["register", "--name", "a", "--image-registry", "mirror"], "EKSC0108"),
        (vec!["register", "--name", "a", "--node-selector", "kubernetes.io/arch=arm64"], "EKSC0110"),
        (vec!["register", "--name", "a", "--toleration", "gpu:Never"], "EKSC0110"),
        (vec!["register", "--name", "a", "--https-proxy", "proxy:3128"], "EKSC0111"),
        (vec!["register", "--name", "a", "--https-proxy", "http://p:1", "--no-proxy", "a,,b"], "EKSC0111"),
        (vec!["register", "--name", "a", "--proxy-ca-file", "/does/not/exist"], "EKSC0109"),
        (vec!["register", "--name", "a", "--pull-secret-file", "/does/not/exist"], "EKSC0109"),
    ] {
        let run = scene.run(&arguments).await.expect_error(code, 2);
        assert!(run.stderr.contains("fix"), "{arguments:?}: {}", run.stderr);
        assert_eq!(run.stdout, "");
    }
    assert_eq!(scene.calls().await, []);
}

#[tokio::test]
async fn a_typo_gets_the_nearest_right_word() {
    let scene = Scene::new().await;
    scene.run(&["regster"]).await.expect_error("EKSC0107", 2).says(&["register"]);
    scene.run(&["register", "--nmae", "a"]).await.expect(2).says(&["--name"]);
    scene.run(&["register"]).await.expect(2).says(&["--name"]);
    scene.run(&["register", "--name", "a", "--provider", "gce"]).await.expect(2).says(&["GKE"]);
    scene.run(&["register", "--name", "a", "--wait-timeout", "5"]).await.expect(2).says(&["5m"]);
    let arn = "arn:aws:iam::111122223333:role/R";
    for option in ["--role-name", "--role-path", "--role-permissions-boundary", "--role-tag"] {
        let both = ["register", "--name", "a", "--role-arn", arn, option, "x"];
        scene.run(&both).await.expect_error("EKSC0107", 2).says(&["cannot be used with", option]);
    }
    let both = ["register", "--name", "a", "--no-wait", "--wait-timeout", "5m"];
    scene.run(&both).await.expect(2).says(&["cannot be used with"]);
}

#[tokio::test]
async fn a_wrong_command_line_is_a_document_too() {
    let scene = Scene::new().await;
    let error = scene.run(&["register", "--nmae", "a", "-o", "json"]).await.expect(2).json();
    assert_eq!((&error["kind"], &error["code"]), (&"Error".into(), &"EKSC0107".into()));
    let error = scene.run(&["register", "--name", "a.b", "-o", "json"]).await.expect(2).json();
    assert_eq!((&error["code"], &error["exitCode"]), (&"EKSC0101".into(), &2.into()));
}

#[tokio::test]
async fn help_version_and_explanations_need_nothing() {
    let mut scene = Scene::new().await;
    for name in
        ["HOME", "KUBECONFIG", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"]
    {
        scene.unset(name);
    }
    let help = scene.run(&["--help"]).await.expect(0);
    assert!(help.stdout.contains("register"), "{}", help.stdout);
    let version = scene.run(&["--version"]).await.expect(0);
    assert_eq!(version.stdout, format!("eksconnect {}\n", env!("CARGO_PKG_VERSION")));
    let page = scene.run(&["explain", "eksc0412"]).await.expect(0);
    assert!(page.stdout.starts_with("# EKSC0412: "), "{}", page.stdout);
    scene.run(&["register", "--help"]).await.expect(0);
    scene.run(&[]).await.expect(2).says(&["Usage"]);
}
