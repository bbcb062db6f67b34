//! Kubernetes' rules about who may do what (RBAC), evaluated as the API server does, over a snapshot of them: no cluster is asked. It
//! answers where nobody else can: without the right to ask the API server about others, and "who can do that?".
//!
//! The semantics are those of `pkg/registry/rbac/validation/rule.go`, `pkg/apis/rbac/v1/evaluation_helpers.go` and
//! `apiserver/pkg/endpoints/filters/impersonation` of Kubernetes 1.36. A test asks the evaluator and a real API server
//! the same questions. What stands beside RBAC in the chain of authorizers (webhooks, the one for nodes) it cannot
//! know, but for the group `system:masters`, which may do everything.

mod aggregation;
mod evaluator;
mod impersonation;
mod model;
mod request;
mod who;

pub use evaluator::{Chain, Evaluator, Permit};
pub use impersonation::{Impersonated, Mode, Through, ways};
pub use model::{Binding, Expression, Meta, Operator, Role, RoleRef, Rule, Selector, Snapshot, Subject};
pub use request::{Request, Target};
pub use who::Who;

#[cfg(test)]
mod evaluator_tests;
#[cfg(test)]
mod impersonation_tests;
