//! The control plane: real components, apart from each other, and gone with whoever started them.

use std::time::Duration;

use eksconnect_sandbox::Progress;
use eksconnect_sandbox::controlplane::{Assets, Cluster, ClusterOptions, Etcd};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

fn assets() -> Assets {
    Assets::find(&Progress::stderr()).unwrap()
}

/// Every property of a cluster that needs one started, in one test: starting it is what takes the time.
#[tokio::test(flavor = "multi_thread")]
async fn two_clusters_on_one_etcd_are_real_and_apart() {
    let directory = tempfile::tempdir().unwrap();
    let assets = assets();
    let etcd = Etcd::start(&assets, directory.path()).await.unwrap();
    let mut gates_off = ClusterOptions::named("two");
    gates_off.feature_gates.insert("ConstrainedImpersonation".to_owned(), false);
    let (one, two) = tokio::join!(
        Cluster::start(&assets, &etcd, ClusterOptions::named("one")),
        Cluster::start(&assets, &etcd, gates_off),
    );
    let (one, two) = (one.unwrap(), two.unwrap());

    version_is_the_modules(&one).await;
    certificate_is_verified(&one).await;
    feature_gates_hold(&one, &two).await;
    objects_are_apart(&one, &two).await;
    users_have_their_own_rights(&one).await;

    // The end is noticed where it was not asked for.
    assert!(one.failure().is_none());
    let died = one.processes().remove(0);
    assert!(died.name.contains("kube-apiserver"), "{}", died.name);
    let status = std::process::Command::new("kill").args(["-9", &died.pid.to_string()]).status().unwrap();
    assert!(status.success());
    let failure = tokio::time::timeout(Duration::from_secs(60), one.failed()).await.unwrap().to_string();
    assert!(
        failure.contains("kube-apiserver of one ended") && failure.contains("The end of its log"),
        "{failure}"
    );

    tokio::join!(one.stop(), two.stop());
    etcd.stop().await;
}

async fn version_is_the_modules(cluster: &Cluster) {
    let module = include_str!("../../controlplane/go.mod");
    let version = cluster.client().await.unwrap().apiserver_version().await.unwrap();
    assert!(
        module.contains(&format!("\tk8s.io/kubernetes {}\n", version.git_version)),
        "{} is not what go.mod requires",
        version.git_version
    );
}

async fn certificate_is_verified(cluster: &Cluster) {
    let mut file = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let entry = file.clusters[0].cluster.as_mut().unwrap();
    assert!(entry.insecure_skip_tls_verify.is_none());
    entry.certificate_authority_data = None;
    let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    config.proxy_url = None;
    // Without the authority's certificate even the platform's authorities do not make it trusted.
    let outcome = match Client::try_from(config) {
        Ok(client) => client.apiserver_version().await.map(drop).map_err(|error| format!("{error:?}")),
        Err(error) => Err(format!("{error:?}")),
    };
    outcome.unwrap_err();
}

async fn feature_gates_hold(on: &Cluster, off: &Cluster) {
    for (cluster, value) in [(on, 1), (off, 0)] {
        let request = http::Request::get("/metrics").body(Vec::new()).unwrap();
        let metrics = cluster.client().await.unwrap().request_text(request).await.unwrap();
        let wanted =
            format!("kubernetes_feature_enabled{{name=\"ConstrainedImpersonation\",stage=\"BETA\"}} {value}");
        assert!(metrics.contains(&wanted), "{} lacks {wanted}", cluster.name());
    }
}

async fn objects_are_apart(one: &Cluster, two: &Cluster) {
    let namespaces = |client: Client| Api::<Namespace>::all(client);
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("only-in-one".to_owned());
    namespaces(one.client().await.unwrap()).create(&PostParams::default(), &namespace).await.unwrap();
    assert!(namespaces(one.client().await.unwrap()).get_opt("only-in-one").await.unwrap().is_some());
    assert!(namespaces(two.client().await.unwrap()).get_opt("only-in-one").await.unwrap().is_none());
}

async fn users_have_their_own_rights(cluster: &Cluster) {
    let maps = async |user: &str, group| {
        let file = Kubeconfig::read_from(cluster.kubeconfig_for(user, group).unwrap()).unwrap();
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
        config.proxy_url = None;
        let maps: Api<ConfigMap> = Api::all(Client::try_from(config).unwrap());
        maps.list(&ListParams::default()).await
    };
    let refusal = maps("nobody", None).await.unwrap_err().to_string();
    assert!(refusal.contains("User \"nobody\" cannot list resource \"configmaps\""), "{refusal}");
    maps("somebody", Some("system:masters")).await.unwrap();
}

/// A component that ends at its start gives an error with its own words, at once.
#[tokio::test]
async fn a_component_that_cannot_start_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let assets = assets();
    let etcd = Etcd::start(&assets, directory.path()).await.unwrap();
    let mut options = ClusterOptions::named("one");
    options.api_server_arguments.push("--no-such-flag".to_owned());
    let error = match Cluster::start(&assets, &etcd, options).await {
        Ok(_) => panic!("started with a flag that it does not know"),
        Err(error) => error.to_string(),
    };
    assert!(error.contains("unknown flag: --no-such-flag"), "{error}");
    etcd.stop().await;
}
