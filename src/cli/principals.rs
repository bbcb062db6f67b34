//! The options that name principals, of every command that is about some.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::access::principal::{Choice, read_message};
use crate::error::{Code, Error};

const WHO: &str = "Who";

/// No message of an error is larger.
const LARGEST_MESSAGE: u64 = 64 * 1024;

/// Options that name principals. At least one of them is needed.
#[derive(Debug, Args)]
pub struct PrincipalArgs {
    /// IAM user or role in any form (ARN with path, of a session, of a permission set's role); self for whoever the
    /// AWS credentials are (repeatable)
    #[arg(
        long = "principal",
        value_name = "ARN|self",
        required_unless_present_any = ["from_error", "permission_sets"],
        help_heading = WHO
    )]
    principals: Vec<String>,
    /// Take the principal from an error of the console: "… is forbidden: User …"; - for standard input
    #[arg(long, value_name = "FILE|-", help_heading = WHO)]
    from_error: Option<PathBuf>,
    /// Role of this account that IAM Identity Center made for that permission set (repeatable)
    #[arg(long = "permission-set", value_name = "NAME", help_heading = WHO)]
    permission_sets: Vec<String>,
}

impl PrincipalArgs {
    /// Who is named, in the order of the options.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be granted to; a file that cannot be read (`EKSC0109`), or that has no
    /// principal in it (`EKSC0609`, `EKSC0612`).
    pub fn choices(&self) -> Result<Vec<Choice>, Error> {
        let mut choices = Vec::new();
        for text in &self.principals {
            choices.push(Choice::written(text)?);
        }
        if let Some(path) = &self.from_error {
            choices.push(Choice::Message(read_message(&message(path)?)?));
        }
        for set in &self.permission_sets {
            choices.push(Choice::PermissionSet(check_set(set)?.to_owned()));
        }
        Ok(choices)
    }
}

/// Checks the name of a permission set (IAM Identity Center API, `PermissionSetName`: 1 to 32 of `\w+=,.@-`).
fn check_set(name: &str) -> Result<&str, Error> {
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_+=,.@-".contains(character);
    if !name.is_empty() && name.len() <= 32 && name.chars().all(allowed) {
        return Ok(name);
    }
    Err(Error::usage(Code::INVALID_PRINCIPAL, format!("{name:?} cannot be the name of a permission set"))
        .cause("it is not 1 to 32 letters, digits and _+=,.@-")
        .fix("give its name (ViewOnlyAccess) to --permission-set, and an ARN to --principal"))
}

fn message(path: &Path) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let limit = LARGEST_MESSAGE + 1;
    let (what, took) = if path == Path::new("-") {
        ("standard input".to_owned(), io::stdin().lock().take(limit).read_to_end(&mut bytes))
    } else {
        let took = File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes));
        (path.display().to_string(), took)
    };
    let refuse = |why: String| {
        Error::usage(Code::INVALID_FILE, format!("{what} cannot be read as a message of an error"))
            .cause(why)
            .fix("give the text of the message: --from-error message.txt, or - and paste it")
    };
    took.map_err(|error| refuse(error.to_string()))?;
    if bytes.len() as u64 > LARGEST_MESSAGE {
        return Err(refuse("it is larger than 64 KiB".to_owned()));
    }
    // Whatever else is in it, ARNs are ASCII.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
