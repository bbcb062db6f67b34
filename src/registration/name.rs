//! Names as AWS wants them: registrations, Regions, roles, tags.

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Code, Error};

/// A registration's name: 1 to 100 characters, `^[0-9A-Za-z][A-Za-z0-9\-_]*` (EKS API, `RegisterClusterRequest.name`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClusterName(String);

impl ClusterName {
    /// Checks a name.
    ///
    /// # Errors
    /// `EKSC0101` names the rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: String| {
            Err(Error::usage(Code::INVALID_NAME, format!("{text:?} cannot be the name of a registration"))
                .cause(why)
                .fix("use 1 to 100 letters, digits, - and _, beginning with a letter or a digit"))
        };
        let Some(first) = text.chars().next() else { return refuse("it is empty".into()) };
        if !first.is_ascii_alphanumeric() {
            return refuse(format!("it begins with {first:?}"));
        }
        if let Some(other) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_')) {
            return refuse(format!("it contains {other:?}"));
        }
        if text.len() > 100 {
            return refuse(format!("it has {} characters", text.len()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The partition of a Region, as ARNs write it.
pub fn partition(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("cn") => "aws-cn",
        Some("us") if region.starts_with("us-gov-") => "aws-us-gov",
        Some("us") if region.starts_with("us-isob-") => "aws-iso-b",
        Some("us") if region.starts_with("us-isof-") => "aws-iso-f",
        Some("us") if region.starts_with("us-iso") => "aws-iso",
        Some("eu") if region.starts_with("eu-isoe-") => "aws-iso-e",
        Some("eusc") => "aws-eusc",
        _ => "aws",
    }
}

/// Checks that a Region can have connected clusters: the EKS Connector exists in the public commercial Regions only
/// (EKS user guide, "Amazon EKS Connector considerations").
///
/// # Errors
/// `EKSC0104` for China, GovCloud, the isolated partitions, and what is no Region's name at all.
pub fn check_region(region: &str) -> Result<(), Error> {
    let well_formed = region.split('-').count() >= 3
        && region.ends_with(|c: char| c.is_ascii_digit())
        && region.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !well_formed {
        return Err(Error::usage(
            Code::REGION_WITHOUT_SERVICE,
            format!("{region:?} is not the name of an AWS Region"),
        )
        .fix("name a Region such as eu-west-1 with --region, AWS_REGION or the profile"));
    }
    if partition(region) != "aws" {
        return Err(Error::usage(
            Code::REGION_WITHOUT_SERVICE,
            format!("clusters cannot be connected in {region}"),
        )
        .cause("the EKS Connector exists in the public commercial Regions only, not in China, GovCloud, sovereign or isolated ones")
        .fix("choose a commercial Region with --region"));
    }
    Ok(())
}

/// Checks a role's name (IAM API, `CreateRoleRequest.RoleName`: 1 to 64 of `\w+=,.@-`).
///
/// # Errors
/// `EKSC0102`.
pub fn check_role_name(name: &str) -> Result<(), Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        return Err(Error::usage(Code::INVALID_ROLE, format!("{name:?} cannot be the name of an IAM role"))
            .fix("use 1 to 64 letters, digits and _+=,.@- (a role's ARN goes to --role-arn)"));
    }
    Ok(())
}

/// Checks a role's path (IAM API, `CreateRoleRequest.Path`: 1 to 512 of `!` to `~`, with a slash at either end). Narrower
/// than IAM: what would have to be escaped in an ARN is left out.
///
/// # Errors
/// `EKSC0113`.
pub fn check_role_path(path: &str) -> Result<(), Error> {
    let refuse = |why: &str| {
        Err(Error::usage(
            Code::INVALID_ROLE_OPTION,
            format!("--role-path {path:?} cannot be the path of a role"),
        )
        .cause(why.to_owned())
        .fix("write it with a slash at either end: --role-path /platform/connectors/"))
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=,.@-".contains(c);
    if !path.starts_with('/') || !path.ends_with('/') {
        return refuse("it does not begin and end with a slash");
    }
    if path.len() > 512 {
        return refuse("it has more than 512 characters");
    }
    if path.contains("//") {
        return refuse("two slashes follow each other");
    }
    if let Some(other) = path.chars().find(|c| !allowed(*c)) {
        return refuse(&format!("it contains {other:?}"));
    }
    Ok(())
}

/// Checks the ARN of a managed policy that is to bound a role's permissions: one of AWS, or of an account. Clusters are
/// connected in the partition `aws` only.
///
/// # Errors
/// `EKSC0113`.
pub fn check_boundary(arn: &str) -> Result<(), Error> {
    let refuse = |why: &str| {
        Err(Error::usage(
            Code::INVALID_ROLE_OPTION,
            format!("--role-permissions-boundary {arn:?} is not the ARN of a managed policy"),
        )
        .cause(why.to_owned())
        .fix("it looks like arn:aws:iam::111122223333:policy/NAME (aws iam list-policies prints it)"))
    };
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else {
        return refuse("it does not have the parts of an ARN of IAM");
    };
    if *partition != "aws" {
        return refuse("its partition is not aws, the only one in which clusters can be connected");
    }
    let is_account = account.len() == 12 && account.chars().all(|c| c.is_ascii_digit());
    if !is_account && *account != "aws" {
        return refuse("its account is neither 12 digits nor aws");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/_+=,.@-".contains(c);
    match resource.strip_prefix("policy/") {
        Some(name) if !name.is_empty() && !name.ends_with('/') && name.chars().all(allowed) => Ok(()),
        Some(_) => refuse("it does not end with the name of a policy"),
        None => refuse("it is not a policy"),
    }
}

/// Checks the tags of a role, given as `KEY=VALUE` (IAM API, `Tag`: keys of 1 to 128 and values of at most 256 letters,
/// digits, spaces and `_.:/=+-@`; keys unique without regard to case). One of the 50 is eksconnect's own.
///
/// # Errors
/// `EKSC0103` names the tag and the rule.
pub fn parse_role_tags(tags: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let parsed = parse_tags_of("--role-tag", tags)?;
    let refuse = |tag: &str, why: &str| {
        Err(Error::usage(Code::INVALID_TAG, format!("--role-tag {tag:?} cannot be used"))
            .cause(why.to_owned()))
    };
    let allowed = |c: char| c.is_alphanumeric() || c.is_whitespace() || "_.:/=+-@".contains(c);
    let mut keys: Vec<String> = Vec::new();
    for (key, value) in &parsed {
        if !key.chars().chain(value.chars()).all(allowed) {
            return refuse(key, "IAM allows letters, digits, spaces and _.:/=+-@ in the tags of roles");
        }
        let folded = key.to_lowercase();
        if keys.contains(&folded) {
            return refuse(key, "to IAM, keys that differ by case alone are the same");
        }
        keys.push(folded);
    }
    if parsed.len() > 49 {
        return Err(Error::usage(Code::INVALID_TAG, format!("{} tags of a role are too many", parsed.len()))
            .cause("a role can have 50, of which one is eksconnect's own"));
    }
    Ok(parsed)
}

/// Reads the role's name out of a role's ARN: `arn:aws:iam::123456789012:role/path/name`.
///
/// # Errors
/// `EKSC0102` for anything else, with what it is.
pub fn role_name_of(arn: &str) -> Result<String, Error> {
    let refuse = |why: &str| {
        Err(Error::usage(Code::INVALID_ROLE, format!("{arn:?} is not the ARN of an IAM role"))
            .cause(why.to_owned())
            .fix("it looks like arn:aws:iam::111122223333:role/NAME (aws iam get-role --role-name NAME prints it)"))
    };
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, service, _, account, resource] = parts.as_slice() else {
        return refuse("it does not have the six parts of an ARN");
    };
    if !partition.starts_with("aws") {
        return refuse("its partition is not one of AWS");
    }
    if *service == "sts" {
        return refuse("it is a session's ARN, not a role's");
    }
    if *service != "iam" {
        return refuse("its service is not iam");
    }
    if account.len() != 12 || !account.chars().all(|c| c.is_ascii_digit()) {
        return refuse("its account is not 12 digits");
    }
    let Some(path_and_name) = resource.strip_prefix("role/") else {
        return refuse("it is not a role");
    };
    let name = path_and_name.rsplit('/').next().unwrap_or_default();
    check_role_name(name)?;
    Ok(name.to_owned())
}

/// Checks the user's tags, given as `KEY=VALUE`. Two of the 50 that EKS allows are eksconnect's own (EKS API, `TagMap`:
/// keys of 1 to 128 characters, values of at most 256; keys must not begin with `aws:`).
///
/// # Errors
/// `EKSC0103` names the tag and the rule.
pub fn parse_tags(tags: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let parsed = parse_tags_of("--tag", tags)?;
    if parsed.len() > 48 {
        return Err(Error::usage(Code::INVALID_TAG, format!("{} tags are too many", parsed.len()))
            .cause("a registration can have 50, of which 2 are eksconnect's own"));
    }
    Ok(parsed)
}

fn parse_tags_of(option: &str, tags: &[String]) -> Result<BTreeMap<String, String>, Error> {
    let mut parsed = BTreeMap::new();
    for tag in tags {
        let refuse = |why: &str| {
            Err(Error::usage(Code::INVALID_TAG, format!("{option} {tag:?} cannot be used"))
                .cause(why.to_owned())
                .fix(format!("write {option} KEY=VALUE")))
        };
        let Some((key, value)) = tag.split_once('=') else { return refuse("it has no =") };
        if key.is_empty() || key.chars().count() > 128 {
            return refuse("its key does not have 1 to 128 characters");
        }
        if value.chars().count() > 256 {
            return refuse("its value has more than 256 characters");
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return refuse("keys that begin with aws: belong to AWS");
        }
        if key.starts_with("eksconnect:") {
            return refuse("keys that begin with eksconnect: are eksconnect's own");
        }
        if parsed.insert(key.to_owned(), value.to_owned()).is_some() {
            return refuse("its key is given twice");
        }
    }
    Ok(parsed)
}

/// Checks a namespace's name (RFC 1123 label).
///
/// # Errors
/// `EKSC0105`.
pub fn check_namespace(name: &str) -> Result<(), Error> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty()
        || name.len() > 63
        || !name.chars().all(inner)
        || name.starts_with('-')
        || name.ends_with('-')
    {
        return Err(Error::usage(
            Code::INVALID_NAMESPACE,
            format!("{name:?} cannot be the name of a namespace"),
        )
        .fix("use 1 to 63 lower-case letters, digits and -, beginning and ending with a letter or a digit"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["a", "0a", "onprem1", "A-b_c", &"x".repeat(100)] {
            assert_eq!(ClusterName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "_a", "a.b", "a b", "é", &"x".repeat(101)] {
            assert_eq!(ClusterName::parse(bad).unwrap_err().code, Code::INVALID_NAME, "{bad}");
        }
    }

    #[test]
    fn regions() {
        for good in ["eu-west-1", "us-east-1", "ap-southeast-7", "il-central-1"] {
            check_region(good).unwrap();
        }
        for bad in [
            "cn-north-1",
            "us-gov-west-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "eusc-de-east-1",
            "mars",
            "",
            "eu-west",
            "EU-WEST-1",
        ] {
            assert_eq!(check_region(bad).unwrap_err().code, Code::REGION_WITHOUT_SERVICE, "{bad}");
        }
    }

    #[test]
    fn role_arns() {
        assert_eq!(role_name_of("arn:aws:iam::111122223333:role/Agent").unwrap(), "Agent");
        assert_eq!(role_name_of("arn:aws:iam::111122223333:role/a/b/Agent").unwrap(), "Agent");
        for bad in [
            "Agent",
            "arn:aws:iam::111122223333:user/ana",
            "arn:aws:sts::111122223333:assumed-role/Agent/s",
            "arn:aws:iam::1111:role/Agent",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:s3:::bucket",
        ] {
            assert_eq!(role_name_of(bad).unwrap_err().code, Code::INVALID_ROLE, "{bad}");
        }
    }

    #[test]
    fn role_paths_and_boundaries() {
        for good in ["/", "/platform/", "/a/b.c/"] {
            check_role_path(good).unwrap();
        }
        for bad in [
            "",
            "platform",
            "/platform",
            "platform/",
            "//",
            "/a b/",
            "/é/",
            &format!("/{}/", "x".repeat(512)),
        ] {
            assert_eq!(check_role_path(bad).unwrap_err().code, Code::INVALID_ROLE_OPTION, "{bad}");
        }
        for good in ["arn:aws:iam::111122223333:policy/a/Bound", "arn:aws:iam::aws:policy/PowerUserAccess"] {
            check_boundary(good).unwrap();
        }
        for bad in [
            "Bound",
            "arn:aws:iam::111122223333:role/Bound",
            "arn:aws:iam::1111:policy/Bound",
            "arn:aws-cn:iam::111122223333:policy/Bound",
            "arn:aws:iam:eu-west-1:111122223333:policy/Bound",
            "arn:aws:iam::111122223333:policy/",
        ] {
            assert_eq!(check_boundary(bad).unwrap_err().code, Code::INVALID_ROLE_OPTION, "{bad}");
        }
    }

    #[test]
    fn role_tags() {
        let tags = |list: &[&str]| parse_role_tags(&list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(tags(&["team=platform 1", "a=b=c"]).unwrap()["a"], "b=c");
        for bad in [&["a=<"][..], &["a=1", "A=2"], &["eksconnect:managed=no"], &["novalue"]] {
            assert_eq!(tags(bad).unwrap_err().code, Code::INVALID_TAG, "{bad:?}");
        }
        let many: Vec<String> = (0..50).map(|n| format!("k{n}=v")).collect();
        assert_eq!(parse_role_tags(&many).unwrap_err().code, Code::INVALID_TAG);
        assert_eq!(parse_role_tags(&many[..49]).unwrap().len(), 49);
    }

    #[test]
    fn tags() {
        let tags = |list: &[&str]| parse_tags(&list.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(tags(&["a=b", "c=", "d=e=f"]).unwrap()["d"], "e=f");
        for bad in ["a", "=b", "aws:x=1", "AWS:x=1", "eksconnect:managed=no"] {
            assert_eq!(tags(&[bad]).unwrap_err().code, Code::INVALID_TAG, "{bad}");
        }
        assert_eq!(tags(&["a=1", "a=2"]).unwrap_err().code, Code::INVALID_TAG);
        let many: Vec<String> = (0..49).map(|n| format!("k{n}=v")).collect();
        assert_eq!(parse_tags(&many).unwrap_err().code, Code::INVALID_TAG);
        assert_eq!(parse_tags(&many[..48]).unwrap().len(), 48);
    }
}
