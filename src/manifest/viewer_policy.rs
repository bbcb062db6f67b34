//! The inline policy of a viewer: what IAM must allow for the console to show a connected cluster. One policy for all the
//! clusters of a principal, since IAM limits the size of all of them together.

use serde_json::{Value, json};

use super::policy::{one_or_many, statements};

/// The name of a viewer's inline policy.
pub const VIEWER_POLICY_NAME: &str = "EKSConnectorConsoleView";

/// What a viewer may do with the cluster (user guide, "View Kubernetes resources": of its list, what a connected cluster needs).
pub const VIEWER_ACTIONS: [&str; 2] = ["eks:AccessKubernetesApi", "eks:DescribeCluster"];

/// What a viewer may do with the account: the console's list of clusters.
pub const VIEWER_LIST_ACTION: &str = "eks:ListClusters";

/// The policy, without any cluster.
const VIEWER: &str = include_str!("../../policies/viewer.json");

/// The statement of [`VIEWER`] that names the clusters.
const CLUSTERS: &str = "ViewConnectedClusters";

/// What is left of a viewer's policy once a cluster is taken out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Without {
    /// It did not name the cluster.
    Same,
    /// This, as JSON.
    Document(String),
    /// Nothing.
    Nothing,
}

/// The policy with that cluster in it; `existing` is the policy that there is. `None` if it says that already.
pub fn viewer_policy(existing: Option<&str>, cluster_arn: &str) -> Option<String> {
    let existing = existing.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let mut document = existing.clone().filter(Value::is_object).unwrap_or_else(|| json!({}));
    let template: Value = serde_json::from_str(VIEWER).unwrap_or_default();
    let mut kept: Vec<Value> =
        statements(&document).filter(|statement| statement.is_object()).cloned().collect();
    for wanted in statements(&template) {
        let mut wanted = wanted.clone();
        let own = kept.iter().position(|statement| statement["Sid"] == wanted["Sid"]);
        if wanted["Sid"] == CLUSTERS {
            let mut clusters: Vec<String> = own.map(|place| resources(&kept[place])).unwrap_or_default();
            if !clusters.iter().any(|cluster| cluster == cluster_arn) {
                clusters.push(cluster_arn.to_owned());
            }
            wanted["Resource"] = json!(clusters);
        }
        match own {
            Some(place) => kept[place] = wanted,
            None => kept.push(wanted),
        }
    }
    document["Version"] = template["Version"].clone();
    document["Statement"] = Value::Array(kept);
    (existing.as_ref() != Some(&document)).then(|| document.to_string())
}

/// The policy without that cluster.
pub fn viewer_policy_without(existing: &str, cluster_arn: &str) -> Without {
    let Ok(mut document) = serde_json::from_str::<Value>(existing) else { return Without::Same };
    let mut kept: Vec<Value> = statements(&document).cloned().collect();
    let Some(place) = kept.iter().position(|statement| statement["Sid"] == CLUSTERS) else {
        return Without::Same;
    };
    let mut clusters = resources(&kept[place]);
    let before = clusters.len();
    clusters.retain(|cluster| cluster != cluster_arn);
    if clusters.len() == before {
        return Without::Same;
    }
    if clusters.is_empty() {
        // What somebody else wrote into it stays.
        let template: Value = serde_json::from_str(VIEWER).unwrap_or_default();
        kept.retain(|statement| statements(&template).all(|own| own["Sid"] != statement["Sid"]));
    } else {
        kept[place]["Resource"] = json!(clusters);
    }
    if kept.is_empty() {
        return Without::Nothing;
    }
    document["Statement"] = Value::Array(kept);
    Without::Document(document.to_string())
}

fn resources(statement: &Value) -> Vec<String> {
    one_or_many(&statement["Resource"]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/one";
    const TWO: &str = "arn:aws:eks:eu-west-1:111122223333:cluster/two";

    #[test]
    fn a_policy_names_its_clusters_and_nothing_more() {
        let one = viewer_policy(None, ONE).unwrap();
        let document: Value = serde_json::from_str(&one).unwrap();
        assert_eq!(document["Statement"][0]["Resource"], json!([ONE]));
        assert_eq!(document["Statement"][0]["Action"], json!(VIEWER_ACTIONS));
        assert_eq!(document["Statement"][1]["Action"], VIEWER_LIST_ACTION);
        assert_eq!(viewer_policy(Some(&one), ONE), None);
        let both = viewer_policy(Some(&one), TWO).unwrap();
        assert!(both.contains(ONE) && both.contains(TWO), "{both}");
        assert_eq!(viewer_policy_without(&both, TWO), Without::Document(one.clone()));
        assert_eq!(viewer_policy_without(&one, TWO), Without::Same);
        assert_eq!(viewer_policy_without(&one, ONE), Without::Nothing);
    }

    #[test]
    fn what_others_wrote_into_it_stays() {
        let theirs = r#"{"Version":"2012-10-17","Statement":{"Sid":"Theirs","Effect":"Deny","Action":"s3:*","Resource":"*"}}"#;
        let with = viewer_policy(Some(theirs), ONE).unwrap();
        assert!(with.contains("Theirs") && with.contains(ONE), "{with}");
        let Without::Document(without) = viewer_policy_without(&with, ONE) else { panic!("{with}") };
        assert!(without.contains("Theirs") && !without.contains("eks:"), "{without}");
        // What is no policy is replaced.
        assert!(viewer_policy(Some("no"), ONE).is_some());
        assert_eq!(viewer_policy_without("no", ONE), Without::Same);
    }
}
