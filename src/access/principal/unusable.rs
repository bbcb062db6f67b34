//! Why something that was written is nobody who can be granted to.

use crate::error::{Code, Error};

/// Why something cannot be granted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// It is no ARN of a principal; why not, and what it should look like where that can be guessed.
    Malformed {
        /// The rule that it breaks.
        why: String,
        /// What to write instead.
        instead: Option<String>,
    },
    /// It was copied from an example and not filled in; the part that was not.
    Placeholder(String),
    /// It is the root user of an account.
    Root,
    /// It is a session of GetFederationToken.
    Federated,
    /// It stands for several principals.
    Wildcard,
    /// It is in a partition in which no cluster can be connected.
    Partition(String),
    /// It is the ARN of something that is no principal, or of one that cannot sign in; what it is.
    Kind(String),
}

/// How much of what was written an error repeats.
const SHOWN: usize = 120;

/// Something that somebody wrote, for a message: without what would steer a terminal, and not longer than a line.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN).is_some() {
        shown.push('\u{2026}');
    }
    shown
}

impl Unusable {
    /// The error about `what`, which was given as a principal: `"arn:aws:iam::111122223333:root"`, `your credentials`.
    pub fn error(&self, what: &str) -> Error {
        match self {
            Self::Malformed { why, instead } => {
                let fix = instead.clone().unwrap_or_else(|| {
                    "write it as arn:aws:iam::111122223333:role/NAME or …:user/NAME (aws sts get-caller-identity prints \
                     yours), or use --principal self"
                        .to_owned()
                });
                Error::usage(Code::INVALID_PRINCIPAL, format!("{what} is not an IAM user or role"))
                    .cause(why.clone())
                    .fix(fix)
            }
            Self::Placeholder(part) => Error::usage(
                Code::PLACEHOLDER_PRINCIPAL,
                format!("{what} is an example that was not filled in"),
            )
            .cause(format!("{} stands for something of yours", shown(part)))
            .fix("write the ARN of a user or role of yours (aws sts get-caller-identity prints it), or use --principal self"),
            Self::Root => Error::usage(Code::ROOT_PRINCIPAL, format!("{what} is the root user of an account"))
                .cause("the root user is for what nobody else can do; who works in the console should be a role or a user")
                .fix("sign in with a role (IAM Identity Center) or as a user, and grant to that"),
            Self::Federated => {
                Error::usage(Code::FEDERATED_PRINCIPAL, format!("{what} is a federated user"))
                    .cause("it is a session that GetFederationToken made, and neither a user nor a role")
                    .fix("grant to the IAM user whose keys made that session, or have the people assume a role")
            }
            Self::Wildcard => {
                Error::usage(Code::WILDCARD_PRINCIPAL, format!("{what} stands for several principals"))
                    .cause("to the API server * and ? are characters like others: nobody would be granted anything")
                    .fix("name each principal: --principal ARN --principal ARN, or one role that they all assume")
            }
            Self::Partition(partition) => {
                Error::usage(Code::PRINCIPAL_PARTITION, format!("{what} is in the partition {partition}"))
                    .cause("clusters can be connected in the partition aws only, and its console knows no principals of others")
                    .fix("name a user or a role of the account that the cluster is connected to")
            }
            Self::Kind(kind) => {
                Error::usage(Code::NO_PRINCIPAL, format!("{what} cannot be granted to"))
                    .cause(format!("it is {kind}"))
                    .fix("name a user or a role: arn:aws:iam::111122223333:role/NAME")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_steers_no_terminal_and_fits_a_line() {
        assert_eq!(shown("a\u{1b}[31mb"), "a\\u{1b}[31mb");
        assert_eq!(shown(&"x".repeat(500)).chars().count(), SHOWN + 1);
    }
}
