//! The planner and what stood there before.

use super::super::super::installed::Connector;
use super::super::super::takeover::Foreign;
use super::*;
use crate::manifest::{FixedFields, Inherited};

/// A StatefulSet as the official manifest makes it, whose agents work.
pub(super) fn foreign_set(activation_id: &str) -> Installed {
    Installed {
        uid: "uid-of-theirs".into(),
        resource_version: "42".into(),
        ours: false,
        release: None,
        activation_id: Some(activation_id.into()),
        inherited: Inherited {
            state_prefix: None,
            fixed: Some(FixedFields {
                service_name: "eks-connector".into(),
                pod_management_policy: "OrderedReady".into(),
            }),
        },
        steady: true,
        rolled_out: true,
        obstacle: None,
    }
}

pub(super) fn secret() -> ObjectRef {
    ObjectRef::new(ObjectKind::Secret, "eks-connector", manifest::ACTIVATION_SECRET)
}

/// A cluster that the official manifest has connected.
pub(super) fn official() -> Observed {
    let mut observed = converged();
    observed.registration = Some(Registration { tags: BTreeMap::new(), ..registration(Status::Active) });
    observed.namespace = observed.namespace.map(|it| NamespaceFacts { ours: false, mark: None, ..it });
    observed.activation_secret = Some(ActivationSecretFacts {
        mark: None,
        holds_code: true,
        kept_by: None,
        resource_version: "1".into(),
    });
    observed.states = [(0, ACTIVATION.to_owned()), (1, ACTIVATION.to_owned())].into();
    observed.installed = Some(foreign_set(ACTIVATION));
    observed.lease = None;
    let role = ObjectRef::new(ObjectKind::Role, "eks-connector", "eks-connector-secret-access");
    for object in [role, ObjectRef::new(ObjectKind::StatefulSet, "eks-connector", manifest::STATEFUL_SET)] {
        observed.objects.insert(object, ObjectState::Differs);
    }
    let role = ObjectRef::new(ObjectKind::Role, "eks-connector", "eks-connector-secret-access");
    observed.foreign = [role, secret()].map(|object| Foreign { object, kept_by: None }).into();
    let token = ObjectRef::new(ObjectKind::Secret, "eks-connector", "eks-connector-token");
    observed.superfluous = Some((token, "uid-of-the-token".into()));
    observed
}

pub(super) fn allowing(takeover: Takeover) -> RegisterRequest {
    RegisterRequest { takeover, ..request() }
}

pub(super) const ADOPT: Takeover = Takeover { adopt: true, renew: false, replace: false };
pub(super) const RENEW: Takeover = Takeover { renew: true, adopt: false, replace: false };
const REPLACE: Takeover = Takeover { replace: true, adopt: false, renew: false };

fn plan_with(observed: &Observed, takeover: Takeover) -> Result<RegisterPlan, Error> {
    plan(&desired_of(observed, &allowing(takeover)), observed, "token")
}

/// Executes, and plans again in the world that this makes.
fn twice(observed: &Observed, takeover: Takeover) -> (RegisterPlan, RegisterPlan) {
    let planned = plan_with(observed, takeover).unwrap();
    let desired = desired_of(observed, &allowing(takeover));
    let world = carry_out(observed, &desired, all_steps(&planned));
    let again = plan_with(&world, Takeover { renew: false, ..takeover }).unwrap();
    (planned, again)
}

fn words(planned: &RegisterPlan) -> Vec<String> {
    all_steps(planned).iter().map(|step| step.describe()).collect()
}

fn place(words: &[String], wanted: &str) -> usize {
    words.iter().position(|word| word == wanted).unwrap_or_else(|| panic!("no {wanted} in {words:#?}"))
}

#[test]
fn an_active_registration_is_renewed_only_when_asked_for_and_after_asking() {
    let mut lost = converged();
    lost.states.clear();
    assert_eq!(plan_of(&lost).unwrap_err().code, Code::STATE_LOST);
    for observed in [converged(), lost] {
        let (planned, again) = twice(&observed, RENEW);
        let question = planned.question.clone().unwrap();
        assert!(question.contains("of this cluster (ACTIVE) is removed and made anew"), "{question}");
        let words = words(&planned);
        assert!(place(&words, "deregister onprem1") < place(&words, "register onprem1"));
        assert!(again.plan.is_empty() && again.question.is_none(), "{:?}", all_steps(&again));
    }
}

#[test]
fn renewing_nothing_is_registering() {
    let planned = plan_with(&fresh(), RENEW).unwrap();
    assert_eq!(planned.question, None);
    assert!(!words(&planned).contains(&"deregister onprem1".to_owned()));
}

#[test]
fn a_name_is_taken_over_only_from_others_and_after_showing_whose_it_is() {
    let theirs = Registration {
        tags: [(CLUSTER_UID_TAG.to_owned(), "uid-of-theirs".to_owned())].into(),
        activation_id: Some("another".into()),
        ..registration(Status::Active)
    };
    let observed = Observed { registration: Some(theirs.clone()), ..fresh() };
    assert_eq!(plan_of(&observed).unwrap_err().code, Code::NAME_HELD);
    assert_eq!(plan_with(&observed, RENEW).unwrap_err().code, Code::NAME_HELD);
    let (planned, again) = twice(&observed, REPLACE);
    let question = planned.question.unwrap();
    for fact in
        ["ACTIVE", "2026-11-22 12:00 UTC", "OTHER", "uid-of-theirs", "nobody can look into that cluster"]
    {
        assert!(question.contains(fact), "{fact}: {question}");
    }
    assert!(again.plan.is_empty());

    // One that EKS runs itself, never.
    let runs_itself = Registration { role_arn: None, ..theirs };
    let observed = Observed { registration: Some(runs_itself), ..fresh() };
    assert_eq!(plan_with(&observed, REPLACE).unwrap_err().code, Code::NAME_HELD);
    // Our own is not another's: there is nothing to replace.
    assert!(plan_with(&converged(), REPLACE).unwrap().plan.is_empty());
}

#[test]
fn an_official_installation_is_adopted_with_its_registration() {
    let observed = official();
    assert_eq!(plan_of(&observed).unwrap_err().code, Code::FOREIGN_OBJECT);
    let (planned, again) = twice(&observed, ADOPT);
    let question = planned.question.clone().unwrap();
    assert!(
        question.contains("one by one") && question.contains("Its registration and its grants stay"),
        "{question}"
    );
    let words = words(&planned);
    let replaced = place(&words, "replace StatefulSet eks-connector/eks-connector");
    let active = place(&words, "wait for onprem1 to become ACTIVE");
    assert!(replaced < active);
    assert!(active < place(&words, "delete Secret eks-connector/eks-connector-token"));
    assert!(place(&words, "apply Secret eks-connector/eks-connector-activation-config") < replaced);
    place(&words, "remove the used activation code");
    assert!(!words.iter().any(|word| word.contains("register onprem1")), "{words:?}");
    assert!(again.plan.is_empty() && again.question.is_none(), "{:?}", all_steps(&again));
}

#[test]
fn agents_that_do_not_work_are_made_anew_for_kubernetes_would_wait_for_them() {
    let mut observed = official();
    observed.installed.as_mut().unwrap().steady = false;
    let (planned, again) = twice(&observed, ADOPT);
    let words = words(&planned);
    let set = "StatefulSet eks-connector/eks-connector";
    assert!(place(&words, &format!("delete {set}")) < place(&words, &format!("apply {set}")));
    assert!(again.plan.is_empty());
    // The same later, with a StatefulSet that was adopted and is ours.
    let mut ours = converged();
    ours.installed = Some(Installed { ours: true, steady: false, ..foreign_set(NEW_ACTIVATION) });
    ours.objects.insert(
        ObjectRef::new(ObjectKind::StatefulSet, "eks-connector", "eks-connector"),
        ObjectState::Differs,
    );
    let (planned, again) = twice(&ours, Takeover::default());
    assert_eq!(planned.question, None);
    assert!(all_steps(&planned).iter().any(|step| matches!(step, Step::Remove { .. })));
    assert!(again.plan.is_empty());
}

#[test]
fn adopting_and_renewing_at_once() {
    let mut observed = official();
    observed.states.clear();
    assert_eq!(plan_with(&observed, ADOPT).unwrap_err().code, Code::STATE_LOST);
    let both = Takeover { adopt: true, ..RENEW };
    let (planned, again) = twice(&observed, both);
    let words = words(&planned);
    let set = "delete StatefulSet eks-connector/eks-connector";
    assert!(place(&words, "register onprem1") < place(&words, set), "{words:?}");
    assert!(place(&words, set) < place(&words, "apply the agents' StatefulSet"));
    assert!(again.plan.is_empty());
}

#[test]
fn agents_of_another_registration_are_not_taken_from_it() {
    let mut observed = official();
    observed.registration = None;
    assert_eq!(plan_with(&observed, ADOPT).unwrap_err().code, Code::NOT_ADOPTABLE);
    plan_with(&observed, Takeover { adopt: true, ..RENEW }).unwrap();
    observed.installed.as_mut().unwrap().obstacle = Some("its agents have volumes of their own".into());
    assert_eq!(plan_with(&observed, ADOPT).unwrap_err().code, Code::NOT_ADOPTABLE);
}

#[test]
fn a_secret_that_others_keep_is_never_touched() {
    let mut observed = official();
    observed.activation_secret.as_mut().unwrap().kept_by = Some("SealedSecret code".into());
    let (planned, again) = twice(&observed, ADOPT);
    assert!(!words(&planned).iter().any(|word| word.contains("activation")), "{:?}", words(&planned));
    assert!(planned.notes.iter().any(|note| note.contains("SealedSecret code")), "{:?}", planned.notes);
    // It stays another owner's, which is said and asked each time.
    assert!(again.plan.is_empty(), "{:?}", words(&again));
    observed.registration.as_mut().unwrap().status = Status::Failed;
    assert_eq!(plan_with(&observed, ADOPT).unwrap_err().code, Code::SECRET_KEPT);
}

#[test]
fn objects_of_others_are_refused_without_a_connector_too() {
    let mut observed = fresh();
    let map = ObjectRef::new(ObjectKind::ConfigMap, "eks-connector", "eks-connector-agent");
    observed.foreign = vec![Foreign { object: map, kept_by: None }];
    let error = plan_of(&observed).unwrap_err();
    assert_eq!((error.code, error.exit_code()), (Code::FOREIGN_OBJECT, 3));
    assert!(error.message.contains("ConfigMap eks-connector/eks-connector-agent"), "{error}");
    let question = plan_with(&observed, ADOPT).unwrap().question.unwrap();
    assert!(question.contains("ConfigMap eks-connector/eks-connector-agent"), "{question}");
}

#[test]
fn a_second_connector_is_refused_with_the_way_to_the_first() {
    let elsewhere = |ours| vec![Connector { namespace: "tools".into(), name: "eks-connector".into(), ours }];
    for (ours, way) in [(true, "use --namespace tools"), (false, "--namespace tools --adopt")] {
        let observed = Observed { elsewhere: elsewhere(ours), ..fresh() };
        let error = plan_of(&observed).unwrap_err();
        assert_eq!(error.code, Code::CONNECTOR_ELSEWHERE);
        assert!(error.facts.iter().any(|fact| fact.text.contains(way)), "{:?}", error.facts);
    }
    // One that is at work here is not disturbed by it.
    assert!(plan_of(&Observed { elsewhere: elsewhere(false), ..converged() }).unwrap().plan.is_empty());
}

#[test]
fn a_binding_of_another_role_is_made_anew() {
    let mut observed = converged();
    let binding = ObjectRef::new(ObjectKind::RoleBinding, "eks-connector", "eks-connector-secret-access");
    observed.objects.insert(binding.clone(), ObjectState::Differs);
    observed.fixed.insert(binding, "uid-of-the-binding".into());
    let (planned, again) = twice(&observed, Takeover::default());
    let binding = "RoleBinding eks-connector/eks-connector-secret-access";
    let words = words(&planned);
    assert!(place(&words, &format!("delete {binding}")) < place(&words, &format!("apply {binding}")));
    assert!(again.plan.is_empty());
}

#[test]
fn a_deleted_activation_secret_is_made_again_without_a_code() {
    let observed = Observed { activation_secret: None, ..converged() };
    let (planned, again) = twice(&observed, Takeover::default());
    assert!(
        words(&planned).contains(&"apply Secret eks-connector/eks-connector-activation-config".to_owned())
    );
    assert!(again.plan.is_empty());
}

#[test]
fn a_code_that_becomes_ours_goes_as_well_though_no_agents_tell_whose_it_is() {
    let observed = Observed { installed: None, ..official() };
    let (planned, again) = twice(&observed, ADOPT);
    let words = words(&planned);
    let active = place(&words, "wait for onprem1 to become ACTIVE");
    assert!(active < place(&words, "remove the used activation code"));
    assert!(again.plan.is_empty(), "{:?}", all_steps(&again));
}
