//! Removing a registration.

use super::stale_or;
use crate::plan::{Done, StepFailure};
use crate::ports::Registrations;
use crate::registration::observed::Status;

/// Deregisters what the plan saw, and nothing that came in its place: the name is all that the call takes.
pub(in crate::registration) async fn discard(
    registrations: &dyn Registrations,
    name: &str,
    status: &Status,
    activation_id: Option<&String>,
) -> Result<Done, StepFailure> {
    let now = registrations.registration(name).await;
    let now = now.map_err(|failure| failure.into_error(&format!("read the registration {name}")))?;
    match now {
        None => return Ok(Done::unchanged("gone already")),
        Some(now) if now.status == *status && now.activation_id.as_ref() == activation_id => {}
        Some(now) => {
            return Err(StepFailure::Stale(format!(
                "the registration {name} is another one than a moment ago, or {} by now",
                now.status
            )));
        }
    }
    let answer = registrations.deregister(name).await;
    answer.map_err(|failure| stale_or(failure, &format!("deregister {name}")))?;
    Ok(Done::new("removed"))
}
