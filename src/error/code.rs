//! The stable error codes, each with its page.

use std::fmt;

/// A stable error code: `EKSC` and four digits, the first two its area. Codes are only ever added.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Code {
    digits: &'static str,
    page: &'static str,
}

impl Code {
    /// The page of this code (docs/errors), as Markdown.
    pub fn page(self) -> &'static str {
        self.page
    }

    /// Finds a code as a user types it: `EKSC0412`, `eksc0412` or `0412`.
    pub fn find(text: &str) -> Option<Self> {
        let upper = text.trim().to_ascii_uppercase();
        let digits = upper.strip_prefix("EKSC").unwrap_or(&upper);
        Self::ALL.iter().copied().find(|code| code.digits == digits)
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EKSC{}", self.digits)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $digits:literal;)*) => {
        impl Code {
            $(
                $(#[$doc])*
                pub const $name: Self = Self {
                    digits: $digits,
                    page: include_str!(concat!("../../docs/errors/EKSC", $digits, ".md")),
                };
            )*

            /// Every code, in the order of its digits.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

codes! {
    /// The registration's name breaks EKS' rules.
    INVALID_NAME = "0101";
    /// An ARN or a role name is malformed.
    INVALID_ROLE = "0102";
    /// A tag breaks EKS' rules.
    INVALID_TAG = "0103";
    /// The Region cannot have connected clusters.
    REGION_WITHOUT_SERVICE = "0104";
    /// A namespace's name is malformed.
    INVALID_NAMESPACE = "0105";
    /// `explain` was asked about a code that does not exist.
    UNKNOWN_CODE = "0106";
    /// The command line could not be understood.
    COMMAND_LINE = "0107";
    /// A reference to an image or to a registry is malformed.
    INVALID_IMAGE = "0108";
    /// A file that an option names cannot be used.
    INVALID_FILE = "0109";
    /// A node selector or a toleration is malformed.
    INVALID_PLACEMENT = "0110";
    /// A proxy or an exception from it is malformed.
    INVALID_PROXY = "0111";
    /// A question was not agreed to, or there was nobody to ask.
    NOT_AGREED = "0112";
    /// A path or a permissions boundary of a role is malformed or not usable here.
    INVALID_ROLE_OPTION = "0113";
    /// A file is no activation, or not the one that is meant.
    INVALID_ACTIVATION = "0114";
    /// Files that were rendered before, or others, would be overwritten.
    FILES_DIFFER = "0115";

    /// No Region is configured.
    NO_REGION = "0201";
    /// No AWS credentials were found.
    NO_CREDENTIALS = "0202";
    /// AWS credentials or an SSO session have expired.
    EXPIRED_CREDENTIALS = "0203";
    /// AWS does not accept the credentials.
    REJECTED_CREDENTIALS = "0204";
    /// The named profile does not exist.
    NO_PROFILE = "0205";
    /// An AWS endpoint cannot be reached.
    AWS_UNREACHABLE = "0206";
    /// IAM refuses an action.
    AWS_DENIED = "0207";
    /// AWS is throttling or unavailable.
    AWS_UNAVAILABLE = "0208";
    /// AWS answered with something unexpected.
    AWS_UNEXPECTED = "0209";
    /// An AWS setting in the environment is invalid.
    AWS_SETTING = "0210";
    /// AWS refused a request as wrong.
    AWS_REJECTED = "0211";
    /// The configured source of AWS credentials gives none.
    CREDENTIAL_SOURCE = "0212";

    /// No kubeconfig, or none with a usable context.
    NO_KUBECONFIG = "0301";
    /// The named context does not exist.
    NO_CONTEXT = "0302";
    /// The API server cannot be reached.
    CLUSTER_UNREACHABLE = "0303";
    /// The API server does not accept the credentials.
    CLUSTER_UNAUTHENTICATED = "0304";
    /// RBAC refuses an action.
    CLUSTER_DENIED = "0305";
    /// The API server is too old.
    CLUSTER_TOO_OLD = "0306";
    /// The kubeconfig cannot be used.
    KUBECONFIG_INVALID = "0307";
    /// The API server answered with something unexpected.
    CLUSTER_UNEXPECTED = "0308";
    /// The API server is overloaded or unavailable.
    CLUSTER_UNAVAILABLE = "0309";
    /// The API server refused an object.
    OBJECT_REJECTED = "0310";
    /// The API server's certificate cannot be verified.
    CLUSTER_CERTIFICATE = "0311";
    /// Rights in the cluster are missing.
    RIGHTS_MISSING = "0312";
    /// The kubeconfig's credential plugin gives no credentials.
    CREDENTIAL_PLUGIN = "0313";
    /// The kubeconfig's client certificate has expired.
    CERTIFICATE_EXPIRED = "0314";

    /// EKS did not accept the agent role within the bound.
    ROLE_NOT_ACCEPTED = "0401";
    /// The name is held by another cluster.
    NAME_HELD = "0402";
    /// This cluster is registered already, under another name.
    REGISTERED_ELSEWHERE = "0403";
    /// The Region's quota of registered clusters is used up.
    QUOTA = "0404";
    /// The agent role cannot be used as it is.
    ROLE_UNUSABLE = "0405";
    /// The registration is being deleted.
    BEING_DELETED = "0406";
    /// The registration is ACTIVE but this cluster no longer has the agent's state.
    STATE_LOST = "0407";
    /// Another run holds the Lease.
    LEASE_HELD = "0408";
    /// The world kept changing while the command worked.
    KEPT_CHANGING = "0409";
    /// The activation could not be kept in the cluster, and the registration was taken back.
    ACTIVATION_NOT_KEPT = "0410";
    /// EKS refused the registration.
    REGISTRATION_REJECTED = "0411";
    /// The registration did not become ACTIVE in time.
    NOT_ACTIVE = "0412";
    /// The registration failed.
    REGISTRATION_FAILED = "0413";
    /// The run was interrupted.
    INTERRUPTED = "0414";
    /// The registration was removed while it was awaited.
    REGISTRATION_GONE = "0415";
    /// More agents are wanted than have a state, and the code is used up.
    AGENTS_WITHOUT_STATE = "0416";
    /// Between a question and its answer the account or the cluster became another.
    IDENTITY_CHANGED = "0417";
    /// The cluster has a connector in another namespace.
    CONNECTOR_ELSEWHERE = "0418";
    /// A connector that something else installed cannot be taken over.
    NOT_ADOPTABLE = "0419";
    /// The activation Secret is kept by something else.
    SECRET_KEPT = "0420";
    /// The file that the activation is to be written to holds something else.
    ACTIVATION_FILE_TAKEN = "0425";
    /// An activation that was handed over can no longer be used.
    ACTIVATION_EXPIRED = "0426";
    /// The agents did not become ready in time.
    AGENTS_NOT_READY = "0427";
    /// The cluster is no registration that can be seen.
    NOT_CONNECTED = "0440";
    /// No context of the kubeconfig is the cluster of a registration.
    NO_MATCHING_CONTEXT = "0441";
    /// There is no registration of that name.
    NO_REGISTRATION = "0442";
    /// There is nothing to deregister.
    NOTHING_TO_DEREGISTER = "0460";
    /// The registration is not this cluster's.
    NOT_THIS_CLUSTER = "0461";
    /// The registration of the connector that stands here cannot be found.
    CONNECTOR_UNKNOWN = "0462";
    /// What was deleted is not gone in time.
    NAMESPACE_STUCK = "0463";
    /// A role must not be deleted, or is still needed.
    ROLE_STAYS = "0464";
    /// The cluster has connectors in several namespaces.
    SEVERAL_CONNECTORS = "0465";
    /// There is nothing here that could be upgraded.
    NOT_UPGRADABLE = "0470";
    /// The new agents did not work, and were rolled back.
    ROLLED_BACK = "0471";
    /// The new agents did not work, and could not be rolled back.
    NOT_ROLLED_BACK = "0472";


    /// No node can run the agent.
    NO_SUITABLE_NODE = "0501";
    /// The namespace is being deleted.
    NAMESPACE_TERMINATING = "0502";
    /// An object of another owner is in the way.
    FOREIGN_OBJECT = "0503";

    /// What was given as a principal is no ARN of a user or a role.
    INVALID_PRINCIPAL = "0601";
    /// A principal was copied from an example and not filled in.
    PLACEHOLDER_PRINCIPAL = "0602";
    /// The principal is the root user of an account.
    ROOT_PRINCIPAL = "0603";
    /// The principal is a federated user.
    FEDERATED_PRINCIPAL = "0604";
    /// The principal stands for several.
    WILDCARD_PRINCIPAL = "0605";
    /// The principal is in another partition.
    PRINCIPAL_PARTITION = "0606";
    /// The principal is of another account (a warning).
    FOREIGN_ACCOUNT = "0607";
    /// An ARN is not that of a principal that can sign in.
    NO_PRINCIPAL = "0608";
    /// A message of an error names no principal.
    NO_PRINCIPAL_IN_MESSAGE = "0609";
    /// A permission set has no role in the account.
    NO_PERMISSION_SET = "0610";
    /// A permission set has several roles in the account.
    SEVERAL_PERMISSION_SETS = "0611";
    /// A message of an error names several principals.
    SEVERAL_PRINCIPALS_IN_MESSAGE = "0612";
    /// `self` was granted to where nobody sits (a warning).
    UNATTENDED_SELF = "0613";
    /// There is no connector to view through.
    NO_CONNECTOR = "0620";
    /// IAM does not know the principal.
    NO_SUCH_PRINCIPAL = "0621";
    /// The role to be given does not exist, or shows nothing.
    NO_SUCH_ROLE = "0622";
    /// The role to be given gives more than reading.
    BEYOND_VIEW = "0623";
    /// The API server does not constrain impersonation.
    NOT_CONSTRAINED = "0624";
    /// A grant is in place and does not count.
    GRANT_NOT_SEEN = "0625";
    /// A grant counts and the connector is not held to it.
    NOT_HELD = "0626";
    /// A principal can still be asked for after it was revoked.
    STILL_ALLOWED = "0627";
    /// The connector may be anyone by a role that is not ours to change.
    ANYONE = "0628";
    /// The policy of a viewer cannot be changed.
    POLICY_UNKNOWN = "0629";
    /// IAM does not allow what was attached.
    IAM_NOT_ALLOWED = "0630";
    /// A namespace that is to be viewed does not exist.
    NO_SUCH_NAMESPACE = "0631";

    /// None of the rights with which access can be found out is held.
    NOT_VERIFIABLE = "0651";
    /// The file that a page is to be written to exists.
    PAGE_TAKEN = "0652";

    /// eksconnect itself is at fault.
    INTERNAL = "0901";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_in_order_and_unique() {
        let digits: Vec<_> = Code::ALL.iter().map(|code| code.digits).collect();
        assert!(digits.windows(2).all(|pair| pair[0] < pair[1]), "{digits:?}");
    }

    #[test]
    fn every_page_is_headed_by_its_own_code_and_says_what_to_do() {
        for code in Code::ALL {
            assert!(code.page().starts_with(&format!("# {code}: ")), "{code}");
            for heading in ["## What it means", "## What to do"] {
                assert!(code.page().contains(heading), "{code} lacks {heading}");
            }
        }
    }

    #[test]
    fn a_code_is_found_as_people_type_it() {
        for text in ["EKSC0412", "eksc0412", "0412", " 0412 "] {
            assert_eq!(Code::find(text), Some(Code::NOT_ACTIVE));
        }
        assert_eq!(Code::find("EKSC9999"), None);
    }
}
