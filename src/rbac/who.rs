//! Who asks, as an authorizer sees it: a name and groups.

/// Whoever is authenticated.
const AUTHENTICATED: &str = "system:authenticated";
/// Whoever is not.
const UNAUTHENTICATED: &str = "system:unauthenticated";
/// The name of whoever is not authenticated.
const ANONYMOUS: &str = "system:anonymous";
/// The group that the API server lets do everything, before RBAC is asked.
const MASTERS: &str = "system:masters";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
const NODE: &str = "system:node:";

/// A user with its groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

impl Who {
    /// The user that `Impersonate-User: name` and no other header makes: its groups are those that the API server adds.
    pub fn named(name: &str) -> Self {
        let mut groups = match service_account(name) {
            Some((namespace, _)) => service_account_groups(namespace),
            None => Vec::new(),
        };
        groups.push(if name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED }.to_owned());
        Self { name: name.to_owned(), groups }
    }

    /// A service account with its token.
    pub fn service_account(namespace: &str, name: &str) -> Self {
        let mut groups = service_account_groups(namespace);
        groups.push(AUTHENTICATED.to_owned());
        Self { name: format!("{SERVICE_ACCOUNT}{namespace}:{name}"), groups }
    }

    /// A node as constrained impersonation makes it.
    pub(super) fn node(name: &str) -> Self {
        Self { name: name.to_owned(), groups: vec!["system:nodes".to_owned(), AUTHENTICATED.to_owned()] }
    }

    /// Whether it may do everything, whatever the rules say.
    pub fn is_master(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// Whether it is the service account `name` of `namespace`. Only the name decides.
    pub(super) fn is_service_account(&self, namespace: &str, name: &str) -> bool {
        let rest = self.name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.strip_prefix(namespace));
        rest.and_then(|rest| rest.strip_prefix(':')) == Some(name)
    }
}

fn service_account_groups(namespace: &str) -> Vec<String> {
    vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// The namespace and the name in a service account's user name (`serviceaccount.SplitUsername`).
pub(super) fn service_account(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
    (is_label(namespace) && is_subdomain(name)).then_some((namespace, name))
}

/// The node in a node's user name.
pub(super) fn node(user: &str) -> Option<&str> {
    user.strip_prefix(NODE).filter(|name| is_subdomain(name))
}

/// RFC 1123, as Kubernetes checks it.
fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

fn is_part(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else { return false };
    alphanumeric(first) && alphanumeric(last) && text.bytes().all(|byte| alphanumeric(byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_a_name_is() {
        assert_eq!(Who::named("ana").groups, ["system:authenticated"]);
        assert_eq!(Who::named("system:anonymous").groups, ["system:unauthenticated"]);
        let account = Who::named("system:serviceaccount:web:shop");
        assert_eq!(account, Who::service_account("web", "shop"));
        assert_eq!(
            account.groups,
            ["system:serviceaccounts", "system:serviceaccounts:web", "system:authenticated"]
        );
        assert!(account.is_service_account("web", "shop"));
        assert!(!account.is_service_account("we", "b:shop"));
        // What is none by its name is a user like any other.
        for other in [
            "system:serviceaccount:Web:shop",
            "system:serviceaccount:web:shop:x",
            "system:serviceaccount:web:",
        ] {
            assert_eq!(Who::named(other).groups, ["system:authenticated"], "{other}");
        }
    }

    #[test]
    fn names_of_nodes() {
        assert_eq!(node("system:node:a.b-1"), Some("a.b-1"));
        for other in ["system:node:", "system:node:A", "system:node:-a", "node:a", "system:node:a..b"] {
            assert_eq!(node(other), None, "{other}");
        }
        assert!(is_label(&"a".repeat(63)) && !is_label(&"a".repeat(64)));
        assert!(is_subdomain(&"a".repeat(253)) && !is_subdomain(&"a".repeat(254)));
    }
}
