//! Amazon EKS in any Region: listing registrations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use aws_sdk_eks::config::Region;
use futures::stream::{self, StreamExt, TryStreamExt};

use super::config::Connected;
use super::eks::Eks;
use super::failure::{asking, failure};
use crate::ports::{Failure, Inventory, Registrations, Reply};
use crate::registration::observed::Registration;

/// How many registrations are described at once in a Region.
const AT_ONCE: usize = 10;

/// The public commercial Regions (AWS General Reference, "Amazon EKS endpoints and quotas"), those that an account has to
/// enable included. The EKS Connector is in no others.
const REGIONS: [&str; 34] = [
    "af-south-1",
    "ap-east-1",
    "ap-east-2",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-4",
    "ap-southeast-5",
    "ap-southeast-6",
    "ap-southeast-7",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-south-2",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "mx-central-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// EKS in any Region, over one connection.
#[derive(Debug)]
pub struct EksInventory {
    connected: Connected,
    /// A client a Region, so that each has its connections once.
    clients: Mutex<BTreeMap<String, Eks>>,
}

impl EksInventory {
    /// Over the given connection.
    pub fn new(connected: &Connected) -> Self {
        Self { connected: connected.clone(), clients: Mutex::default() }
    }

    fn eks(&self, region: &str) -> Eks {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.entry(region.to_owned()).or_insert_with(|| Eks::in_region(&self.connected, region)).clone()
    }
}

impl Inventory for EksInventory {
    fn here(&self) -> &str {
        &self.connected.region
    }

    fn regions(&self) -> Vec<String> {
        let known = REGIONS.into_iter().chain([self.connected.region.as_str()]);
        let all: BTreeSet<String> = known.map(str::to_owned).collect();
        all.into_iter().collect()
    }

    fn names(&self) -> Reply<'_, Vec<String>> {
        Box::pin(async { self.eks(&self.connected.region).connected_names().await })
    }

    fn of_region<'a>(&'a self, region: &'a str) -> Reply<'a, Vec<Registration>> {
        Box::pin(async move { self.eks(region).registrations().await })
    }

    fn one<'a>(&'a self, region: &'a str, name: &'a str) -> Reply<'a, Option<Registration>> {
        Box::pin(async move {
            let found = self.eks(region).registration(name).await?;
            Ok(found.filter(|registration| registration.role_arn.is_some()))
        })
    }
}

impl Eks {
    /// A client of another Region.
    pub(super) fn in_region(connected: &Connected, region: &str) -> Self {
        let sdk = connected.sdk.clone().into_builder().region(Region::new(region.to_owned())).build();
        Self::new(&Connected { sdk, region: region.to_owned() })
    }

    /// The connected clusters, several described at once.
    async fn registrations(&self) -> Result<Vec<Registration>, Failure> {
        let names = self.connected_names().await?;
        let asking = names.into_iter().map(|name| async move { self.registration(&name).await });
        let described: Vec<Option<Registration>> =
            stream::iter(asking).buffered(AT_ONCE).try_collect().await?;
        // One that is gone by now is none.
        let found = described.into_iter().flatten();
        Ok(found.filter(|registration| registration.role_arn.is_some()).collect())
    }

    /// Connected clusters are listed only with `include`; what is listed without it EKS runs itself.
    async fn connected_names(&self) -> Result<Vec<String>, Failure> {
        let own = self.names(false).try_collect::<BTreeSet<String>>();
        let all = self.names(true).try_collect::<Vec<String>>();
        let (own, all) = tokio::try_join!(own, all)?;
        Ok(all.into_iter().filter(|name| !own.contains(name)).collect())
    }

    /// The names, page by page.
    fn names(&self, connected_too: bool) -> impl stream::Stream<Item = Result<String, Failure>> + '_ {
        const OPERATION: &str = "eks:ListClusters";
        asking(OPERATION, if connected_too { "(all)" } else { "(those that EKS runs)" });
        let call = self.client.list_clusters().set_include(connected_too.then(|| vec!["all".to_owned()]));
        let pages = call.into_paginator().send();
        stream::try_unfold(pages, |mut pages| async move {
            match pages.next().await {
                None => Ok(None),
                Some(page) => {
                    let page = page.map_err(|error| failure(OPERATION, &error))?;
                    let names = page.clusters.unwrap_or_default();
                    Ok(Some((stream::iter(names.into_iter().map(Ok::<String, Failure>)), pages)))
                }
            }
        })
        .try_flatten()
    }
}
