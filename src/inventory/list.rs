//! Every connected cluster of the account.

use std::sync::Arc;

use futures::future::join_all;

use super::contexts::{ContextSeen, contexts_of, survey};
use crate::error::Error;
use crate::ports::{Contexts, Failure, FailureKind, Identity, Inventory};
use crate::registration::observe::failing;
use crate::registration::observed::{Caller, Registration};

/// Everything that listing talks to.
#[derive(Clone)]
pub struct ListPorts {
    /// STS.
    pub identity: Arc<dyn Identity>,
    /// EKS.
    pub inventory: Arc<dyn Inventory>,
    /// The kubeconfig, if there is one.
    pub contexts: Option<Arc<dyn Contexts>>,
}

/// A connected cluster.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its Region.
    pub region: String,
    /// Its registration.
    pub registration: Registration,
    /// The contexts of the kubeconfig that are this cluster.
    pub contexts: Vec<String>,
}

/// All of them.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Who asked.
    pub caller: Caller,
    /// The Regions that were asked.
    pub regions: Vec<String>,
    /// The connected clusters, by Region and name.
    pub rows: Vec<Row>,
    /// The Regions that could not be read, each with why.
    pub unreadable: Vec<(String, String)>,
    /// What the contexts of the kubeconfig said.
    pub contexts: Vec<ContextSeen>,
}

/// Lists the connected clusters of the Region in use, or of every Region.
///
/// # Errors
/// The Region in use cannot be read; of all Regions, none can.
pub async fn list(ports: &ListPorts, everywhere: bool) -> Result<Listed, Error> {
    let here = ports.inventory.here().to_owned();
    let regions = if everywhere { ports.inventory.regions() } else { vec![here.clone()] };
    let contexts = async {
        match &ports.contexts {
            Some(contexts) => survey(contexts.as_ref()).await,
            None => Vec::new(),
        }
    };
    let reading = join_all(regions.iter().map(|region| ports.inventory.of_region(region)));
    let caller = failing("find out who is calling AWS", ports.identity.caller());
    let (caller, answers, contexts) = tokio::join!(caller, reading, contexts);
    let caller = caller?;

    let mut rows = Vec::new();
    let mut failures = Vec::new();
    for (region, answer) in regions.iter().zip(answers) {
        match answer {
            Ok(registrations) => rows.extend(registrations.into_iter().map(|registration| {
                let contexts = contexts_of(&registration, &contexts);
                let contexts = contexts.into_iter().map(|(context, _)| context.name.clone()).collect();
                Row { region: region.clone(), registration, contexts }
            })),
            Err(failure) => failures.push((region.clone(), failure)),
        }
    }
    if failures.len() == regions.len() {
        let position = failures.iter().position(|(region, _)| *region == here).unwrap_or(0);
        let (region, failure) = failures.swap_remove(position);
        return Err(failure.into_error(&format!("list the connected clusters of {region}")));
    }
    let unreadable = failures.into_iter().map(|(region, failure)| (region, why(&failure))).collect();
    Ok(Listed { caller, regions, rows, unreadable, contexts })
}

/// A Region that the account has not enabled accepts no credentials of it.
pub(super) fn why(failure: &Failure) -> String {
    match failure.kind {
        FailureKind::RejectedCredentials => "not enabled for this account".to_owned(),
        _ => format!("{}: {}", failure.operation, failure.message),
    }
}
