//! Finds the principal in what somebody copied: the console's or kubectl's "… is forbidden: User "arn:…"", a refusal of
//! IAM, or what `aws sts get-caller-identity` prints.

use super::read::{Given, read};
use super::unusable::{Unusable, shown};
use crate::error::{Code, Error};

const START: &str = "arn:";

/// What stands before the one who was refused, without regard to case. Other ARNs in a message are of things.
const WHO: [&str; 5] = ["user ", "user: ", "users ", "user=", "user:"];

/// An ARN in a text.
struct Candidate<'a> {
    arn: &'a str,
    /// Whether the text says that it is who was refused.
    is_who: bool,
}

/// The one principal that a message is about.
///
/// # Errors
/// `EKSC0609` if there is none, `EKSC0612` if there are several, or why the one that there is cannot be granted to.
pub fn read_message(text: &str) -> Result<Given, Error> {
    let candidates = candidates(text);
    let who: Vec<&Candidate<'_>> = candidates.iter().filter(|candidate| candidate.is_who).collect();
    let chosen = if who.is_empty() { candidates.iter().collect() } else { who };
    let mut found: Vec<Given> = Vec::new();
    let mut unusable: Option<(&str, Unusable)> = None;
    for candidate in chosen {
        match read(candidate.arn) {
            Ok(given) if found.iter().any(|other| other.principal == given.principal) => {}
            Ok(given) => found.push(given),
            // What is no principal at all is what the message is about: a cluster, a policy.
            Err(Unusable::Kind(_)) => {}
            Err(why) => unusable = unusable.or(Some((candidate.arn, why))),
        }
    }
    match (found.len(), unusable) {
        (1, _) => found.pop().ok_or_else(|| nobody(text)),
        (0, Some((arn, why))) => Err(why.error(&format!("\"{}\"", shown(arn)))),
        (0, None) => Err(nobody(text)),
        _ => Err(several(&found)),
    }
}

fn candidates(text: &str) -> Vec<Candidate<'_>> {
    let starts = text.match_indices(START).map(|(start, _)| start);
    starts.filter_map(|start| candidate(text, start)).collect()
}

fn candidate(text: &str, start: usize) -> Option<Candidate<'_>> {
    let before = &text[..start];
    // Other letters stand right before it in languages without spaces.
    if before.ends_with(|character: char| character.is_ascii_alphanumeric()) {
        return None;
    }
    let rest = &text[start..];
    let end = rest.find(|character| !in_arns(character)).unwrap_or(rest.len());
    let unquoted = before.trim_end_matches(['"', '\'', '`', '\\', '\u{201c}']);
    let unquoted = unquoted.strip_suffix("&quot;").unwrap_or(unquoted);
    let arn = &rest[..end];
    // A sentence ends so; the name of a role hardly ever does.
    let arn = if unquoted.len() == before.len() { arn.trim_end_matches(['.', ',', ':', '?']) } else { arn };
    let word: String = unquoted.chars().rev().take(7).collect();
    let word: String = word.chars().rev().collect::<String>().to_ascii_lowercase();
    let is_who = WHO.iter().any(|who| word.ends_with(who));
    Some(Candidate { arn, is_who })
}

fn in_arns(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-/:*?".contains(character)
}

fn nobody(text: &str) -> Error {
    let error = Error::usage(Code::NO_PRINCIPAL_IN_MESSAGE, "there is no IAM principal in that message");
    let error = match user_of(text) {
        Some(user) => error.cause(format!("it is about {}, which is no user or role of IAM", shown(user))),
        None => error.cause("it has no ARN of a user, a role or a session in it"),
    };
    error.fix("copy all of it, from \"… is forbidden: User\" on; or name the principal: --principal ARN, --principal self")
}

/// Whom Kubernetes names in a refusal.
fn user_of(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("User \"").or_else(|| text.split_once("User \\\""))?;
    let end = rest.find(['"', '\\'])?;
    Some(&rest[..end]).filter(|user| !user.is_empty())
}

fn several(found: &[Given]) -> Error {
    let arns: Vec<&str> = found.iter().map(|given| given.principal.arn()).collect();
    Error::usage(Code::SEVERAL_PRINCIPALS_IN_MESSAGE, format!("that message names {} principals", arns.len()))
        .cause(arns.join("\n"))
        .fix("name those that you mean: --principal ARN")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VIEWER: &str = "arn:aws:iam::111122223333:role/Viewer";

    #[test]
    fn messages_of_the_console_of_kubectl_and_of_iam() {
        for text in [
            format!("pods is forbidden: User \"{VIEWER}\" cannot list resource \"pods\" in API group \"\" at the cluster scope"),
            format!(
                "users \"{VIEWER}\" is forbidden: User \"system:serviceaccount:eks-connector:eks-connector\" cannot impersonate \
                 resource \"users\" in API group \"\" at the cluster scope"
            ),
            format!("{{\"message\":\"nodes is forbidden: User \\\"{VIEWER}\\\" cannot list resource \\\"nodes\\\"\"}}"),
            format!("nodes is forbidden: User &quot;{VIEWER}&quot; cannot list"),
            "An error occurred (AccessDenied): User: arn:aws:sts::111122223333:assumed-role/Viewer/ana is not authorized to \
             perform: sts:AssumeRole on resource: arn:aws:iam::111122223333:role/Other"
                .to_owned(),
            "{\n  \"UserId\": \"AROAX:ana\",\n  \"Account\": \"111122223333\",\n  \"Arn\": \
             \"arn:aws:sts::111122223333:assumed-role/Viewer/ana\"\n}"
                .to_owned(),
            format!("I am {VIEWER}."),
            format!("{VIEWER} may not see arn:aws:eks:eu-west-1:111122223333:cluster/onprem1, {VIEWER}"),
        ] {
            assert_eq!(read_message(&text).unwrap().principal.arn(), VIEWER, "{text}");
        }
    }

    #[test]
    fn messages_without_a_principal_or_with_many() {
        let of = |text: &str| read_message(text).unwrap_err();
        assert_eq!(of("").code, Code::NO_PRINCIPAL_IN_MESSAGE);
        let own = of("Your current IAM principal doesn't have access to Kubernetes objects on this cluster.");
        assert_eq!(own.code, Code::NO_PRINCIPAL_IN_MESSAGE);
        let system = of("pods is forbidden: User \"system:anonymous\" cannot list");
        assert!(system.facts[0].text.contains("system:anonymous"), "{system:?}");
        let many = of(&format!("{VIEWER} arn:aws:iam::111122223333:user/ana"));
        assert_eq!(many.code, Code::SEVERAL_PRINCIPALS_IN_MESSAGE);
        let root = of("nodes is forbidden: User \"arn:aws:iam::111122223333:root\" cannot list");
        assert_eq!(root.code, Code::ROOT_PRINCIPAL);
        assert_eq!(of("on arn:aws:eks:eu-west-1:111122223333:cluster/a").code, Code::NO_PRINCIPAL_IN_MESSAGE);
    }

    proptest! {
        #[test]
        fn whatever_surrounds_it_does_not_matter(before in "[^a-zA-Z0-9:]{0,9}", after in "[ \"'<)\\n][^:]{0,20}") {
            let text = format!("{before}{VIEWER}{after}");
            prop_assert_eq!(read_message(&text).unwrap().principal.arn().to_owned(), VIEWER);
        }

        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            if let Ok(given) = read_message(&text) {
                prop_assert!(text.contains(given.principal.name()));
            }
        }
    }
}
