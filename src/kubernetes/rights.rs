//! Asking the API server what the caller may do.

use std::collections::BTreeSet;

use futures::future::try_join_all;
use http::Method;
use serde_json::json;

use super::api::Content;
use super::client::Connected;
use crate::ports::Failure;
use crate::registration::rights::Right;

/// As RBAC calls it.
const REVIEW: &str = "create selfsubjectaccessreviews.authorization.k8s.io";

impl Connected {
    /// One review for each: SelfSubjectRulesReview would answer all at once, but does not know what authorisers other
    /// than RBAC allow.
    pub(super) async fn denied_rights(&self, rights: &[Right]) -> Result<BTreeSet<Right>, Failure> {
        let reviews = rights.iter().map(|right| async move {
            let denied = !self.may(right).await?;
            Ok::<_, Failure>(denied.then(|| right.clone()))
        });
        Ok(try_join_all(reviews).await?.into_iter().flatten().collect())
    }

    async fn may(&self, right: &Right) -> Result<bool, Failure> {
        let (resource, subresource) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
        // To an authoriser, a namespace is in itself (RequestInfo of the API server).
        let of_itself = (resource == "namespaces").then_some(&right.name).and_then(Option::as_ref);
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": {
                "namespace": right.namespace.as_ref().or(of_itself),
                "verb": right.verb,
                "group": right.group,
                "resource": resource,
                "subresource": subresource,
                "name": right.name,
            } },
        });
        let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let answer = self.call(REVIEW, Method::POST, path, Some(Content::json(&review))).await?.json()?;
        Ok(answer["status"]["allowed"] == true)
    }
}
