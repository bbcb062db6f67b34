//! Answers that lost their end on the way: AWS said that all is well, and what it said cannot be read.

use aws_sdk_eks::config::interceptors::InterceptorContext;
use aws_sdk_eks::config::retry::{ClassifyRetry, RetryAction};

/// Has the SDK ask again, as it does after an answer that never came. By itself it takes such an answer for the service's
/// last word.
#[derive(Clone, Copy, Debug)]
pub(super) struct AskAgain;

impl ClassifyRetry for AskAgain {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let went_well = context.response().is_some_and(|response| response.status().is_success());
        match context.output_or_error() {
            Some(Err(error)) if went_well && error.is_operation_error() => RetryAction::transient_error(),
            Some(Ok(_) | Err(_)) | None => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "answers that cannot be read"
    }
}
