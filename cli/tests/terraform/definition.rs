//! The definition that Terraform renders is the one that releases read.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Map, Value, json};
use spillway_core::definition::ServiceDefinition;
use spillway_end_to_end::{Scene, ended, lab};
use spillway_lab::service::Compute;
use spillway_lab::{Dials, Status};

use crate::render::Module;

const EXAMPLE: &str = include_str!("../../../functions/core/definition/example.json");

/// The service module's variables that say what this definition says.
fn variables(definition: &Value) -> Value {
    let compute = |slot: &str| match &definition["slots"][slot]["compute"] {
        Value::String(external) => json!({ external.as_str(): true }),
        other => other.clone(),
    };
    let groups = |slot: &str| definition["slots"][slot]["target_groups"].clone();
    let mut all = json!({
        "engine": {"name": "spillway"},
        "service": definition["service"],
        "compute": {"blue": compute("blue"), "green": compute("green")},
        "adopt": {
            "target_groups": {"blue": groups("blue"), "green": groups("green")},
            "routes": definition["routes"],
            "test_routes": definition.get("test_routes").unwrap_or(&json!([])),
        },
        "alarms": {"enabled": false},
        "dashboard": false,
    });
    let steps = |canary: &Value| {
        let step = |step: &Value| if step.is_number() { json!({ "weight": step }) } else { step.clone() };
        json!({"steps": canary["steps"].as_array().unwrap().iter().map(step).collect::<Vec<_>>()})
    };
    let set = all.as_object_mut().unwrap();
    for (name, value) in definition["strategy"].as_object().unwrap() {
        match name.as_str() {
            "type" => set.insert("strategy".into(), value.clone()),
            "canary" => set.insert(name.clone(), steps(value)),
            _ => set.insert(name.clone(), value.clone()),
        };
    }
    for slot in ["blue", "green"] {
        if let Some(price) = definition["slots"][slot].get("price_per_hour") {
            set.entry("price_per_hour").or_insert_with(|| json!({}))[slot] = price.clone();
        }
    }
    for name in ["readiness", "traffic", "hooks", "health", "retirement", "on_conflict"] {
        if let Some(value) = definition.get(name) {
            set.insert(name.into(), value.clone());
        }
    }
    all
}

fn rendered(planned: &Value) -> String {
    planned["outputs"]["definition"]["value"].as_str().unwrap().to_owned()
}

/// `spillway validate`, of a definition on standard input.
fn validate(definition: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_spillway"))
        .args(["validate", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(definition.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Renders what the definition says, and holds that it says the same afterwards.
fn assert_same(module: &Module, definition: &Value) -> String {
    let text = rendered(&module.plan(&variables(definition)).unwrap_or_else(|error| panic!("{error}")));
    let validated = validate(&text);
    assert!(validated.status.success(), "{text}: {validated:?}");
    let read = |text: &str| ServiceDefinition::from_json(text).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(read(&text), read(&definition.to_string()), "{text}");
    text
}

/// Every field of a definition comes through Terraform as it is, and what is left out has the same default in both.
#[test]
fn terraform_changes_no_field_and_no_default() {
    let Some(module) = Module::new("service", "fields") else { return };
    let example: Value = serde_json::from_str(EXAMPLE).unwrap();
    assert_same(&module, &example);

    let needed: Map<String, Value> =
        ["service", "routes", "slots"].iter().map(|name| ((*name).into(), example[*name].clone())).collect();
    for strategy in ["canary", "linear", "blue_green", "all_at_once"] {
        let mut least = Value::from(needed.clone());
        least["strategy"] = json!({ "type": strategy });
        assert_same(&module, &least);
    }
}

/// The numbers and words in it, by their place.
fn leaves(place: &str, value: &Value, into: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(&format!("{place}/{name}"), value, into));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| leaves(&format!("{place}/{index}"), value, into));
        }
        leaf => drop(into.insert(place.to_owned(), leaf.clone())),
    }
}

/// The example shows the defaults: one in which nothing is as by default shows that every field is passed on.
#[test]
fn terraform_passes_on_every_field() {
    let Some(module) = Module::new("service", "passing") else { return };
    let mut definition: Value = serde_json::from_str(EXAMPLE).unwrap();
    let step = |weight: f64| json!({"weight": weight, "minimum_time_seconds": 61, "max_step_seconds": 601});
    let alarm =
        json!({"arn": definition["health"]["alarms"][0]["arn"], "on_insufficient_data": "rollback", "dry_run": true});
    let mut metric = definition["health"]["metrics"][0].clone();
    metric["tolerance"] = json!(1.5);
    for (name, value) in [
        (
            "strategy",
            json!({
                "type": "linear", "canary": {"steps": [step(2.5), step(10.0), step(30.0), step(60.0), step(90.0)]},
                "linear": {"increment": 47.5}, "minimum_time_seconds": 60, "max_step_seconds": 300, "adapt": "as_written",
                "approval_at": [0, 47.5],
            }),
        ),
        (
            "readiness",
            json!({"timeout_seconds": 900, "poll_seconds": 20, "minimum_healthy_percent": 50, "warm_up_seconds": 30}),
        ),
        ("traffic", json!({"settle_seconds": 30, "on_split_mismatch": "continue"})),
        (
            "health",
            json!({
                "period_seconds": 120, "check_seconds": 90, "metric_lag_seconds": 100, "hold_seconds": 700,
                "on_inconclusive": "pause", "max_error_rate": 2.5, "dry_run": ["hosts", "latency"], "alarms": [alarm],
                "metrics": [metric],
                "latency": {
                    "quantiles": ["p99", "p50"], "objectives": {"p50": 0.1, "p99": 0.8}, "margin_percent": 20,
                    "floor_milliseconds": 1,
                },
            }),
        ),
        ("retirement", json!({"window_seconds": 1800, "quiet_seconds": 200})),
        ("on_conflict", json!("supersede")),
    ] {
        definition[name] = value;
    }
    for (point, seconds) in
        [("before_traffic", 60), ("after_step", 61), ("before_promotion", 62), ("after_rollback", 63)]
    {
        definition["hooks"][point]["timeout_seconds"] = seconds.into();
    }

    definition["slots"]["blue"]["price_per_hour"] = json!(0.5);
    definition["slots"]["green"]["price_per_hour"] = json!(12);

    let mut least = definition.clone();
    for name in ["readiness", "traffic", "hooks", "health", "retirement", "on_conflict"] {
        least.as_object_mut().unwrap().remove(name);
    }
    least["strategy"] = json!({ "type": "canary" });
    let [mut theirs, mut defaults] = [BTreeMap::new(), BTreeMap::new()];
    for (definition, all) in [(&definition, &mut theirs), (&least, &mut defaults)] {
        let read = ServiceDefinition::from_json(&definition.to_string()).unwrap_or_else(|error| panic!("{error}"));
        let mut value = serde_json::to_value(read).unwrap();
        let named = value.as_object_mut().unwrap();
        named.retain(|name, _| !["service", "routes", "slots", "test_routes"].contains(&name.as_str()));
        leaves("", &value, all);
    }
    let as_by_default: Vec<&String> =
        theirs.iter().filter(|(place, leaf)| defaults.get(*place) == Some(*leaf)).map(|(place, _)| place).collect();
    assert!(as_by_default.is_empty(), "{as_by_default:?}");
    assert!(
        defaults.keys().all(|place| theirs.contains_key(place) || place.starts_with("/health/latency/quantiles")),
        "{defaults:?}"
    );
    assert_same(&module, &definition);

    // Only external compute is scaled by the service's own function.
    for slot in ["blue", "green"] {
        definition["slots"][slot]["compute"] = "external".into();
    }
    for point in ["provision", "retire"] {
        definition["hooks"][point] = definition["hooks"]["after_rollback"].clone();
        definition["hooks"][point]["timeout_seconds"] = 64.into();
    }
    assert_same(&module, &definition);
}

/// The definitions that the lab runs, in every form that it has, and a release with the one that Terraform rendered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lab_runs_the_definition_that_terraform_renders() {
    let Some(module) = Module::new("service", "lab") else { return };
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let groups = lab.service("groups").compute(Compute::AutoScaling).test_route().start().await.unwrap();
    let others =
        lab.service("others").compute(Compute::External).load_balancers(2).default_action().start().await.unwrap();
    for service in [&scene.shop, &groups, &others] {
        let text = assert_same(&module, &service.definition());
        service.put_definition(&serde_json::from_str(&text).unwrap()).await.unwrap();
    }
    let image = scene.shop.publish_image("v2", Dials::version("v2"));
    let outcome = ended(&scene.start(&json!({ "image": image })).await).await;
    assert_eq!(outcome.status, Status::Succeeded, "{outcome:?}");
    lab.stop().await;
}

/// What the reader refuses, Terraform refuses before it is written, and what it accepts, Terraform writes: at each side of
/// the limits that are worked out of several fields.
#[test]
fn terraform_refuses_what_the_reader_refuses() {
    let Some(module) = Module::new("service", "limits") else { return };
    let mut example: Value = serde_json::from_str(EXAMPLE).unwrap();
    example["strategy"]["canary"] = json!({"steps": [1, 5, 25, 50, 95]});
    let accepts = |definition: &Value| ServiceDefinition::from_json(&definition.to_string()).is_ok();

    let cases: [(&str, Value); 6] = [
        ("canary, by its history", json!({})),
        (
            "linear, by its history",
            json!({"/strategy/type": "linear", "/strategy/linear/increment": 7.5, "/hooks": {}, "/health/check_seconds": 120}),
        ),
        ("blue_green, by its history", json!({"/strategy/type": "blue_green", "/readiness/warm_up_seconds": 600})),
        ("without hooks", json!({"/hooks": {}, "/readiness/poll_seconds": 7})),
        (
            "by how long metrics are kept",
            json!({"/strategy/type": "blue_green", "/health/period_seconds": 10, "/health/check_seconds": 120, "/hooks": {}}),
        ),
        (
            "by the machine's own time-out",
            json!({"/strategy/type": "all_at_once", "/health/period_seconds": 300, "/health/check_seconds": 700, "/hooks": {}, "/strategy/max_step_seconds": 0}),
        ),
    ];
    for (name, changes) in cases {
        let mut definition = example.clone();
        for (pointer, value) in changes.as_object().unwrap() {
            *definition.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = value.clone();
        }
        let with = |seconds: u32| {
            let mut changed = definition.clone();
            changed["strategy"]["max_step_seconds"] = seconds.into();
            changed
        };
        // The longest time of a step that is just accepted.
        let (mut accepted, mut refused) = (180, 604_801);
        assert!(accepts(&with(accepted)) && !accepts(&with(refused)), "{name}");
        while refused - accepted > 1 {
            let middle = accepted.midpoint(refused);
            if accepts(&with(middle)) { accepted = middle } else { refused = middle }
        }
        assert_same(&module, &with(accepted));
        let told = module.plan(&variables(&with(refused))).err();
        assert!(told.is_some(), "{name}: {refused} s are refused, and Terraform takes them");
        assert!(!validate(&with(refused).to_string()).status.success(), "{name}");
    }
}
