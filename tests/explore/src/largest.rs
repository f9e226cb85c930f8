//! The largest release.

use serde_json::{Value, json};
use spillway_core::definition::ServiceDefinition;
use spillway_core::plan::AlarmState;

use crate::machines::HOME;
use crate::setting::{ELB, Setting, definition, setting};

/// The largest definition that planning allows, of everything the most, and with as long a hold as that leaves room for. It is
/// held in every step for as long as that lasts, since its alarms have no data.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn largest() -> Setting {
    let numbered =
        |kind: &str, number: u32| format!("{ELB}:{HOME}:{kind}/{}-{number}/{number:0>16}/{number:0>16}", "shop");
    let group = |name: &str, number: u32| format!("{ELB}:{HOME}:targetgroup/{name}/{number:0>16}");
    let groups = |name: &str| (0..10).map(|number| group(name, number)).collect::<Vec<_>>();
    let routes: Vec<String> =
        (0..10).map(|number| format!("{}/{number:0>16}", numbered("listener-rule/app", number))).collect();
    let testers: Vec<String> =
        (0..10).map(|number| format!("{}/{:0>16}", numbered("listener-rule/app", number), number + 100)).collect();
    let hook = json!({"function": format!("arn:aws:lambda:{HOME}:function:hook"), "timeout_seconds": 60});
    let mut definition = definition();
    definition["service"] = "shop".into();
    definition["routes"] = json!(routes);
    definition["test_routes"] = json!(testers);
    definition["slots"]["blue"]["target_groups"] = json!(groups("blue"));
    definition["slots"]["green"]["target_groups"] = json!(groups("green"));
    definition["hooks"] = json!({
        "before_traffic": hook, "after_step": hook, "before_promotion": hook, "after_rollback": hook,
    });
    definition["health"] = json!({
        "metric_lag_seconds": 0,
        "hold_seconds": 60,
        // As many as there is room for: the parameter store holds 8 KiB.
        "metrics": (0..2)
            .map(|at| {
                let source = json!({"namespace": "shop", "metric": "failed", "dimensions": {"slot": "{slot}"}});
                json!({"name": format!("m{at}"), "count": source, "denominator": source})
            })
            .collect::<Vec<_>>(),
        "alarms": (0..4)
            .map(|at| json!({"arn": format!("arn:aws:cloudwatch:{HOME}:alarm:{at}")}))
            .collect::<Vec<_>>(),
    });
    let weights: Vec<Value> = (1..=20).map(|step| json!({"weight": step, "max_step_seconds": 60})).collect();
    definition["strategy"]["canary"]["steps"] = weights.into();
    definition["strategy"]["minimum_time_seconds"] = 0.into();
    definition["strategy"]["adapt"] = "as_written".into();
    definition["on_conflict"] = "queue".into();
    let longest = |seconds: u32| {
        let mut definition = definition.clone();
        definition["health"]["hold_seconds"] = seconds.into();
        definition
    };
    let allowed = |seconds: u32| ServiceDefinition::from_json(&longest(seconds).to_string()).is_ok();
    let (mut low, mut high) = (60, 86_400);
    assert!(allowed(low), "{:?}", ServiceDefinition::from_json(&longest(low).to_string()));
    while high - low > 1 {
        let middle = low.midpoint(high);
        *(if allowed(middle) { &mut low } else { &mut high }) = middle;
    }
    Setting {
        definition: longest(low).to_string(),
        alarm: AlarmState::InsufficientData,
        bulky: true,
        adversities: 0,
        ..setting("the largest", |_| {})
    }
}
