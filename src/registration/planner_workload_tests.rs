//! The planner and the options of the workload.

use super::*;

fn with(workload: Workload) -> RegisterRequest {
    RegisterRequest { workload, ..request() }
}

fn replicas(replicas: u32) -> RegisterRequest {
    with(Workload { replicas, ..Workload::default() })
}

fn plan_for(observed: &Observed, request: &RegisterRequest) -> Result<RegisterPlan, Error> {
    plan(&desired_of(observed, request), observed, "token")
}

#[test]
fn more_agents_need_a_code_or_their_state() {
    // Converged: two agents have their state, and the code is spent.
    let mut observed = converged();
    let error = plan_for(&observed, &replicas(3)).unwrap_err();
    assert_eq!((error.code, error.exit_code()), (Code::AGENTS_WITHOUT_STATE, 3));
    let said: Vec<&str> = error.facts.iter().map(|fact| fact.text.as_str()).collect();
    assert!(said[0].ends_with("do not exist: eks-connector-state-2"), "{said:?}");
    assert!(said[1].starts_with("use --replicas 2, or register anew with --renew"), "{said:?}");
    plan_for(&observed, &replicas(1)).unwrap();

    // The state of a third one, from before, is enough; that of another activation is not.
    observed.states.insert(2, "another".into());
    assert!(plan_for(&observed, &replicas(3)).is_err());
    observed.states.insert(2, NEW_ACTIVATION.into());
    plan_for(&observed, &replicas(3)).unwrap();

    // A code that can still be used is enough too, unless it has expired.
    observed.states.remove(&2);
    observed.activation_secret.as_mut().unwrap().holds_code = true;
    plan_for(&observed, &replicas(10)).unwrap();
    observed.registration.as_mut().unwrap().activation_expiry = Some(now());
    assert!(plan_for(&observed, &replicas(10)).is_err());
}

#[test]
fn without_the_first_agents_state_there_is_no_smaller_number() {
    let mut observed = converged();
    observed.states.remove(&0);
    let error = plan_of(&observed).unwrap_err();
    assert_eq!(error.code, Code::AGENTS_WITHOUT_STATE);
    assert!(error.facts[1].text.starts_with("register anew"), "{:?}", error.facts);
}

#[test]
fn what_is_no_longer_wanted_is_deleted_under_the_lease() {
    let mut observed = converged();
    let budget = ObjectRef::new(ObjectKind::PodDisruptionBudget, "eks-connector", manifest::STATEFUL_SET);
    observed.obsolete = vec![(budget.clone(), "uid-1".into())];
    let planned = plan_for(&observed, &replicas(1)).unwrap();
    let steps = all_steps(&planned);
    assert!(matches!(steps[0], Step::HoldLease { .. }), "{steps:?}");
    assert_eq!(steps[1], &Step::Remove { object: budget, uid: "uid-1".into() });
    let desired = desired_of(&observed, &replicas(1));
    let after = carry_out(&observed, &desired, steps);
    assert!(plan(&desired, &after, "token").unwrap().plan.is_empty());
}

#[test]
fn what_pods_use_goes_only_once_the_new_ones_work() {
    let map = ObjectRef::new(ObjectKind::ConfigMap, "eks-connector", "eks-connector-proxy-ca");
    for observed in [fresh(), converged()] {
        let observed = Observed { obsolete: vec![(map.clone(), "uid-1".into())], ..observed };
        let planned = plan_of(&observed).unwrap();
        let (_, removal) = planned.plan.iter().last().unwrap();
        assert_eq!(removal.step.object(), Some(&map));
        let needed = planned.plan.iter().find(|(id, _)| removal.needs == [*id]).unwrap();
        assert!(matches!(needed.1.step, Step::AwaitActive { .. }), "{needed:?}");
    }
}

#[test]
fn the_pull_secret_comes_before_the_agents_and_is_not_in_the_plan() {
    let pull_secret = manifest::PullSecret::parse(r#"{"auths":{"a.example":{"auth":"aHVzaA=="}}}"#).unwrap();
    let request = with(Workload { pull_secret: Some(pull_secret), ..Workload::default() });
    let planned = plan_for(&fresh(), &request).unwrap();
    assert!(!format!("{planned:?}").contains("aHVzaA"), "{planned:?}");
    let place = |wanted: fn(&Step) -> bool| planned.plan.iter().find(|(_, planned)| wanted(&planned.step));
    let (secret, _) = place(|step| matches!(step, Step::ApplyPullSecret(_))).expect("the Secret");
    let (_, agents) = place(|step| matches!(step, Step::ApplyOnceRegistered(OnceRegistered::StatefulSet)))
        .expect("the agents");
    assert!(agents.needs.contains(&secret));
}
