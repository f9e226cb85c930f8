//! What is explored: services, releases, and what may come between.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::event::{Fate, Happening, Way};
use crate::machines::{HOME, MachineName, Machines};
use crate::steps;
use crate::universe::{Adversities, Universe};

/// The execution that may come at any time.
#[derive(Clone, Debug)]
pub enum Second {
    /// A release with this input.
    Release(Value),
    /// An undo of the latest promoted one.
    Undo,
}

/// Whether guards hear of the ends of executions before time passes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hearing {
    /// They come by the schedule alone.
    Never,
    /// They do or do not: events can be lost.
    Perhaps,
    /// They do.
    Always,
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
    /// Whether strangers may change routes.
    pub strangers: bool,
    /// Whether other names may be written into the lease and into the queue.
    pub thieves: bool,
    /// Whether the service has no definition.
    pub unknown: bool,
    /// Slots whose tasks may fail their health checks.
    pub mortal: &'static [Slot],
    /// Words that an operator may say.
    pub commands: &'static [&'static str],
    /// What hooks answer.
    pub hook: Value,
    /// What always happens, in this order, whatever goes wrong besides.
    pub fates: Vec<Fate>,
    /// Whether calls go wrong; otherwise only executions come, die and come back.
    pub faults: bool,
    /// Whether guards hear of ends.
    pub hearing: Hearing,
    /// Whether an operator approves whatever waits for that.
    pub approves: bool,
    /// Whether clients stick to a slot.
    pub sticky: bool,
    /// Whether what is read back after a write is what was written, whatever is there: a handler that reads nothing back.
    pub blind: bool,
}

impl Setting {
    /// Whether this always happens.
    #[must_use]
    pub fn is_fated(&self, happening: Happening) -> bool {
        self.fates.iter().any(|fate| fate.happens == happening)
    }
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
        requests: 200_000.0,
        alarm: AlarmState::Ok,
        bulky: false,
        sick: false,
        adversities: 1,
        second: None,
        strangers: false,
        thieves: false,
        unknown: false,
        mortal: &[],
        commands: &[],
        hook: json!("ok"),
        fates: Vec::new(),
        faults: true,
        hearing: Hearing::Never,
        approves: false,
        sticky: false,
        blind: false,
    }
}

fn fate(machine: MachineName, state: &'static str, happens: Happening) -> Fate {
    Fate { machine, state, happens }
}

fn conflict(policy: &'static str) -> impl Fn(&mut Value) {
    move |definition| definition["on_conflict"] = policy.into()
}

fn hooks(definition: &mut Value) {
    let hook = json!({"function": format!("arn:aws:lambda:{HOME}:function:smoke"), "timeout_seconds": 200});
    definition["test_routes"] = json!([route(9)]);
    definition["hooks"] = json!({"before_traffic": hook, "after_step": hook, "after_rollback": hook});
}

fn asking(definition: &mut Value) {
    definition["strategy"]["approval_at"] = json!([0, 50]);
}

fn sick(setting: Setting) -> Setting {
    Setting { sick: true, ..setting }
}

/// Everything that is explored; `deep` goes further.
#[must_use]
pub fn all(deep: bool) -> Vec<Setting> {
    let two = if deep { 3 } else { 2 };
    let one = if deep { 2 } else { 1 };
    let another = Some(Second::Release(version('3')));
    let wide = vec![
        setting("a sound release", |_| {}),
        sick(setting("a sick release", |_| {})),
        Setting { strangers: true, thieves: true, ..setting("strangers", |_| {}) },
        Setting { mortal: &Slot::BOTH, ..setting("slots that die", |_| {}) },
        Setting { second: another.clone(), ..setting("a second release is turned away", conflict("reject")) },
        Setting { second: another.clone(), ..setting("a second release waits", conflict("queue")) },
        Setting { second: another, ..setting("a second release supersedes", conflict("supersede")) },
        Setting { second: Some(Second::Release(version('2'))), ..setting("the same version again", conflict("queue")) },
        Setting { second: Some(Second::Undo), mortal: &Slot::BOTH, ..setting("an undo", |_| {}) },
    ];
    let wide = wide.into_iter().map(|setting| Setting { adversities: two, ..setting });
    wide.chain(small().into_iter().map(|setting| Setting { adversities: one.max(setting.adversities), ..setting }))
        .collect()
}

/// Settings in which one thing goes wrong, most of them after things that always happen there.
#[must_use]
#[allow(clippy::too_many_lines, reason = "a list")]
pub fn small() -> Vec<Setting> {
    use Happening::{Command, Dies, Goes, LeaseTaken, Redriven, Revives, Second as Comes, Stopped};
    use MachineName::{Guard, Release, Retire, Rollback};
    let another = Some(Second::Release(version('3')));
    let same = Some(Second::Release(version('2')));
    let undo = Some(Second::Undo);
    let comes = |at| vec![fate(Release, at, Comes)];
    let dies = || vec![fate(Release, "Bake", Stopped)];
    let dead = |next: &[Fate]| -> Vec<Fate> {
        [fate(Release, "Bake", Dies(Slot::Blue))].into_iter().chain(next.iter().cloned()).collect()
    };
    let stolen = |setting: Setting| Setting { thieves: true, ..setting };
    let heard = |setting: Setting| Setting { hearing: Hearing::Always, ..setting };
    let with = |setting: Setting, fates: Vec<Fate>| Setting { fates, ..setting };
    let down = |machine, state| fate(machine, state, Goes(Way::Down));
    let hangs = |machine, state| fate(machine, state, Goes(Way::Unanswered));
    vec![
        stolen(setting("a sound release, and thieves", |_| {})),
        stolen(sick(setting("a sick release, and thieves", |_| {}))),
        Setting { unknown: true, ..setting("no such service", |_| {}) },
        with(setting("a plan that cannot be made", |_| {}), vec![down(Release, "PlanRelease")]),
        with(setting("a lease of nobody's", |_| {}), vec![fate(Release, "Bake", LeaseTaken)]),
        // Shifts and rollbacks that fail.
        stolen(with(setting("a shift that fails", |_| {}), vec![down(Release, "ShiftWeight")])),
        with(
            sick(setting("a rollback on a short lease", |_| {})),
            vec![hangs(Release, "RollBack"), hangs(Release, "RollBack")],
        ),
        with(sick(setting("a rollback that fails", |_| {})), vec![down(Release, "RollBack")]),
        // The stable slot dies.
        stolen(with(sick(setting("a stable slot that dies", |_| {})), dead(&[]))),
        stolen(with(
            sick(setting("a stable slot that comes back", |_| {})),
            dead(&[fate(Release, "WaitForStable", Revives(Slot::Blue))]),
        )),
        // The release dies, and is recovered.
        stolen(with(setting("a release that died", |_| {}), dies())),
        with(setting("a release that died with the stable slot", |_| {}), {
            let mut fates = dies();
            fates.insert(0, fate(Release, "Bake", Dies(Slot::Blue)));
            fates
        }),
        with(setting("a release that died early", |_| {}), vec![fate(Release, "PlanRelease", Stopped)]),
        with(setting("a recovery that fails", |_| {}), [dies(), vec![down(Rollback, "RollBack")]].concat()),
        // Undoing.
        Setting {
            second: undo.clone(),
            ..stolen(with(setting("a release that is undone", |_| {}), vec![fate(Retire, "RollbackWindow", Comes)]))
        },
        Setting { second: undo.clone(), ..with(setting("an undo during a release", |_| {}), comes("Bake")) },
        Setting {
            second: undo.clone(),
            ..with(sick(setting("an undo of nothing", |_| {})), vec![fate(Retire, "RollbackWindow", Comes)])
        },
        Setting {
            second: undo.clone(),
            ..with(
                setting("an undo without a lease table", |_| {}),
                vec![fate(Retire, "RollbackWindow", Comes), down(Rollback, "AcquireLease")],
            )
        },
        Setting {
            second: undo,
            ..stolen(with(
                setting("an undo onto a dead slot", |_| {}),
                vec![fate(Retire, "RollbackWindow", Dies(Slot::Blue)), fate(Retire, "RollbackWindow", Comes)],
            ))
        },
        // Retirements.
        with(setting("a retirement that fails", |_| {}), vec![down(Retire, "Teardown")]),
        stolen(with(setting("a retirement that fails, and thieves", |_| {}), vec![down(Retire, "Teardown")])),
        Setting {
            second: another.clone(),
            ..with(setting("a release before the retirement", |_| {}), vec![fate(Retire, "RollbackWindow", Comes)])
        },
        Setting {
            second: another.clone(),
            ..with(setting("a release during the retirement", conflict("queue")), vec![fate(Retire, "Teardown", Comes)])
        },
        stolen(Setting { sticky: true, ..setting("sticky clients", |_| {}) }),
        // Several releases.
        Setting {
            second: another.clone(),
            ..with(heard(setting("the next release is turned away", conflict("reject"))), comes("Bake"))
        },
        stolen(Setting {
            second: another.clone(),
            ..with(heard(setting("the next release waits", conflict("queue"))), comes("Bake"))
        }),
        stolen(Setting {
            second: another.clone(),
            ..with(heard(setting("the next release supersedes", conflict("supersede"))), comes("Bake"))
        }),
        Setting {
            second: same.clone(),
            ..with(heard(setting("the same version during the release", conflict("queue"))), comes("Bake"))
        },
        Setting {
            second: same,
            ..with(setting("the same version afterwards", |_| {}), vec![fate(Retire, "RollbackWindow", Comes)])
        },
        Setting {
            second: another.clone(),
            ..with(
                heard(setting("a waiter that dies", conflict("queue"))),
                vec![fate(Release, "Bake", Comes), fate(Release, "Queue", Stopped)],
            )
        },
        Setting {
            second: another.clone(),
            ..with(
                heard(setting("a waiter that is redriven", conflict("queue"))),
                vec![
                    fate(Release, "Bake", Comes),
                    fate(Release, "Queue", Stopped),
                    fate(Guard, "ForgetWaiter", Redriven),
                ],
            )
        },
        Setting {
            second: another.clone(),
            faults: false,
            hearing: Hearing::Perhaps,
            ..with(setting("guards hear of ends", conflict("queue")), comes("Bake"))
        },
        Setting {
            second: another,
            adversities: 0,
            ..with(
                setting("a day in the queue", |definition| {
                    definition["on_conflict"] = "queue".into();
                    definition["strategy"]["approval_at"] = json!([50]);
                }),
                comes("Bake"),
            )
        },
        // People and their functions.
        Setting {
            approves: true,
            commands: &["promote", "abort", "pause"],
            ..setting("approvals and operators", asking)
        },
        Setting {
            approves: true,
            ..with(
                setting("an approval that is taken back", asking),
                vec![fate(Release, "ConsumeApproval", Command("abort"))],
            )
        },
        with(setting("an abort", |_| {}), vec![fate(Release, "Bake", Command("abort"))]),
        with(setting("a promotion", |_| {}), vec![fate(Release, "Bake", Command("promote"))]),
        with(
            setting("a promotion that is taken back", |_| {}),
            vec![fate(Release, "Bake", Command("promote")), fate(Release, "ConsumeCommand", Command("abort"))],
        ),
        stolen(setting("hooks and testers", hooks)),
        sick(setting("hooks after a rollback", hooks)),
        with(setting("hooks after a recovery", hooks), dies()),
        Setting { hook: json!("fail"), ..sick(setting("a hook that fails", hooks)) },
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
        fated: 0,
        pages: BTreeSet::new(),
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

/// Someone else's name in the queue: a release that is newer than any.
pub(crate) fn take_queue(universe: &mut Universe) {
    let now = spillway_asl::eval::timestamp(universe.now);
    let waiting = json!({"M": {
        "execution": {"S": MachineName::Release.execution("unknown")},
        "intent": {"S": version('9').to_string()},
        "since": {"S": now},
        "supersede": {"BOOL": false},
        "token": {"S": "unknown"},
    }});
    edit(universe, |item| {
        item.insert("waiting".into(), waiting);
    });
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
