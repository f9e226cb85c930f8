//! What is explored: services, releases, and what may come between.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use spillway_asl::items::Items;
use spillway_core::arn::TargetGroupArn;
use spillway_core::definition::ServiceDefinition;
use spillway_core::plan::AlarmState;
use spillway_core::route::{Action, ActionKind, FixedResponse, Forward, Stickiness, WeightedGroup};
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
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own, named where it is set")]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// The service's definition, as text.
    pub definition: String,
    /// The release's input.
    pub input: Value,
    /// How it ends if nothing grave happens.
    pub ending: Ending,
    /// Requests of users to one route in a minute: enough to know after one minute what a candidate is like.
    pub requests: f64,
    /// Every alarm.
    pub alarm: AlarmState,
    /// Whether routes have large actions besides their forward.
    pub bulky: bool,
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
    /// Whether the second execution comes, and always does, while the first one bakes for the first time.
    pub meets: bool,
    /// Whether the first release is stopped, and always is, while it bakes for the first time.
    pub dies: bool,
    /// Whether calls go wrong; otherwise only executions come, die and come back.
    pub faults: bool,
    /// Whether guards hear of ends, or not.
    pub events: bool,
    /// Whether an operator approves whatever waits for that.
    pub approves: bool,
    /// Whether clients stick to a slot.
    pub sticky: bool,
    /// Whether what is read back after a write is what was written, whatever is there: a handler that reads nothing back.
    pub blind: bool,
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
        requests: 200_000.0,
        alarm: AlarmState::Ok,
        bulky: false,
        sick: false,
        adversities: 1,
        second: None,
        strangers: false,
        mortal: &[],
        commands: &[],
        hook: json!("ok"),
        meets: false,
        dies: false,
        faults: true,
        events: false,
        approves: false,
        sticky: false,
        blind: false,
    }
}

/// Everything that is explored; `deep` goes further.
#[must_use]
pub fn all(deep: bool) -> Vec<Setting> {
    let two = if deep { 3 } else { 2 };
    let one = if deep { 2 } else { 1 };
    let conflict = |policy: &'static str| move |definition: &mut Value| definition["on_conflict"] = policy.into();
    let hooks = |definition: &mut Value| {
        let hook = json!({"function": format!("arn:aws:lambda:{HOME}:function:smoke"), "timeout_seconds": 200});
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
        Setting {
            adversities: two,
            second: another.clone(),
            ..setting("a second release is turned away", conflict("reject"))
        },
        Setting { adversities: two, second: another.clone(), ..setting("a second release waits", conflict("queue")) },
        Setting {
            adversities: one,
            second: another.clone(),
            meets: true,
            faults: false,
            events: true,
            ..setting("guards hear of ends", conflict("queue"))
        },
        Setting {
            adversities: 0,
            second: another.clone(),
            meets: true,
            ..setting("a day in the queue", |definition| {
                definition["on_conflict"] = "queue".into();
                definition["strategy"]["approval_at"] = json!([50]);
            })
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
        Setting { adversities: one, dies: true, ..setting("a release that died", |_| {}) },
        Setting {
            adversities: one,
            second: Some(Second::Undo),
            meets: true,
            ..setting("a release that is undone", |_| {})
        },
        Setting { adversities: one, hook: json!("fail"), ..sick(setting("a hook that fails", hooks)) },
        Setting { adversities: one, sticky: true, ..setting("sticky clients", |_| {}) },
    ]
}

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
        "latency": {"quantiles": []},
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

/// Small settings in which one thing goes wrong.
#[must_use]
pub fn small(machine: MachineName) -> Vec<Setting> {
    let named = |name: &str| {
        let setting = all(false).into_iter().find(|setting| setting.name == name).expect("one of ours");
        Setting { adversities: 1, ..setting }
    };
    let meets = |name| Setting { meets: true, ..named(name) };
    match machine {
        MachineName::Release => vec![
            named("a sound release"),
            named("a sick release"),
            named("hooks and testers"),
            meets("a second release waits"),
            meets("a second release supersedes"),
            meets("the same version again"),
        ],
        MachineName::Retire => vec![named("a sound release"), named("a sick release"), named("sticky clients")],
        MachineName::Rollback => vec![named("a release that died"), named("a release that is undone")],
        MachineName::Guard => vec![named("a release that died")],
    }
}

/// How everything begins: all traffic on blue, and the release just started.
#[must_use]
pub fn beginning(setting: &Setting, machines: &Machines) -> Universe {
    let now = Timestamp::from_second(1_800_000_000).expect("a time");
    let definition: Value = serde_json::from_str(&setting.definition).expect("JSON");
    // Each load balancer has a pair of groups of its own, and the routes behind them take turns.
    let blue = definition["slots"]["blue"]["target_groups"].as_array().expect("groups");
    let actions = |index: usize| {
        let arn = blue[index % blue.len()].as_str().unwrap_or_default();
        let arn = TargetGroupArn::parse(arn).expect("a group");
        let stickiness = setting.sticky.then_some(Stickiness { enabled: true, duration_seconds: Some(30) });
        let forward = Forward { groups: vec![WeightedGroup { arn, weight: 100 }], stickiness };
        let forward = Action { order: None, kind: ActionKind::Forward(forward) };
        // No route has both; it is as large as one that asks who a user is.
        let message_body = setting.bulky.then(|| "\"".repeat(1024));
        let bulk = message_body.map(|body| FixedResponse {
            status_code: "200".into(),
            message_body: Some(body),
            content_type: None,
        });
        let bulk = bulk.map(|response| Action { order: None, kind: ActionKind::FixedResponse(response) });
        Arc::new(bulk.into_iter().chain([forward]).collect::<Vec<Action>>())
    };
    let listed = |field: &str| -> Vec<Arc<str>> {
        definition[field].as_array().into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect()
    };
    let users = listed("routes");
    let capacity =
        |desired, revision: &str| Capacity { desired, revision: revision.into(), deployment: 0, dead: false };
    let testers = listed("test_routes");
    let all = users.iter().enumerate().chain(testers.iter().enumerate());
    let all = all.map(|(at, route)| (route.clone(), actions(at))).collect();
    let mut cloud = Cloud {
        routes: all,
        users,
        capacity: [capacity(2, "v1"), capacity(0, "v0")],
        requests: setting.requests,
        alarm: setting.alarm,
        sick: setting.sick.then(|| "first-revision".to_owned()),
        believed: setting.blind.then(BTreeMap::new),
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
