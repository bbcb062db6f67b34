//! The contexts of the kubeconfig, each asked for a short time.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::client::{ClusterSettings, connect, read, unreadable};
use super::port::KubernetesCluster;
use crate::error::Error;
use crate::inventory::contexts::DEADLINE;
use crate::ports::{Contexts, Survey};

/// The contexts of a kubeconfig.
#[derive(Clone, Debug)]
pub struct KubeContexts {
    settings: ClusterSettings,
    names: Vec<String>,
    current: Option<String>,
}

impl KubeContexts {
    /// Of the kubeconfig that the settings name: all, or the one that they name.
    ///
    /// # Errors
    /// It is not there, or cannot be read.
    pub fn of(settings: &ClusterSettings) -> Result<Self, Error> {
        let kubeconfig = read(settings).map_err(|error| unreadable(settings, &error))?;
        let current = settings.context.clone().or(kubeconfig.current_context).filter(|name| !name.is_empty());
        let names = match &settings.context {
            Some(one) => vec![one.clone()],
            None => kubeconfig.contexts.into_iter().map(|context| context.name).collect(),
        };
        let settings = ClusterSettings {
            attempt_timeout: settings.attempt_timeout.min(DEADLINE),
            plugin_timeout: settings.plugin_timeout.min(DEADLINE),
            ..settings.clone()
        };
        Ok(Self { settings, names, current })
    }
}

impl Contexts for KubeContexts {
    fn names(&self) -> Vec<String> {
        self.names.clone()
    }

    fn current(&self) -> Option<String> {
        self.current.clone()
    }

    fn open<'a>(&'a self, context: &'a str) -> BoxFuture<'a, Result<Arc<dyn Survey>, Error>> {
        Box::pin(async move {
            let settings = ClusterSettings { context: Some(context.to_owned()), ..self.settings.clone() };
            let survey: Arc<dyn Survey> = Arc::new(KubernetesCluster::new(connect(&settings).await?));
            Ok(survey)
        })
    }
}
