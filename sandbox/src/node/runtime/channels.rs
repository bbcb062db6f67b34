//! The connectors' sockets and the agents' control channels.
//!
//! A socket is an in-memory channel, named by the node's path that the container's path resolves to: a real unix socket
//! under a pod's directory would often pass the 108 bytes that its name may have. So, as in life, an agent reaches
//! the connector only when both mount the same volume at the same place.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context as _, bail};
use tokio::sync::{mpsc, oneshot};

use super::PodIdentity;

/// A request that came through the socket.
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    /// `x-aws-eks-identity-arn`.
    pub(super) identity: Option<String>,
    pub(super) answer: oneshot::Sender<(u16, String)>,
}

#[derive(Default)]
struct State {
    sockets: HashMap<PathBuf, mpsc::Sender<Request>>,
    agents: HashMap<String, (PodIdentity, PathBuf)>,
}

/// Who listens and who is connected on one node.
#[derive(Clone, Default)]
pub struct Channels {
    state: Arc<Mutex<State>>,
}

impl Channels {
    /// Listens at a socket until the guard is dropped.
    pub(super) fn listen(&self, socket: PathBuf) -> (mpsc::Receiver<Request>, Guard) {
        let (sender, receiver) = mpsc::channel(16);
        self.change(|state| state.sockets.insert(socket.clone(), sender.clone()));
        let channels = self.clone();
        let guard = Guard::new(move || {
            channels.change(|state| {
                // A later run of the container may listen there already.
                if state.sockets.get(&socket).is_some_and(|other| other.same_channel(&sender)) {
                    state.sockets.remove(&socket);
                }
            });
        });
        (receiver, guard)
    }

    /// Holds a pod's control channel open, which carries requests to a socket, until the guard is dropped.
    pub(super) fn connect(&self, pod: &PodIdentity, socket: PathBuf) -> Guard {
        self.change(|state| state.agents.insert(pod.uid.clone(), (pod.clone(), socket)));
        let (channels, uid) = (self.clone(), pod.uid.clone());
        Guard::new(move || {
            channels.change(|state| state.agents.remove(&uid));
        })
    }

    /// Sends a request down a pod's control channel.
    pub(in crate::node) async fn ask(
        &self,
        pod: &str,
        identity: Option<&str>,
        method: &str,
        path: &str,
    ) -> anyhow::Result<(u16, String)> {
        let sender = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let (_, socket) = state
                .agents
                .values()
                .find(|(of, _)| {
                    of.uid == pod || of.name == pod || format!("{}/{}", of.namespace, of.name) == pod
                })
                .with_context(|| format!("no agent of pod {pod} holds a control channel"))?;
            state.sockets.get(socket).cloned()
        };
        let Some(sender) = sender else { bail!("no connector listens where the agent of pod {pod} looks") };
        let (answer, answered) = oneshot::channel();
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            identity: identity.map(str::to_owned),
            answer,
        };
        sender.send(request).await.ok().context("the connector ended")?;
        answered.await.context("the connector ended before it answered")
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Undoes something when it is dropped.
pub(super) struct Guard(Option<Box<dyn FnOnce() + Send>>);

impl Guard {
    fn new(undo: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(undo)))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(undo) = self.0.take() {
            undo();
        }
    }
}
