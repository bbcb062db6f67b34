//! How an agent role that exists differs from what is wanted. Only a role of ours is brought back; of any other the
//! difference is shown.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};

use super::observed::{Permissions, Role};
use super::request::{ROLE_POLICY_NAME, RoleChoice};
use crate::manifest::{self, FieldChange, difference};

/// A part of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolePart {
    /// Who may assume it.
    Trust,
    /// Its inline policy of our name.
    Permissions,
    /// What bounds its permissions.
    Boundary,
    /// Its tags.
    Tags,
}

impl fmt::Display for RolePart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trust => "trust policy",
            Self::Permissions => "inline policy",
            Self::Boundary => "permissions boundary",
            Self::Tags => "tags",
        })
    }
}

/// A change of a role other than of its inline policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleChange {
    /// Its trust policy becomes this document.
    Trust(String),
    /// Its permissions are bounded by the policy of this ARN.
    Boundary(String),
    /// It gets these tags; others stay.
    Tags(BTreeMap<String, String>),
}

impl RoleChange {
    /// What of the role it changes.
    pub fn part(&self) -> RolePart {
        match self {
            Self::Trust(_) => RolePart::Trust,
            Self::Boundary(_) => RolePart::Boundary,
            Self::Tags(_) => RolePart::Tags,
        }
    }
}

/// A part of a role that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct RoleDrift {
    /// Which.
    pub part: RolePart,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
    /// What brings it back, but for the inline policy, which has a step of its own.
    pub change: Option<RoleChange>,
}

/// What of the role differs. Conditions and statements that others added to the trust policy, tags that nobody asks for
/// and a boundary where none is asked for are no difference: who adds them means them.
pub fn drift(role: &Role, choice: &RoleChoice) -> Vec<RoleDrift> {
    let mut drift = Vec::new();
    if !manifest::trusts_ssm(&role.trust)
        && let Some(mended) = manifest::with_ssm_trusted(&role.trust)
    {
        drift.push(RoleDrift {
            part: RolePart::Trust,
            fields: manifest::policy_difference(&role.trust, &mended),
            change: Some(RoleChange::Trust(mended)),
        });
    }
    match &role.permissions {
        Permissions::Inline(policy) if !manifest::equivalent(policy, manifest::AGENT_PERMISSIONS) => {
            drift.push(RoleDrift {
                part: RolePart::Permissions,
                fields: manifest::policy_difference(policy, manifest::AGENT_PERMISSIONS),
                change: None,
            });
        }
        Permissions::Absent => drift.push(RoleDrift {
            part: RolePart::Permissions,
            fields: vec![FieldChange {
                field: ROLE_POLICY_NAME.to_owned(),
                from: None,
                to: serde_json::from_str(manifest::AGENT_PERMISSIONS).ok(),
            }],
            change: None,
        }),
        Permissions::Inline(_) | Permissions::Unreadable => {}
    }
    let RoleChoice::Named(design) = choice else { return drift };
    if let Some(boundary) = design.boundary.as_ref().filter(|wanted| role.boundary.as_ref() != Some(wanted)) {
        drift.push(RoleDrift {
            part: RolePart::Boundary,
            fields: difference(&json!({ "arn": role.boundary }), &json!({ "arn": boundary })),
            change: Some(RoleChange::Boundary(boundary.clone())),
        });
    }
    let tags: BTreeMap<String, String> = design
        .tags
        .iter()
        .filter(|(key, value)| role.tags.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if !tags.is_empty() {
        let has = |key: &String| role.tags.get(key).map(|value| Value::from(value.as_str()));
        let field = |(key, value): (&String, &String)| FieldChange {
            field: key.clone(),
            from: has(key),
            to: Some(Value::from(value.as_str())),
        };
        drift.push(RoleDrift {
            part: RolePart::Tags,
            fields: tags.iter().map(field).collect(),
            change: Some(RoleChange::Tags(tags)),
        });
    }
    drift
}

/// Whether a role's drift is ours to repair.
pub fn is_repaired(role: &Role, choice: &RoleChoice) -> bool {
    role.ours && matches!(choice, RoleChoice::Named(_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registration::request::RoleDesign;

    fn role() -> Role {
        Role {
            arn: "arn:aws:iam::111122223333:role/Agent".into(),
            trust: manifest::AGENT_TRUST.into(),
            permissions: Permissions::Inline(manifest::AGENT_PERMISSIONS.into()),
            ours: true,
            boundary: Some("arn:aws:iam::111122223333:policy/Old".into()),
            tags: [("team", "a"), ("other", "x")].map(|(key, value)| (key.into(), value.into())).into(),
        }
    }

    fn parts(role: &Role, design: RoleDesign) -> Vec<RolePart> {
        drift(role, &RoleChoice::Named(design)).into_iter().map(|drift| drift.part).collect()
    }

    #[test]
    fn what_nobody_asks_for_is_no_drift() {
        assert_eq!(parts(&role(), RoleDesign::named("Agent")), []);
    }

    #[test]
    fn boundary_and_tags_that_are_asked_for() {
        let design = RoleDesign {
            boundary: Some("arn:aws:iam::111122223333:policy/New".into()),
            tags: [("team", "b"), ("other", "x")].map(|(key, value)| (key.into(), value.into())).into(),
            ..RoleDesign::named("Agent")
        };
        let found = drift(&role(), &RoleChoice::Named(design));
        assert_eq!(found[0].part, RolePart::Boundary);
        assert_eq!(found[0].fields[0].to, Some(json!("arn:aws:iam::111122223333:policy/New")));
        assert_eq!(found[1].change, Some(RoleChange::Tags([("team".into(), "b".into())].into())));
        assert_eq!(found[1].fields[0].from, Some(json!("a")));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_trust_policy_keeps_what_others_added() {
        let conditional = manifest::AGENT_TRUST.replace(
            "\"Action\": \"sts:AssumeRole\"",
            "\"Action\": \"sts:AssumeRole\", \"Condition\": {\"StringEquals\": {\"aws:SourceAccount\": \"1\"}}",
        );
        assert_ne!(conditional, manifest::AGENT_TRUST);
        assert_eq!(parts(&Role { trust: conditional, ..role() }, RoleDesign::named("Agent")), []);
        let foreign = manifest::AGENT_TRUST.replace("ssm.amazonaws.com", "ec2.amazonaws.com");
        let found = drift(&Role { trust: foreign, ..role() }, &RoleChoice::Named(RoleDesign::named("Agent")));
        let Some(RoleChange::Trust(mended)) = &found[0].change else { panic!("{found:?}") };
        assert!(mended.contains("ec2.amazonaws.com") && manifest::trusts_ssm(mended), "{mended}");
    }
}
