//! Finds out who is meant where the ARN is not given, and what is odd about those that are.

use std::sync::Arc;

use futures::future::join_all;

use super::Principal;
use super::choice::Choice;
use super::read::{Given, SSO_PATH, read};
use crate::error::{Code, Error};
use crate::ports::{Failure, Identity, Principals};
use crate::registration::observed::Caller;

/// Whom to ask.
#[derive(Clone)]
pub struct Sources {
    /// STS: who the credentials are.
    pub identity: Arc<dyn Identity>,
    /// IAM: the roles of permission sets.
    pub principals: Arc<dyn Principals>,
}

/// Everybody who was named, and who named them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Each principal once, in the order in which they were named.
    pub principals: Vec<Resolved>,
    /// Whose credentials these are, where AWS could be asked.
    pub caller: Option<Caller>,
    /// Why AWS does not say whose they are, where it was asked and nothing depends on it.
    pub unverified: Option<String>,
}

/// Who was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The principal.
    pub principal: Principal,
    /// As it was named: `self`, `permission set ViewOnly`, an ARN.
    pub named: String,
    /// What was changed or looked up to get from the one to the other, each with its reason.
    pub changes: Vec<String>,
    /// What may not be as it was meant.
    pub warnings: Vec<Warning>,
}

/// Something that is not refused and should be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Its page says more.
    pub code: Code,
    /// What it is and what to do.
    pub text: String,
}

/// Accounts of AWS' documentation. They can exist, but nobody copies them on purpose.
const EXAMPLE_ACCOUNTS: [&str; 3] = ["111122223333", "123456789012", "444455556666"];

/// How many names of permission sets an error lists.
const LISTED: usize = 10;

/// Finds out who is meant, each principal once. `attended` is whether there is a terminal, and so somebody who knows
/// whose credentials `self` means.
///
/// # Errors
/// AWS cannot be asked and must be; the credentials are no principal that can be granted to (`EKSC0603`, `EKSC0604`);
/// no role (`EKSC0610`) or several (`EKSC0611`) belong to a permission set; an example's account (`EKSC0602`).
pub async fn resolve(
    choices: &[Choice],
    sources: Option<&Sources>,
    attended: bool,
) -> Result<Resolution, Error> {
    let (caller, found) = futures::future::join(
        async {
            match sources {
                Some(sources) => Some(sources.identity.caller().await),
                None => None,
            }
        },
        join_all(choices.iter().map(|choice| role_of_set(choice, sources))),
    )
    .await;
    let needs_caller = choices.contains(&Choice::Caller);
    let (caller, unverified) = match caller {
        Some(Err(failure)) if needs_caller => {
            return Err(failure.into_error("find out whose AWS credentials these are"));
        }
        Some(Err(failure)) => (None, Some(unknown_caller(&failure))),
        Some(Ok(caller)) => (Some(caller), None),
        None => (None, None),
    };
    let mut principals: Vec<Resolved> = Vec::new();
    for (choice, found) in choices.iter().zip(found) {
        let resolved = match choice {
            Choice::Written { text, given } => named(text.clone(), given.clone()),
            Choice::Message(given) => named("the message".to_owned(), given.clone()),
            Choice::Caller => yourself(caller.as_ref().ok_or_else(unasked)?, attended)?,
            Choice::PermissionSet(set) => of_set(set, &found?)?,
        };
        match principals.iter_mut().find(|other| other.principal == resolved.principal) {
            Some(other) => other.changes.push(format!("it was named twice, also as {}", resolved.named)),
            None => principals.push(resolved),
        }
    }
    if let Some(caller) = &caller {
        check_account(&mut principals, &caller.account)?;
    }
    Ok(Resolution { principals, caller, unverified })
}

/// Holds the principals against the account that the cluster is connected to, or is to be: one of another account is
/// warned about.
///
/// # Errors
/// `EKSC0602` for the account of an example that is not this one.
pub fn check_account(principals: &mut [Resolved], account: &str) -> Result<(), Error> {
    for resolved in principals.iter_mut().filter(|resolved| resolved.principal.account() != account) {
        let other = resolved.principal.account().to_owned();
        if EXAMPLE_ACCOUNTS.contains(&other.as_str()) {
            return Err(Error::usage(
                Code::PLACEHOLDER_PRINCIPAL,
                format!("{} is an example that was not filled in", resolved.principal),
            )
            .cause(format!("{other} is the account of AWS' examples, and yours is {account}"))
            .fix(format!(
                "write the ARN of a user or role of yours: arn:aws:iam::{account}:{}",
                resolved.principal.short()
            )));
        }
        let known = resolved.warnings.iter().any(|warning| warning.code == Code::FOREIGN_ACCOUNT);
        if !known {
            resolved.warnings.push(Warning {
                code: Code::FOREIGN_ACCOUNT,
                text: format!(
                    "it is in account {other}, and these credentials are of {account}: the console shows a cluster to \
                     principals of its own account only"
                ),
            });
        }
    }
    Ok(())
}

/// The ARNs of the roles of Identity Center, where a permission set is meant.
async fn role_of_set(choice: &Choice, sources: Option<&Sources>) -> Result<Vec<String>, Error> {
    let Choice::PermissionSet(set) = choice else { return Ok(Vec::new()) };
    let sources = sources.ok_or_else(unasked)?;
    let roles = sources.principals.roles_below(SSO_PATH).await;
    roles.map_err(|failure| failure.into_error(&format!("look for the role of permission set {set}")))
}

fn named(named: String, given: Given) -> Resolved {
    Resolved { principal: given.principal, named, changes: given.changes, warnings: Vec::new() }
}

fn yourself(caller: &Caller, attended: bool) -> Result<Resolved, Error> {
    let given = read(&caller.arn)
        .map_err(|why| why.error(&format!("\"{}\", whose credentials these are,", caller.arn)))?;
    let mut resolved = named("self".to_owned(), given);
    resolved.changes.insert(0, format!("these credentials are of {}", caller.arn));
    if !attended {
        resolved.warnings.push(Warning {
            code: Code::UNATTENDED_SELF,
            text: format!(
                "self is the one who runs this, and nobody sits here: if people are to view, name them instead of {}",
                resolved.principal.short()
            ),
        });
    }
    Ok(resolved)
}

fn of_set(set: &str, arns: &[String]) -> Result<Resolved, Error> {
    let mut matching: Vec<&String> =
        arns.iter().filter(|arn| set_of(arn).is_some_and(|name| name == set)).collect();
    matching.sort();
    match matching.as_slice() {
        [] => Err(no_such_set(set, arns)),
        [arn] => {
            let given = read(arn).map_err(|why| why.error(&format!("\"{arn}\"")))?;
            let mut resolved = named(format!("permission set {set}"), given);
            resolved.changes.insert(0, format!("IAM Identity Center made {arn} for it"));
            Ok(resolved)
        }
        several => {
            let list: Vec<&str> = several.iter().map(|arn| arn.as_str()).collect();
            Err(Error::refused(
                Code::SEVERAL_PERMISSION_SETS,
                format!("permission set {set} has {} roles in this account", list.len()),
            )
            .cause(list.join("\n"))
            .fix("name the one that is meant: --principal ARN"))
        }
    }
}

/// The permission set of a role: `AWSReservedSSO_ViewOnly_0123456789abcdef` (IAM Identity Center user guide, "Referencing
/// permission sets in resource policies").
fn set_of(arn: &str) -> Option<&str> {
    let name = arn.rsplit('/').next()?.strip_prefix("AWSReservedSSO_")?;
    Some(name.rsplit_once('_')?.0)
}

fn no_such_set(set: &str, arns: &[String]) -> Error {
    let mut sets: Vec<&str> = arns.iter().filter_map(|arn| set_of(arn)).collect();
    sets.sort_unstable();
    sets.dedup();
    let error =
        Error::refused(Code::NO_PERMISSION_SET, format!("permission set {set} has no role in this account"));
    let error = match sets.as_slice() {
        [] => error.cause("IAM Identity Center has made no roles here"),
        sets => {
            let more = if sets.len() > LISTED { " and others" } else { "" };
            let shown = &sets[..sets.len().min(LISTED)];
            error.cause(format!("those that have one: {}{more}", shown.join(", ")))
        }
    };
    let near = sets.iter().find(|other| other.eq_ignore_ascii_case(set));
    error.fix(match near {
        Some(near) => format!("write it as it is called: --permission-set {near}"),
        None => "assign the permission set to this account first, or use the credentials of the account that it is \
                 assigned to"
            .to_owned(),
    })
}

fn unknown_caller(failure: &Failure) -> String {
    format!("whether the principals are of this account: {failure}")
}

/// The wiring promises AWS wherever a choice needs it.
fn unasked() -> Error {
    Error::failed(Code::INTERNAL, "AWS was not asked who is meant, and must be")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ports::{Decision, FailureKind, PrincipalFacts, Reply, Side};

    /// An account whose caller and whose roles of Identity Center are known.
    #[derive(Clone)]
    struct Known {
        caller: Option<&'static str>,
        roles: Vec<String>,
    }

    fn denied(operation: &str) -> Failure {
        Failure {
            side: Side::Aws,
            kind: FailureKind::Denied,
            operation: operation.to_owned(),
            message: "no".to_owned(),
        }
    }

    impl Identity for Known {
        fn caller(&self) -> Reply<'_, Caller> {
            Box::pin(async {
                let arn = self.caller.ok_or_else(|| denied("sts:GetCallerIdentity"))?.to_owned();
                Ok(Caller { account: "222233334444".to_owned(), arn })
            })
        }
    }

    impl Principals for Known {
        fn principal<'a>(&'a self, _: &'a Principal) -> Reply<'a, Option<PrincipalFacts>> {
            Box::pin(async { Err(denied("iam:GetRole")) })
        }
        fn roles_below<'a>(&'a self, path: &'a str) -> Reply<'a, Vec<String>> {
            assert_eq!(path, SSO_PATH);
            Box::pin(async { Ok(self.roles.clone()) })
        }
        fn simulate<'a>(
            &'a self,
            _: &'a str,
            _: &'a [&'a str],
            _: &'a str,
        ) -> Reply<'a, BTreeMap<String, Decision>> {
            Box::pin(async { Err(denied("iam:SimulatePrincipalPolicy")) })
        }
        fn attach_viewer_policy<'a>(&'a self, _: &'a Principal, _: &'a str) -> Reply<'a, ()> {
            Box::pin(async { Err(denied("iam:PutRolePolicy")) })
        }
        fn detach_viewer_policy<'a>(&'a self, _: &'a Principal) -> Reply<'a, ()> {
            Box::pin(async { Err(denied("iam:DeleteRolePolicy")) })
        }
    }

    const SESSION: &str = "arn:aws:sts::222233334444:assumed-role/AWSReservedSSO_View_0011223344556677/ana";

    fn role(set: &str, hash: &str) -> String {
        format!("arn:aws:iam::222233334444:role{SSO_PATH}eu-west-1/AWSReservedSSO_{set}_{hash}")
    }

    async fn ask(known: Known, choices: &[Choice], attended: bool) -> Result<Resolution, Error> {
        let known = Arc::new(known);
        let sources = Sources { identity: known.clone(), principals: known };
        resolve(choices, Some(&sources), attended).await
    }

    fn written(text: &str) -> Choice {
        Choice::written(text).unwrap()
    }

    #[tokio::test]
    async fn whoever_the_credentials_are_is_named() {
        let known = Known { caller: Some(SESSION), roles: Vec::new() };
        let found = ask(known.clone(), &[written("self")], true).await.unwrap();
        let resolved = &found.principals[0];
        assert_eq!(
            resolved.principal.arn(),
            "arn:aws:iam::222233334444:role/AWSReservedSSO_View_0011223344556677"
        );
        assert!(
            resolved.changes[0].contains(SESSION) && resolved.changes[1].contains("session"),
            "{resolved:?}"
        );
        assert!(resolved.warnings.is_empty());
        let found = ask(known, &[written("self")], false).await.unwrap();
        assert_eq!(found.principals[0].warnings[0].code, Code::UNATTENDED_SELF);

        for (arn, code) in [
            ("arn:aws:iam::222233334444:root", Code::ROOT_PRINCIPAL),
            ("arn:aws:sts::222233334444:federated-user/ana", Code::FEDERATED_PRINCIPAL),
        ] {
            let known = Known { caller: Some(arn), roles: Vec::new() };
            let refused = ask(known, &[Choice::Caller], true).await.unwrap_err();
            assert_eq!(refused.code, code);
            assert!(refused.message.contains(arn), "{refused}");
        }
        let unknown = Known { caller: None, roles: Vec::new() };
        assert_eq!(ask(unknown, &[Choice::Caller], true).await.unwrap_err().code, Code::AWS_DENIED);
    }

    #[tokio::test]
    async fn a_principal_is_granted_once_and_one_of_another_account_is_warned_about() {
        let known = Known { caller: Some(SESSION), roles: Vec::new() };
        let ops = "arn:aws:iam::555566667777:role/Ops";
        let choices = [written(ops), written("arn:aws:iam::555566667777:role/team/Ops"), Choice::Caller];
        let found = ask(known.clone(), &choices, true).await.unwrap();
        assert_eq!(found.principals.len(), 2);
        assert_eq!(found.principals[0].principal.arn(), ops);
        assert!(found.principals[0].changes[0].contains("twice"));
        assert_eq!(found.principals[0].warnings[0].code, Code::FOREIGN_ACCOUNT);
        assert!(found.principals[1].warnings.is_empty());

        let example = written("arn:aws:iam::111122223333:role/Viewer");
        let refused = ask(known, std::slice::from_ref(&example), true).await.unwrap_err();
        assert_eq!(refused.code, Code::PLACEHOLDER_PRINCIPAL);
        // Nobody knows that it is an example where AWS is not asked, or does not answer.
        let unknown = Known { caller: None, roles: Vec::new() };
        let found = ask(unknown, std::slice::from_ref(&example), true).await.unwrap();
        assert!(found.unverified.is_some() && found.caller.is_none());
        assert_eq!(resolve(&[example], None, true).await.unwrap().principals.len(), 1);
    }

    #[tokio::test]
    async fn the_role_of_a_permission_set() {
        let roles = vec![
            role("View", "0011223344556677"),
            role("View_All", "0011223344556677"),
            role("Admin", "0011223344556677"),
            role("Admin", "8899aabbccddeeff"),
        ];
        let known = Known { caller: Some(SESSION), roles };
        let set = |name: &str| Choice::PermissionSet(name.to_owned());
        let found = ask(known.clone(), &[set("View")], true).await.unwrap();
        let resolved = &found.principals[0];
        assert_eq!(resolved.principal.name(), "AWSReservedSSO_View_0011223344556677");
        assert_eq!(resolved.changes.len(), 2, "{resolved:?}");

        let several = ask(known.clone(), &[set("Admin")], true).await.unwrap_err();
        assert_eq!((several.code, several.facts[0].text.lines().count()), (Code::SEVERAL_PERMISSION_SETS, 2));
        let none = ask(known.clone(), &[set("view")], true).await.unwrap_err();
        assert_eq!(none.code, Code::NO_PERMISSION_SET);
        assert!(none.facts[0].text.contains("Admin, View, View_All"), "{none:?}");
        assert!(none.facts[1].text.contains("--permission-set View"), "{none:?}");
        let empty = Known { roles: Vec::new(), ..known };
        assert_eq!(ask(empty, &[set("View")], true).await.unwrap_err().code, Code::NO_PERMISSION_SET);
    }
}
