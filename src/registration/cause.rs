//! Why agents do not come up, as far as it can be seen from outside, and what to do about it.

use crate::error::Error;
use crate::ports::{AgentState, Cluster};

/// Where the agents are, and how they stand.
pub(super) struct Agents<'a> {
    /// Their namespace.
    pub(super) namespace: &'a str,
    /// The Region that they connect to.
    pub(super) region: &'a str,
    /// What the last watch told.
    pub(super) state: &'a AgentState,
    /// What there is to say if no cause can be seen.
    pub(super) otherwise: Option<String>,
}

/// Adds to `error`, which says that a wait timed out, the first visible cause and the way out of it. `also` is what
/// could not be looked at while waiting.
pub(super) async fn with_cause<'a>(
    error: Error,
    cluster: &dyn Cluster,
    agents: Agents<'a>,
    also: impl Iterator<Item = &'a String>,
) -> Error {
    let Agents { namespace, region, state, otherwise } = agents;
    let watched = || state.trouble.clone().or_else(|| state.doing.clone());
    let cause = match cluster.diagnose(namespace).await {
        Ok(Some(cause)) => cause,
        Ok(None) => otherwise.or_else(watched).unwrap_or_else(|| "none visible".to_owned()),
        Err(failure) => format!("could not be found out: {}", failure.message),
    };
    let way_out = way_out(&cause, region);
    also.fold(error.cause(cause), |error, what| error.fact("also", what.clone()))
        .fix(format!("{way_out}; then run the same command again: it continues where this one ended"))
}

/// The way out of a cause, in a sentence without an end. `cause` is what the cluster said, `region` where the agents connect to.
fn way_out(cause: &str, region: &str) -> String {
    let says = |words: &[&str]| words.iter().any(|word| cause.contains(word));
    if says(&["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"]) {
        return "let the nodes pull that image, or name a registry that has a copy: --image-registry, with \
                --pull-secret-file if it wants credentials"
            .to_owned();
    }
    if says(&["x509:", "certificate signed by unknown authority"]) {
        return "let the agents trust who answers in AWS' place: --proxy-ca-file, or leave AWS out of the inspection"
            .to_owned();
    }
    if says(&["AccessDenied"]) {
        return "let the agent role do what it is refused: its permissions, its boundary, the organisation's policies"
            .to_owned();
    }
    if says(&["dial tcp", "i/o timeout", "no such host", "connection re", "EOF", "proxyconnect"]) {
        return format!(
            "let the cluster reach ssm.{region}.amazonaws.com and ssmmessages.{region}.amazonaws.com on port 443, or \
             register with --https-proxy"
        );
    }
    if says(&["InvalidActivation", "RegistrationLimitExceeded", "ActivationExpired"]) {
        return "have the registration made anew (--renew)".to_owned();
    }
    if says(&["not scheduled"]) {
        return "add a node that suits, or let the agents onto one: --toleration, --node-selector".to_owned();
    }
    if says(&["exceeded quota", "violates PodSecurity", "is forbidden", "denied the request"]) {
        return "let the namespace have these pods and their Secrets, or choose another one: --namespace"
            .to_owned();
    }
    "remove the cause".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_has_a_way_out() {
        for (cause, way) in [
            (
                "pod x, container y: ErrImagePull: dial tcp: lookup a.example: no such host",
                "--image-registry",
            ),
            (
                "Post \"https://ssm.eu-west-1.amazonaws.com/\": dial tcp: i/o timeout",
                "ssmmessages.eu-west-1.",
            ),
            ("tls: failed to verify certificate: x509: unknown authority", "--proxy-ca-file"),
            ("its agent says:\nAccessDeniedException: no", "agent role"),
            ("InvalidActivation: the code is wrong", "--renew"),
            ("pod x is not scheduled: 0/2 nodes are available", "--toleration"),
            ("pods \"eks-connector-0\" is forbidden: exceeded quota: none", "--namespace"),
            ("none visible", "remove the cause"),
        ] {
            let advice = way_out(cause, "eu-west-1");
            assert!(advice.contains(way), "{cause}: {advice}");
        }
    }
}
