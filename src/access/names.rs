//! What the objects of a grant are called, and how they are found again: one set a principal, so that two grants at once
//! cannot overwrite each other.

use sha2::{Digest, Sha256};

use super::principal::Principal;

/// The label that every object of a grant has; its value is [`principal_hash`].
pub const PRINCIPAL_LABEL: &str = "eksconnect/principal-hash";

/// The annotation that every object of a grant has; its value is the canonical ARN.
pub const PRINCIPAL_ANNOTATION: &str = "eksconnect/principal";

/// The ClusterRole of viewers: what can be viewed ([`super::viewable`]), for get and list.
pub const CONSOLE_VIEW_ROLE: &str = "eksconnect:console-view";

/// The ClusterRole of viewers of single namespaces: what they may get and list in the cluster as a whole.
pub const SCOPED_VIEW_ROLE: &str = "eksconnect:console-view-scoped";

/// How the names of what lets the connector impersonate somebody begin.
const IMPERSONATE: &str = "eksconnect:impersonate:";

/// How much of the name is kept for people to read.
const SLUG_LENGTH: usize = 40;

/// Ten hexadecimal digits of the SHA-256 of the canonical ARN.
pub fn principal_hash(principal: &Principal) -> String {
    let digest = Sha256::digest(principal.arn().as_bytes());
    digest.iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// The role and the binding that let the connector impersonate the principal.
pub fn impersonation_name(principal: &Principal) -> String {
    format!("{IMPERSONATE}{}-{}", slug(principal), principal_hash(principal))
}

/// Whether a role or a binding of ours of that name lets the connector impersonate somebody.
pub fn is_impersonation(name: &str) -> bool {
    name.starts_with(IMPERSONATE)
}

/// The binding that lets the principal view.
pub fn view_name(principal: &Principal) -> String {
    format!("eksconnect:view:{}-{}", slug(principal), principal_hash(principal))
}

/// The principal's name in lower-case letters, digits and dashes.
fn slug(principal: &Principal) -> String {
    let mut slug = String::new();
    for character in principal.name().chars().take(SLUG_LENGTH) {
        let character = character.to_ascii_lowercase();
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_principals_apart_whose_slugs_are_the_same() {
        let name = |arn: &str| impersonation_name(&Principal::canonical(arn).unwrap());
        let one = name("arn:aws:iam::111122223333:role/My.Role");
        let other = name("arn:aws:iam::111122223333:role/my-role");
        assert!(one.starts_with("eksconnect:impersonate:my-role-"), "{one}");
        assert!(other.starts_with("eksconnect:impersonate:my-role-"), "{other}");
        assert_ne!(one, other);
        assert_eq!(one.len(), "eksconnect:impersonate:my-role-".len() + 10);
    }
}
