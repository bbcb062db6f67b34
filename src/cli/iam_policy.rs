//! `eksconnect iam-policy`.

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};

use super::global::{OUTPUT, WHERE};
use crate::error::Error;
use crate::permissions::{Command, Place};
use crate::registration::name::{ClusterName, check_region, check_role_name, check_role_path};
use crate::registration::request::DEFAULT_ROLE_NAME;

const EXAMPLES: &str = "\
Examples:
  # What the caller of register needs, as JSON
  eksconnect iam-policy register
  # What a caller of several commands needs, for Terraform
  eksconnect iam-policy register status list --as terraform
  # For one registration alone
  eksconnect iam-policy register --account 111122223333 --region eu-west-1 \\
    --name onprem1
  # Each action with what it is for
  eksconnect iam-policy register -o json

Nobody is asked: the less is said of the account, the Region and the registration, the wider the policy.";

/// Arguments of `iam-policy`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct IamPolicyArgs {
    /// The commands that the caller will use (default: all)
    #[arg(value_name = "COMMAND", value_parser = command())]
    commands: Vec<Command>,
    /// Only this account: 12 digits
    #[arg(long, value_name = "ACCOUNT", value_parser = account, help_heading = WHERE)]
    account: Option<String>,
    /// Only the registration of this name
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    name: Option<String>,
    /// Name of the agent role
    #[arg(long, value_name = "NAME", default_value = DEFAULT_ROLE_NAME, help_heading = WHERE)]
    role_name: String,
    /// Path of the agent role: /platform/
    #[arg(long, value_name = "PATH", help_heading = WHERE)]
    role_path: Option<String>,
    /// The language of the policy
    #[arg(long = "as", value_enum, value_name = "LANGUAGE", default_value = "json", help_heading = OUTPUT)]
    pub language: Language,
}

/// A language that policies are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// An IAM policy document.
    Json,
    /// Terraform: a data source and a managed policy.
    Terraform,
    /// A CloudFormation template with a managed policy.
    Cloudformation,
}

/// What a policy is asked for.
#[derive(Clone, Debug)]
pub struct PolicyRequest {
    /// Which commands.
    pub commands: Vec<Command>,
    /// Where.
    pub place: Place,
}

fn command() -> impl TypedValueParser<Value = Command> {
    let names = PossibleValuesParser::new(Command::ALL.map(Command::name));
    names.map(|name| Command::ALL.into_iter().find(|one| one.name() == name).unwrap_or(Command::Register))
}

fn account(text: &str) -> Result<String, String> {
    let fits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(text.to_owned()) } else { Err("an account has 12 digits".to_owned()) }
}

impl IamPolicyArgs {
    /// The request; `region` is what the command line names.
    ///
    /// # Errors
    /// What is wrong with it, in the first option that is wrong.
    pub fn request(&self, region: Option<&str>) -> Result<PolicyRequest, Error> {
        region.map(check_region).transpose()?;
        let name = self.name.as_deref().map(ClusterName::parse).transpose()?;
        check_role_name(&self.role_name)?;
        self.role_path.as_deref().map(check_role_path).transpose()?;
        let path = self.role_path.as_deref().unwrap_or("/").trim_start_matches('/');
        let mut commands =
            if self.commands.is_empty() { Command::ALL.to_vec() } else { self.commands.clone() };
        commands.sort_unstable();
        commands.dedup();
        Ok(PolicyRequest {
            commands,
            place: Place {
                account: self.account.clone(),
                region: region.map(str::to_owned),
                name: name.map(|name| name.as_str().to_owned()),
                role: format!("{path}{}", self.role_name),
            },
        })
    }
}
