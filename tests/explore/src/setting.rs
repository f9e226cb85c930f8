//! What a service is like, and what may happen to it.

use serde_json::{Value, json};
use spillway_core::plan::AlarmState;
use spillway_core::slot::Slot;

use crate::event::{Fate, Happening};
use crate::machines::{HOME, MachineName};

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
    /// Whether the lease may be scribbled over, emptied or deleted, its fence raised, and its end made no end.
    pub vandals: bool,
    /// Whether freezes may begin.
    pub freezes: bool,
    /// Whether reads of routes may tell what was there before the last write.
    pub stale: bool,
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
    /// Whether each error comes by its name, and not only one for all that are alike.
    pub names: bool,
    /// Whether guards hear of ends.
    pub hearing: Hearing,
    /// How often an operator approves what waits for that.
    pub approves: u8,
    /// Whether clients stick to a slot.
    pub sticky: bool,
    /// Whether something scales the slots by itself.
    pub scaled: bool,
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

pub(crate) const ELB: &str = "arn:aws:elasticloadbalancing";

pub(crate) fn group(name: &str) -> String {
    format!("{ELB}:{HOME}:targetgroup/{name}/0123456789abcdef")
}

pub(crate) fn route(number: u32) -> String {
    format!("{ELB}:{HOME}:listener-rule/app/shop/1/2/{number}")
}

/// The release's input.
#[must_use]
pub fn version(digit: char) -> Value {
    let digest: String = std::iter::repeat_n(digit, 64).collect();
    json!({"service": "shop", "version": {"image": format!("shop@sha256:{digest}")}})
}

/// A service on two routes, one step of 50 %, with as little waiting as there may be.
pub(crate) fn definition() -> Value {
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

pub(crate) fn setting(name: &'static str, change: impl FnOnce(&mut Value)) -> Setting {
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
        vandals: false,
        freezes: false,
        stale: false,
        unknown: false,
        mortal: &[],
        commands: &[],
        hook: json!("ok"),
        fates: Vec::new(),
        faults: true,
        names: false,
        hearing: Hearing::Never,
        approves: 0,
        sticky: false,
        scaled: false,
        blind: false,
    }
}

pub(crate) fn fate(machine: MachineName, state: &'static str, happens: Happening) -> Fate {
    Fate { machine, state, happens }
}

pub(crate) fn conflict(policy: &'static str) -> impl Fn(&mut Value) {
    move |definition| definition["on_conflict"] = policy.into()
}

pub(crate) fn hooks(definition: &mut Value) {
    let hook = json!({"function": format!("arn:aws:lambda:{HOME}:function:smoke"), "timeout_seconds": 200});
    definition["test_routes"] = json!([route(9)]);
    definition["hooks"] = json!({"before_traffic": hook, "after_step": hook, "after_rollback": hook});
}

/// Testers have a route of their own, and nobody else is asked.
pub(crate) fn testers(definition: &mut Value) {
    definition["test_routes"] = json!([route(9)]);
}

/// Others deploy and scale: a function of the service's own, which is asked to.
pub(crate) fn external(definition: &mut Value) {
    for slot in ["blue", "green"] {
        definition["slots"][slot]["compute"] = "external".into();
    }
    let hook = json!({"function": format!("arn:aws:lambda:{HOME}:function:fleet"), "timeout_seconds": 200});
    definition["hooks"] = json!({"provision": hook, "retire": hook});
}

pub(crate) fn asking(definition: &mut Value) {
    definition["strategy"]["approval_at"] = json!([0, 50]);
}

pub(crate) fn sick(setting: Setting) -> Setting {
    Setting { sick: true, ..setting }
}
