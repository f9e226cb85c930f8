//! Laws of the conversion between the API's actions and the domain's.

use aws_sdk_elasticloadbalancingv2::types::{self as api, builders as build};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use spillway_aws::load_balancer::actions::{from_api, to_api};
use spillway_core::arn::TargetGroupArn;
use spillway_core::route::{
    Action, ActionKind, AuthenticateCognito, AuthenticateOidc, FixedResponse, Forward, Groups, JwtClaim, JwtValidation,
    Redirect, Session, Stickiness, WeightedGroup, same, with_all_on_stable, with_split,
};
use spillway_core::weight::Percent;

const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup";

fn text() -> impl Strategy<Value = String> + Clone {
    "[ -~]{0,20}"
}

fn group() -> impl Strategy<Value = WeightedGroup> {
    ("[a-z]{1,9}", "[0-9a-f]{16}", 0..=999_u16).prop_map(|(name, id, weight)| WeightedGroup {
        arn: TargetGroupArn::parse(format!("{ARN}/{name}/{id}")).unwrap(),
        weight,
    })
}

fn forward() -> impl Strategy<Value = ActionKind> {
    // Off and without a duration is read as none: see below.
    let stickiness = (any::<bool>(), of(1..=604_800_i32))
        .prop_map(|(enabled, duration_seconds)| Stickiness { enabled, duration_seconds })
        .prop_filter("says something", |stickiness| stickiness.enabled || stickiness.duration_seconds.is_some());
    (vec(group(), 1..=5), of(stickiness))
        .prop_map(|(groups, stickiness)| ActionKind::Forward(Forward { groups, stickiness }))
}

fn session() -> impl Strategy<Value = Session> {
    let behaviours = select(vec!["allow".to_owned(), "authenticate".to_owned(), "deny".to_owned()]);
    (of(text()), of(text()), of(any::<i64>()), btree_map(text(), text(), 0..3), of(behaviours)).prop_map(
        |(session_cookie_name, scope, session_timeout, authentication_request_extra_params, on_request)| Session {
            session_cookie_name,
            scope,
            session_timeout,
            authentication_request_extra_params,
            on_unauthenticated_request: on_request,
        },
    )
}

fn oidc() -> impl Strategy<Value = ActionKind> {
    ([text(), text(), text(), text(), text()], session()).prop_map(|(texts, session)| {
        let [issuer, authorization_endpoint, token_endpoint, user_info_endpoint, client_id] = texts;
        ActionKind::AuthenticateOidc(AuthenticateOidc {
            issuer,
            authorization_endpoint,
            token_endpoint,
            user_info_endpoint,
            client_id,
            session,
        })
    })
}

fn cognito() -> impl Strategy<Value = ActionKind> {
    ([text(), text(), text()], session()).prop_map(
        |([user_pool_arn, user_pool_client_id, user_pool_domain], session)| {
            ActionKind::AuthenticateCognito(AuthenticateCognito {
                user_pool_arn,
                user_pool_client_id,
                user_pool_domain,
                session,
            })
        },
    )
}

fn jwt() -> impl Strategy<Value = ActionKind> {
    let formats = select(vec!["single-string", "string-array", "space-separated-values"]);
    let claim = (formats, text(), vec(text(), 0..3)).prop_map(|(format, name, values)| JwtClaim {
        format: format.into(),
        name,
        values,
    });
    (text(), text(), vec(claim, 0..3)).prop_map(|(jwks_endpoint, issuer, additional_claims)| {
        ActionKind::JwtValidation(JwtValidation { jwks_endpoint, issuer, additional_claims })
    })
}

fn redirect() -> impl Strategy<Value = ActionKind> {
    let parts = [of(text()), of(text()), of(text()), of(text()), of(text())];
    (parts, select(vec!["HTTP_301", "HTTP_302"])).prop_map(|([protocol, port, host, path, query], status)| {
        ActionKind::Redirect(Redirect { protocol, port, host, path, query, status_code: status.into() })
    })
}

fn fixed_response() -> impl Strategy<Value = ActionKind> {
    (text(), of(text()), of(text())).prop_map(|(status_code, message_body, content_type)| {
        ActionKind::FixedResponse(FixedResponse { status_code, message_body, content_type })
    })
}

fn action() -> impl Strategy<Value = Action> {
    let kind = prop_oneof![forward(), oidc(), cognito(), jwt(), redirect(), fixed_response()];
    (of(1..=50_000_i32), kind).prop_map(|(order, kind)| Action { order, kind })
}

proptest! {
    #[test]
    fn writing_and_reading_changes_nothing(actions in vec(action(), 0..5)) {
        prop_assert_eq!(from_api(&to_api(&actions)), Ok(actions));
    }
}

/// Actions as the API tells them, without what a release may change: the slots' two groups. The short form of a forward
/// says no more than the long one, a stickiness that is off no more than none, and the client secret is kept by name.
fn apart_from_the_slots(actions: &[api::Action]) -> Vec<api::Action> {
    let mut rest = actions.to_vec();
    for action in &mut rest {
        action.target_group_arn = None;
        if let Some(oidc) = &mut action.authenticate_oidc_config {
            oidc.use_existing_client_secret = None;
        }
        if action.r#type == Some(api::ActionTypeEnum::Forward) {
            let config = action.forward_config.get_or_insert_with(|| api::ForwardActionConfig::builder().build());
            let slots = |group: &api::TargetGroupTuple| {
                group
                    .target_group_arn()
                    .is_some_and(|arn| ["blue", "green"].iter().any(|slot| arn.contains(&format!("/{slot}/"))))
            };
            config.target_groups.get_or_insert_default().retain(|group| !slots(group));
        }
    }
    rest
}

/// Actions as somebody may have made them: others around one forward to blue, in the short form where that can be.
fn route() -> impl Strategy<Value = Vec<api::Action>> {
    let others = prop_oneof![oidc(), cognito(), jwt()];
    let others = vec((of(1..=50_000_i32), others).prop_map(|(order, kind)| Action { order, kind }), 0..3);
    let stickiness =
        of((1..=604_800_i32).prop_map(|seconds| Stickiness { enabled: true, duration_seconds: Some(seconds) }));
    let rest = vec(group().prop_map(|group| WeightedGroup { weight: 0, ..group }), 0..4);
    (others, of(1..=50_000_i32), stickiness, rest, any::<bool>()).prop_map(
        |(others, order, stickiness, rest, short)| {
            let blue = WeightedGroup { arn: slot("blue"), weight: 1 };
            let alone = rest.is_empty() && stickiness.is_none();
            let groups = std::iter::once(blue).chain(rest).collect();
            let kind = ActionKind::Forward(Forward { groups, stickiness });
            let mut actions = to_api(&[others, vec![Action { order, kind }]].concat());
            if let (true, true, Some(forward)) = (short, alone, actions.last_mut()) {
                forward.forward_config = None;
                forward.target_group_arn = Some(slot("blue").as_str().into());
            }
            actions
        },
    )
}

fn slot(name: &str) -> TargetGroupArn {
    TargetGroupArn::parse(format!("{ARN}/{name}/0123456789abcdef")).unwrap()
}

proptest! {
    /// From the API's answer to the API's request, through a shift and a rollback: nothing else changes.
    #[test]
    fn an_edit_changes_nothing_but_the_slots_groups(told in route(), tenths in 0..=1000_u16) {
        let (stable, candidate) = (slot("blue"), slot("green"));
        let groups = Groups { stable: &stable, candidate: &candidate };
        let original = from_api(&told).unwrap();
        let share = Percent::try_from(f64::from(tenths) / 10.0).unwrap();
        let shifted = to_api(&with_split(&original, groups, share.split()).unwrap());
        prop_assert_eq!(apart_from_the_slots(&shifted), apart_from_the_slots(&told));
        let live = from_api(&shifted).unwrap();
        prop_assert!(same(&live, &with_split(&original, groups, share.split()).unwrap()), "it reads as it was written");
        let back = to_api(&with_all_on_stable(&live, &original, groups).unwrap());
        prop_assert_eq!(apart_from_the_slots(&back), apart_from_the_slots(&told));
    }
}

fn short_forward(arn: &str) -> build::ActionBuilder {
    api::Action::builder().r#type(api::ActionTypeEnum::Forward).target_group_arn(arn)
}

#[test]
fn the_short_form_of_a_forward_is_one_group_of_weight_one() {
    let arn = format!("{ARN}/a/0123");
    let group = WeightedGroup { arn: TargetGroupArn::parse(arn.as_str()).unwrap(), weight: 1 };
    let expected =
        vec![Action { order: Some(3), kind: ActionKind::Forward(Forward { groups: vec![group], stickiness: None }) }];
    let unweighted = api::TargetGroupTuple::builder().target_group_arn(&arn).build();
    let long = api::ForwardActionConfig::builder().target_groups(unweighted).build();
    let both = short_forward(&arn).forward_config(long.clone());
    let long = api::Action::builder().r#type(api::ActionTypeEnum::Forward).forward_config(long);
    for form in [short_forward(&arn), long, both] {
        assert_eq!(from_api(&[form.order(3).build()]), Ok(expected.clone()));
    }
}

#[test]
fn stickiness_that_is_off_reads_like_none() {
    let arn = format!("{ARN}/a/0123");
    let off = api::TargetGroupStickinessConfig::builder().enabled(false).build();
    let mut config = forward_config(&arn);
    config.target_group_stickiness_config = Some(off);
    let explicit = short_forward(&arn).forward_config(config).build();
    assert_eq!(from_api(&[explicit]), from_api(&[short_forward(&arn).build()]));
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let arn = format!("{ARN}/a/0123");
    let group = |weight| api::TargetGroupTuple::builder().target_group_arn(&arn).weight(weight).build();
    let forward_to = |group| {
        let config = api::ForwardActionConfig::builder().target_groups(group).build();
        api::Action::builder().r#type(api::ActionTypeEnum::Forward).forward_config(config)
    };
    let redirect = |status: &str| {
        let config = api::RedirectActionConfig::builder().status_code(status.into()).build();
        api::Action::builder().r#type(api::ActionTypeEnum::Redirect).redirect_config(config)
    };
    let cases = [
        (api::Action::builder().r#type("teleport".into()), "type teleport is not known"),
        (api::Action::builder(), "Type is missing"),
        (api::Action::builder().r#type(api::ActionTypeEnum::Forward), "names no target group"),
        (short_forward("arn:aws:s3:::x"), "target group arn:aws:s3:::x: not a target group ARN"),
        (short_forward(&arn).forward_config(forward_config(&format!("{ARN}/b/4567"))), "is not in ForwardConfig"),
        (forward_to(group(-1)), "weight Some(-1) is out of range"),
        (redirect("HTTP_399"), "redirect status HTTP_399 is not known"),
        (redirect("HTTP_301").target_group_arn(&arn), "its type is redirect, and it has a configuration for forward"),
    ];
    for (action, why) in cases {
        let problem = from_api(&[action.build()]).unwrap_err().to_string();
        assert!(problem.contains(why), "{problem}");
    }
}

fn forward_config(arn: &str) -> api::ForwardActionConfig {
    let group = api::TargetGroupTuple::builder().target_group_arn(arn).build();
    api::ForwardActionConfig::builder().target_groups(group).build()
}
