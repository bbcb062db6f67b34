//! From an HTTP request to a service, an operation and its input.

use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::service::{Error, Kind, Operation, Protocol, Service};
use super::signature::Authorization;
use super::{eks, iam, quotas, ssm, ssmmessages, sts};

/// Every service that the emulator plays.
pub(crate) const SERVICES: [&Service; 6] =
    [&eks::SERVICE, &iam::SERVICE, &sts::SERVICE, &ssm::SERVICE, &ssmmessages::SERVICE, &quotas::SERVICE];

/// A request, its body read.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// What a request asks for.
pub(crate) struct Asked {
    /// The operation, unless the service has none of that name.
    pub(crate) operation: Option<&'static Operation>,
    /// What the request calls it, for the log.
    pub(crate) name: String,
    /// Parameters; an error if they cannot be read.
    pub(crate) input: Result<Map<String, Value>, Error>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The service that the request is for. With a custom endpoint every service has the same host, so the form of
    /// the request decides first, then the credential scope, then the host.
    pub(crate) fn service(&self, authorization: Option<&Authorization>) -> &'static Service {
        let by_name = |name: &str| SERVICES.into_iter().find(|service| service.name == name);
        if let Some((target, _)) = self.header("x-amz-target").and_then(|target| target.split_once('.'))
            && let Some(service) = SERVICES.into_iter().find(|service| service.target == target)
        {
            return service;
        }
        if let Some(version) = self.form_field("Version")
            && let Some(service) = SERVICES.into_iter().find(|service| service.version == version)
        {
            return service;
        }
        if let Some(service) = authorization.and_then(|authorization| by_name(&authorization.service)) {
            return service;
        }
        match self.aws_host() {
            Some((name, _)) => by_name(&name).unwrap_or(&eks::SERVICE),
            None if self.uri.path().starts_with("/v1/control-channel/") => &ssmmessages::SERVICE,
            None => &eks::SERVICE,
        }
    }

    /// Service and Region of a host name of the form `SERVICE.REGION.amazonaws.com`.
    pub(crate) fn aws_host(&self) -> Option<(String, String)> {
        let host = self.header("host")?;
        let host = host.split_once(':').map_or(host, |(host, _)| host);
        let (service, region) = host.strip_suffix(".amazonaws.com")?.split_once('.')?;
        Some((service.to_owned(), region.to_owned()))
    }

    /// The operation and the parameters.
    pub(crate) fn asked(&self, service: &'static Service) -> Asked {
        match service.protocol {
            Protocol::Query => {
                let name = self.form_field("Action").unwrap_or_default();
                let operation = service.operations.iter().find(|each| each.name == name);
                Asked { operation, name, input: Ok(self.form()) }
            }
            Protocol::AwsJson => {
                let target = self.header("x-amz-target").unwrap_or_default();
                let name = target.split_once('.').map_or(target, |(_, name)| name).to_owned();
                let operation = service.operations.iter().find(|each| each.name == name);
                Asked { operation, name, input: self.json() }
            }
            Protocol::RestJson | Protocol::RestXml => self.rest(service),
        }
    }

    fn rest(&self, service: &'static Service) -> Asked {
        for operation in service.operations {
            let (method, template) = operation.http;
            if self.method.as_str() == method
                && let Some(labels) = labels(template, self.uri.path())
            {
                let input = self.json().map(|mut input| {
                    input.extend(labels);
                    input.extend(self.query(operation));
                    input
                });
                return Asked { operation: Some(operation), name: operation.name.to_owned(), input };
            }
        }
        Asked { operation: None, name: format!("{} {}", self.method, self.uri.path()), input: self.json() }
    }

    fn json(&self) -> Result<Map<String, Value>, Error> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        match serde_json::from_slice(&self.body) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) | Err(_) => Err(Error::bare(400, "SerializationException")),
        }
    }

    /// The query string's parameters; those of kind list may repeat.
    fn query(&self, operation: &Operation) -> Map<String, Value> {
        let mut input = Map::new();
        let query = self.uri.query().unwrap_or_default();
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap_or_default();
        for (key, value) in pairs {
            let is_list =
                operation.input.iter().any(|member| member.name == key && member.kind == Kind::List);
            if is_list {
                let list = input.entry(key).or_insert_with(|| Value::Array(Vec::new()));
                if let Value::Array(list) = list {
                    list.push(Value::from(value));
                }
            } else {
                input.insert(key, Value::from(value));
            }
        }
        input
    }

    fn pairs(&self) -> Vec<(String, String)> {
        let form = self
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        if form { serde_urlencoded::from_bytes(&self.body).unwrap_or_default() } else { Vec::new() }
    }

    fn form_field(&self, name: &str) -> Option<String> {
        self.pairs().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The parameters of the query protocol as a tree: `Tags.member.1.Key` becomes `Tags[0].Key`.
    fn form(&self) -> Map<String, Value> {
        let mut root = Map::new();
        for (key, value) in self.pairs() {
            if key != "Action" && key != "Version" {
                let path: Vec<&str> = key.split('.').collect();
                insert(&mut root, &path, value);
            }
        }
        root.into_iter().map(|(key, value)| (key, lists(value))).collect()
    }
}

fn insert(node: &mut Map<String, Value>, path: &[&str], value: String) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        node.insert((*first).to_owned(), Value::from(value));
        return;
    }
    let child = node.entry(*first).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(child) = child {
        insert(child, rest, value);
    }
}

/// Turns `{"member": {"1": …, "2": …}}` into a list, in the order of the numbers.
fn lists(value: Value) -> Value {
    let Value::Object(mut fields) = value else { return value };
    if fields.len() == 1
        && let Some(Value::Object(members)) = fields.get_mut("member")
    {
        let mut numbered: Vec<(u32, Value)> = std::mem::take(members)
            .into_iter()
            .map(|(number, value)| (number.parse().unwrap_or(u32::MAX), lists(value)))
            .collect();
        numbered.sort_by_key(|(number, _)| *number);
        return numbered.into_iter().map(|(_, value)| value).collect();
    }
    fields.into_iter().map(|(key, value)| (key, lists(value))).collect()
}

/// The labels of a path template, if the path fits it.
fn labels(template: &str, path: &str) -> Option<Map<String, Value>> {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    if template.len() != path.len() {
        return None;
    }
    let mut labels = Map::new();
    for (wanted, part) in template.into_iter().zip(path) {
        match wanted.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !part.is_empty() => {
                let text = percent_decode_str(part).decode_utf8_lossy().into_owned();
                labels.insert(name.to_owned(), Value::from(text));
            }
            Some(_) => return None,
            None if wanted == part => {}
            None => return None,
        }
    }
    Some(labels)
}
