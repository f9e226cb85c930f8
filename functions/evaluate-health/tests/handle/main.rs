//! The handler in an in-memory world.

/// What the gates say.
mod gates;
/// What operators and newer releases want.
mod people;
/// What comes before a promotion.
mod promotion;
/// What the rules make of it.
mod rules;
/// Whether traffic is where it was asked for.
mod traffic;

use evaluate_health::{Event, handle};
use jiff::Timestamp;
use serde_json::json;
use spillway_core::decision::gates::Finding;
use spillway_core::decision::{Check, Command};
use spillway_core::hook::Reply;
use spillway_core::plan::Plan;
use spillway_core::progress::Progress;
use spillway_core::route::{ActionKind, Stickiness};
use spillway_core::targets::TargetState;
use spillway_core::weight::Percent;
use spillway_world::{World, group, lease, plan};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 60 * minute).unwrap()
}

fn world() -> World {
    let world = World::of_shop();
    world.state().targets.insert(group("green").as_str().into(), vec![TargetState::Healthy; 2]);
    world
}

/// A minute of traffic: requests and errors of the candidate and of the stable slot.
fn minute(world: &World, minute: i64, candidate: (u32, u32), stable: (u32, u32)) {
    world.record(&group("green"), at(minute), candidate.0, candidate.1);
    world.record(&group("blue"), at(minute), stable.0, stable.1);
}

/// Exposed at minute 0, at step 0 (5 %) since then.
fn progress() -> Progress {
    Progress {
        position: 0,
        weight: Percent::whole(5),
        shifted_at: Some(at(0)),
        exposed_at: Some(at(0)),
        ..Progress::default()
    }
}

/// The same, where the measured split is not what a test is about.
fn whatever_the_split() -> Progress {
    Progress { split_overruled: true, ..progress() }
}

/// The series of a group's requests.
fn requests(name: &str) -> String {
    format!("app/shop/1 {} RequestCount Sum", group(name).dimension())
}

/// What a gate says, and its line.
fn gate<'a>(check: &'a Check, name: &str) -> (Finding, &'a str) {
    let gate = check.evidence.gates.iter().find(|gate| gate.gate == name);
    let gate = gate.unwrap_or_else(|| panic!("no gate {name} in {:?}", check.evidence.gates));
    (gate.finding, &gate.line)
}

/// The routes as the last write left them.
fn as_left(world: &World, plan: &Plan, progress: &Progress) {
    for route in &plan.routes {
        world.state().routes.insert(route.arn.as_str().into(), route.left_at(progress.written()));
    }
}

/// A check while the routes are as the release left them.
async fn look(world: &World, plan: Plan, progress: Progress, now: Timestamp) -> Check {
    as_left(world, &plan, &progress);
    look_at(world, plan, progress, now).await
}

/// A check of the world as it is.
async fn look_at(world: &World, plan: Plan, progress: Progress, now: Timestamp) -> Check {
    let event = Event { lease: lease(), plan, progress, command: Command::None, hook: Reply::default() };
    let check = handle(world, world, world, || now, event).await.unwrap();
    assert_form(&check);
    check
}

/// What every reason is, in all of these tests: what was decided and at which weight, a colon, and why, in one line; and of
/// whatever was measured what it came to and what it was held against.
fn assert_form(check: &Check) {
    let reason = &check.reason;
    let verbs = ["rolled back from", "held at", "continues at", "promoted at", "advanced from"];
    let said = verbs.into_iter().find_map(|verb| reason.strip_prefix(verb)?.strip_prefix(' '));
    let (weight, why) = said.and_then(|said| said.split_once(" %: ")).unwrap_or_else(|| panic!("{reason}"));
    assert!(weight.parse::<f64>().is_ok_and(|weight| (0.0..=100.0).contains(&weight)), "{reason}");
    assert!(!why.is_empty() && !reason.contains('\n') && !reason.ends_with('.') && why.trim() == why, "{reason}");
    for gate in check.evidence.gates.iter().filter(|gate| why.contains(&gate.line)) {
        let line = &gate.line;
        // The object comes first, and then its value.
        let value = line.find(|letter: char| letter == ':' || letter.is_ascii_digit()).unwrap_or_default();
        assert!(!line[..value].trim().is_empty() && !line[value..].trim_matches(':').is_empty(), "{line}");
        let limits: &[&str] = match &*gate.gate {
            "split" => &[", expected "],
            _ if gate.e_value.is_some() => &[" >= ", " < "],
            _ => &[""],
        };
        assert!(limits.iter().any(|limit| line.contains(limit)), "{}: {line}", gate.gate);
    }
}

fn the_plan() -> Plan {
    plan(&json!({"opaque": "2"}))
}

/// Requests a minute of the candidate and of the stable slot, all of them answered well; ten minutes.
fn flowing(candidate: u32, stable: u32) -> World {
    let world = world();
    for m in -5..0 {
        minute(&world, m, (0, 0), (candidate + stable, 0));
    }
    for m in 0..10 {
        minute(&world, m, (candidate, 0), (stable, 0));
    }
    world
}

fn sticky_plan() -> Plan {
    let mut plan = the_plan();
    plan.sticky_seconds = 600;
    for planned in &mut plan.routes {
        if let ActionKind::Forward(forward) = &mut planned.original[0].kind {
            forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(600) });
        }
    }
    plan
}
