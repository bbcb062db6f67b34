//! The planner's laws, over any world that a run may find.

use proptest::prelude::*;

use super::super::super::rights;
use super::super::super::takeover::Foreign;
use super::*;

/// Worlds that a run may find: any mixture of what exists, what is ours, and what has drifted.
fn worlds() -> impl Strategy<Value = Observed> {
    let statuses = prop_oneof![
        Just(Status::Creating),
        Just(Status::Pending),
        Just(Status::Active),
        Just(Status::Failed),
        Just(Status::Deleting),
    ];
    let registrations = proptest::option::of((statuses, any::<bool>(), any::<bool>()));
    let roles = prop_oneof![
        Just(RoleSeen::Absent),
        any::<[bool; 3]>().prop_map(|[ours, right, trusted]| RoleSeen::Present(Role {
            arn: "arn:aws:iam::111122223333:role/AmazonEKSConnectorAgentRole".into(),
            trust: if trusted {
                manifest::AGENT_TRUST.into()
            } else {
                manifest::AGENT_TRUST.replace("ssm.", "ec2.")
            },
            permissions: if right {
                Permissions::Inline(manifest::AGENT_PERMISSIONS.into())
            } else {
                Permissions::Absent
            },
            ours,
            boundary: None,
            tags: BTreeMap::new(),
        })),
    ];
    let secrets = proptest::option::of((any::<bool>(), any::<bool>()));
    let drift = proptest::collection::vec(0..3_u8, 16);
    (registrations, roles, secrets, 0..3_u32, any::<[bool; 4]>(), drift).prop_map(
        |(registered, agent_role, secret, states, [namespace, marked, linked, lease], drift)| {
            let mut observed = Observed { service_linked_role: Some(linked), agent_role, ..fresh() };
            observed.registration = registered.map(|(status, tagged, expired)| Registration {
                tags: if tagged { registration(Status::Active).tags } else { BTreeMap::new() },
                activation_expiry: Some(if expired { now() } else { now() + SignedDuration::from_hours(1) }),
                ..registration(status)
            });
            if namespace {
                observed.namespace = Some(NamespaceFacts {
                    terminating: false,
                    ours: true,
                    enforced: Some("baseline".into()),
                    state_prefix: None,
                    mark: marked.then(|| mark(ACTIVATION)),
                });
                observed.activation_secret = secret.map(|(same, holds_code)| ActivationSecretFacts {
                    mark: Some(mark(if same { ACTIVATION } else { "another" })),
                    holds_code,
                    kept_by: None,
                    resource_version: "1".into(),
                });
                observed.states = (0..states).map(|ordinal| (ordinal, ACTIVATION.to_owned())).collect();
                observed.lease = lease.then(|| intended(ARN, UID, now()));
                for (object, drift) in converged().objects.into_keys().zip(drift) {
                    let exists = object.kind == ObjectKind::Namespace;
                    let state = match drift {
                        0 if !exists => ObjectState::Absent,
                        0 | 1 => ObjectState::Differs,
                        _ => ObjectState::Same,
                    };
                    // What names an activation is known only where there is a registration.
                    let names_activation =
                        matches!(object.kind, ObjectKind::Namespace | ObjectKind::StatefulSet);
                    if !names_activation || observed.registration.is_some() {
                        observed.objects.insert(object, state);
                    }
                }
            }
            observed
        },
    )
}

/// What a connector of another tool adds to a world: its agents, and objects in the way.
fn adoptable_worlds() -> impl Strategy<Value = Observed> {
    let agents = proptest::option::of((any::<[bool; 3]>(), any::<bool>()));
    (worlds(), agents, any::<[bool; 5]>()).prop_map(
        |(mut observed, agents, [foreign_secret, kept, foreign_role, fixed_binding, token])| {
            if observed.namespace.is_none() {
                return observed;
            }
            if let Some(([ours, steady, same], prefixed)) = agents {
                let mut installed = Installed { ours, steady, ..takeover::foreign_set(ACTIVATION) };
                installed.activation_id = Some(if same { ACTIVATION } else { "another" }.to_owned());
                installed.inherited.state_prefix = prefixed.then(|| "theirs".to_owned());
                if !ours {
                    let set =
                        ObjectRef::new(ObjectKind::StatefulSet, "eks-connector", manifest::STATEFUL_SET);
                    observed.objects.insert(set, ObjectState::Differs);
                }
                observed.installed = Some(installed);
            }
            let kept_by = kept.then(|| "SealedSecret code".to_owned());
            if let Some(secret) = observed.activation_secret.as_mut().filter(|_| foreign_secret) {
                (secret.mark, secret.kept_by) = (None, kept_by.clone());
                observed.foreign.push(Foreign { object: takeover::secret(), kept_by });
            }
            if foreign_role {
                let role = ObjectRef::new(ObjectKind::Role, "eks-connector", "eks-connector-secret-access");
                observed.objects.insert(role.clone(), ObjectState::Differs);
                observed.foreign.push(Foreign { object: role, kept_by: None });
            }
            if fixed_binding {
                let binding =
                    ObjectRef::new(ObjectKind::RoleBinding, "eks-connector", "eks-connector-secret-access");
                observed.objects.insert(binding.clone(), ObjectState::Differs);
                observed.fixed.insert(binding, "uid-of-the-binding".into());
            }
            if token {
                let token = ObjectRef::new(ObjectKind::Secret, "eks-connector", "eks-connector-token");
                observed.superfluous = Some((token, "uid-of-the-token".into()));
            }
            observed
        },
    )
}

fn takeovers() -> impl Strategy<Value = Takeover> {
    (0..3_u8, any::<bool>()).prop_map(|(which, adopt)| Takeover {
        renew: which == 1,
        replace: which == 2,
        adopt,
    })
}

/// What becomes of `observed` when `planned` is executed, and the plan that follows then. A renewal is asked for once.
fn planned_again(observed: &Observed, planned: &RegisterPlan, takeover: Takeover) -> RegisterPlan {
    let asked = takeover::allowing(takeover);
    let world = carry_out(observed, &desired_of(observed, &asked), all_steps(planned));
    let asked = takeover::allowing(Takeover { renew: false, ..takeover });
    plan(&desired_of(&world, &asked), &world, "token").unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever stood there before: applying a plan and planning again gives nothing, and nothing is asked any more.
    #[test]
    fn a_plan_reaches_its_goal_whatever_stood_there_before(observed in adoptable_worlds(), takeover in takeovers()) {
        let desired = desired_of(&observed, &takeover::allowing(takeover));
        if let Ok(planned) = plan(&desired, &observed, "token") {
            let again = planned_again(&observed, &planned, takeover);
            prop_assert!(again.plan.is_empty(), "{:?}\nafter {:?}", all_steps(&again), all_steps(&planned));
            prop_assert_eq!(again.question, None);
        }
    }

    /// Whatever stood there before: every order that the needs allow ends the same.
    #[test]
    fn every_order_ends_the_same_whatever_stood_there_before(
        observed in adoptable_worlds(),
        takeover in takeovers(),
        seed in any::<u64>(),
    ) {
        let desired = desired_of(&observed, &takeover::allowing(takeover));
        if let Ok(planned) = plan(&desired, &observed, "token") {
            let one = carry_out(&observed, &desired, all_steps(&planned));
            let other = carry_out(&observed, &desired, any_order(&planned, seed));
            prop_assert_eq!(one, other);
        }
    }

    /// What is another's is touched only where that was allowed, and after a question.
    #[test]
    fn what_is_anothers_is_touched_only_when_asked(observed in adoptable_worlds(), takeover in takeovers()) {
        let desired = desired_of(&observed, &takeover::allowing(takeover));
        if let Ok(planned) = plan(&desired, &observed, "token") {
            let steps = all_steps(&planned);
            let foreign_set = observed.installed.as_ref().is_some_and(|installed| !installed.ours);
            let is_foreign = |object: &ObjectRef| {
                observed.foreign.iter().any(|foreign| foreign.object == *object)
                    || (foreign_set && object.kind == ObjectKind::StatefulSet)
            };
            if steps.iter().any(|step| step.object().is_some_and(is_foreign)) {
                prop_assert!(takeover.adopt && planned.question.is_some());
            }
            let kept = observed.activation_secret.as_ref().is_some_and(|secret| secret.kept_by.is_some());
            if kept {
                let touches = |step: &&Step| {
                    step.object() == Some(&takeover::secret()) || matches!(step, Step::SpendCode { .. } | Step::Register(_))
                };
                prop_assert!(!steps.iter().any(touches), "{steps:?}");
            }
            if steps.iter().any(|step| matches!(step, Step::Discard { .. })) {
                let registration = observed.registration.as_ref().unwrap();
                let proven = prove(registration, &observed).is_proven();
                prop_assert!(proven || takeover.replace);
                let loses_nothing = proven && registration.status != Status::Active && !takeover.renew;
                prop_assert!(loses_nothing || planned.question.is_some() || takeover.renew);
                if registration.status == Status::Active {
                    prop_assert!(planned.question.is_some() && (takeover.renew || takeover.replace));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// Applying a plan and planning again gives nothing.
    #[test]
    fn a_plan_reaches_its_goal(observed in worlds()) {
        if let Ok(planned) = plan_of(&observed) {
            let world = carry_out(&observed, &desired_of(&observed, &request()), all_steps(&planned));
            let again = plan_of(&world).unwrap();
            prop_assert!(again.plan.is_empty(), "{:?}\nafter {:?}", all_steps(&again), all_steps(&planned));
        }
    }

    /// Every order that the needs allow ends the same (`carry_out` panics where a step comes too early).
    #[test]
    fn every_order_that_the_needs_allow_ends_the_same(observed in worlds(), seed in any::<u64>()) {
        if let Ok(planned) = plan_of(&observed) {
            let desired = desired_of(&observed, &request());
            let shuffled = any_order(&planned, seed);
            let one = carry_out(&observed, &desired, all_steps(&planned));
            let other = carry_out(&observed, &desired, shuffled);
            prop_assert_eq!(one, other);
        }
    }

    /// What the API server is asked about beforehand covers what any plan does, and any of it that is missing stops the
    /// plan, named.
    #[test]
    fn every_right_that_a_plan_needs_is_checked(
        observed in adoptable_worlds(),
        takeover in takeovers(),
        pick in any::<proptest::sample::Index>(),
    ) {
        let request = takeover::allowing(takeover);
        let desired = desired_of(&observed, &request);
        if let Ok(planned) = plan(&desired, &observed, "token") {
            let asked = rights::of_changes(&request);
            let needed = rights::needed(&desired, &observed, &planned.plan);
            for need in &needed {
                for right in [Some(&need.right), need.unless.as_ref()].into_iter().flatten() {
                    prop_assert!(asked.contains(right), "{right:?} is not asked about");
                }
            }
            if !needed.is_empty() {
                let missing = pick.get(&needed);
                let denied_rights = [Some(missing.right.clone()), missing.unless.clone()];
                let denied_rights: BTreeSet<_> = denied_rights.into_iter().flatten().collect();
                let lacking = Observed { denied_rights, ..observed.clone() };
                let refused = plan(&desired, &lacking, "token").unwrap_err();
                prop_assert_eq!((refused.code, refused.exit_code()), (Code::RIGHTS_MISSING, 3));
                prop_assert!(refused.facts[0].text.contains(&missing.right.resource), "{:?}", refused.facts);
            }
        }
    }

    /// Nothing that is not ours is touched.
    #[test]
    fn no_step_for_what_is_not_ours(observed in worlds()) {
        if let Ok(planned) = plan_of(&observed) {
            for step in all_steps(&planned) {
                match step {
                    Step::Discard { .. } => {
                        let registration = observed.registration.as_ref().unwrap();
                        prop_assert!(prove(registration, &observed).is_proven());
                        prop_assert!(registration.status != Status::Active, "an ACTIVE registration is never discarded");
                    }
                    Step::PutAgentPolicy { .. } | Step::ChangeAgentRole { .. } => {
                        let ours = match &observed.agent_role {
                            RoleSeen::Present(role) => role.ours,
                            RoleSeen::Absent => true,
                            // Only one that the same run makes.
                            RoleSeen::Unreadable => all_steps(&planned)
                                .iter()
                                .any(|step| matches!(step, Step::CreateAgentRole(_))),
                        };
                        prop_assert!(ours);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// A random order of the steps that respects their needs.
fn any_order(planned: &RegisterPlan, seed: u64) -> Vec<&Step> {
    let mut left: Vec<_> = planned.plan.iter().collect();
    let mut done = Vec::new();
    let mut order = Vec::new();
    let mut random = seed;
    while !left.is_empty() {
        let ready: Vec<usize> = (0..left.len())
            .filter(|index| left[*index].1.needs.iter().all(|need| done.contains(need)))
            .collect();
        assert!(!ready.is_empty(), "the needs have a cycle");
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = ready[usize::try_from(random >> 33).unwrap() % ready.len()];
        let (id, planned) = left.remove(pick);
        done.push(id);
        order.push(&planned.step);
    }
    order
}
