//! Signature Version 4: reading the `Authorization` header and checking the signature.
//!
//! The canonical form is built here and not by a signing crate, so that a mistake in the crate that clients sign with
//! shows. Managed instances sign the same string with their RSA key instead of HMAC (amazon-ssm-agent,
//! agent/ssm/rsaauth): RSA-PSS with SHA-256 and a salt of 32 bytes, base64.

use std::time::SystemTime;

use aws_lc_rs::{digest, signature};
use aws_sigv4::sign::v4::{calculate_signature, generate_signing_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Method, Uri};
use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::TimeZone};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// How far a request's time may be from the real clock (AWS: 5 minutes for most services, 15 for some).
const TOLERANCE: SignedDuration = SignedDuration::from_mins(15);

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parts of an `Authorization` header.
#[derive(Clone, Debug)]
pub(crate) struct Authorization {
    /// Access key id, or the id of a managed instance.
    pub(crate) key_id: String,
    pub(crate) date: String,
    pub(crate) region: String,
    pub(crate) service: String,
    signed_headers: Vec<String>,
    signature: String,
}

impl Authorization {
    /// Reads the header. The error is AWS's explanation of what is incomplete.
    pub(crate) fn parse(header: &str) -> Result<Authorization, String> {
        let Some(fields) = header.strip_prefix("AWS4-HMAC-SHA256 ") else {
            return Err(format!(
                "Unable to parse authorization header; unsupported algorithm '{}'",
                header.split(' ').next().unwrap_or_default()
            ));
        };
        let field = |name: &str| {
            fields
                .split(',')
                .filter_map(|part| part.trim().split_once('='))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.to_owned())
                .ok_or_else(|| {
                    format!("Authorization header requires '{name}' parameter. Authorization={header}")
                })
        };
        let credential = field("Credential")?;
        // An instance id may hold any word character, never a slash.
        let scope: Vec<&str> = credential.split('/').collect();
        let [key_id, date, region, service, "aws4_request"] = scope[..] else {
            return Err(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. \
                 keyid/date/region/service/term, got '{credential}'"
            ));
        };
        Ok(Authorization {
            key_id: key_id.to_owned(),
            date: date.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            signed_headers: field("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: field("Signature")?,
        })
    }
}

/// The parts of a request that are signed.
#[derive(Debug)]
pub(crate) struct Signed<'r> {
    pub(crate) method: &'r Method,
    pub(crate) uri: &'r Uri,
    pub(crate) headers: &'r HeaderMap,
    pub(crate) body: &'r [u8],
}

impl Signed<'_> {
    /// Checks the time and the HMAC signature. The error is AWS's message.
    pub(crate) fn verify(&self, authorization: &Authorization, secret: &str) -> Result<(), String> {
        let (time, text) = self.string_to_sign(authorization)?;
        let key = generate_signing_key(secret, time, &authorization.region, &authorization.service);
        if calculate_signature(key, text.as_bytes()) == authorization.signature {
            return Ok(());
        }
        Err("The request signature we calculated does not match the signature you provided. Check your AWS Secret \
             Access Key and signing method. Consult the service documentation for details."
            .to_owned())
    }

    /// Checks the time and the RSA signature of a managed instance, whose public key is PKIX in base64.
    pub(crate) fn verify_instance(
        &self,
        authorization: &Authorization,
        public_key: &str,
    ) -> Result<(), String> {
        let (_, text) = self.string_to_sign(authorization)?;
        let mismatch =
            || "The request signature we calculated does not match the signature you provided.".to_owned();
        let key = STANDARD.decode(public_key).map_err(|_| mismatch())?;
        let signed = STANDARD.decode(&authorization.signature).map_err(|_| mismatch())?;
        signature::UnparsedPublicKey::new(&signature::RSA_PSS_2048_8192_SHA256, key)
            .verify(text.as_bytes(), &signed)
            .map_err(|_| mismatch())
    }

    fn string_to_sign(&self, authorization: &Authorization) -> Result<(SystemTime, String), String> {
        let header = |name: &str| self.headers.get(name).and_then(|value| value.to_str().ok());
        let stamp = header("x-amz-date")
            .ok_or("Authorization header requires existence of an 'X-Amz-Date' header.")?;
        let time = DateTime::strptime("%Y%m%dT%H%M%SZ", stamp)
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| format!("Date must be in ISO-8601 'basic format'. Got '{stamp}'."))?
            .timestamp();
        if !stamp.starts_with(&authorization.date) {
            return Err(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
                 '{}' != '{stamp}'.",
                authorization.date
            ));
        }
        let now = Timestamp::now();
        let difference = now.duration_since(time);
        if difference.abs() > TOLERANCE {
            let (word, relation) =
                if difference.is_positive() { ("expired", "earlier") } else { ("not yet current", "later") };
            return Err(format!(
                "Signature {word}: {stamp} is now {relation} than the request time limit (server time {})",
                now.strftime("%Y%m%dT%H%M%SZ")
            ));
        }
        if !authorization.signed_headers.iter().any(|name| name == "host") {
            return Err(
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned()
            );
        }
        let canonical = self.canonical_request(authorization)?;
        let text = format!(
            "AWS4-HMAC-SHA256\n{stamp}\n{}/{}/{}/aws4_request\n{}",
            authorization.date,
            authorization.region,
            authorization.service,
            hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()))
        );
        Ok((SystemTime::from(time), text))
    }

    fn canonical_request(&self, authorization: &Authorization) -> Result<String, String> {
        let mut headers = String::new();
        for name in &authorization.signed_headers {
            let values: Vec<String> = self
                .headers
                .get_all(name)
                .iter()
                .map(|value| {
                    let text = String::from_utf8_lossy(value.as_bytes());
                    text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
                })
                .collect();
            if values.is_empty() {
                return Err(format!("Signed header '{name}' is not in the request."));
            }
            headers.push_str(&format!("{name}:{}\n", values.join(",")));
        }
        let actual = hex::encode(digest::digest(&digest::SHA256, self.body));
        let claimed = self.headers.get("x-amz-content-sha256").and_then(|value| value.to_str().ok());
        let hash = match claimed {
            Some(claimed) if claimed != actual && claimed != "UNSIGNED-PAYLOAD" => {
                return Err(
                    "The value passed in as x-amz-content-SHA256 does not match the computed payload hash."
                        .to_owned(),
                );
            }
            Some(claimed) => claimed.to_owned(),
            None => actual,
        };
        // Every service but S3 signs the path encoded once more than it is sent.
        let path = self.uri.path().split('/').map(encode).collect::<Vec<_>>().join("/");
        let mut query: Vec<(String, String)> = self
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                let again = |text: &str| encode(&percent_decode_str(text).decode_utf8_lossy());
                (again(key), again(value))
            })
            .collect();
        query.sort();
        let query = query.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&");
        Ok(format!(
            "{}\n{path}\n{query}\n{headers}\n{}\n{hash}",
            self.method,
            authorization.signed_headers.join(";")
        ))
    }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}
