use serde_json::{Value, json};
use spillway_core::arn::{RouteArn, TargetGroupArn};
use spillway_core::definition::ServiceDefinition;
use spillway_core::definition::length::{self, MAX_HISTORY_EVENTS};
use spillway_core::metrics;
use spillway_core::plan::{self, Draft, LiveRoute, Overrides, Plan, Survey};
use spillway_core::route::{Action, ActionKind, Forward, WeightedGroup};
use spillway_core::targets::TargetCounts;
use spillway_core::weight::Percent;

const ELB: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

fn group(name: &str) -> String {
    format!("{ELB}:targetgroup/{name}/0123456789abcdef")
}

fn rule(load_balancer: &str, number: u32) -> String {
    format!("{ELB}:listener-rule/app/{load_balancer}/1/2/{number}")
}

/// A definition with two groups a slot, behind two load balancers, and a route at each.
fn definition() -> ServiceDefinition {
    let slot = |name: &str| json!({"target_groups": [group(&format!("{name}-0")), group(&format!("{name}-1"))], "compute": "external"});
    let text = json!({
        "service": "shop",
        "routes": [rule("first", 1), rule("second", 1)],
        "slots": {"blue": slot("blue"), "green": slot("green")},
        "strategy": {"type": "canary"},
    });
    ServiceDefinition::from_json(&text.to_string()).unwrap()
}

fn live(route: String, weights: &[(&str, u16)]) -> LiveRoute {
    let groups = weights
        .iter()
        .map(|(name, weight)| WeightedGroup { arn: TargetGroupArn::parse(group(name)).unwrap(), weight: *weight })
        .collect();
    let actions = vec![Action { order: None, kind: ActionKind::Forward(Forward { groups, stickiness: None }) }];
    LiveRoute { arn: RouteArn::parse(route).unwrap(), actions }
}

#[test]
fn each_position_of_the_lists_belongs_to_one_load_balancer() {
    let whole = live(rule("first", 1), &[("blue-0", 1)]);
    let cases = [
        (vec![whole.clone(), live(rule("second", 1), &[("blue-1", 1), ("green-1", 0)])], ""),
        (
            vec![whole.clone(), live(rule("second", 1), &[("blue-0", 1)])],
            "used by routes of app/first/1 and app/second/1",
        ),
        (vec![whole.clone(), live(rule("first", 2), &[("blue-0", 1)])], "slots.*.target_groups[1]: no route forwards"),
        (
            vec![whole.clone(), live(rule("second", 1), &[("blue-1", 1), ("green-0", 0)])],
            "groups of different positions",
        ),
        (vec![whole, live(rule("second", 1), &[])], "forwards to neither slot's target group"),
    ];
    for (routes, expected) in cases {
        match plan::roles(&definition(), &routes, &Overrides::default()) {
            Ok(roles) => assert!(expected.is_empty() && roles.routes.len() == 2, "{expected}"),
            Err(refused) => {
                assert!(!expected.is_empty() && refused.to_string().contains(expected), "{expected}: {refused}");
            }
        }
    }
}

#[test]
fn every_route_that_cannot_be_used_is_named() {
    let routes =
        [live(rule("first", 1), &[("stranger", 1)]), live(rule("second", 1), &[("blue-1", 1), ("stranger", 2)])];
    let refused = plan::roles(&definition(), &routes, &Overrides::default()).unwrap_err();
    assert_eq!(refused.0.len(), 2, "{refused}");
    assert!(
        refused.to_string().contains(&rule("first", 1)) && refused.to_string().contains(&rule("second", 1)),
        "{refused}"
    );
}

fn planned(overrides: Value) -> Plan {
    let routes = [live(rule("first", 1), &[("blue-0", 1)]), live(rule("second", 1), &[("blue-1", 1)])];
    let overrides: Overrides = serde_json::from_value(overrides).unwrap();
    let roles = plan::roles(&definition(), &routes, &overrides).unwrap();
    let version = serde_json::from_value(json!({"opaque": "2"})).unwrap();
    let healthy = TargetCounts { healthy: 1, registered: 1, ..TargetCounts::default() };
    let survey = Survey { stable_targets: vec![healthy; 2], ..Survey::default() };
    let draft = Draft { definition: definition(), version, overrides, roles: Some(roles), survey, refusals: vec![] };
    draft.plan().unwrap()
}

#[test]
fn a_plan_survives_the_lease_and_knows_its_weights() {
    let plan = planned(json!({}));
    assert_eq!(serde_json::from_str::<Plan>(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
    let weights: Vec<f64> = (0..7).map(|position| plan.weight_at(position).into()).collect();
    assert_eq!(weights, [1.0, 5.0, 25.0, 50.0, 95.0, 100.0, 100.0]);
    assert_eq!(planned(json!({"without_stable": "new"})).weight_at(0), Percent::ALL);
    insta::assert_json_snapshot!(plan);
}

/// The defaults fit well into one execution, and what planning allows is never more than it may have.
#[test]
fn the_longest_release_fits_into_its_history() {
    let plan = planned(json!({}));
    let events = length::worst_case_events(&plan.steps, &plan.health, plan.readiness);
    assert!((5_000..MAX_HISTORY_EVENTS).contains(&events), "{events}");
    const { assert!(MAX_HISTORY_EVENTS < 25_000) };
    // 16 events a check; longer than planned is rolled back, so this bounds it.
    let checks = plan.longest_exposure_seconds() / u64::from(plan.health.check_seconds);
    assert!(events >= 16 * checks);
    assert_eq!(plan.horizon().planned, 5 * (10 + 20));
    assert!(plan.horizon().late >= 400 * 4);
}

/// A metric that is told apart by slot alone is asked for once, however many target groups the slot has.
#[test]
fn a_metric_of_the_services_own_is_asked_for_once() {
    let plan = planned(json!({}));
    for (value, queries) in [("{slot}", 1), ("{target_group}", 2), ("{slot} at {load_balancer}", 2)] {
        let source = json!({"namespace": "Shop", "metric": "Declined", "dimensions": {"Of": value}});
        let asked = metrics::custom_queries(&plan.stable, &serde_json::from_value(source).unwrap());
        assert_eq!(asked.len(), queries, "{value}: {asked:?}");
    }
}
