//! What is explored: services, releases, and what may come between.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use spillway_asl::items::Items;
use spillway_core::arn::TargetGroupArn;
use spillway_core::route::{Action, ActionKind, Forward, Stickiness, WeightedGroup};
use spillway_core::slot::Slot;

use crate::cloud::{Capacity, Cloud};
use crate::machines::{HOME, MachineName, Machines};
use crate::steps;
use crate::universe::{Adversities, Universe};

/// The ending of a release without adversity, and with a call that fails once.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    /// `Promoted`.
    Promoted,
    /// A Fail of this name.
    Failed(&'static str),
}

/// The execution that may come at any time.
#[derive(Clone, Debug)]
pub enum Second {
    /// A release with this input.
    Release(Value),
    /// An undo of the latest promoted one.
    Undo,
}

/// What is explored.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// The service's definition, as text.
    pub definition: String,
    /// The release's input.
    pub input: Value,
    /// How it ends if nothing grave happens.
    pub ending: Ending,
    /// Whether the candidate is sick.
    pub sick: bool,
    /// How many things go wrong on one way.
    pub adversities: u8,
    /// The execution that may come at any time.
    pub second: Option<Second>,
    /// Whether strangers may change routes and leases.
    pub strangers: bool,
    /// Slots whose tasks may fail their health checks.
    pub mortal: &'static [Slot],
    /// Words that an operator may say.
    pub commands: &'static [&'static str],
    /// What hooks answer.
    pub hook: Value,
    /// Whether guards hear of ends, or not.
    pub events: bool,
    /// Whether an operator approves whatever waits for that.
    pub approves: bool,
    /// Whether clients stick to a slot.
    pub sticky: bool,
}

const ELB: &str = "arn:aws:elasticloadbalancing";

fn group(name: &str) -> String {
    format!("{ELB}:{HOME}:targetgroup/{name}/0123456789abcdef")
}

fn route(number: u32) -> String {
    format!("{ELB}:{HOME}:listener-rule/app/shop/1/2/{number}")
}

/// The release's input.
#[must_use]
pub fn version(digit: char) -> Value {
    let digest: String = std::iter::repeat_n(digit, 64).collect();
    json!({"service": "shop", "version": {"image": format!("shop@sha256:{digest}")}})
}

/// A service on two routes, one step of 50 %, with as little waiting as there may be.
fn definition() -> Value {
    let slot = |name: &str| {
        json!({
            "target_groups": [group(name)],
            "compute": {"ecs_service": {"cluster": "lab", "service": format!("shop-{name}")}},
        })
    };
    json!({
        "service": "shop",
        "routes": [route(1), route(2)],
        "slots": {"blue": slot("blue"), "green": slot("green")},
        "strategy": {
            "type": "canary",
            "canary": {"steps": [50]},
            "minimum_time_seconds": 60,
            "max_step_seconds": 120,
        },
        "readiness": {"timeout_seconds": 60, "poll_seconds": 15},
        "traffic": {"settle_seconds": 0},
        "health": {"metric_lag_seconds": 0, "hold_seconds": 60, "latency": {"quantiles": []}},
        "retirement": {"window_seconds": 60, "quiet_seconds": 60},
    })
}

fn setting(name: &'static str, change: impl FnOnce(&mut Value)) -> Setting {
    let mut definition = definition();
    change(&mut definition);
    Setting {
        name,
        definition: definition.to_string(),
        input: version('2'),
        ending: Ending::Promoted,
        sick: false,
        adversities: 1,
        second: None,
        strangers: false,
        mortal: &[],
        commands: &[],
        hook: json!({"status": "ok"}),
        events: false,
        approves: false,
        sticky: false,
    }
}

/// Everything that is explored; `deep` goes further.
#[must_use]
pub fn all(deep: bool) -> Vec<Setting> {
    let two = if deep { 3 } else { 2 };
    let one = if deep { 2 } else { 1 };
    let conflict = |policy: &'static str| move |definition: &mut Value| definition["on_conflict"] = policy.into();
    let hooks = |definition: &mut Value| {
        let hook = json!({"function": format!("arn:aws:lambda:{HOME}:function:smoke"), "timeout_seconds": 60});
        definition["test_routes"] = json!([route(9)]);
        definition["hooks"] = json!({"before_traffic": hook, "after_step": hook, "after_rollback": hook});
    };
    let asking = |definition: &mut Value| definition["strategy"]["approval_at"] = json!([0, 50]);
    let sick = |setting: Setting| Setting { sick: true, ending: Ending::Failed("RolledBack"), ..setting };
    let another = Some(Second::Release(version('3')));
    vec![
        Setting { adversities: two, ..setting("a sound release", |_| {}) },
        Setting { adversities: two, ..sick(setting("a sick release", |_| {})) },
        Setting { adversities: two, strangers: true, ..setting("strangers", |_| {}) },
        Setting { adversities: two, mortal: &Slot::BOTH, ..setting("slots that die", |_| {}) },
        Setting { adversities: two, second: another.clone(), ..setting("a second release is turned away", conflict("reject")) },
        Setting {
            adversities: two,
            second: another.clone(),
            events: true,
            ..setting("a second release waits", conflict("queue"))
        },
        Setting { adversities: two, second: another, ..setting("a second release supersedes", conflict("supersede")) },
        Setting {
            adversities: two,
            second: Some(Second::Release(version('2'))),
            ..setting("the same version again", conflict("queue"))
        },
        Setting { adversities: two, second: Some(Second::Undo), mortal: &Slot::BOTH, ..setting("an undo", |_| {}) },
        Setting {
            adversities: one,
            approves: true,
            commands: &["promote", "abort", "pause"],
            ..setting("approvals and operators", asking)
        },
        Setting { adversities: one, ..setting("hooks and testers", hooks) },
        Setting { adversities: one, hook: json!({"status": "fail"}), ..sick(setting("a hook that fails", hooks)) },
        Setting { adversities: one, sticky: true, ..setting("sticky clients", |_| {}) },
    ]
}

/// How everything begins: all traffic on blue, and the release just started.
#[must_use]
pub fn beginning(setting: &Setting, machines: &Machines) -> Universe {
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let actions = |name: &str| {
        let arn = TargetGroupArn::parse(group(name)).expect("a group");
        let stickiness = setting.sticky.then_some(Stickiness { enabled: true, duration_seconds: Some(30) });
        let forward = Forward { groups: vec![WeightedGroup { arn, weight: 100 }], stickiness };
        Arc::new(vec![Action { order: None, kind: ActionKind::Forward(forward) }])
    };
    let users: Vec<Arc<str>> = [1, 2].map(|number| route(number).into()).into();
    let capacity = |desired, revision: &str| Capacity { desired, revision: revision.into(), deployment: 0, dead: false };
    let mut routes: BTreeMap<Arc<str>, Arc<Vec<Action>>> =
        users.iter().map(|route| (route.clone(), actions("blue"))).collect();
    if setting.definition.contains("test_routes") {
        routes.insert(route(9).into(), actions("blue"));
    }
    let mut cloud = Cloud {
        routes,
        users,
        capacity: [capacity(2, "v1"), capacity(0, "v0")],
        sick: setting.sick.then(|| "first-revision".to_owned()),
        ..Cloud::nothing()
    };
    cloud.shifted(now - SignedDuration::from_hours(1));
    let mut universe = Universe {
        now,
        cloud,
        table: Items::new("service"),
        executions: Vec::new(),
        outliving: Vec::new(),
        adversities: Adversities::default(),
    };
    steps::start(&mut universe, machines, MachineName::Release, "first", setting.input.clone());
    universe
}

/// A stranger's edit: a group of their own in the first route.
pub(crate) fn stranger(universe: &mut Universe) {
    let arn = TargetGroupArn::parse(group("strange")).expect("a group");
    let Some(actions) = universe.cloud.routes.get_mut(&*route(1)) else { return };
    if let ActionKind::Forward(forward) = &mut Arc::make_mut(actions)[0].kind {
        forward.groups.retain(|group| group.arn != arn);
        forward.groups.push(WeightedGroup { arn, weight: 10 });
    }
    universe.cloud.shifted(universe.now);
}

/// A stranger deletes the second route.
pub(crate) fn delete_route(universe: &mut Universe) {
    universe.cloud.routes.remove(&*route(2));
    universe.cloud.shifted(universe.now);
}

/// Someone else's name in the lease, as after a restored backup.
pub(crate) fn take_lease(universe: &mut Universe) {
    let lease = |item: &mut spillway_asl::items::Item| {
        item.insert("owner".into(), json!({"S": MachineName::Release.execution("unknown")}));
        let fence = item["fence"]["N"].as_str().and_then(|fence| fence.parse::<u64>().ok()).unwrap_or(0);
        item.insert("fence".into(), json!({"N": (fence + 1).to_string()}));
    };
    edit(universe, lease);
}

/// An operator's word.
pub(crate) fn command(universe: &mut Universe, word: &str) {
    edit(universe, |item| {
        item.insert("command".into(), json!({"S": word}));
    });
}

fn edit(universe: &mut Universe, change: impl FnOnce(&mut spillway_asl::items::Item)) {
    if let Some(item) = universe.table.items.get_mut("shop") {
        change(Arc::make_mut(item));
    }
}
