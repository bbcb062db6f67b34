//! The registrations of every Region that an account can use.

use futures::future::try_join_all;

use crate::ports::{Failure, FailureKind, Inventory, Reply};
use crate::registration::observed::Registration;

/// The public commercial Regions that every account can use (AWS General Reference, "AWS service endpoints"). The others
/// an account has to enable first; until then they accept no credentials of it, and nothing can be registered there.
const ALWAYS_ENABLED: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// The registrations of every enabled Region, each with its Region. One that cannot be read may have some: a failure.
pub(super) fn everywhere(inventory: &dyn Inventory) -> Reply<'_, Vec<(String, Registration)>> {
    Box::pin(async move {
        let each = inventory.regions().into_iter().map(|region| async move {
            let found = match inventory.of_region(&region).await {
                Err(failure)
                    if failure.kind == FailureKind::RejectedCredentials
                        && !ALWAYS_ENABLED.contains(&region.as_str())
                        && region != inventory.here() =>
                {
                    tracing::debug!("{region} is not enabled: {failure}");
                    Vec::new()
                }
                answer => answer.map_err(|failure| in_region(failure, &region))?,
            };
            Ok::<_, Failure>(found.into_iter().map(|it| (region.clone(), it)).collect::<Vec<_>>())
        });
        Ok(try_join_all(each).await?.into_iter().flatten().collect())
    })
}

fn in_region(failure: Failure, region: &str) -> Failure {
    Failure { message: format!("in {region}: {}", failure.message), ..failure }
}
