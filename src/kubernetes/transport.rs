//! The connection to the API server. Dozens of requests go out at once at the beginning of a run: they wait for one
//! connection and share it, instead of making a TLS handshake each.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use http::{Request, Uri};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use kube::client::Body;
use tokio::net::TcpStream;
use tower::{BoxError, Service, ServiceExt};

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type Pool = Client<Connector, Body>;
type Opening = Shared<BoxFuture<'static, Result<Pool, Refused>>>;

/// How often a silent HTTP/2 connection is asked whether it lives, and how long it may take to answer, as client-go's.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Sends requests to one server: over HTTP/2 on one connection, where the server speaks it.
#[derive(Clone)]
pub(super) struct Transport {
    connector: HttpsConnector<HttpConnector>,
    server: Uri,
    connect_timeout: Duration,
    opening: Arc<Mutex<Option<Opening>>>,
}

impl Transport {
    /// To a server. `connect_timeout` bounds TCP's and TLS' handshakes together.
    pub(super) fn new(
        connector: HttpsConnector<HttpConnector>,
        server: Uri,
        connect_timeout: Duration,
    ) -> Self {
        Self { connector, server, connect_timeout, opening: Arc::default() }
    }

    /// The connection that is being opened or is open; a new one after one that could not be opened. Whoever asks while
    /// it is being opened waits for the same one.
    pub(super) fn open(&self) -> Opening {
        let mut opening = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        match opening.as_ref().filter(|opening| !matches!(opening.peek(), Some(Err(_)))) {
            Some(opening) => opening.clone(),
            None => {
                let new = opened(self.connector.clone(), self.server.clone(), self.connect_timeout);
                let new = new.boxed().shared();
                *opening = Some(new.clone());
                new
            }
        }
    }
}

/// Opens a connection, sees which protocol the server chose, and makes a client that begins with that connection.
async fn opened(
    connector: HttpsConnector<HttpConnector>,
    server: Uri,
    limit: Duration,
) -> Result<Pool, Refused> {
    let connecting = tokio::time::timeout(limit, connector.clone().oneshot(server));
    let stream = match connecting.await {
        Ok(connected) => connected.map_err(Refused::from)?,
        Err(_) => {
            let limit = jiff::SignedDuration::try_from(limit).unwrap_or_default();
            let late = io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {limit:#}"));
            return Err(Refused::from(BoxError::from(late)));
        }
    };
    let http2 = stream.connected().is_negotiated_h2();
    let first = Arc::new(Mutex::new(Some(stream)));
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        // Told so, hyper opens one connection for all requests; else one for each that finds none free.
        .http2_only(http2)
        // A connection that died without a word is noticed while a watch is silent.
        .http2_keep_alive_interval(KEEP_ALIVE)
        .http2_keep_alive_timeout(KEEP_ALIVE)
        .build(Connector { first, rest: connector }))
}

impl Service<Request<Body>> for Transport {
    type Response = <Pool as Service<Request<Body>>>::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let opening = self.open();
        async move { Ok(opening.await?.request(request).await?) }.boxed()
    }
}

/// Gives the first connection, and then makes new ones.
#[derive(Clone)]
pub(super) struct Connector {
    first: Arc<Mutex<Option<Stream>>>,
    rest: HttpsConnector<HttpConnector>,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Stream, BoxError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.rest.poll_ready(cx)
    }

    fn call(&mut self, server: Uri) -> Self::Future {
        match self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(first) => futures::future::ready(Ok(first)).boxed(),
            None => self.rest.call(server).boxed(),
        }
    }
}

/// Why a connection could not be opened, for all who waited for it. Says what its cause says and nothing else.
#[derive(Clone)]
pub(super) struct Refused(Arc<dyn Error + Send + Sync>);

impl From<BoxError> for Refused {
    fn from(error: BoxError) -> Self {
        Self(Arc::from(error))
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Refused {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
