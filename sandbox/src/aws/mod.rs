//! An emulator of the AWS services that the EKS Connector needs, on their real wire protocols: EKS, IAM, STS,
//! Systems Manager, ssmmessages and Service Quotas.
//!
//! One listener serves every service, account and Region; the credential scope of a request tells which is meant.
//! Everything is in memory. `/_sandbox/` is the control endpoint: see [`control`].
//!
//! To add an operation: write its function in the file of its service and add one line to the table `OPERATIONS`
//! there.

mod authentication;
mod caller;
pub mod control;
mod eks;
mod faults;
mod iam;
mod identifiers;
mod listener;
mod log;
mod policy;
mod quotas;
mod request;
mod response;
mod server;
mod service;
mod settings;
mod signature;
mod ssm;
mod ssmmessages;
mod state;
mod sts;
mod validation;

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Context as _;
use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use listener::Listener;
use server::Server;

use crate::socket::Connection;

/// How to start an [`Emulator`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// TCP port on 127.0.0.1; a free one if `None`.
    pub port: Option<u16>,
}

/// A running emulator. Stops when dropped.
#[derive(Debug)]
pub struct Emulator {
    endpoint: String,
    stopped: CancellationToken,
}

impl Emulator {
    /// Starts an emulator on the current Tokio runtime.
    ///
    /// # Errors
    ///
    /// If the port cannot be bound.
    pub async fn start(options: Options) -> anyhow::Result<Emulator> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, options.port.unwrap_or(0)));
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("binding {address} for the AWS emulator"))?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let stopped = CancellationToken::new();
        let server = Server::new(stopped.clone());
        let router = Router::new()
            .nest("/_sandbox", control::routes())
            .fallback(server::serve)
            .with_state(server)
            .into_make_service_with_connect_info::<Connection>();
        let serving =
            axum::serve(Listener(listener), router).with_graceful_shutdown(stopped.clone().cancelled_owned());
        tokio::spawn(async move { serving.await });
        Ok(Emulator { endpoint, stopped })
    }

    /// Base URL, such as `http://127.0.0.1:41234`: the value of `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A client of the control endpoint.
    #[must_use]
    pub fn control(&self) -> control::Client {
        control::Client::new(&self.endpoint)
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}
