//! From a result to an HTTP answer in the service's protocol.

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use quick_xml::escape::escape;
use serde_json::{Map, Value, json};

use super::service::{Error, Protocol, Service};

/// An answer before it is sent.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    content_type: &'static str,
    error_type: Option<String>,
    request_id: String,
    pub(crate) body: String,
}

impl Answer {
    /// The answer of an operation that succeeded.
    pub(crate) fn success(service: &Service, operation: &str, output: &Value) -> Answer {
        let request_id = uuid::Uuid::new_v4().to_string();
        let body = match service.protocol {
            Protocol::RestJson | Protocol::AwsJson => output.to_string(),
            Protocol::RestXml => xml(&format!("{operation}Response"), output),
            Protocol::Query => {
                let result = match output {
                    Value::Null => String::new(),
                    output => xml(&format!("{operation}Result"), output),
                };
                format!(
                    "<{operation}Response xmlns=\"{}\">{result}<ResponseMetadata><RequestId>{request_id}</RequestId>\
                     </ResponseMetadata></{operation}Response>",
                    service.namespace
                )
            }
        };
        // The control channel of ssmmessages is created, says its status.
        let status = if service.protocol == Protocol::RestXml { 201 } else { 200 };
        Answer { status, content_type: content_type(service.protocol), error_type: None, request_id, body }
    }

    /// The answer of an operation that failed.
    pub(crate) fn error(service: &Service, error: &Error) -> Answer {
        let request_id = uuid::Uuid::new_v4().to_string();
        let Error { status, code, message } = error;
        let body = match service.protocol {
            Protocol::RestJson => {
                let mut body = Map::new();
                body.extend(message.clone().map(|message| ("message".to_owned(), Value::from(message))));
                Value::Object(body).to_string()
            }
            Protocol::AwsJson => {
                let mut body = Map::from_iter([("__type".to_owned(), json!(code))]);
                // Errors of the services themselves say `Message`, those of AWS's front end `message`.
                let own = !code.ends_with("Exception") || service.name == "servicequotas";
                let key = if own { "Message" } else { "message" };
                body.extend(message.clone().map(|message| (key.to_owned(), Value::from(message))));
                Value::Object(body).to_string()
            }
            // As seen in logs of amazon-ssm-agent.
            Protocol::RestXml => {
                let message = escape(message.as_deref().unwrap_or_default());
                format!("<{code}>\n  <Message>{message}</Message>\n</{code}>\n")
            }
            Protocol::Query => format!(
                "<ErrorResponse xmlns=\"{}\"><Error><Type>{}</Type><Code>{code}</Code><Message>{}</Message></Error>\
                 <RequestId>{request_id}</RequestId></ErrorResponse>",
                service.namespace,
                if *status < 500 { "Sender" } else { "Receiver" },
                escape(message.as_deref().unwrap_or_default()),
            ),
        };
        Answer {
            status: *status,
            content_type: content_type(service.protocol),
            error_type: matches!(service.protocol, Protocol::RestJson | Protocol::RestXml)
                .then(|| code.clone()),
            request_id,
            body,
        }
    }

    /// The same answer without the end of its body, and as if it were a good one. Of XML less is left: it ends with what
    /// nobody needs.
    pub(crate) fn without_its_end(mut self) -> Answer {
        let lost = if self.body.starts_with('<') { 2 } else { 8 };
        let kept = self.body.len() - self.body.len().div_ceil(lost);
        self.body.truncate(self.body.floor_char_boundary(kept));
        Answer { status: 200, error_type: None, ..self }
    }

    pub(crate) fn into_response(self) -> Response {
        let mut builder = Response::builder()
            .status(self.status)
            .header(CONTENT_TYPE, self.content_type)
            .header("x-amzn-RequestId", self.request_id);
        if let Some(code) = self.error_type {
            builder = builder.header("x-amzn-ErrorType", code);
        }
        builder.body(Body::from(self.body)).unwrap_or_else(|_| {
            // A fault may ask for a status that HTTP does not have.
            let mut response = Response::new(Body::from("the fault cannot be put in an HTTP answer"));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }
}

fn content_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::RestJson => "application/json",
        Protocol::AwsJson => "application/x-amz-json-1.1",
        Protocol::Query => "text/xml",
        Protocol::RestXml => "application/xml",
    }
}

/// A date as the JSON protocols write it: seconds since 1970, a number with milliseconds.
pub(crate) fn epoch(time: Timestamp) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds fit for the next 285 000 years")]
    let milliseconds = time.as_millisecond() as f64;
    Value::from(milliseconds / 1000.0)
}

/// A date as the query protocol writes it: ISO 8601 in seconds.
pub(crate) fn iso_date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Writes a value as an XML element; list elements are called `member`, nulls are left out.
fn xml(name: &str, value: &Value) -> String {
    let content = match value {
        Value::Null => return String::new(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => escape(text.as_str()).into_owned(),
        Value::Array(values) => values.iter().map(|value| xml("member", value)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| xml(name, value)).collect(),
    };
    format!("<{name}>{content}</{name}>")
}
