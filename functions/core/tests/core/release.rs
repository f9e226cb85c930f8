//! Whole releases, check by check, with a clock that is not aligned to the metrics' periods.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_core::arn::RouteArn;
use spillway_core::decision::{self, Check, Command, Look, Next, Observed};
use spillway_core::definition::{InvalidDefinition, ServiceDefinition};
use spillway_core::drift::Reading;
use spillway_core::hook::Reply;
use spillway_core::judge::Counts;
use spillway_core::judge::recording::Minute;
use spillway_core::judge::replay::{Opinion, Policy, replay};
use spillway_core::lease::Notices;
use spillway_core::metrics::{Traffic, Window};
use spillway_core::plan::{self, AlarmState, Draft, LiveRoute, Overrides, Plan, Survey};
use spillway_core::progress::Progress;
use spillway_core::route::{Action, ActionKind, Forward, WeightedGroup};
use spillway_core::targets::TargetCounts;

const ELB: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

/// A plan of this strategy and health policy.
fn planned(strategy: &Value, health: &Value) -> Plan {
    match valid(strategy, health) {
        Ok(definition) => plan_of(definition),
        Err(invalid) => panic!("{invalid}"),
    }
}

fn valid(strategy: &Value, health: &Value) -> Result<ServiceDefinition, InvalidDefinition> {
    let group = |name: &str| format!("{ELB}:targetgroup/{name}/0123456789abcdef");
    let slot = |name: &str| json!({"target_groups": [group(name)], "compute": "external"});
    let definition = json!({
        "service": "shop",
        "routes": [format!("{ELB}:listener-rule/app/shop/1/2/1")],
        "slots": {"blue": slot("blue"), "green": slot("green")},
        "strategy": strategy,
        "health": health,
    });
    ServiceDefinition::from_json(&definition.to_string())
}

fn plan_of(definition: ServiceDefinition) -> Plan {
    let groups = vec![WeightedGroup { arn: definition.slots.blue.target_groups[0].clone(), weight: 1 }];
    let actions = vec![Action { order: None, kind: ActionKind::Forward(Forward { groups, stickiness: None }) }];
    let live: Vec<LiveRoute> = definition
        .routes
        .iter()
        .map(|arn: &RouteArn| LiveRoute { arn: arn.clone(), actions: actions.clone() })
        .collect();
    let roles = plan::roles(&definition, &live, &Overrides::default()).unwrap();
    let survey = Survey {
        stable_targets: vec![TargetCounts { healthy: 2, registered: 2, ..TargetCounts::default() }],
        alarms: vec![AlarmState::Ok; definition.health.alarms.len()],
        ..Survey::default()
    };
    let version = serde_json::from_value(json!({"opaque": "2"})).ok();
    let draft =
        Draft { definition, version, overrides: Overrides::default(), roles: Some(roles), survey, refusals: vec![] };
    draft.plan().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// What happens around a release.
struct Surroundings {
    /// Requests of the service in a second.
    rate: f64,
    /// Error rates of the candidate, by second and weight, and of the stable version.
    candidate: fn(i64, f64) -> f64,
    stable: f64,
    /// Whether the candidate gets its requests in the period that begins at this second.
    served: fn(i64) -> bool,
    /// Requests at the load balancer for one of the service's, and the share of them that it fails itself.
    neighbour: (f64, f64),
    /// The alarms, if there are any.
    alarm: AlarmState,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            rate: 500.0,
            candidate: |_, _| 0.001,
            stable: 0.001,
            served: |_| true,
            neighbour: (1.0, 0.0),
            alarm: AlarmState::Ok,
        }
    }
}

/// A release that has ended: every check with its second, and the weight that each period really had.
struct Ended {
    checks: Vec<(i64, Check)>,
    weights: BTreeMap<Timestamp, f64>,
}

impl Ended {
    fn last(&self) -> &Check {
        &self.checks.last().unwrap().1
    }

    fn minutes(&self) -> i64 {
        self.checks.last().unwrap().0 / 60
    }

    fn recorded(&self) -> Vec<Minute> {
        self.checks.iter().flat_map(|(_, check)| check.evidence.minutes.clone()).collect()
    }

    fn shifts(&self) -> usize {
        self.checks.iter().filter(|(_, check)| check.next == Next::Shift).count()
    }
}

/// Releases, in a steady world: counts are what is expected, with the fractions carried on.
fn release(plan: &Plan, around: &Surroundings) -> Ended {
    let [period, check] = [plan.health.period_seconds, plan.health.check_seconds].map(i64::from);
    let mut observed = Observed::default();
    let mut carried = (0.0, 0.0);
    let counts = |requests: f64, rate: f64, carried: &mut f64| {
        *carried += requests * rate;
        let errors = carried.floor();
        *carried -= errors;
        Counts { errors, requests: requests.round() }
    };
    let mut period_at = |observed: &mut Observed, start: i64, weight: f64| {
        let requests = around.rate * period as f64;
        let candidate = counts(requests * weight, (around.candidate)(start, weight), &mut carried.0);
        let stable = counts(requests * (1.0 - weight), around.stable, &mut carried.1);
        for (side, counts, served) in
            [(&mut observed.candidate, candidate, (around.served)(start)), (&mut observed.stable, stable, true)]
        {
            if served && counts.requests > 0.0 {
                side.insert(at(start), Traffic { requests: counts.requests, answers: counts });
            }
        }
        let whole = requests * around.neighbour.0;
        let own = if start > 600 { whole * around.neighbour.1 } else { 0.0 };
        let answers = Counts { errors: own, requests: own };
        observed.load_balancers.insert(at(start), Traffic { requests: whole, answers });
    };
    for before in (1..=(3600 / period).max(1)).rev() {
        period_at(&mut observed, -before * period, 0.0);
    }
    // Seven seconds into a period.
    let begun = 7;
    let mut progress = Progress::default();
    progress.shift(plan.weight_at(0), at(begun), at(begun));
    let mut shifts = vec![(i64::MIN, 0.0), (begun, plan.weight_at(0).fraction())];
    let mut ended = Ended { checks: Vec::new(), weights: BTreeMap::new() };
    let (mut now, mut drawn) = (begun, 0);
    loop {
        now += check;
        while drawn + period <= now {
            let weight = shifts.iter().rev().find(|(from, _)| *from <= drawn).unwrap().1;
            period_at(&mut observed, drawn, weight);
            ended.weights.insert(at(drawn), weight);
            drawn += period;
        }
        let window = Window::complete(
            progress.exposed_at.unwrap(),
            at(now),
            plan.health.metric_lag_seconds,
            plan.health.period_seconds,
        );
        let mut visible = observed.clone();
        for side in [&mut visible.candidate, &mut visible.stable, &mut visible.load_balancers] {
            side.retain(|start, _| *start < window.end);
        }
        let look = Look {
            now: at(now),
            window,
            observed: Ok(visible),
            routes: plan.routes.iter().map(|route| Reading::Actions(route.left_at(progress.written()))).collect(),
            candidate_targets: Ok(vec![TargetCounts { healthy: 2, registered: 2, ..TargetCounts::default() }]),
            stable_targets: Ok(vec![TargetCounts { healthy: 2, registered: 2, ..TargetCounts::default() }]),
            alarms: Ok(vec![around.alarm; plan.health.alarms.len()]),
            command: Command::None,
            notices: Ok(Notices::default()),
            hook: Reply::default(),
            execution: "arn:aws:states:eu-west-1:123456789012:execution:spillway-release:release-1".into(),
        };
        let check = decision::check(plan, &progress, &look);
        progress = check.progress.clone();
        let next = check.next;
        ended.checks.push((now, check));
        match next {
            Next::Bake | Next::Tell | Next::Hook => {}
            Next::Shift | Next::ConsumeCommand => {
                let weight = plan.weight_at(progress.position);
                progress.shift(weight, at(now), at(now));
                shifts.push((now, weight.fraction()));
            }
            Next::Promoted | Next::RollBack => return ended,
        }
        assert!(ended.checks.len() < 20_000, "it does not end");
    }
}

fn assert_promoted(name: &str, ended: &Ended) {
    let last = ended.last();
    assert_eq!(last.next, Next::Promoted, "{name}, after {} minutes: {}", ended.minutes(), last.reason);
}

/// Whatever the lag, the periods and the times: a sound candidate is promoted, and never taken back.
#[test]
fn a_sound_candidate_is_promoted_under_every_valid_timing() {
    let mut tried = 0;
    for health in [
        json!({}),
        json!({"metric_lag_seconds": 600}),
        json!({"metric_lag_seconds": 900}),
        json!({"period_seconds": 300}),
        json!({"period_seconds": 900}),
        json!({"period_seconds": 3600}),
        json!({"check_seconds": 300}),
        json!({"period_seconds": 10, "check_seconds": 10, "metric_lag_seconds": 20, "hold_seconds": 300}),
    ] {
        for strategy in [
            json!({"type": "canary"}),
            json!({"type": "canary", "minimum_time_seconds": 60, "max_step_seconds": 120}),
            json!({"type": "canary", "max_step_seconds": 180}),
            json!({"type": "canary", "canary": {"steps": [5, 100]}}),
            json!({"type": "linear"}),
            json!({"type": "blue_green"}),
        ] {
            let name = format!("{health} {strategy}");
            // Some would be too long for their metrics or their history.
            let Ok(definition) = valid(&strategy, &health) else { continue };
            tried += 1;
            let plan = plan_of(definition);
            for rate in [500.0, 20.0] {
                let ended = release(&plan, &Surroundings { rate, ..Surroundings::default() });
                assert_promoted(&name, &ended);
                assert!(ended.shifts() <= plan.steps.len(), "{name}: taken back");
            }
        }
    }
    assert!(tried >= 40, "only {tried} are valid");
}

/// What may be nobody's fault holds, and in the end leaves it to the policy: it takes nobody back, step after step.
#[test]
fn what_is_not_about_the_candidate_takes_no_traffic_back() {
    let alarm = json!([{"arn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:x"}]);
    let without_data = Surroundings { alarm: AlarmState::InsufficientData, ..Surroundings::default() };
    let neighbour = Surroundings { neighbour: (20.0, 0.1), ..Surroundings::default() };
    for (name, health, around) in
        [("an alarm without data", json!({"alarms": alarm}), without_data), ("a neighbour", json!({}), neighbour)]
    {
        let plan = planned(&json!({"type": "canary"}), &health);
        let ended = release(&plan, &around);
        assert_promoted(name, &ended);
        assert!(ended.checks.iter().any(|(_, check)| check.progress.held_since.is_some()), "{name}: never held");
        assert!(ended.shifts() <= plan.steps.len(), "{name}: taken back");
    }
}

/// Errors in a dry run decide nothing, in no step and under no policy.
#[test]
fn errors_in_a_dry_run_decide_nothing() {
    for policy in ["advance", "rollback", "pause"] {
        let health = json!({"dry_run": ["errors", "hard_failure"], "on_inconclusive": policy});
        let around = Surroundings { candidate: |_, _| 0.2, ..Surroundings::default() };
        let ended = release(&planned(&json!({"type": "canary"}), &health), &around);
        assert_promoted(policy, &ended);
        assert!(ended.minutes() < 60, "{policy}: {} minutes", ended.minutes());
    }
}

/// Steps that grow by little are proven all the same; only from 95 % to 100 % no proof is asked for.
#[test]
fn only_promotion_from_nearly_all_goes_without_proof() {
    let strategy = json!({"type": "linear", "linear": {"increment": 5}});
    let ended = release(&planned(&strategy, &json!({"hold_seconds": 600})), &Surroundings::default());
    assert_promoted("linear", &ended);
    let unproven: Vec<f64> = ended
        .checks
        .iter()
        .filter(|(_, check)| check.next == Next::Shift && !check.reason.contains("health: e-value"))
        .map(|(_, check)| check.progress.weight.into())
        .collect();
    assert_eq!(unproven, [95.0]);
}

/// A candidate that stops getting requests is not waved through on what it did before.
#[test]
fn a_candidate_that_falls_silent_is_not_promoted() {
    let around = Surroundings { served: |second| second < 900, ..Surroundings::default() };
    let ended = release(&planned(&json!({"type": "canary"}), &json!({})), &around);
    let last = ended.last();
    assert_eq!(last.next, Next::RollBack);
    assert!(last.reason.contains("the candidate got none of"), "{}", last.reason);
}

/// A fault at half of the traffic is found there, and what is broken at once.
#[test]
fn bad_candidates_are_rolled_back() {
    for (candidate, longest) in [
        ((|_, _| 0.5) as fn(i64, f64) -> f64, 4),
        (|_, _| 0.005, 20),
        (|_, weight| if weight >= 0.5 { 0.006 } else { 0.001 }, 30),
    ] {
        let ended = release(
            &planned(&json!({"type": "canary"}), &json!({})),
            &Surroundings { candidate, ..Surroundings::default() },
        );
        assert_eq!(ended.last().next, Next::RollBack, "{}", ended.last().reason);
        assert!(ended.minutes() <= longest, "{} minutes: {}", ended.minutes(), ended.last().reason);
    }
}

/// A hold uses up none of its step.
#[test]
fn a_hold_leaves_its_step_its_time() {
    // For the first minutes a few errors more than there should be, and none after that.
    let around = Surroundings {
        rate: 50.0,
        candidate: |second, _| if (60..120).contains(&second) { 0.04 } else { 0.0 },
        ..Surroundings::default()
    };
    let health = json!({"on_inconclusive": "rollback", "hold_seconds": 3600});
    let strategy = json!({"type": "canary", "canary": {"steps": [5, 50]}, "max_step_seconds": 1800});
    let ended = release(&planned(&strategy, &health), &around);
    let held = ended.checks.iter().filter(|(_, check)| check.progress.held_since.is_some()).count() as i64;
    assert!(held > 1, "never held");
    // Nothing is proven at 5 %, so that the step lasts as long as it may, and the hold on top of it.
    assert!(ended.last().reason.contains("no proof of health within the step"), "{}", ended.last().reason);
    assert!((30 + held - 1..=30 + held + 1).contains(&ended.minutes()), "{} minutes, {held} held", ended.minutes());
}

/// The recorded minutes have the weights that they had, and judged again say what was said.
#[test]
fn a_release_is_judged_again_as_it_was_judged() {
    let plan = planned(&json!({"type": "canary"}), &json!({}));
    let ended = release(&plan, &Surroundings::default());
    let recorded = ended.recorded();
    for minute in &recorded {
        let weight = ended.weights[&minute.minute];
        // The first period began before the first shift.
        assert!(weight == 0.0 || (100.0 * weight - f64::from(minute.weight)).abs() < 1e-9, "{minute:?} was {weight}");
    }
    let judged = replay(&recorded, &Policy { before: Some(ended.last().evidence.before), ..Policy::of(&plan) });
    let by_end: BTreeMap<Timestamp, _> = judged.iter().map(|one| (one.minute, one)).collect();
    let mut compared = 0;
    for (_, check) in &ended.checks {
        let Some(last) = check.evidence.minutes.last() else { continue };
        let again = by_end[&last.minute];
        assert!((again.log_e_unhealthy.exp() / check.evidence.e_unhealthy - 1.0).abs() < 1e-9);
        assert_ne!(again.verdict, Opinion::Unhealthy);
        if again.weight == check.progress.weight && check.next == Next::Bake {
            assert!((again.log_e_healthy.exp() / check.evidence.e_healthy - 1.0).abs() < 1e-6, "{again:?}");
            compared += 1;
        }
    }
    assert!(compared >= 5, "{compared}");
}

/// Asked five times as often, it says the same of the same minutes.
#[test]
fn looking_more_often_changes_no_evidence() {
    let at_end = |check_seconds: u32| {
        let health = json!({"check_seconds": check_seconds});
        let strategy = json!({"type": "canary", "canary": {"steps": [50]}, "minimum_time_seconds": 1200, "max_step_seconds": 1800});
        let ended = release(&planned(&strategy, &health), &Surroundings::default());
        let found = ended.checks.iter().find(|(_, check)| check.evidence.periods == 10).unwrap();
        (found.1.evidence.e_unhealthy, found.1.evidence.e_unhealthy_peak)
    };
    assert_eq!(at_end(60), at_end(20));
}
