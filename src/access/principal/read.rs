//! Reads a principal in any form that a person has at hand, and says each change that makes it canonical.

use super::Principal;
use super::unusable::{Unusable, shown};
use super::written::{placeholder, unquoted};

/// A principal as somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Who it is.
    pub principal: Principal,
    /// What was changed to get its canonical form, each with its reason. Empty if it was written so.
    pub changes: Vec<String>,
}

/// The partition of the Regions in which clusters can be connected.
pub(super) const PARTITION: &str = "aws";

/// The longest name of a user or a role (IAM API, `RoleName`, `UserName`).
const LONGEST_NAME: usize = 64;

/// The longest path (IAM API, `Path`).
const LONGEST_PATH: usize = 512;

/// The path of the roles that IAM Identity Center makes.
pub(super) const SSO_PATH: &str = "/aws-reserved/sso.amazonaws.com/";

/// Reads the ARN of an IAM user, of an IAM role with or without its path, or of a session of a role.
///
/// # Errors
/// Why it is none, or one that cannot be granted to.
pub fn read(text: &str) -> Result<Given, Unusable> {
    let bare = unquoted(text);
    if bare.contains(['*', '?']) {
        return Err(Unusable::Wildcard);
    }
    if let Some(part) = placeholder(bare) {
        return Err(Unusable::Placeholder(part.to_owned()));
    }
    let mut given = read_arn(bare)?;
    // Spaces at the ends come from copying, too, but nobody sees them.
    if bare != text.trim() {
        given.changes.insert(0, "the quotation marks around it were taken away".to_owned());
    }
    Ok(given)
}

fn read_arn(text: &str) -> Result<Given, Unusable> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, service, region, account, resource] = parts.as_slice() else {
        return Err(no_arn(text));
    };
    match *partition {
        PARTITION => {}
        other if is_word(other) && other.starts_with("aws-") => {
            return Err(Unusable::Partition(other.to_owned()));
        }
        _ => return Err(malformed("its partition is none of AWS")),
    }
    if !matches!(*service, "iam" | "sts") {
        return Err(Unusable::Kind(format!("something of {}, not a principal", shown(service))));
    }
    if !region.is_empty() {
        return Err(malformed("it names a Region, and principals have none"));
    }
    let (kind, rest) = resource.split_once('/').unwrap_or((resource, ""));
    match (*service, kind) {
        ("iam", "root") if rest.is_empty() => {
            check_account_id(account)?;
            Err(Unusable::Root)
        }
        ("iam", "user") => user(account, rest),
        ("iam", "role") => role(account, rest),
        ("sts", "assumed-role") => session(account, rest),
        ("sts", "federated-user") => Err(Unusable::Federated),
        ("iam", "assumed-role") => Err(malformed_but(
            "it is a session's ARN of the wrong service",
            &text.replacen(":iam:", ":sts:", 1),
        )),
        (_, kind) if ["user", "role", "root"].iter().any(|known| known.eq_ignore_ascii_case(kind)) => {
            Err(malformed("users, roles and root are of the service iam, in lower case"))
        }
        (_, kind) => Err(Unusable::Kind(kind_of(kind))),
    }
}

/// `rest` may have a path. That of a user is kept: what the connector does with it is not documented.
fn user(account: &str, rest: &str) -> Result<Given, Unusable> {
    check_account_id(account)?;
    let (path, name) = rest.rsplit_once('/').unwrap_or(("", rest));
    check_name(name)?;
    check_path(path)?;
    let principal = canonical(format!("arn:{PARTITION}:iam::{account}:user/{rest}"))?;
    Ok(Given { principal, changes: Vec::new() })
}

fn role(account: &str, rest: &str) -> Result<Given, Unusable> {
    check_account_id(account)?;
    let Some((path, name)) = rest.rsplit_once('/') else {
        check_name(rest)?;
        return Ok(Given { principal: role_named(account, rest)?, changes: Vec::new() });
    };
    check_name(name)?;
    check_path(path)?;
    if path == "aws-service-role" || path.starts_with("aws-service-role/") {
        return Err(Unusable::Kind("a service-linked role, in whose name nobody can sign in".to_owned()));
    }
    let change = format!("the path /{path}/ was taken away: the connector names a role without its path");
    Ok(Given { principal: role_named(account, name)?, changes: vec![change] })
}

fn session(account: &str, rest: &str) -> Result<Given, Unusable> {
    check_account_id(account)?;
    let Some((name, session)) = rest.split_once('/') else {
        let role = format!("arn:{PARTITION}:iam::{account}:role/{rest}");
        return Err(malformed_but("it is a session's ARN without the session", &role));
    };
    check_name(name)?;
    // AWS API, `RoleSessionName`.
    if session.is_empty() || session.len() > LONGEST_NAME || !session.chars().all(in_names) {
        return Err(malformed("what follows the role is not the name of a session"));
    }
    let change = format!("it was a session of the role ({session}): the connector names the role");
    Ok(Given { principal: role_named(account, name)?, changes: vec![change] })
}

fn role_named(account: &str, name: &str) -> Result<Principal, Unusable> {
    canonical(format!("arn:{PARTITION}:iam::{account}:role/{name}"))
}

fn canonical(arn: String) -> Result<Principal, Unusable> {
    Principal::canonical(&arn).ok_or_else(|| malformed("it is not the ARN of a user or a role"))
}

fn check_account_id(account: &str) -> Result<(), Unusable> {
    let digits = account.bytes().filter(u8::is_ascii_digit).count();
    if digits == 12 && account.len() == 12 {
        return Ok(());
    }
    if digits == 12 && account.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') {
        return Err(malformed("its account is written with dashes; an ARN has the 12 digits alone"));
    }
    Err(malformed("its account is not 12 digits"))
}

fn check_name(name: &str) -> Result<(), Unusable> {
    if name.is_empty() {
        return Err(malformed("it ends before the name"));
    }
    if name.len() > LONGEST_NAME {
        return Err(malformed("its name has more than 64 characters"));
    }
    match name.chars().find(|character| !in_names(*character)) {
        Some(other) => Err(malformed(&format!("its name has {other:?} in it"))),
        None => Ok(()),
    }
}

/// IAM allows all that can be seen in ASCII; each part here has the characters of names, as in every path that is known.
fn check_path(path: &str) -> Result<(), Unusable> {
    let fits = path.split('/').all(|part| !part.is_empty() && part.chars().all(in_names));
    if path.is_empty() || (path.len() <= LONGEST_PATH && fits) {
        return Ok(());
    }
    Err(malformed("its path is not one of IAM"))
}

/// The characters of the names of users, roles and sessions (IAM API: `[\w+=,.@-]+`).
fn in_names(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_+=,.@-".contains(character)
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn no_arn(text: &str) -> Unusable {
    let Some((kind, name)) = text.split_once('/') else {
        let why = if text.is_empty() { "nothing is written there" } else { "it is no ARN" };
        return malformed(why);
    };
    match kind {
        "role" | "user" if check_name(name).is_ok() => Unusable::Malformed {
            why: "it is a name, and the same name can be in any account".to_owned(),
            instead: Some(format!(
                "write its ARN: aws iam get-{kind} --{kind}-name {name} --query {}.Arn --output text prints it",
                if kind == "role" { "Role" } else { "User" }
            )),
        },
        _ => malformed("it does not have the six parts of an ARN"),
    }
}

fn kind_of(kind: &str) -> String {
    match kind {
        "group" => "a group, and nobody signs in as a group".to_owned(),
        "policy" => "a policy".to_owned(),
        "instance-profile" => "an instance profile and not its role".to_owned(),
        "saml-provider" | "oidc-provider" => {
            "an identity provider and not the role that its users assume".to_owned()
        }
        other => format!("{}, not a user or a role", shown(other)),
    }
}

fn malformed(why: &str) -> Unusable {
    Unusable::Malformed { why: why.to_owned(), instead: None }
}

fn malformed_but(why: &str, write: &str) -> Unusable {
    Unusable::Malformed { why: why.to_owned(), instead: Some(format!("write {}", shown(write))) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::Code;

    const A: &str = "111122223333";

    fn reads(text: &str, canonical: &str, changes: &[&str]) {
        let given = read(text).unwrap_or_else(|why| panic!("{text}: {why:?}"));
        assert_eq!(given.principal.arn(), canonical, "{text}");
        assert_eq!(given.changes.len(), changes.len(), "{text}: {:?}", given.changes);
        for (said, word) in given.changes.iter().zip(changes) {
            assert!(said.contains(word), "{text}: {said}");
        }
    }

    #[test]
    fn what_people_have_at_hand() {
        let viewer = format!("arn:aws:iam::{A}:role/Viewer");
        reads(&viewer, &viewer, &[]);
        reads(&format!("  {viewer}\n"), &viewer, &[]);
        reads(&format!("\"{viewer}\","), &viewer, &["quotation marks"]);
        reads(&format!("'{viewer}'"), &viewer, &["quotation marks"]);
        reads(&format!("arn:aws:iam::{A}:role/team/web/Viewer"), &viewer, &["/team/web/"]);
        reads(
            &format!("arn:aws:sts::{A}:assumed-role/Viewer/ana@example.com"),
            &viewer,
            &["ana@example.com"],
        );
        reads(
            &format!("`arn:aws:sts::{A}:assumed-role/Viewer/i-0123456789abcdef0`"),
            &viewer,
            &["quotation marks", "session"],
        );
        let ana = format!("arn:aws:iam::{A}:user/ana");
        reads(&ana, &ana, &[]);
        let in_path = format!("arn:aws:iam::{A}:user/team/ana");
        reads(&in_path, &in_path, &[]);
        let set = "AWSReservedSSO_View_0123456789abcdef";
        for path in ["", "eu-west-1/"] {
            reads(
                &format!("arn:aws:iam::{A}:role{SSO_PATH}{path}{set}"),
                &format!("arn:aws:iam::{A}:role/{set}"),
                &["sso.amazonaws.com"],
            );
        }
    }

    #[test]
    fn what_cannot_be_granted_to_is_told_apart() {
        let of = |text: &str| read(text).unwrap_err().error("x").code;
        for (text, code) in [
            ("", Code::INVALID_PRINCIPAL),
            ("Viewer", Code::INVALID_PRINCIPAL),
            ("role/Viewer", Code::INVALID_PRINCIPAL),
            ("AIDACKCEVSQ6C2EXAMPLE", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::111122223333", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::1111:role/Viewer", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::1111-2222-3333:role/Viewer", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam:eu-west-1:111122223333:role/Viewer", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::111122223333:role/", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::111122223333:role", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::111122223333:user/a b", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::111122223333:user//ana", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::111122223333:Role/Viewer", Code::INVALID_PRINCIPAL),
            ("ARN:aws:iam::111122223333:role/Viewer", Code::INVALID_PRINCIPAL),
            ("arn:aws:sts::111122223333:role/Viewer", Code::INVALID_PRINCIPAL),
            ("arn:aws:iam::111122223333:assumed-role/Viewer/ana", Code::INVALID_PRINCIPAL),
            ("arn:aws:sts::111122223333:assumed-role/Viewer", Code::INVALID_PRINCIPAL),
            ("arn:aws:sts::111122223333:assumed-role/Viewer/a/b", Code::INVALID_PRINCIPAL),
            ("arn:mine:iam::111122223333:role/Viewer", Code::INVALID_PRINCIPAL),
            ("%IAM_ARN%", Code::PLACEHOLDER_PRINCIPAL),
            ("IAM_ARN", Code::PLACEHOLDER_PRINCIPAL),
            ("<arn>", Code::PLACEHOLDER_PRINCIPAL),
            ("arn:aws:iam::AWS_ACCOUNT_ID:role/Viewer", Code::PLACEHOLDER_PRINCIPAL),
            ("arn:aws:iam::<account>:role/Viewer", Code::PLACEHOLDER_PRINCIPAL),
            ("arn:aws:iam::12345678XXXX:role/Viewer", Code::PLACEHOLDER_PRINCIPAL),
            ("arn:aws:iam::000000000000:role/Viewer", Code::PLACEHOLDER_PRINCIPAL),
            ("arn:aws:iam::111122223333:role/${ROLE}", Code::PLACEHOLDER_PRINCIPAL),
            ("arn:aws:iam::111122223333:role/...", Code::PLACEHOLDER_PRINCIPAL),
            ("arn:aws:iam::111122223333:root", Code::ROOT_PRINCIPAL),
            ("arn:aws:sts::111122223333:federated-user/ana", Code::FEDERATED_PRINCIPAL),
            ("*", Code::WILDCARD_PRINCIPAL),
            ("arn:aws:iam::111122223333:role/*", Code::WILDCARD_PRINCIPAL),
            ("arn:aws:iam::*:role/Viewer", Code::WILDCARD_PRINCIPAL),
            ("arn:aws-cn:iam::111122223333:role/Viewer", Code::PRINCIPAL_PARTITION),
            ("arn:aws-us-gov:sts::111122223333:assumed-role/Viewer/ana", Code::PRINCIPAL_PARTITION),
            ("arn:aws:iam::111122223333:group/Viewers", Code::NO_PRINCIPAL),
            ("arn:aws:iam::aws:policy/ReadOnlyAccess", Code::NO_PRINCIPAL),
            ("arn:aws:iam::111122223333:saml-provider/corp", Code::NO_PRINCIPAL),
            ("arn:aws:eks:eu-west-1:111122223333:cluster/onprem1", Code::NO_PRINCIPAL),
            (
                "arn:aws:iam::111122223333:role/aws-service-role/eks.amazonaws.com/AWSServiceRoleForAmazonEKS",
                Code::NO_PRINCIPAL,
            ),
        ] {
            assert_eq!(of(text), code, "{text}");
        }
        assert_eq!(of(&format!("arn:aws:iam::{A}:role/{}", "x".repeat(65))), Code::INVALID_PRINCIPAL);
    }

    /// Pieces of ARNs, right and wrong, in any order, among other text.
    fn nearly() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("arn:"),
            Just("aws"),
            Just("aws-cn"),
            Just(":iam::"),
            Just(":sts::"),
            Just("111122223333:"),
            Just("000000000000"),
            Just("role/"),
            Just("user/"),
            Just("assumed-role/"),
            Just("federated-user/"),
            Just("root"),
            Just("a/b/"),
            Just("Viewer"),
            Just("/ana@example.com"),
            Just("\""),
            Just("'"),
            Just(","),
            Just(" "),
            Just("*"),
            Just("é"),
            Just("\u{202e}"),
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_canonical(text in prop_oneof![nearly(), any::<String>()]) {
            match read(&text) {
                Ok(given) => {
                    prop_assert_eq!(Principal::canonical(given.principal.arn()), Some(given.principal.clone()));
                    let again = read(given.principal.arn()).unwrap();
                    prop_assert_eq!(again, Given { principal: given.principal, changes: Vec::new() });
                }
                Err(why) => {
                    let error = why.error(&shown(&text));
                    prop_assert!(!error.message.chars().any(char::is_control));
                }
            }
        }

        #[test]
        fn every_name_that_iam_allows_can_be_read(
            account in "[1-9][0-9]{11}",
            path in "(/[A-Za-z0-9_+=,.@-]{1,20}){0,3}",
            name in "[A-Za-z0-9_+=,@-]{1,64}",
            session in "[A-Za-z0-9_+=,@-]{2,64}",
        ) {
            let role = format!("arn:aws:iam::{account}:role/{name}");
            prop_assume!(!path.contains("...") && !path.starts_with("/aws-service-role"));
            for text in [
                role.clone(),
                format!("arn:aws:iam::{account}:role{path}/{name}"),
                format!("arn:aws:sts::{account}:assumed-role/{name}/{session}"),
            ] {
                let given = read(&text).unwrap();
                prop_assert_eq!(given.principal.arn(), &role);
                prop_assert_eq!(given.changes.is_empty(), text == role);
            }
            let user = format!("arn:aws:iam::{account}:user{path}/{name}");
            let given = read(&user).unwrap();
            prop_assert_eq!(given.principal.arn(), &user);
        }
    }
}
