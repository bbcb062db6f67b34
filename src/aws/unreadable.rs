//! Answers that lost their end on the way: AWS said that all is well, and what it said cannot be read.

use aws_sdk_iam::config::interceptors::{AfterDeserializationInterceptorContextRef, InterceptorContext};
use aws_sdk_iam::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_iam::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_iam::error::BoxError;

/// Has the SDK ask again, as it does after an answer that never came. By itself it takes such an answer for the service's
/// last word.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskAgain;

impl ClassifyRetry for AskAgain {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let went_well = context.response().is_some_and(|response| response.status().is_success());
        match context.output_or_error() {
            Some(Err(error)) if went_well && (error.is_operation_error() || error.is_interceptor_error()) => {
                RetryAction::transient_error()
            }
            Some(Ok(_) | Err(_)) | None => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "answers that cannot be read"
    }
}

/// Takes an XML answer whose end is missing for one that cannot be read. The SDK's decoder takes it for a whole one, and a list
/// that lost its end for a short list.
#[derive(Clone, Copy, Debug)]
pub(super) struct WholeAnswers;

impl Intercept for WholeAnswers {
    fn name(&self) -> &'static str {
        "answers that lost their end"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let whole = response.body().bytes().is_none_or(is_whole);
        if response.status().is_success() && !whole { Err("the answer lost its end".into()) } else { Ok(()) }
    }
}

/// Every answer of the Query protocol is one element, `<OPERATIONResponse>` (Smithy 2.0, "AWS Query protocol").
fn is_whole(body: &[u8]) -> bool {
    body.trim_ascii_end().ends_with(b"Response>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_with_the_end_of_its_element() {
        assert!(is_whole(b"<ListRolesResponse xmlns=\"x\"><ListRolesResult/></ListRolesResponse>\n"));
        for cut in
            ["", "<ListRolesResponse><ListRolesResult><Roles>", "<ListRolesResponse></ListRolesResponse"]
        {
            assert!(!is_whole(cut.as_bytes()), "{cut}");
        }
    }
}
