//! What proves that a registration is this cluster's own.

use super::takeover::foreign_set;
use super::*;

#[test]
fn each_proof_alone_makes_a_registration_ours() {
    let bare = Registration { tags: BTreeMap::new(), ..registration(Status::Failed) };
    let prove_with = |change: fn(&mut Observed)| {
        let mut observed = Observed { registration: Some(bare.clone()), ..fresh() };
        change(&mut observed);
        prove(&bare, &observed)
    };
    assert_eq!(prove_with(|_| {}), Proof::Nothing);
    assert_eq!(
        prove_with(|o| {
            o.namespace = Some(NamespaceFacts {
                terminating: false,
                ours: true,
                enforced: None,
                mark: Some(mark(ACTIVATION)),
                state_prefix: None,
            });
        }),
        Proof::Activation
    );
    assert_eq!(
        prove_with(|o| {
            o.activation_secret = Some(ActivationSecretFacts {
                mark: Some(mark(ACTIVATION)),
                holds_code: false,
                kept_by: None,
                resource_version: "1".into(),
            });
        }),
        Proof::Activation
    );
    assert_eq!(prove_with(|o| drop(o.states.insert(1, ACTIVATION.into()))), Proof::Activation);
    assert_eq!(prove_with(|o| o.lease = Some(intended(ARN, UID, now()))), Proof::Intent);
    assert_eq!(prove_with(|o| o.lease = Some(intended("other", UID, now()))), Proof::Nothing);
    assert_eq!(prove_with(|o| o.lease = Some(intended(ARN, "other", now()))), Proof::Nothing);
    let changed = |change: fn(&mut Intent)| {
        let mut lease = intended(ARN, UID, now());
        change(lease.intent.as_mut().unwrap());
        prove(&bare, &Observed { lease: Some(lease), ..fresh() })
    };
    assert_eq!(changed(|intent| intent.role = "Another".into()), Proof::Nothing);
    assert_eq!(changed(|intent| intent.provider = "GKE".into()), Proof::Nothing);
    let later = now() + SignedDuration::from_hours(1);
    let mut observed = fresh();
    observed.lease = Some(intended(ARN, UID, later));
    assert_eq!(prove(&bare, &observed), Proof::Nothing, "made long before that intent");
    let earlier = now() - SignedDuration::from_hours(1);
    observed.lease = Some(intended(ARN, UID, earlier));
    assert_eq!(prove(&bare, &observed), Proof::Nothing, "made long after that intent");
    // However long a run takes: what counts is that it held the Lease.
    let renewed_at = Some(now());
    observed.lease = Some(LeaseFacts { renewed_at, ..intended(ARN, UID, earlier) });
    assert_eq!(prove(&bare, &observed), Proof::Intent, "made by a run that took an hour");
    assert_eq!(prove(&registration(Status::Failed), &fresh()), Proof::UidTag);
}

#[test]
fn the_agents_that_stand_there_prove_whose_a_registration_is() {
    let bare = Registration { tags: BTreeMap::new(), ..registration(Status::Active) };
    let mut observed = fresh();
    observed.installed = Some(foreign_set(ACTIVATION));
    assert_eq!(prove(&bare, &observed), Proof::Activation);
    observed.installed = Some(foreign_set("another"));
    assert_eq!(prove(&bare, &observed), Proof::Nothing);
}

pub(super) fn intended(arn: &str, uid: &str, started_at: Timestamp) -> LeaseFacts {
    let intent = Intent {
        cluster_arn: arn.into(),
        role: "AmazonEKSConnectorAgentRole".into(),
        provider: "OTHER".into(),
        request_token: "t".into(),
        cluster_uid: uid.into(),
        started_at,
    };
    let renewed_at = Some(started_at + SignedDuration::from_mins(2));
    LeaseFacts { resource_version: "1".into(), held_by: None, intent: Some(intent), renewed_at }
}
