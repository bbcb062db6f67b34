//! What containers wrote, kept as long as their pod is here.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;

/// One line and when it was written.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) at: Timestamp,
    pub(super) text: String,
}

#[derive(Default)]
struct Content {
    lines: Vec<Line>,
    ended: bool,
}

/// Output of one run of a container. Cheap to clone; all clones are the same log.
#[derive(Clone)]
pub struct Log {
    content: Arc<watch::Sender<Content>>,
}

impl Default for Log {
    fn default() -> Self {
        Self { content: Arc::new(watch::Sender::new(Content::default())) }
    }
}

impl Log {
    /// Writes a text; each of its lines gets the present time.
    pub fn write(&self, text: impl AsRef<str>) {
        let at = Timestamp::now();
        self.content.send_modify(|content| {
            content.lines.extend(text.as_ref().lines().map(|line| Line { at, text: line.to_owned() }));
        });
    }

    /// Says that nothing more will be written, so that followers end.
    pub(super) fn end(&self) {
        self.content.send_modify(|content| content.ended = true);
    }

    /// The lines from number `from` on, and whether the log has ended.
    pub(super) fn read(&self, from: usize) -> (Vec<Line>, bool) {
        let content = self.content.borrow();
        (content.lines.get(from..).unwrap_or_default().to_vec(), content.ended)
    }

    /// Waits until there is more than `from` lines, or the log has ended.
    pub(super) async fn more_than(&self, from: usize) {
        let mut receiver = self.content.subscribe();
        // It fails only when all writers are gone, which the log that is held here prevents.
        drop(receiver.wait_for(|content| content.ended || content.lines.len() > from).await);
    }
}

/// The runs of one container.
#[derive(Clone, Default)]
struct Runs {
    current: Option<Log>,
    previous: Option<Log>,
}

/// Namespace, pod name and container name.
type Key = (String, String, String);

/// Logs of every container on the node.
#[derive(Default)]
pub(super) struct LogRegistry {
    runs: Mutex<HashMap<Key, Runs>>,
}

impl LogRegistry {
    /// Opens the log of a new run; the run before becomes the previous one.
    pub(super) fn open(&self, namespace: &str, pod: &str, container: &str) -> Log {
        let log = Log::default();
        let mut all = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = all.entry((namespace.to_owned(), pod.to_owned(), container.to_owned())).or_default();
        runs.previous = runs.current.replace(log.clone());
        log
    }

    /// The log of the current or the previous run.
    pub(super) fn find(&self, namespace: &str, pod: &str, container: &str, previous: bool) -> Option<Log> {
        let all = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = all.get(&(namespace.to_owned(), pod.to_owned(), container.to_owned()))?;
        if previous { runs.previous.clone() } else { runs.current.clone() }
    }

    /// Forgets a pod; whoever follows its logs comes to their end.
    pub(super) fn forget(&self, namespace: &str, pod: &str) {
        let mut all = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(of_namespace, of_pod, _), runs| {
            let gone = (of_namespace.as_str(), of_pod.as_str()) == (namespace, pod);
            if gone {
                runs.current.iter().for_each(Log::end);
            }
            !gone
        });
    }
}
