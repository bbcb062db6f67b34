//! What the caller of each command needs in IAM: one table, from which policies are made and against which the proofs run.

mod cloudformation;
mod policy;
mod table;
mod terraform;

pub use cloudformation::template;
pub use policy::{Document, Place, Statement, document};
pub use table::{Action, Command, Condition, Need, Resource, TABLE, Use};
pub use terraform::hcl;

/// The actions of some commands, each once, in the table's order.
pub fn actions(commands: &[Command]) -> Vec<&'static Action> {
    TABLE.iter().filter(|action| action.need(commands).is_some()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_stands_once_for_each_resource() {
        for (index, action) in TABLE.iter().enumerate() {
            let same = |other: &&Action| (other.name, other.resource) == (action.name, action.resource);
            assert_eq!(TABLE.iter().position(|other| same(&other)), Some(index), "{}", action.name);
        }
    }

    #[test]
    fn the_strictest_need_of_several_commands_counts() {
        let describe = TABLE.iter().find(|action| action.name == "eks:DescribeCluster").unwrap();
        assert_eq!(describe.need(&[Command::Register, Command::RolesShow]), Some(Need::Required));
        let list = TABLE.iter().find(|action| action.name == "eks:ListClusters").unwrap();
        assert_eq!(list.need(&[Command::Register]), Some(Need::Aid));
        assert_eq!(list.need(&[Command::Register, Command::List]), Some(Need::Required));
    }

    #[test]
    fn what_register_needs_is_the_committed_policy() {
        let document = document(&[Command::Register], &Place::default());
        let printed = serde_json::to_string_pretty(&document).unwrap() + "\n";
        assert_eq!(
            printed,
            include_str!("../../policies/caller-register.json"),
            "write it anew: eksconnect iam-policy register > policies/caller-register.json"
        );
    }

    #[test]
    fn a_place_narrows_resources_and_conditions() {
        let place = Place {
            account: Some("111122223333".into()),
            region: Some("eu-west-1".into()),
            name: Some("onprem1".into()),
            role: "platform/Agent".into(),
        };
        let document = document(&[Command::Register], &place);
        let text = serde_json::to_string(&document).unwrap();
        for part in [
            "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1",
            "arn:aws:iam::111122223333:role/platform/Agent",
            r#""aws:RequestedRegion":["eu-west-1"]"#,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        insta::assert_snapshot!(hcl(&document, &[Command::Status]));
        insta::assert_snapshot!(template(&super::document(&[Command::Status], &place), &[Command::Status]));
    }
}
