//! A source of credentials that fails is asked once: a dozen requests go out together, and a failing
//! `credential_process` should not run a dozen times, nor each request tell another end of the same story.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use tokio::sync::Mutex;

/// Remembers the failure of a source that has never given any credentials.
#[derive(Debug)]
pub(super) struct AskedOnce<P> {
    source: P,
    known: Mutex<Known>,
}

#[derive(Debug)]
enum Known {
    Nothing,
    Works,
    Fails(Arc<CredentialsError>),
}

impl<P: ProvideCredentials> AskedOnce<P> {
    /// Of a source.
    pub(super) fn new(source: P) -> Self {
        Self { source, known: Mutex::new(Known::Nothing) }
    }

    async fn ask(&self) -> provider::Result {
        let mut known = self.known.lock().await;
        if let Known::Fails(error) = &*known {
            return Err(again(error));
        }
        match self.source.provide_credentials().await {
            Ok(credentials) => {
                *known = Known::Works;
                Ok(credentials)
            }
            // What worked may work again.
            Err(error) if matches!(*known, Known::Works) => Err(error),
            Err(error) => {
                let error = Arc::new(error);
                let told = again(&error);
                *known = Known::Fails(error);
                Err(told)
            }
        }
    }
}

impl<P: ProvideCredentials> ProvideCredentials for AskedOnce<P> {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.ask())
    }
}

fn again(error: &Arc<CredentialsError>) -> CredentialsError {
    let same = Same(Arc::clone(error));
    match **error {
        CredentialsError::CredentialsNotLoaded(_) => CredentialsError::not_loaded(same),
        _ => CredentialsError::provider_error(same),
    }
}

/// The same error once more. Says what it says and nothing else.
#[derive(Debug)]
struct Same(Arc<CredentialsError>);

impl fmt::Display for Same {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Same {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
