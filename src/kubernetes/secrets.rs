//! The one place that touches Secrets. It yields ids; the activation code passes through it in one direction only.

use std::collections::BTreeMap;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::try_join_all;
use http::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::api::{Answer, Content, operation};
use super::client::Connected;
use super::port::{ACTIVATION_MANAGER, applied};
use crate::manifest::{self, ACTIVATION_SECRET, Object, ObjectKind, ObjectRef, PullSecret};
use crate::ports::{Applied, Failure, FailureKind};
use crate::registration::activation::Activation;
use crate::registration::observe::mark_of;
use crate::registration::observed::{ActivationSecretFacts, ObjectState};
use crate::registration::takeover::kept_by;

fn secret(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef::new(ObjectKind::Secret, namespace, name)
}

impl Connected {
    pub(super) async fn read_activation_secret(
        &self,
        namespace: &str,
    ) -> Result<Option<ActivationSecretFacts>, Failure> {
        let secret = secret(namespace, ACTIVATION_SECRET);
        let Some(answer) = self.get(&operation("get", &secret), &secret.path()).await? else {
            return Ok(None);
        };
        let live = answer.json()?;
        let value = decoded(&live["data"]["code"]);
        let spent = value
            .as_deref()
            .is_none_or(|value| value.is_empty() || value == manifest::spent_mark().as_bytes());
        Ok(Some(ActivationSecretFacts {
            mark: mark_of(&live["metadata"]),
            holds_code: !spent,
            kept_by: kept_by(&live["metadata"]),
            resource_version: live["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned(),
        }))
    }

    pub(super) async fn write_activation(
        &self,
        object: &Object,
        activation: &Activation,
    ) -> Result<Applied, Failure> {
        let mut body = object.body.clone();
        let code = activation.code.expose_secret();
        let encoded = STANDARD.encode(code);
        body["data"] = json!({ "code": encoded });
        let path = format!("{}?fieldManager={ACTIVATION_MANAGER}&force=true", object.reference.path());
        let patching = operation("patch", &object.reference);
        let answer = self.call(&patching, Method::PATCH, &path, Some(Content::apply(&body))).await;
        let answer = answer.map_err(|failure| {
            // A webhook that refuses the Secret may quote it.
            let quotes = failure.message.contains(code) || failure.message.contains(&encoded);
            let message =
                if quotes { "refused, in words that quote the Secret".to_owned() } else { failure.message };
            Failure { message, ..failure }
        })?;
        applied(&answer)
    }

    /// By the manager of the activation's value, which that stays with. What is applied names no value, so one that
    /// another manager wrote stays too.
    pub(super) async fn mark_activation_secret(&self, object: &Object) -> Result<Applied, Failure> {
        let path = format!("{}?fieldManager={ACTIVATION_MANAGER}&force=true", object.reference.path());
        let content = Some(Content::apply(&object.body));
        applied(&self.call(&operation("patch", &object.reference), Method::PATCH, &path, content).await?)
    }

    /// With the version that was seen: a code that comes in between is not taken away.
    pub(super) async fn spend_activation(&self, namespace: &str, seen: &str) -> Result<(), Failure> {
        let secret = secret(namespace, ACTIVATION_SECRET);
        let patch = json!({
            "metadata": { "resourceVersion": seen },
            "data": { "code": STANDARD.encode(manifest::spent_mark()) },
        });
        let path = format!("{}?fieldManager={ACTIVATION_MANAGER}", secret.path());
        self.call(&operation("patch", &secret), Method::PATCH, &path, Some(Content::merge_patch(&patch)))
            .await
            .map(drop)
    }

    /// Compares the credentials without letting them out.
    pub(super) async fn read_pull_secret(
        &self,
        object: &Object,
        secret: &PullSecret,
    ) -> Result<ObjectState, Failure> {
        let read = async { self.get(&operation("get", &object.reference), &object.reference.path()).await };
        let try_out = async {
            match self.write_pull_secret(object, secret, true).await {
                Err(failure) if failure.kind == FailureKind::NotFound => Ok(None),
                answer => answer.map(Some),
            }
        };
        let (live, applied) = tokio::try_join!(read, try_out)?;
        let json = |answer: Option<Answer>| answer.map(|answer| answer.json()).transpose();
        Ok(ObjectState::of(json(live)?, json(applied)?))
    }

    pub(super) async fn write_pull_secret(
        &self,
        object: &Object,
        secret: &PullSecret,
        dry_run: bool,
    ) -> Result<Answer, Failure> {
        let mut body = object.body.clone();
        body["data"] = json!({ ".dockerconfigjson": STANDARD.encode(secret.expose()) });
        self.apply_object(&Object { reference: object.reference.clone(), body }, dry_run).await
    }

    pub(super) async fn read_secret_metadata(&self, object: &ObjectRef) -> Result<Option<Value>, Failure> {
        let Some(answer) = self.get(&operation("get", object), &object.path()).await? else {
            return Ok(None);
        };
        Ok(Some(json!({ "metadata": answer.json()?["metadata"] })))
    }

    /// State Secrets hold a private key; of each only `connector-config` is looked at, and of that the activation's id.
    pub(super) async fn read_states(
        &self,
        namespace: &str,
        prefix: &str,
        ordinals: Range<u32>,
    ) -> Result<BTreeMap<u32, String>, Failure> {
        let reads = ordinals.map(|ordinal| async move {
            let secret = secret(namespace, &manifest::state_secret(prefix, ordinal));
            let Some(answer) = self.get(&operation("get", &secret), &secret.path()).await? else {
                return Ok(None);
            };
            let live = answer.json()?;
            let config: Option<Value> = decoded(&live["data"]["connector-config"])
                .and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let id = config.and_then(|config| config["activationId"].as_str().map(str::to_owned));
            Ok::<_, Failure>(id.map(|id| (ordinal, id)))
        });
        Ok(try_join_all(reads).await?.into_iter().flatten().collect())
    }
}

fn decoded(value: &Value) -> Option<Vec<u8>> {
    STANDARD.decode(value.as_str()?).ok()
}
