//! What one administrator hands to another: the activation of a registration, as a document. Ours, or what
//! `aws eks register-cluster` prints.

use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::activation::Activation;
use super::name::ClusterName;

const API_VERSION: &str = "eksconnect/v1";
const ACTIVATION: &str = "Activation";
const INTENT: &str = "ActivationIntent";

/// An activation expires after 72 hours (EKS user guide, "Connecting a Kubernetes cluster").
const LIFETIME: SignedDuration = SignedDuration::from_hours(72);

/// SSM API, `RegisterManagedInstance`: shorter ones are refused.
const SHORTEST_CODE: usize = 20;
const SHORTEST_ID: usize = 36;

/// An activation and the registration that it belongs to. `Debug` does not show the code.
#[derive(Clone, Debug)]
pub struct Handed {
    /// The registration's name.
    pub name: ClusterName,
    /// Its ARN.
    pub arn: String,
    /// Its account.
    pub account: String,
    /// Its Region.
    pub region: String,
    /// Its provider.
    pub provider: Option<String>,
    /// Its agent role.
    pub role_arn: Option<String>,
    /// When it was made.
    pub registered_at: Timestamp,
    /// Until when the activation can be used.
    pub expiry: Timestamp,
    /// The activation.
    pub activation: Activation,
}

/// What a run that is about to register writes into the file first, so that another can finish it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIntent {
    /// ARN of the registration that is being made.
    pub arn: String,
    /// Its tag `eksconnect:intent` is to have this value.
    pub id: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// What such a file holds.
#[derive(Clone, Debug)]
pub enum Content {
    /// An activation.
    Activation(Box<Handed>),
    /// The intent to make a registration.
    Intent(FileIntent),
}

impl Handed {
    /// The document, without the code: whoever may see that adds it as `activationCode`.
    pub fn document(&self) -> Value {
        json!({
            "apiVersion": API_VERSION,
            "kind": ACTIVATION,
            "name": self.name.as_str(),
            "arn": self.arn,
            "account": self.account,
            "region": self.region,
            "provider": self.provider,
            "roleArn": self.role_arn,
            "registeredAt": self.registered_at.to_string(),
            "activationId": self.activation.id,
            "activationExpiry": self.expiry.to_string(),
        })
    }

    /// Until when the activation can be used, for EKS does not always say it.
    pub fn expiry_of(said: Option<Timestamp>, registered_at: Timestamp) -> Timestamp {
        said.unwrap_or_else(|| registered_at.checked_add(LIFETIME).unwrap_or(Timestamp::MAX))
    }
}

impl FileIntent {
    /// The document.
    pub fn document(&self) -> Value {
        json!({
            "apiVersion": API_VERSION,
            "kind": INTENT,
            "arn": self.arn,
            "id": self.id,
            "startedAt": self.started_at.to_string(),
        })
    }
}

/// Reads such a file, as JSON or as YAML.
///
/// # Errors
/// Why it is none; never with anything out of it.
pub fn read(text: &str) -> Result<Content, String> {
    let document: Value = match serde_json::from_str(text) {
        Ok(document) => document,
        // Not the parser's words: they may quote the code.
        Err(_) => serde_yaml::from_str(text).map_err(|_| "it is neither JSON nor YAML".to_owned())?,
    };
    let kind = document["kind"].as_str().filter(|_| document["apiVersion"] == API_VERSION);
    match kind {
        Some(ACTIVATION) => own(&document).map(|handed| Content::Activation(Box::new(handed))),
        Some(INTENT) => Ok(Content::Intent(FileIntent {
            arn: text_of(&document, "arn")?,
            id: text_of(&document, "id")?,
            started_at: time_of(&document["startedAt"]).ok_or("its startedAt is no time")?,
        })),
        Some(_) => Err("it is a document of eksconnect, but no activation".to_owned()),
        None if document["cluster"].is_object() => {
            of_aws(&document["cluster"]).map(|handed| Content::Activation(Box::new(handed)))
        }
        None => Err("it is neither what register --aws-only wrote nor what aws eks register-cluster printed"
            .to_owned()),
    }
}

fn own(document: &Value) -> Result<Handed, String> {
    let handed = handed(document, document, "registeredAt")?;
    for (member, value) in [("account", &handed.account), ("region", &handed.region)] {
        if document[member] != value.as_str() {
            return Err(format!("its {member} is not that of its ARN"));
        }
    }
    Ok(handed)
}

fn of_aws(cluster: &Value) -> Result<Handed, String> {
    let connector = &cluster["connectorConfig"];
    if !connector.is_object() {
        return Err("it describes a cluster that EKS runs itself".to_owned());
    }
    if connector.get("activationCode").is_none() {
        return Err(
            "it has no activationCode; only aws eks register-cluster prints that, and only once".to_owned()
        );
    }
    handed(cluster, connector, "createdAt")
}

fn handed(registration: &Value, activation: &Value, made: &str) -> Result<Handed, String> {
    let name = text_of(registration, "name")?;
    let arn = text_of(registration, "arn")?;
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", _, "eks", region, account, resource] = parts.as_slice() else {
        return Err("its arn is not that of a registration".to_owned());
    };
    if resource.strip_prefix("cluster/") != Some(name.as_str()) {
        return Err("its name is not that of its ARN".to_owned());
    }
    let name =
        ClusterName::parse(&name).map_err(|_| "its name cannot be that of a registration".to_owned())?;
    let (region, account) = ((*region).to_owned(), (*account).to_owned());
    let id = text_of(activation, "activationId")?;
    let code = text_of(activation, "activationCode")?;
    if id.len() < SHORTEST_ID {
        return Err("its activationId is too short to be one".to_owned());
    }
    if code.len() < SHORTEST_CODE {
        return Err("its activationCode is too short to be one".to_owned());
    }
    let registered_at = time_of(&registration[made]).ok_or_else(|| format!("its {made} is no time"))?;
    Ok(Handed {
        name,
        account,
        region,
        provider: activation["provider"].as_str().map(str::to_owned),
        role_arn: activation["roleArn"].as_str().map(str::to_owned),
        registered_at,
        expiry: Handed::expiry_of(time_of(&activation["activationExpiry"]), registered_at),
        activation: Activation { id, code: SecretString::from(code) },
        arn,
    })
}

fn text_of(document: &Value, member: &str) -> Result<String, String> {
    document[member]
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .ok_or_else(|| format!("it has no {member}"))
}

/// A time as AWS' tools write it: seconds as a number (CLI 1, and the API itself), or ISO 8601 (CLI 2). Whole seconds, as
/// DescribeCluster is read.
fn time_of(value: &Value) -> Option<Timestamp> {
    let seconds = match value {
        #[expect(clippy::cast_possible_truncation, reason = "fractions of a second are not wanted")]
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|seconds| seconds as i64))?,
        Value::String(text) => {
            let spaced = text.trim().replacen(' ', "T", 1);
            let time: Timestamp = spaced.parse().ok()?;
            time.as_second()
        }
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Timestamp::new(seconds, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "do-not-show-me-anywhere";
    const ID: &str = "11111111-2222-3333-4444-555555555555";

    fn aws(created: &Value, expiry: &Value) -> Value {
        json!({ "cluster": {
            "name": "onprem1",
            "arn": "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1",
            "createdAt": created,
            "status": "PENDING",
            "tags": {},
            "connectorConfig": {
                "activationId": ID,
                "activationCode": CODE,
                "activationExpiry": expiry,
                "provider": "OTHER",
                "roleArn": "arn:aws:iam::111122223333:role/Agent",
            },
        } })
    }

    fn activation(text: &str) -> Handed {
        match read(text) {
            Ok(Content::Activation(handed)) => *handed,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_the_aws_cli_prints_in_each_of_its_forms() {
        for (created, expiry) in [
            (json!(1_637_186_096.123), json!(1_637_445_296.5)),
            (json!("2021-11-17T21:54:56.123000+00:00"), json!("2021-11-20T21:54:56.500000+00:00")),
            (json!("2021-11-17T13:54:56.123000-08:00"), json!("2021-11-20T13:54:56-08:00")),
            (json!("2021-11-17T21:54:56Z"), Value::Null),
        ] {
            let document = aws(&created, &expiry);
            for text in [document.to_string(), serde_yaml::to_string(&document).unwrap()] {
                let handed = activation(&text);
                assert_eq!(handed.name.as_str(), "onprem1");
                assert_eq!((handed.account.as_str(), handed.region.as_str()), ("111122223333", "eu-west-1"));
                assert_eq!(handed.registered_at.to_string(), "2021-11-17T21:54:56Z", "{text}");
                assert_eq!(handed.expiry.to_string(), "2021-11-20T21:54:56Z", "{text}");
                assert!(!format!("{handed:?}").contains(CODE));
            }
        }
    }

    #[test]
    fn what_eksconnect_writes_reads_back() {
        let handed = activation(&aws(&json!(1), &json!(2)).to_string());
        let mut document = handed.document();
        assert!(!document.to_string().contains(CODE));
        assert!(read(&document.to_string()).unwrap_err().contains("no activationCode"));
        document["activationCode"] = json!(CODE);
        let again = activation(&document.to_string());
        assert_eq!(again.document(), handed.document());
        document["region"] = json!("eu-west-2");
        assert!(read(&document.to_string()).is_err());
        let intent = FileIntent { arn: "a".into(), id: "b".into(), started_at: Timestamp::UNIX_EPOCH };
        match read(&intent.document().to_string()) {
            Ok(Content::Intent(read)) => assert_eq!(read, intent),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_else_is_taken_for_one_and_nothing_of_it_is_said() {
        let good = aws(&json!(1), &json!(2));
        let without = |pointer: &str, with: Value| {
            let mut document = good.clone();
            *document.pointer_mut(pointer).unwrap() = with;
            document.to_string()
        };
        for text in [
            String::new(),
            CODE.to_owned(),
            format!("{{ \"code\": \"{CODE}\""),
            format!("a: [{CODE}\n b: \"{CODE}"),
            json!({ "code": CODE }).to_string(),
            json!({ "apiVersion": "eksconnect/v1", "kind": "RegisterResult" }).to_string(),
            without("/cluster/name", json!("another")),
            without("/cluster/arn", json!("arn:aws:iam::111122223333:role/x")),
            without("/cluster/connectorConfig", Value::Null),
            without("/cluster/connectorConfig/activationId", json!("short")),
            without("/cluster/connectorConfig/activationCode", json!("short")),
            without("/cluster/connectorConfig/activationCode", Value::Null),
            without("/cluster/createdAt", json!("yesterday")),
        ] {
            let why = read(&text).unwrap_err();
            assert!(!why.contains(CODE) && !why.is_empty(), "{text}: {why}");
        }
    }
}
