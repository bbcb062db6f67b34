//! A proxy in front of an API server that takes note of every request and can make requests fail. It speaks HTTP/2
//! and HTTP/1.1 over TLS with the API server's own certificate, so that clients cannot tell the two apart; what a client
//! proves itself with is passed on, if it is a token.

mod asked;
mod fault;
mod listener;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use http::header::{ACCEPT, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING};
use http::{HeaderMap, StatusCode};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::watch;
use tokio::task::AbortHandle;

pub(crate) use self::asked::{ANY_KIND, Asked};
pub(crate) use self::fault::{Action, ProxyFault, Seen};
use self::fault::{Book, refusal};
use self::listener::{Listener, tls};
use crate::aws::control::When;
use crate::controlplane::Cluster;
use crate::socket::Connection;

/// Larger than any object that an API server takes.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A running proxy. It ends, with its connections, when dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    /// The API server itself, as nobody in particular.
    upstream: Client,
    book: Mutex<Book>,
    /// How many requests the fault has struck that have had what effect they were to have.
    over: watch::Sender<usize>,
}

impl Proxy {
    /// Starts one in front of a cluster's API server, on a free port of loopback.
    ///
    /// # Errors
    /// No port can be had, or the cluster's files cannot be read.
    pub(crate) async fn start(cluster: &Cluster) -> Result<Self> {
        let kubeconfig =
            Kubeconfig::read_from(cluster.kubeconfig()).context("could not read a kubeconfig")?;
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        config.proxy_url = None;
        config.auth_info = AuthInfo::default();
        // What is to be tried again is the client's business.
        config.default_retry = false;
        let upstream = Client::try_from(config).context("could not make a client")?;
        let shared = Arc::new(Shared { upstream, book: Mutex::default(), over: watch::Sender::new(0) });

        let (certificate, key) = cluster.certificate()?;
        let listener = Listener::bind(tls(&certificate, &key)?).await?;
        let address = listener.address();
        let router = Router::new()
            .fallback(serve)
            .with_state(Arc::clone(&shared))
            .into_make_service_with_connect_info::<Connection>();
        let task = tokio::spawn(async move {
            // It never ends by itself.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { address, shared, task: task.abort_handle() })
    }

    /// Its URL.
    pub(crate) fn server(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Forgets what it saw, and makes requests fail so from now on.
    pub(crate) fn begin(&self, fault: Option<ProxyFault>) {
        self.shared.book().begin(fault);
        self.shared.over.send_replace(0);
    }

    /// Lets every request through again.
    pub(crate) fn heal(&self) {
        self.shared.book().heal();
    }

    /// The requests since [`Self::begin`], in the order in which they came.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.book().seen.clone()
    }

    /// Waits until the fault has struck a request, and that has had its effect if it was to have one.
    pub(crate) async fn struck(&self) {
        let mut over = self.shared.over.subscribe();
        // The sender lives as long as the proxy.
        drop(over.wait_for(|over| *over > 0).await);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What becomes of a request.
enum Ending {
    Answer(Response),
    Reset,
    Hang,
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    request: Request,
) -> Response {
    // A task of its own: like an API server, it finishes a request whose client has gone.
    let ending = tokio::spawn(async move { shared.handle(request).await }).await;
    match ending {
        Ok(Ok(Ending::Answer(response))) => response,
        Ok(Ok(Ending::Reset)) => {
            connection.reset();
            Response::new(Body::empty())
        }
        Ok(Ok(Ending::Hang)) => std::future::pending().await,
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, format!("{error:#}")).into_response(),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

impl Shared {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn handle(&self, request: Request) -> Result<Ending> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY_LIMIT).await.context("the request breaks off")?;
        let media_type = head
            .headers
            .get(CONTENT_TYPE)
            .or_else(|| head.headers.get(ACCEPT))
            .and_then(|value| value.to_str().ok());
        let asked = Asked::of(&head.method, &head.uri, media_type.unwrap_or_default());
        let (place, strike) = self.book().enter(asked.clone());
        let mut onward = http::Request::from_parts(head, body.to_vec().into());
        remove_hops(onward.headers_mut());
        *onward.version_mut() = http::Version::HTTP_11;
        // Of the proxy's address nothing may be left: the client puts the API server's in.
        let path = onward.uri().path_and_query().map(ToString::to_string);
        *onward.uri_mut() = path.unwrap_or_default().parse().context("this is no path")?;

        let ending = match strike {
            None => Ending::Answer(self.forward(onward).await?),
            Some((When::Before, Action::Reset)) => Ending::Reset,
            Some((When::Before, Action::Hang)) => Ending::Hang,
            Some((When::After, Action::Reset)) => {
                self.effect(onward).await?;
                Ending::Reset
            }
            Some((When::After, Action::Hang)) => {
                self.effect(onward).await?;
                Ending::Hang
            }
            Some((_, Action::Malformed)) => {
                Ending::Answer(without_its_end(self.forward(onward).await?).await?)
            }
            Some((when, Action::Refuse(status))) => {
                if when == When::After {
                    self.effect(onward).await?;
                }
                let mut response = axum::Json(refusal(&asked, status)).into_response();
                *response.status_mut() = status;
                if status == StatusCode::TOO_MANY_REQUESTS {
                    response.headers_mut().insert(RETRY_AFTER, http::HeaderValue::from_static("1"));
                }
                Ending::Answer(response)
            }
        };
        if let (Ending::Answer(response), Some(seen)) = (&ending, self.book().seen.get_mut(place)) {
            seen.status = response.status().as_u16();
        }
        if strike.is_some() {
            self.over.send_modify(|over| *over += 1);
        }
        Ok(ending)
    }

    async fn forward(&self, request: http::Request<kube::client::Body>) -> Result<Response> {
        let response = self.upstream.send(request).await.context("the API server does not answer")?;
        let (mut head, body) = response.into_parts();
        remove_hops(&mut head.headers);
        Ok(Response::from_parts(head, Body::new(body)))
    }

    /// Has a request done whose answer nobody gets.
    async fn effect(&self, request: http::Request<kube::client::Body>) -> Result<()> {
        let watch = request.uri().query().is_some_and(|query| query.contains("watch="));
        let response = self.forward(request).await?;
        if !watch {
            to_bytes(response.into_body(), usize::MAX).await.context("the answer breaks off")?;
        }
        Ok(())
    }
}

/// The same answer, but for the end of its body; of a watch, the beginning of its first event.
async fn without_its_end(response: Response) -> Result<Response> {
    let (mut head, body) = response.into_parts();
    head.headers.remove(CONTENT_LENGTH);
    let length = match body.into_data_stream().next().await {
        Some(first) => first.context("the answer breaks off")?,
        None => Bytes::new(),
    };
    let kept = length.slice(..length.len() - length.len().div_ceil(8));
    head.status = StatusCode::OK;
    Ok(Response::from_parts(head, Body::from_stream(stream::iter([Ok::<_, std::io::Error>(kept)]))))
}

/// Removes what holds for one connection only.
fn remove_hops(headers: &mut HeaderMap) {
    for name in [CONNECTION, TRANSFER_ENCODING, HOST] {
        headers.remove(name);
    }
}
