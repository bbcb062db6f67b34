//! The first visible cause why the agents are not ready: events of the StatefulSet, states of the pods, the last words
//! of a container that fails, what an agent that stays up complains of.

use k8s_openapi::List;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use kube::ResourceExt;

use super::agents::{containers, unscheduled};
use super::api::TEXT;
use super::client::Connected;
use crate::manifest::{AGENT_CONTAINER, STATEFUL_SET, agent_selector};
use crate::ports::{Failure, FailureKind, Side};

impl Connected {
    pub(super) async fn first_cause(&self, namespace: &str) -> Result<Option<String>, Failure> {
        let core = format!("/api/v1/namespaces/{namespace}");
        let pods = self
            .list::<Pod>("list pods", &format!("{core}/pods?labelSelector={}", encode(agent_selector())))
            .await?;
        let events = self.list::<Event>("list events", &format!("{core}/events")).await?;
        if pods.is_empty() {
            return Ok(event_of(&events, "StatefulSet", STATEFUL_SET, "FailedCreate")
                .map(|message| format!("the StatefulSet cannot make its pods: {message}")));
        }
        for pod in &pods {
            let name = pod.name_any();
            if let Some(message) = unscheduled(pod) {
                return Ok(Some(format!("pod {name} is not scheduled: {message}")));
            }
            for container in containers(pod) {
                if let Some(cause) = self.cause_of(namespace, pod, container, &events).await? {
                    return Ok(Some(format!("pod {name}, container {}: {cause}", container.name)));
                }
            }
        }
        for pod in &pods {
            if let Some(complaint) = self.complaint(namespace, &pod.name_any()).await? {
                return Ok(Some(complaint));
            }
        }
        Ok(None)
    }

    /// What an agent complained of last. It stays up whatever happens to it, so that only its log says why EKS does not
    /// hear from it.
    async fn complaint(&self, namespace: &str, pod: &str) -> Result<Option<String>, Failure> {
        let log = self.log(namespace, pod, AGENT_CONTAINER, "tailLines=50").await?;
        let said = log.as_deref().and_then(|log| log.lines().rev().find_map(of_error));
        Ok(said.map(|said| format!("pod {pod} is up, and its agent says:\n{said}")))
    }

    async fn cause_of(
        &self,
        namespace: &str,
        pod: &Pod,
        container: &ContainerStatus,
        events: &[Event],
    ) -> Result<Option<String>, Failure> {
        let name = pod.name_any();
        let state = container.state.as_ref();
        let waiting = state.and_then(|state| state.waiting.as_ref());
        let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
        let message = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default();
        let ended = state
            .and_then(|state| state.terminated.as_ref())
            .or_else(|| container.last_state.as_ref().and_then(|state| state.terminated.as_ref()))
            .filter(|ended| ended.exit_code != 0);
        match (reason, ended) {
            ("ErrImagePull" | "ImagePullBackOff" | "InvalidImageName", _) => {
                let pull = event_of(events, "Pod", &name, "Failed").unwrap_or_else(|| message.to_owned());
                Ok(Some(format!("{reason}: {pull}")))
            }
            (_, Some(ended)) => {
                let times = match container.restart_count {
                    0 | 1 => "failed".to_owned(),
                    count => format!("failed {count} times"),
                };
                // Only a cause has a name of its own, such as OOMKilled.
                let named = ended.reason.as_deref().filter(|reason| *reason != "Error");
                let named = named.map(|reason| format!(" ({reason})")).unwrap_or_default();
                let words = self.last_words(namespace, &name, &container.name).await?;
                // What could not be started has said nothing; what tried to start it has.
                let words = words.or_else(|| ended.message.clone());
                let words = words.map(|words| format!(":\n{words}")).unwrap_or_default();
                Ok(Some(format!("{times}{named}, exit code {}{words}", ended.exit_code)))
            }
            ("PodInitializing" | "ContainerCreating", None) => {
                Ok(event_of(events, "Pod", &name, "FailedMount"))
            }
            ("", None) => Ok(None),
            (reason, None) => Ok(Some(format!("{reason}: {message}"))),
        }
    }

    /// The last words that a container wrote before it ended; of a klog line only what it says.
    async fn last_words(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
    ) -> Result<Option<String>, Failure> {
        for previous in ["true", "false"] {
            let which = format!("tailLines=5&previous={previous}");
            let log = self.log(namespace, pod, container, &which).await?;
            if let Some(words) = log.as_deref().and_then(last_statement) {
                return Ok(Some(words));
            }
        }
        Ok(None)
    }

    /// A part of a container's log, if there is one and it may be read.
    async fn log(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        which: &str,
    ) -> Result<Option<String>, Failure> {
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?container={container}&{which}");
        match self.call_for(TEXT, "get pods/log", http::Method::GET, &path, None).await {
            Ok(answer) => Ok(Some(answer.text())),
            // No such run of the container, its log is gone, or it is not for us to read: what else is known counts.
            Err(failure)
                if matches!(
                    failure.kind,
                    FailureKind::Rejected | FailureKind::NotFound | FailureKind::Denied
                ) =>
            {
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    pub(super) async fn list<T>(&self, operation: &str, path: &str) -> Result<Vec<T>, Failure>
    where
        T: serde::de::DeserializeOwned + k8s_openapi::ListableResource,
    {
        let answer = self.call(operation, http::Method::GET, path, None).await?;
        let list: List<T> = serde_json::from_value(answer.json()?).map_err(|error| Failure {
            side: Side::Cluster,
            kind: FailureKind::Malformed,
            operation: operation.to_owned(),
            message: format!("the API server's list cannot be read: {error}"),
        })?;
        Ok(list.items)
    }
}

pub(super) fn encode(selector: &str) -> String {
    percent_encoding::utf8_percent_encode(selector, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// The newest message of a reason about an object.
fn event_of(events: &[Event], kind: &str, name: &str, reason: &str) -> Option<String> {
    events
        .iter()
        .filter(|event| {
            let about = &event.involved_object;
            about.kind.as_deref() == Some(kind)
                && about.name.as_deref() == Some(name)
                && event.reason.as_deref() == Some(reason)
                && !event.message.as_deref().is_some_and(repeats_a_state)
        })
        .max_by_key(|event| event.last_timestamp.clone())
        .and_then(|event| event.message.clone())
}

/// A kubelet reports a failed pull three times under one reason: the cause, then `Error: ErrImagePull` and, once it waits,
/// `Error: ImagePullBackOff`, which is the container's state and no cause.
fn repeats_a_state(message: &str) -> bool {
    message.strip_prefix("Error: ").is_some_and(|state| state.chars().all(|c| c.is_ascii_alphabetic()))
}

/// The last line that says something, with the indented ones below it: the AWS SDK for Go puts the cause on the first line
/// and the request's ID on the next.
fn last_statement(log: &str) -> Option<String> {
    let lines: Vec<&str> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.iter().rposition(|line| !line.starts_with(char::is_whitespace)).unwrap_or(0);
    let (first, more) = lines.get(from..)?.split_first()?;
    let words = std::iter::once(without_klog_header(first)).chain(more.iter().copied());
    Some(words.map(str::trim).collect::<Vec<_>>().join(" "))
}

/// `F1122 10:00:00.000000       1 init.go:44] cause` says `cause` (klog's header ends with `] `).
fn without_klog_header(line: &str) -> &str {
    let is_klog =
        line.starts_with(['I', 'W', 'E', 'F']) && line[1..].starts_with(|c: char| c.is_ascii_digit());
    match line.split_once("] ") {
        Some((_, said)) if is_klog => said,
        _ => line,
    }
}

/// What a line of the agent's log says, if it tells of an error (`%Date %Time %LEVEL [%FuncShort @ %File.%Line] %Msg`, as
/// seelog.xml of the agent's ConfigMap has it).
fn of_error(line: &str) -> Option<&str> {
    let (_, said) = line.split_once(" ERROR ")?;
    let said = match said.split_once("] ") {
        Some((place, said)) if place.starts_with('[') && place.contains(" @ ") => said,
        _ => said,
    };
    Some(said.trim()).filter(|said| !said.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_its_indented_lines_with_it() {
        let log = "starting\nF1122 05:00:00.123456       1 init.go:44] AccessDeniedException: no\n\tstatus code: 400\n\n";
        assert_eq!(last_statement(log).unwrap(), "AccessDeniedException: no status code: 400");
        assert_eq!(last_statement("one\ntwo\n").unwrap(), "two");
        assert_eq!(last_statement("  only\n").unwrap(), "only");
        assert_eq!(last_statement("\n"), None);
    }

    #[test]
    fn of_the_agents_log_errors_count_without_their_place() {
        let line = "2026-11-25 03:12:01.1234 ERROR [Connect @ session.go.88] AccessDeniedException: not now";
        assert_eq!(of_error(line), Some("AccessDeniedException: not now"));
        assert_eq!(of_error("2026-11-25 03:12:01 ERROR [agent] gone"), Some("[agent] gone"));
        assert_eq!(of_error("2026-11-25 03:12:01 INFO no ERROR"), None);
        assert_eq!(of_error("2026-11-25 03:12:01 INFO [x] all is well"), None);
    }

    #[test]
    fn klog_lines_lose_their_header_and_others_do_not() {
        let line = "F1122 05:00:00.123456       1 init.go:44] failed to initiate eks-connector: no [x] y";
        assert_eq!(without_klog_header(line), "failed to initiate eks-connector: no [x] y");
        assert_eq!(without_klog_header("Error [1] x"), "Error [1] x");
        assert_eq!(without_klog_header("F"), "F");
    }
}
