//! A proxy in front of the AWS emulator that writes down every request and its answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A running recorder.
#[derive(Debug)]
pub(crate) struct Recorder {
    pub(crate) endpoint: String,
    exchanges: Arc<Mutex<Vec<Value>>>,
}

#[derive(Clone)]
struct Forward {
    target: String,
    client: reqwest::Client,
    exchanges: Arc<Mutex<Vec<Value>>>,
}

impl Recorder {
    /// Starts a recorder of what goes to the endpoint.
    pub(crate) async fn start(target: &str) -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let exchanges = Arc::default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let state = Forward { target: target.to_owned(), client, exchanges: Arc::clone(&exchanges) };
        let router = axum::Router::new().fallback(forward).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Recorder { endpoint, exchanges }
    }

    /// What was recorded, one JSON object a line.
    pub(crate) fn lines(&self) -> String {
        let exchanges = self.exchanges.lock().unwrap();
        exchanges.iter().map(|exchange| format!("{exchange}\n")).collect()
    }
}

async fn forward(State(forward): State<Forward>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    // The Host header stays as it was signed.
    let sent = forward
        .client
        .request(head.method.clone(), format!("{}{}", forward.target, head.uri))
        .headers(head.headers.clone())
        .body(body.clone());
    let answer = sent.send().await.unwrap();
    let (status, headers) = (answer.status(), answer.headers().clone());
    let answer_body = answer.bytes().await.unwrap();
    let texts = |headers: &http::HeaderMap| -> BTreeMap<String, String> {
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
    };
    let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
    forward.exchanges.lock().unwrap().push(json!({
        "method": head.method.as_str(),
        "path": head.uri.path(),
        "query": head.uri.query(),
        "requestHeaders": texts(&head.headers),
        "requestBody": text(&body),
        "status": status.as_u16(),
        "headers": texts(&headers),
        "body": text(&answer_body),
    }));
    let mut response = Response::new(answer_body.into());
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
