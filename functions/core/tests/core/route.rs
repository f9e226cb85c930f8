use proptest::option::of;
use proptest::prelude::*;
use spillway_core::arn::TargetGroupArn;
use spillway_core::route::{
    Action, ActionKind, AuthenticateCognito, AuthenticateOidc, FixedResponse, Forward, Groups, JwtClaim, JwtValidation,
    Redirect, Session, Stickiness, UneditableRoute, WeightedGroup, forward, same, with_all_on_stable, with_attached,
    with_split,
};
use spillway_core::weight::Percent;

fn group(name: &str) -> TargetGroupArn {
    TargetGroupArn::parse(format!(
        "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{name}/0123456789abcdef"
    ))
    .unwrap()
}

fn forwarding(weights: &[(&str, u16)]) -> Vec<Action> {
    let groups = weights.iter().map(|(name, weight)| WeightedGroup { arn: group(name), weight: *weight }).collect();
    vec![Action { order: Some(1), kind: ActionKind::Forward(Forward { groups, stickiness: None }) }]
}

fn weights(actions: &[Action]) -> Vec<(String, u16)> {
    forward(actions).unwrap().groups.iter().map(|g| (g.arn.name().to_owned(), g.weight)).collect()
}

#[test]
fn sets_weights_and_attaches_what_is_missing() {
    let (blue, green) = (group("blue"), group("green"));
    let groups = Groups { stable: &blue, candidate: &green };
    let shifted = with_split(&forwarding(&[("blue", 1)]), groups, Percent::ZERO.split()).unwrap();
    assert_eq!(weights(&shifted), [("blue".to_owned(), 100), ("green".to_owned(), 0)]);
    let shifted = with_split(&shifted, groups, Percent::try_from(2.5).unwrap().split()).unwrap();
    assert_eq!(weights(&shifted), [("blue".to_owned(), 975), ("green".to_owned(), 25)]);
    let shifted = with_split(&forwarding(&[("green", 1)]), groups, Percent::HALF.split()).unwrap();
    assert_eq!(weights(&shifted), [("green".to_owned(), 50), ("blue".to_owned(), 50)]);
    assert_eq!(
        with_split(&forwarding(&[("a", 1)]), groups, Percent::ZERO.split()),
        Err(UneditableRoute::NeitherSlot(blue.clone(), green.clone()))
    );
    assert_eq!(
        with_split(&forwarding(&[("blue", 1), ("a", 0), ("b", 0), ("c", 0), ("d", 0)]), groups, Percent::ZERO.split()),
        Err(UneditableRoute::Full)
    );
    assert_eq!(with_split(&[], groups, Percent::ZERO.split()), Err(UneditableRoute::NoForward));
}

#[test]
fn rolls_back_from_any_state() {
    let (blue, green) = (group("blue"), group("green"));
    let groups = Groups { stable: &blue, candidate: &green };
    let original = forwarding(&[("blue", 1)]);
    for (live, expected) in [
        (forwarding(&[("blue", 95), ("green", 5)]), vec![("blue", 1), ("green", 0)]),
        (forwarding(&[("blue", 0), ("green", 100)]), vec![("blue", 1), ("green", 0)]),
        (forwarding(&[("green", 100)]), vec![("green", 0), ("blue", 1)]),
        // What a stranger's group gets of the whole stays what it is.
        (forwarding(&[("blue", 3), ("stranger", 4), ("green", 5)]), vec![("blue", 8), ("stranger", 4), ("green", 0)]),
        (
            forwarding(&[("blue", 900), ("stranger", 4), ("green", 900)]),
            vec![("blue", 999), ("stranger", 4), ("green", 0)],
        ),
    ] {
        let after = with_all_on_stable(&live, &original, groups).unwrap();
        let expected: Vec<(String, u16)> = expected.into_iter().map(|(n, w)| (n.to_owned(), w)).collect();
        assert_eq!(weights(&after), expected);
    }
    assert_eq!(with_all_on_stable(&[], &original, groups), Err(UneditableRoute::NoForward));
    // Both had traffic before the release: all of it goes to the stable slot all the same.
    let after = with_all_on_stable(
        &forwarding(&[("blue", 5), ("green", 95)]),
        &forwarding(&[("blue", 60), ("green", 40)]),
        groups,
    )
    .unwrap();
    assert_eq!(weights(&after), [("blue".to_owned(), 100), ("green".to_owned(), 0)]);
}

fn text() -> impl Strategy<Value = String> {
    "[ -~]{0,16}"
}

fn session() -> impl Strategy<Value = Session> {
    (of(text()), of(text()), of(any::<i64>()), prop::collection::btree_map(text(), text(), 0..3), of(text())).prop_map(
        |(
            session_cookie_name,
            scope,
            session_timeout,
            authentication_request_extra_params,
            on_unauthenticated_request,
        )| Session {
            session_cookie_name,
            scope,
            session_timeout,
            authentication_request_extra_params,
            on_unauthenticated_request,
        },
    )
}

fn other_kind() -> impl Strategy<Value = ActionKind> {
    prop_oneof![
        (text(), text(), text(), text(), text(), session()).prop_map(
            |(issuer, authorization_endpoint, token_endpoint, user_info_endpoint, client_id, session)| {
                ActionKind::AuthenticateOidc(AuthenticateOidc {
                    issuer,
                    authorization_endpoint,
                    token_endpoint,
                    user_info_endpoint,
                    client_id,
                    session,
                })
            }
        ),
        (text(), text(), text(), session()).prop_map(
            |(user_pool_arn, user_pool_client_id, user_pool_domain, session)| {
                ActionKind::AuthenticateCognito(AuthenticateCognito {
                    user_pool_arn,
                    user_pool_client_id,
                    user_pool_domain,
                    session,
                })
            }
        ),
        (text(), text(), prop::collection::vec((text(), text(), prop::collection::vec(text(), 0..3)), 0..3)).prop_map(
            |(jwks_endpoint, issuer, claims)| {
                let additional_claims =
                    claims.into_iter().map(|(format, name, values)| JwtClaim { format, name, values }).collect();
                ActionKind::JwtValidation(JwtValidation { jwks_endpoint, issuer, additional_claims })
            }
        ),
        (of(text()), of(text()), text()).prop_map(|(host, path, status_code)| {
            ActionKind::Redirect(Redirect { protocol: None, port: None, host, path, query: None, status_code })
        }),
        (text(), of(text())).prop_map(|(status_code, message_body)| {
            ActionKind::FixedResponse(FixedResponse { status_code, message_body, content_type: None })
        }),
    ]
}

/// A route as someone may have made it: other actions around one forward with both slots or one, and others' groups at rest.
fn route() -> impl Strategy<Value = Vec<Action>> {
    let stickiness = of((any::<bool>(), of(1..604_800_i32))
        .prop_map(|(enabled, duration_seconds)| Stickiness { enabled, duration_seconds }));
    let forward =
        (1..=999_u16, of(0..=999_u16), 0..=2_usize, stickiness).prop_map(|(blue, green, others, stickiness)| {
            let mut groups = vec![WeightedGroup { arn: group("blue"), weight: blue }];
            groups.extend(green.map(|weight| WeightedGroup { arn: group("green"), weight }));
            groups.extend((0..others).map(|n| WeightedGroup { arn: group(&format!("other{n}")), weight: 0 }));
            ActionKind::Forward(Forward { groups, stickiness })
        });
    (prop::collection::vec((of(1..50_i32), other_kind()), 0..3), of(1..50_i32), forward).prop_map(
        |(others, order, forward)| {
            let mut actions: Vec<Action> = others.into_iter().map(|(order, kind)| Action { order, kind }).collect();
            actions.push(Action { order, kind: forward });
            actions
        },
    )
}

/// The actions without the slots' groups.
fn without_slots(actions: &[Action]) -> Vec<Action> {
    let mut rest = actions.to_vec();
    for action in &mut rest {
        if let ActionKind::Forward(forward) = &mut action.kind {
            forward.groups.retain(|g| !["blue", "green"].contains(&g.arn.name()));
        }
    }
    rest
}

proptest! {
    #[test]
    fn only_weights_change(actions in route(), tenths in 0..=1000_u16) {
        let (blue, green) = (group("blue"), group("green"));
        let groups = Groups { stable: &blue, candidate: &green };
        let share = Percent::try_from(f64::from(tenths) / 10.0).unwrap();
        let sticky = forward(&actions).unwrap().sticky_seconds() > 0;
        let shifted = with_split(&actions, groups, share.split()).unwrap();
        prop_assert_eq!(without_slots(&shifted), without_slots(&actions));
        let live = forward(&shifted).unwrap();
        let stable = (!sticky || share < Percent::ALL).then_some(share.split().stable);
        prop_assert_eq!((live.weight(&blue), live.weight(&green)), (stable, Some(share.split().candidate)));
        // The groups that were there stay in their order.
        let order = |actions: &[Action]| -> Vec<TargetGroupArn> {
            let kept = |arn: &&TargetGroupArn| live.weight(arn).is_some();
            forward(actions).unwrap().groups.iter().map(|g| &g.arn).filter(kept).cloned().collect()
        };
        let before = order(&actions);
        let after: Vec<TargetGroupArn> = order(&shifted).into_iter().filter(|arn| before.contains(arn)).collect();
        prop_assert_eq!(after, before);
        // Setting absolute weights twice is setting them once.
        prop_assert_eq!(&with_split(&shifted, groups, share.split()).unwrap(), &shifted);
        prop_assert!(same(&shifted, &shifted));

        let back = with_all_on_stable(&shifted, &actions, groups).unwrap();
        prop_assert_eq!(without_slots(&back), without_slots(&actions));
        let live = forward(&back).unwrap();
        prop_assert!(live.weight(&blue) > Some(0));
        prop_assert_eq!(live.weight(&green), (!sticky).then_some(0));
        prop_assert_eq!(&with_all_on_stable(&back, &actions, groups).unwrap(), &back);
        let attached = with_attached(&back, &green, &blue).unwrap();
        prop_assert_eq!(without_slots(&attached), without_slots(&actions));
        prop_assert_eq!(forward(&attached).unwrap().weight(&green), Some(0));
    }

    /// Whatever differs is a difference, but for the order of a forward's groups.
    #[test]
    fn what_is_the_same_is_told(one in route(), other in route(), weight in 1..=999_u16) {
        prop_assert_eq!(same(&one, &other), one == other);
        let mut turned = one.clone();
        let mut changed = one.clone();
        for (turned, changed) in turned.iter_mut().zip(&mut changed) {
            if let (ActionKind::Forward(turned), ActionKind::Forward(changed)) = (&mut turned.kind, &mut changed.kind) {
                turned.groups.reverse();
                changed.groups[0].weight = weight;
            }
        }
        prop_assert!(same(&one, &turned));
        prop_assert_eq!(same(&one, &changed), one == changed);
    }

    #[test]
    fn actions_survive_json(actions in route()) {
        let text = serde_json::to_string(&actions).unwrap();
        prop_assert_eq!(serde_json::from_str::<Vec<Action>>(&text).unwrap(), actions);
    }
}
