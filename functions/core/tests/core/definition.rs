use proptest::prelude::*;
use serde_json::{Value, json};
use spillway_core::arn::AlarmArn;
use spillway_core::definition::ServiceDefinition;

pub const EXAMPLE: &str = include_str!("../../definition/example.json");

fn example() -> Value {
    serde_json::from_str(EXAMPLE).unwrap()
}

/// The example with changes: a JSON pointer and what to put there, or `null` to remove it.
fn changed(changes: &[(&str, Value)]) -> String {
    let mut document = example();
    for (pointer, value) in changes {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        match document.pointer_mut(parent).unwrap() {
            Value::Object(object) if value.is_null() => {
                object.remove(field);
            }
            Value::Object(object) => {
                object.insert(field.into(), value.clone());
            }
            Value::Array(items) => items[field.parse::<usize>().unwrap()] = value.clone(),
            _ => panic!("{pointer}"),
        }
    }
    document.to_string()
}

fn problems(text: &str) -> Vec<String> {
    match ServiceDefinition::from_json(text) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.problems.iter().map(ToString::to_string).collect(),
    }
}

fn paths(text: &str) -> Vec<String> {
    match ServiceDefinition::from_json(text) {
        Ok(_) => Vec::new(),
        Err(invalid) => invalid.problems.iter().map(|problem| problem.path.clone()).collect(),
    }
}

#[test]
fn the_example_is_valid_and_survives_a_round_trip() {
    let definition = ServiceDefinition::from_json(EXAMPLE).unwrap();
    let again = ServiceDefinition::from_json(&serde_json::to_string(&definition).unwrap()).unwrap();
    assert_eq!(definition, again);
}

/// The annotated example in the documentation is the example, with comments.
#[test]
fn the_annotated_example_is_the_example() {
    let page = include_str!("../../definition/README.md");
    let block = page.split("```jsonc").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let bare: String = block
        .lines()
        .map(|line| line.split(" // ").next().unwrap_or(line))
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect();
    assert_eq!(serde_json::from_str::<Value>(&bare).unwrap(), example());
}

#[test]
fn what_has_a_default_may_be_left_out() {
    let short = changed(&[
        ("/strategy", json!({"type": "blue_green"})),
        ("/readiness", Value::Null),
        ("/health", Value::Null),
        ("/retirement", Value::Null),
    ]);
    let definition = ServiceDefinition::from_json(&short).unwrap();
    assert_eq!(definition.health.metric_lag_seconds, 120);
    assert_eq!(definition.retirement.window_seconds, 3600);
}

#[test]
fn every_problem_is_listed_at_once() {
    let text = changed(&[
        ("/service", json!("9 lives")),
        ("/routes/0", json!("arn:aws:s3:::bucket")),
        ("/slots/blue/target_groups/0", json!(7)),
        ("/slots/green/compute/ecs_service/cluster", Value::Null),
        ("/strategy/type", json!("yolo")),
        ("/strategy/canary/steps", json!([5, "x", 5, 200, {"weight": 60, "min": 3}])),
        ("/health/period_seconds", json!(7)),
        ("/health/on_inconclusive", json!("shrug")),
        ("/readiness/poll_seconds", json!(-1)),
        ("/retirement/quiet_seconds", json!(0)),
        ("/colour", json!("red")),
    ]);
    insta::assert_snapshot!(problems(&text).join("\n"));
}

#[test]
fn rules_between_fields_are_checked() {
    for (change, path) in [
        (
            vec![("/slots/green/target_groups", example()["slots"]["blue"]["target_groups"].clone())],
            "slots.green.target_groups[0]",
        ),
        (vec![("/slots/green/compute", json!("external"))], "slots.green.compute"),
        (vec![("/slots/green/compute", example()["slots"]["blue"]["compute"].clone())], "slots.green.compute"),
        (vec![("/slots/blue/target_groups", json!([]))], "slots.blue.target_groups"),
        (vec![("/routes", json!([]))], "routes"),
        (vec![("/strategy/canary/steps", json!([5, 5]))], "strategy.canary.steps[1]"),
        (vec![("/strategy/canary/steps", json!([0]))], "strategy.canary.steps[0]"),
        (vec![("/strategy/canary/steps", json!([]))], "strategy.canary.steps"),
        (vec![("/strategy/linear/increment", json!(1))], "strategy.linear.increment"),
        (vec![("/strategy/max_step_seconds", json!(10))], "strategy.max_step_seconds"),
        (vec![("/health/max_error_rate", json!(0))], "health.max_error_rate"),
        (vec![("/health/latency/quantiles", json!(["p50", "p50"]))], "health.latency.quantiles[1]"),
        (vec![("/health/latency/margin_percent", json!(1001))], "health.latency.margin_percent"),
        (vec![("/health/latency/objectives", json!({"p90": 0}))], "health.latency.objectives.p90"),
        (vec![("/health/latency/quantiles", json!(["p50"]))], "health.latency.objectives.p99"),
        (vec![("/health/metrics/0/tolerance", json!(0.5))], "health.metrics[0].tolerance"),
        (vec![("/health/metrics/0/count/dimensions", json!({"Slot": "blue"}))], "health.metrics[0].count.dimensions"),
        (vec![("/health/metrics/0/denominator/namespace", json!(" "))], "health.metrics[0].denominator.namespace"),
        (vec![("/health/metrics", json!(vec![example()["health"]["metrics"][0].clone(); 2]))], "health.metrics[1]"),
        (vec![("/health/alarms", json!(vec![example()["health"]["alarms"][0].clone(); 21]))], "health.alarms"),
        (
            vec![("/health/alarms/0/arn", json!("arn:aws:cloudwatch:us-east-1:123456789012:alarm:x"))],
            "health.alarms[0].arn",
        ),
        // Minutes are kept for 15 days.
        (
            vec![("/strategy/max_step_seconds", json!(400_000)), ("/health/check_seconds", json!(600))],
            "health.period_seconds",
        ),
        (vec![("/health/dry_run", json!(["errors", "errors"]))], "health.dry_run[1]"),
        (vec![("/readiness/warm_up_seconds", json!(3601))], "readiness.warm_up_seconds"),
        (vec![("/traffic/settle_seconds", json!(3601))], "traffic.settle_seconds"),
        (vec![("/traffic/on_split_mismatch", json!("shrug"))], "traffic.on_split_mismatch"),
        (vec![("/test_routes", json!(vec![example()["test_routes"][0].clone(); 2]))], "test_routes[1]"),
        (vec![("/test_routes", example()["routes"].clone())], "test_routes[0]"),
        (vec![("/hooks/after_step/function", json!("smoke"))], "hooks.after_step.function"),
        (vec![("/hooks/before_traffic/timeout_seconds", json!(0))], "hooks.before_traffic.timeout_seconds"),
        (vec![("/hooks/after_rollback/timeout_seconds", json!(86_401))], "hooks.after_rollback.timeout_seconds"),
        (vec![("/slots/green/price_per_hour", json!(-0.1))], "slots.green.price_per_hour"),
        (vec![("/slots/blue/price_per_hour", json!(1_000_001))], "slots.blue.price_per_hour"),
        (vec![("/hooks/provision", example()["hooks"]["after_step"].clone())], "hooks.provision"),
        (vec![("/hooks/retire", example()["hooks"]["after_step"].clone())], "hooks.retire"),
        (
            vec![
                ("/slots/blue/compute", json!("external")),
                ("/slots/green/compute", json!("external")),
                ("/hooks/provision", example()["hooks"]["after_step"].clone()),
                ("/hooks/provision/timeout_seconds", json!(86_400)),
                ("/hooks/before_traffic/timeout_seconds", json!(86_400)),
                ("/readiness/poll_seconds", json!(15)),
            ],
            "strategy.max_step_seconds",
        ),
        // A hook that is asked every second for a day has no room in a history.
        (
            vec![("/hooks/after_step/timeout_seconds", json!(86_400)), ("/health/check_seconds", json!(10))],
            "strategy.max_step_seconds",
        ),
        (
            vec![("/health/check_seconds", json!(1)), ("/strategy/max_step_seconds", json!(604_800))],
            "strategy.max_step_seconds",
        ),
    ] {
        let found = paths(&changed(&change));
        assert!(found.iter().any(|p| p == path), "{change:?}: {found:?}");
    }
}

/// A policy by itself follows the same rules; where its alarms live is not known then.
#[test]
fn a_policy_by_itself_follows_the_same_rules() {
    let definition = ServiceDefinition::from_json(EXAMPLE).unwrap();
    let (strategy, mut health) = (definition.strategy, definition.health);
    health.alarms[0].arn = AlarmArn::parse("arn:aws:cloudwatch:us-east-1:123456789012:alarm:x").unwrap();
    assert!(ServiceDefinition::check_policy(&strategy, &health).is_ok());
    health.metrics[0].tolerance = 0.0;
    let invalid = ServiceDefinition::check_policy(&strategy, &health).unwrap_err();
    assert_eq!(invalid.problems.len(), 1);
    assert_eq!(invalid.problems[0].path, "health.metrics[0].tolerance");
}

/// What is out of range is reported, and not computed with.
#[test]
fn the_largest_numbers_are_only_out_of_range() {
    let largest = json!(u32::MAX);
    let every = [
        "/health/check_seconds",
        "/health/metric_lag_seconds",
        "/health/period_seconds",
        "/health/hold_seconds",
        "/strategy/max_step_seconds",
        "/strategy/minimum_time_seconds",
        "/readiness/timeout_seconds",
        "/readiness/poll_seconds",
    ];
    let changes: Vec<(&str, Value)> = every.iter().map(|pointer| (*pointer, largest.clone())).collect();
    let found = paths(&changed(&changes));
    for pointer in every {
        let path = pointer[1..].replace('/', ".");
        assert!(found.contains(&path), "{path}: {found:?}");
    }
}

#[test]
fn what_is_not_json_or_not_an_object_is_one_clear_problem() {
    for text in ["", "{", "nonsense", "[1,2", "\u{0}"] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert!(found[0].starts_with("$: not JSON"), "{found:?}");
    }
    for text in ["[]", "null", "3", "\"x\""] {
        assert!(problems(text)[0].starts_with("$: "), "{text}");
    }
    assert_eq!(paths("{}"), ["service", "routes", "slots", "strategy"]);
}

/// The schema in the repository is the one that the types give. `SPILLWAY_BLESS=1` writes it anew.
#[cfg(feature = "schema")]
#[test]
fn the_checked_in_schema_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/definition/schema.json");
    let current = format!("{}\n", serde_json::to_string_pretty(&ServiceDefinition::json_schema()).unwrap());
    if std::env::var_os("SPILLWAY_BLESS").is_some() {
        std::fs::write(path, &current).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), current, "run the tests once with SPILLWAY_BLESS=1");
}

/// Any JSON value.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!("external")),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z_]{1,8}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Every place in a document.
fn pointers(value: &Value, here: &str, found: &mut Vec<String>) {
    found.push(here.to_owned());
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, inner)| pointers(inner, &format!("{here}/{key}"), found));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| pointers(inner, &format!("{here}/{index}"), found));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_damage_is_reported_and_never_panics(damage in prop::collection::vec((any::<prop::sample::Index>(), any_json()), 1..6)) {
        let mut document = example();
        for (place, value) in damage {
            let mut all = Vec::new();
            pointers(&document, "", &mut all);
            let pointer = all[place.index(all.len())].clone();
            *document.pointer_mut(&pointer).unwrap() = value;
        }
        if let Err(invalid) = ServiceDefinition::from_json(&document.to_string()) {
            prop_assert!(!invalid.problems.is_empty());
            for problem in &invalid.problems {
                prop_assert!(!problem.path.is_empty() && !problem.message.is_empty());
            }
        }
    }
}
