//! RegisterCluster against an EKS that answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use secrecy::SecretString;

use super::*;
use crate::plan::StopReason;
use crate::ports::{Reply, Roles, Side};
use crate::registration::activation::Activation;
use crate::registration::observed::{Registration, Role, RoleSeen};
use crate::registration::provider::Provider;
use crate::registration::request::RoleDesign;
use crate::registration::role_drift::RoleChange;

fn failure(kind: FailureKind, message: &str) -> Failure {
    Failure {
        side: Side::Aws,
        kind,
        operation: "eks:RegisterCluster".to_owned(),
        message: message.to_owned(),
    }
}

/// Answers each call with the next of its answers, and registers when it has none left.
#[derive(Default)]
struct Told {
    answers: Mutex<VecDeque<Failure>>,
    calls: Mutex<Vec<RegisterCall>>,
}

impl Told {
    fn to(answers: &[(FailureKind, &str)]) -> Self {
        let answers = answers.iter().map(|(kind, message)| failure(*kind, message)).collect();
        Self { answers: Mutex::new(answers), calls: Mutex::default() }
    }

    fn calls(&self) -> Vec<RegisterCall> {
        self.calls.lock().unwrap().clone()
    }
}

fn not_asked<'a, T: 'a>() -> Reply<'a, T> {
    Box::pin(async { Err(failure(FailureKind::Rejected, "nobody asks this here")) })
}

impl Registrations for Told {
    fn registration<'a>(&'a self, _: &'a str) -> Reply<'a, Option<Registration>> {
        not_asked()
    }

    fn count(&self) -> Reply<'_, Option<usize>> {
        not_asked()
    }

    fn register<'a>(&'a self, call: &'a RegisterCall) -> Reply<'a, Registered> {
        Box::pin(async move {
            self.calls.lock().unwrap().push(call.clone());
            match self.answers.lock().unwrap().pop_front() {
                Some(failure) => Err(failure),
                None => Ok(Registered {
                    arn: "arn:aws:eks:eu-west-1:111122223333:cluster/onprem1".to_owned(),
                    created_at: None,
                    activation_expiry: None,
                    activation: Activation { id: "id".to_owned(), code: SecretString::from("code") },
                }),
            }
        })
    }

    fn deregister<'a>(&'a self, _: &'a str) -> Reply<'a, ()> {
        not_asked()
    }
}

struct NoRoles;

impl Roles for NoRoles {
    fn role<'a>(&'a self, _: &'a str) -> Reply<'a, Option<Role>> {
        not_asked()
    }

    fn service_linked_role(&self) -> Reply<'_, bool> {
        not_asked()
    }

    fn create_agent_role<'a>(&'a self, _: &'a RoleDesign) -> Reply<'a, String> {
        not_asked()
    }

    fn change_agent_role<'a>(&'a self, _: &'a str, _: &'a RoleChange) -> Reply<'a, ()> {
        not_asked()
    }

    fn put_agent_policy<'a>(&'a self, _: &'a str) -> Reply<'a, ()> {
        not_asked()
    }

    fn create_service_linked_role(&self) -> Reply<'_, ()> {
        not_asked()
    }
}

fn tags(keys: &[&str]) -> BTreeMap<String, String> {
    keys.iter().map(|key| ((*key).to_owned(), "x".to_owned())).collect()
}

/// What came of it, and what it leaves open.
struct Called {
    ended: Result<Registered, StepFailure>,
    doubts: Doubts,
    said: Vec<String>,
}

impl Called {
    fn code(&self) -> Option<Code> {
        match &self.ended {
            Err(StepFailure::Failed(error)) => Some(error.code),
            _ => None,
        }
    }
}

async fn call(eks: &Told, user_tags: &[&str], stop: &Stop, lost: bool) -> Called {
    let roles = RoleWork::new(Arc::new(NoRoles), Some(true), &RoleSeen::Absent);
    let doubts = Doubts::default();
    let said = Arc::new(Mutex::new(Vec::new()));
    let hear = Arc::clone(&said);
    let progress: Progress = Box::new(move |text| hear.lock().unwrap().push(text));
    let new = NewRegistration {
        name: "onprem1".to_owned(),
        provider: Provider::Other,
        role_arn: Some("arn:aws:iam::111122223333:role/Agent".to_owned()),
        user_tags: tags(user_tags),
        own_tags: tags(&["eksconnect:managed"]),
        request_token: "token".to_owned(),
    };
    let calling = Calling {
        registrations: eks,
        roles: &roles,
        doubts: &doubts,
        stop,
        propagation: Duration::ZERO,
        is_lost: &|| lost,
    };
    let ended = calling.register(new, &progress).await;
    let said = said.lock().unwrap().clone();
    Called { ended, doubts, said }
}

#[tokio::test]
async fn a_role_that_eks_does_not_come_to_see_is_named_in_the_end() {
    let eks = Told::to(&[(FailureKind::NotPropagated, "Nonexistent role or missing ssm service principal")]);
    let called = call(&eks, &[], &Stop::default(), false).await;
    assert_eq!(called.code(), Some(Code::ROLE_NOT_ACCEPTED));
    assert!(!called.doubts.registration_is_uncertain());
}

#[tokio::test]
async fn a_call_without_an_answer_is_the_same_call_again_and_uncertain_until_then() {
    let eks = Told::to(&[(FailureKind::Unreachable, "reset"), (FailureKind::Unavailable, "503")]);
    let called = call(&eks, &[], &Stop::default(), false).await;
    assert!(called.ended.is_ok());
    let calls = eks.calls();
    assert_eq!(calls.len(), 3);
    assert!(calls.iter().all(|call| call.request_token == "token"), "{calls:?}");
    assert!(called.doubts.registration_is_uncertain());
    called.doubts.settle();
    assert_eq!((called.doubts.registration_is_uncertain(), called.doubts.outcome()), (false, "created"));
    assert_eq!(called.said, ["trying again: reset", "trying again: 503"]);
}

#[tokio::test]
async fn our_tags_are_left_out_where_tagging_is_denied_and_the_users_are_not() {
    let denied = (FailureKind::Denied, "not authorized to perform: eks:TagResource");
    let eks = Told::to(&[denied]);
    let called = call(&eks, &[], &Stop::default(), false).await;
    assert!(called.ended.is_ok());
    assert_eq!(called.doubts.outcome(), "untagged");
    let sent: Vec<usize> = eks.calls().iter().map(|call| call.tags.len()).collect();
    assert_eq!(sent, [1, 0]);

    let eks = Told::to(&[denied]);
    let called = call(&eks, &["team"], &Stop::default(), false).await;
    assert_eq!(called.code(), Some(Code::AWS_DENIED));
    assert_eq!(eks.calls().len(), 1);
}

#[tokio::test]
async fn nothing_is_called_without_the_lease_nor_again_after_an_interrupt() {
    let eks = Told::default();
    let called = call(&eks, &[], &Stop::default(), true).await;
    assert!(matches!(called.ended, Err(StepFailure::Stale(_))));
    assert_eq!(eks.calls().len(), 0);

    let eks = Told::to(&[(FailureKind::Unavailable, "503")]);
    let stop = Stop::default();
    stop.stop(StopReason::Interrupted);
    let called = call(&eks, &[], &stop, false).await;
    assert!(matches!(called.ended, Err(StepFailure::Stopped)));
    assert_eq!(eks.calls().len(), 1);
}

#[tokio::test]
async fn what_will_not_pass_is_not_tried_again() {
    for (kind, code) in [
        (FailureKind::Rejected, Code::REGISTRATION_REJECTED),
        (FailureKind::LimitExceeded, Code::QUOTA),
        (FailureKind::Denied, Code::AWS_DENIED),
    ] {
        let eks = Told::to(&[(kind, "no")]);
        let called = call(&eks, &[], &Stop::default(), false).await;
        assert_eq!((called.code(), eks.calls().len()), (Some(code), 1));
        assert!(!called.doubts.registration_is_uncertain());
    }
}
