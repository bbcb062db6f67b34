//! What stood there before: what may be done about it, what is refused, and what is asked.

use serde_json::Value;

use super::desired::Desired;
use super::observed::{Observed, Registration, Status};
use super::request::CLUSTER_UID_TAG;
use crate::error::{Code, Error};
use crate::manifest::{ACTIVATION_SECRET, ObjectRef, STATEFUL_SET};

/// What the user allows to be done about what stood there before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takeover {
    /// Make the registration of this cluster anew, whatever its status.
    pub renew: bool,
    /// Remove a registration of that name that is not this cluster's.
    pub replace: bool,
    /// Take over a connector that something else has installed.
    pub adopt: bool,
}

/// An object of another owner where one of ours would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Which.
    pub object: ObjectRef,
    /// What keeps it as it is, if something says that it does.
    pub kept_by: Option<String>,
}

/// What keeps an object as it is, by its metadata: an owner, or a tool that brings it back. Helm does not.
pub fn kept_by(metadata: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let owner = &metadata["ownerReferences"][0];
    if let Some(kind) = text(&owner["kind"]) {
        return Some(format!("{kind} {}", owner["name"].as_str().unwrap_or_default()));
    }
    let marked = |field: &str, key: &str| metadata[field].get(key).is_some();
    if marked("annotations", "argocd.argoproj.io/tracking-id")
        || marked("labels", "argocd.argoproj.io/instance")
    {
        return Some("Argo CD".to_owned());
    }
    if marked("labels", "kustomize.toolkit.fluxcd.io/name") || marked("labels", "helm.toolkit.fluxcd.io/name")
    {
        return Some("Flux".to_owned());
    }
    text(&metadata["labels"]["app.kubernetes.io/managed-by"])
        .filter(|tool| !matches!(tool.as_str(), "Helm" | "eksconnect"))
}

/// Why a registration is removed and made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removal {
    /// It can never become ACTIVE. Nothing is lost with it, and nobody is asked.
    Unusable,
    /// The user asked for it.
    Renewal,
    /// It is another cluster's, and the user wants its name.
    Replacement,
}

/// Whether the connector that is there has to be adopted.
pub(super) fn is_adoption(observed: &Observed) -> bool {
    observed.installed.as_ref().is_some_and(|installed| !installed.ours) || !observed.foreign.is_empty()
}

/// Another connector, here or elsewhere in the cluster, that must not be touched without being asked.
pub(super) fn refuse_others(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let namespace = &desired.settings.namespace;
    match observed.installed.as_ref().filter(|installed| !installed.ours) {
        Some(installed) => {
            if !desired.takeover.adopt {
                return Err(Error::refused(
                    Code::FOREIGN_OBJECT,
                    format!("StatefulSet {namespace}/{STATEFUL_SET} was not made by eksconnect"),
                )
                .cause("the official manifest, eksctl or Helm has installed a connector here")
                .fix("take it over with --adopt; its registration and its grants stay"));
            }
            if let Some(obstacle) = &installed.obstacle {
                return Err(Error::refused(
                    Code::NOT_ADOPTABLE,
                    format!("StatefulSet {namespace}/{STATEFUL_SET} cannot be taken over"),
                )
                .cause(obstacle.clone())
                .fix(
                    "remove that installation with the tool that made it, then run the same command again",
                ));
            }
        }
        None => refuse_second_connector(observed)?,
    }
    if let Some(foreign) = observed.foreign.first().filter(|_| !desired.takeover.adopt) {
        let more = match observed.foreign.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        return Err(Error::refused(
            Code::FOREIGN_OBJECT,
            format!("{}{more} was not made by eksconnect", foreign.object),
        )
        .cause("applying the connector would overwrite it")
        .fix("take it over with --adopt, delete it if nobody needs it, or choose another --namespace"));
    }
    Ok(())
}

/// A second connector would connect the cluster twice. One that was there first is not disturbed.
fn refuse_second_connector(observed: &Observed) -> Result<(), Error> {
    if observed.installed.is_some() {
        return Ok(());
    }
    let Some(other) = observed.elsewhere.first() else { return Ok(()) };
    let namespace = &other.namespace;
    let fix = if other.ours {
        format!("use --namespace {namespace}")
    } else {
        format!(
            "take it over with --namespace {namespace} --adopt, or remove it first with the tool that made it"
        )
    };
    Err(Error::refused(
        Code::CONNECTOR_ELSEWHERE,
        format!("this cluster has a connector already, in namespace {namespace}"),
    )
    .cause(format!("StatefulSet {namespace}/{} runs it", other.name))
    .fix(fix))
}

/// The connector that stands there belongs to no registration of that name: registering would take its agents away from
/// the one that it belongs to.
pub(super) fn refuse_unknown_agents(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let Some(installed) = observed.installed.as_ref().filter(|installed| !installed.ours) else {
        return Ok(());
    };
    if desired.takeover.renew {
        return Ok(());
    }
    let name = &desired.name;
    let activation = installed.activation_id.as_deref().unwrap_or("that its StatefulSet does not tell");
    Err(Error::refused(
        Code::NOT_ADOPTABLE,
        format!("the connector in namespace {} does not belong to {name}", desired.settings.namespace),
    )
    .cause(format!("it uses the activation {activation}, and no registration {name} has that"))
    .fix(format!(
        "use the --name that it was registered with (aws eks list-clusters --include all --region {}); if that \
         registration is gone, add --renew",
        observed.region
    )))
}

/// A new code can be kept only in a Secret that nobody else writes.
pub(super) fn refuse_kept_secret(desired: &Desired, observed: &Observed) -> Result<(), Error> {
    let Some(keeper) = secret_keeper(observed) else { return Ok(()) };
    Err(Error::refused(
        Code::SECRET_KEPT,
        format!(
            "Secret {}/{ACTIVATION_SECRET} is kept by {keeper}, so a new activation code cannot be kept in it",
            desired.settings.namespace
        ),
    )
    .cause("what eksconnect writes there would be undone, and EKS gives a code only once")
    .fix("remove the Secret where it is kept, then run the same command again"))
}

/// What else keeps the activation Secret as it is.
pub(super) fn secret_keeper(observed: &Observed) -> Option<&str> {
    observed.activation_secret.as_ref().and_then(|secret| secret.kept_by.as_deref())
}

/// What has to be agreed to before the plan is executed, if anything.
pub(super) fn question(
    desired: &Desired,
    observed: &Observed,
    removed: Option<(&Registration, Removal)>,
) -> Option<String> {
    let mut parts = Vec::new();
    match removed {
        None | Some((_, Removal::Unusable)) => {}
        Some((registration, Removal::Renewal)) => parts.push(format!(
            "The registration {} of this cluster ({}) is removed and made anew. Until the new one is ACTIVE, nobody can \
             look into the cluster through EKS.",
            registration.name, registration.status
        )),
        Some((registration, Removal::Replacement)) => parts.push(replacement(registration)),
    }
    if is_adoption(observed) {
        parts.push(adoption(desired, observed, removed.is_none()));
    }
    if parts.is_empty() {
        return None;
    }
    parts.push("Go on?".to_owned());
    Some(parts.join("\n"))
}

fn replacement(registration: &Registration) -> String {
    let made = registration
        .created_at
        .map_or_else(|| "at a time that is not known".to_owned(), |at| at.strftime("%F %R UTC").to_string());
    let provider = registration.provider.as_deref().unwrap_or("not known");
    let whose = match registration.tags.get(CLUSTER_UID_TAG) {
        Some(uid) => format!("of the cluster whose kube-system namespace has the UID {uid}"),
        None => "of a cluster that it does not tell".to_owned(),
    };
    let loss = match &registration.status {
        Status::Active | Status::Updating => {
            " It is connected: nobody can look into that cluster through EKS any more, and its agents stay without use."
        }
        Status::Creating | Status::Pending | Status::Deleting | Status::Failed | Status::Unknown(_) => "",
    };
    format!(
        "The registration {} is removed and its name taken for this cluster. It is {}, made {made}, provider {provider}, \
         {whose}.{loss}",
        registration.name, registration.status
    )
}

fn adoption(desired: &Desired, observed: &Observed, keeps_registration: bool) -> String {
    let namespace = &desired.settings.namespace;
    let Some(installed) = observed.installed.as_ref().filter(|installed| !installed.ours) else {
        let objects: Vec<String> =
            observed.foreign.iter().map(|foreign| foreign.object.to_string()).collect();
        return format!("These objects of another owner are overwritten: {}.", objects.join(", "));
    };
    let made = match &installed.release {
        Some(release) => format!("by the Helm release {release}"),
        None => "by something else than eksconnect".to_owned(),
    };
    let kept =
        if keeps_registration { " Its registration and its grants stay." } else { " Its grants stay." };
    let restart = if installed.steady { "one by one" } else { "all at once, since they are not all ready" };
    format!(
        "The connector that was installed in namespace {namespace} {made} is taken over: its objects become those of \
         eksconnect, and its agents are restarted {restart}.{kept}"
    )
}

/// What somebody should know who has taken a connector over.
pub(super) fn adoption_notes(desired: &Desired, observed: &Observed, notes: &mut Vec<String>) {
    let namespace = &desired.settings.namespace;
    if let Some(release) = observed.installed.as_ref().and_then(|installed| installed.release.as_ref()) {
        notes.push(format!(
            "Helm still knows the release {release}, and would change or remove what is taken over. To make Helm forget it: \
             kubectl delete secret -n {namespace} -l owner=helm,name={release}"
        ));
    }
    if let Some(keeper) = secret_keeper(observed) {
        notes.push(format!(
            "Secret {namespace}/{ACTIVATION_SECRET} is kept by {keeper} and stays as it is; remove the used code there."
        ));
    }
    let kept = observed.foreign.iter().filter_map(|foreign| Some((foreign, foreign.kept_by.as_ref()?)));
    for (foreign, keeper) in kept.filter(|(foreign, _)| foreign.object.name != ACTIVATION_SECRET) {
        notes.push(format!("{} is kept by {keeper}, which may change it back.", foreign.object));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_keeps_an_object() {
        let sealed = json!({ "ownerReferences": [{ "kind": "SealedSecret", "name": "code" }] });
        for (metadata, keeper) in [
            (sealed, Some("SealedSecret code")),
            (
                json!({ "labels": { "app.kubernetes.io/managed-by": "external-secrets" } }),
                Some("external-secrets"),
            ),
            (json!({ "labels": { "kustomize.toolkit.fluxcd.io/name": "apps" } }), Some("Flux")),
            (json!({ "annotations": { "argocd.argoproj.io/tracking-id": "x" } }), Some("Argo CD")),
            (json!({ "labels": { "app.kubernetes.io/managed-by": "Helm" } }), None),
            (json!({ "labels": { "app.kubernetes.io/managed-by": "eksconnect" } }), None),
            (json!({}), None),
        ] {
            assert_eq!(kept_by(&metadata).as_deref(), keeper, "{metadata}");
        }
    }
}
