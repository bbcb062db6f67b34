//! DescribeCluster, ListClusters, DeregisterCluster.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{cluster_arn, epoch, no_cluster, shown, status};
use crate::aws::service::{Call, Error, Member};
use crate::aws::ssm;

pub(super) const LIST: &[Member] =
    &[Member::integer("maxResults", 1, 100), Member::text("nextToken"), Member::list("include")];

pub(super) fn describe_cluster(call: &mut Call<'_>) -> Result<Value, Error> {
    let name = call.text("name");
    let arn = cluster_arn(call, &name)?;
    call.authorize("eks:DescribeCluster", &arn)?;
    let (now, settings) = (call.now, call.settings()?);
    let here = call.here()?;
    if let Some(created_at) = here.clusters.get(&name) {
        let created_at = epoch(*created_at);
        return Ok(json!({"cluster":
            {"name": name, "arn": arn, "createdAt": created_at, "status": "ACTIVE", "version": "1.36", "tags": {}}
        }));
    }
    let registration = here.registrations.get(&name).ok_or_else(|| no_cluster(&name))?;
    Ok(json!({"cluster": shown(registration, status(registration, &settings, now))}))
}

pub(super) fn list_clusters(call: &mut Call<'_>) -> Result<Value, Error> {
    call.authorize("eks:ListClusters", &cluster_arn(call, "*")?)?;
    let include = call.texts("include");
    if let Some(other) = include.iter().find(|each| *each != "all") {
        return Err(Error::new(
            400,
            "InvalidParameterException",
            format!("The value {other} of include is not valid: it must be all"),
        ));
    }
    let start = match call.optional_text("nextToken") {
        None => String::new(),
        Some(token) => {
            let name = URL_SAFE_NO_PAD.decode(&token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            name.and_then(|text| text.strip_prefix("from:").map(str::to_owned)).ok_or_else(|| {
                Error::new(400, "InvalidParameterException", format!("Invalid token: {token}"))
            })?
        }
    };
    let size = usize::try_from(call.integer("maxResults").unwrap_or(100)).unwrap_or(usize::MAX);
    let here = call.here()?;
    let mut names: Vec<&String> = here.clusters.keys().collect();
    if !include.is_empty() {
        names.extend(here.registrations.keys());
    }
    names.sort();
    let mut rest = names.into_iter().filter(|name| **name >= start);
    let page: Vec<&String> = rest.by_ref().take(size).collect();
    // The token names the next cluster, so a cluster that goes away meanwhile shifts nothing.
    let next = rest.next().map(|name| URL_SAFE_NO_PAD.encode(format!("from:{name}")));
    let mut output = json!({"clusters": page});
    if let Some(next) = next {
        output["nextToken"] = Value::from(next);
    }
    Ok(output)
}

pub(super) fn deregister_cluster(call: &mut Call<'_>) -> Result<Value, Error> {
    let name = call.text("name");
    let arn = cluster_arn(call, &name)?;
    call.authorize("eks:DeregisterCluster", &arn)?;
    let here = call.here()?;
    if here.clusters.contains_key(&name) {
        return Err(Error::new(
            400,
            "InvalidRequestException",
            format!("Cluster {name} is not a connected cluster."),
        ));
    }
    let registration = here.registrations.get(&name).ok_or_else(|| no_cluster(&name))?.clone();
    let activation = registration.activation_id.clone();
    let instances: Vec<String> = here
        .instances
        .values()
        .filter(|each| each.activation_id == activation)
        .map(|each| each.id.clone())
        .collect();
    // EKS cleans up in Systems Manager with the caller's permissions.
    call.authorize("ssm:DeleteActivation", &ssm::anything(call)?)?;
    for id in &instances {
        let arn = format!("arn:aws:ssm:{}:{}:managed-instance/{id}", call.region, call.account_id()?);
        call.authorize("ssm:DeregisterManagedInstance", &arn)?;
    }
    let here = call.here()?;
    here.registrations.remove(&name);
    here.activations.remove(&activation);
    here.instances.retain(|id, _| !instances.contains(id));
    Ok(json!({"cluster": shown(&registration, "DELETING")}))
}
