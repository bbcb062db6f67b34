//! Works out of a request, and of what was seen first, which grants are wanted.

use super::ceiling::{Reading, reading};
use super::grants::Form;
use super::objects::{GrantDesign, GrantRole, GrantScope, ceiling_of};
use super::observed::{Constrains, Looked, PrincipalSeen};
use super::principal::Principal;
use super::request::{GrantRequest, ImpersonationChoice};
use crate::error::{Code, Error};
use crate::rbac::Role;

/// The grants that are wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Desired {
    /// One for each principal.
    pub grants: Vec<GrantDesign>,
    /// In which form the connector is to be them.
    pub form: Form,
    /// What was asked for about that.
    pub choice: ImpersonationChoice,
    /// What the role gives beyond reading.
    pub beyond: Vec<String>,
    /// Whether to give the principals what IAM asks for.
    pub attach_policy: bool,
}

/// The grants that a request wants. `refuted` is whether an earlier try has shown that the API server does not constrain
/// impersonation.
///
/// # Errors
/// There is no connector; a principal, a namespace or a role does not exist; the role gives more than reading; what is wanted of the API
/// server it does not have.
pub fn desired(request: &GrantRequest, looked: &Looked, refuted: bool) -> Result<Desired, Error> {
    refuse_absent(request, looked)?;
    let form = form(request, looked, refuted)?;
    let given = request.cluster_role.as_deref().map(|name| role_of(name, looked)).transpose()?;
    let beyond = match given {
        Some(role) => judge(role, request)?.beyond,
        None => Vec::new(),
    };
    let grants = request
        .principals
        .iter()
        .map(|principal| GrantDesign {
            principal: principal.clone(),
            form,
            scope: request.scope.clone(),
            role: given.map_or(GrantRole::ConsoleView, |role| GrantRole::Given(role.clone())),
        })
        .collect();
    Ok(Desired { grants, form, choice: request.impersonation, beyond, attach_policy: request.attach_policy })
}

/// Refuses a namespace without a connector: nobody would ask in a principal's name.
pub fn refuse_no_connector(looked: &Looked) -> Result<(), Error> {
    if looked.connector {
        return Ok(());
    }
    let namespace = &looked.namespace;
    let elsewhere = looked.elsewhere.join(", ");
    Err(Error::refused(Code::NO_CONNECTOR, format!("namespace {namespace} has no connector to view through"))
        .fix(if elsewhere.is_empty() {
            "register the cluster first: eksconnect register --name NAME --grant-view ARN does both"
                .to_owned()
        } else {
            format!("name the namespace that has one ({elsewhere}) with --namespace")
        }))
}

fn refuse_absent(request: &GrantRequest, looked: &Looked) -> Result<(), Error> {
    let absent: Vec<&str> = request
        .principals
        .iter()
        .filter(|principal| looked.principal(principal) == PrincipalSeen::Absent)
        .map(Principal::arn)
        .collect();
    if !absent.is_empty() {
        return Err(Error::refused(
            Code::NO_SUCH_PRINCIPAL,
            format!("IAM knows no {}", absent.join(", nor ")),
        )
        .cause(format!(
            "account {} was asked; names are exact, also in upper and lower case",
            looked.caller.account
        ))
        .fix("check the name: aws iam list-roles, aws iam list-users"));
    }
    if let GrantScope::Namespaces(places) = &request.scope {
        let absent: Vec<&str> = places
            .iter()
            .filter(|place| looked.absent_namespaces.contains(*place))
            .map(String::as_str)
            .collect();
        if !absent.is_empty() {
            let names = absent.join(", ");
            return Err(Error::refused(
                Code::NO_SUCH_NAMESPACE,
                format!("the cluster has no namespace {names} to view"),
            )
            .fix("check --namespace-scope: kubectl get namespaces"));
        }
    }
    Ok(())
}

fn form(request: &GrantRequest, looked: &Looked, refuted: bool) -> Result<Form, Error> {
    let honoured = looked.constrains != Constrains::No && !refuted;
    match (request.impersonation, honoured) {
        (ImpersonationChoice::Documented, _) | (ImpersonationChoice::Auto, false) => Ok(Form::Documented),
        (ImpersonationChoice::Auto | ImpersonationChoice::Constrained, true) => Ok(Form::Constrained),
        (ImpersonationChoice::Constrained, false) => Err(not_constrained(&looked.version)),
    }
}

/// The error for a server that does not have what was asked for.
pub(super) fn not_constrained(version: &str) -> Error {
    let version = version.trim_start_matches('v');
    Error::refused(
        Code::NOT_CONSTRAINED,
        "the API server does not constrain impersonation, so a grant cannot be held to viewing",
    )
    .cause(format!(
        "it is Kubernetes {version}; from 1.36 on it does, unless the feature gate ConstrainedImpersonation is off"
    ))
    .fix("upgrade the cluster or turn the feature gate on; --impersonation auto takes the documented form meanwhile")
}

fn role_of<'a>(name: &str, looked: &'a Looked) -> Result<&'a Role, Error> {
    let roles = &looked.rules.roles;
    roles.iter().find(|role| role.meta.namespace.is_none() && role.meta.name == name).ok_or_else(|| {
        Error::refused(Code::NO_SUCH_ROLE, format!("the cluster has no ClusterRole {name}"))
            .fix("check --cluster-role: kubectl get clusterroles")
    })
}

fn judge(role: &Role, request: &GrantRequest) -> Result<Reading, Error> {
    let name = &role.meta.name;
    let reading = reading(role);
    if !reading.beyond.is_empty() && !request.allow_beyond_view {
        return Err(Error::refused(Code::BEYOND_VIEW, format!("ClusterRole {name} gives more than reading"))
            .cause(reading.beyond.join("\n"))
            .fix(
                "choose a role that only reads, such as view; or add --allow-beyond-view if they may have all of that",
            ));
    }
    let design = GrantDesign {
        principal: match request.principals.first() {
            Some(principal) => principal.clone(),
            None => return Ok(reading),
        },
        form: Form::Constrained,
        scope: request.scope.clone(),
        role: GrantRole::Given(role.clone()),
    };
    let (of_cluster, of_namespaces) = ceiling_of(&design);
    let any = of_cluster.iter().chain(&of_namespaces).any(|rule| rule.non_resource_urls.is_empty());
    if !any {
        return Err(Error::refused(
            Code::NO_SUCH_ROLE,
            format!("ClusterRole {name} lets nobody get or list anything that could be viewed there"),
        )
        .fix("check --cluster-role: kubectl describe clusterrole"));
    }
    Ok(reading)
}
