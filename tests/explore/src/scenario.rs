//! What is explored.

use serde_json::json;
use spillway_core::slot::Slot;

use crate::edits::ENDLESS;
use crate::event::Happening::{
    Command, Dies, Goes, LeaseEnded, LeaseTaken, LeaseUnfenced, Passes, PlanSpoiled, QueueTaken, Redriven, Revives,
    Second as Comes, Slow, Stopped, Third,
};
use crate::event::{Fate, Way};
use crate::machines::MachineName::{self, Guard, Release, Retire, Rollback};
use crate::setting::{
    Hearing, Second, Setting, asking, conflict, external, fate, hooks, setting, sick, testers, version,
};

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
    ];
    let wide = wide.into_iter().map(|setting| Setting { adversities: two, ..setting });
    let narrow = vec![
        Setting { second: another.clone(), ..setting("a second release waits", conflict("queue")) },
        Setting { second: another.clone(), ..setting("a second release supersedes", conflict("supersede")) },
        Setting { second: Some(Second::Undo), mortal: &Slot::BOTH, ..setting("an undo", |_| {}) },
        Setting { second: another, ..setting("a second release is turned away", conflict("reject")) },
        Setting { second: Some(Second::Release(version('2'))), ..setting("the same version again", conflict("queue")) },
    ];
    let deeper = |setting: Setting| Setting { adversities: if setting.adversities > 0 { one } else { 0 }, ..setting };
    wide.chain(narrow.into_iter().chain(small()).map(deeper)).collect()
}

/// Settings in which one thing goes wrong, most of them after things that always happen there.
#[must_use]
pub fn small() -> Vec<Setting> {
    [
        beginnings(),
        rollbacks(),
        deaths(),
        endless(),
        undoing(),
        retirements(),
        several(),
        queues(),
        people(),
        computes(),
    ]
    .concat()
}

fn down(machine: MachineName, state: &'static str) -> Fate {
    fate(machine, state, Goes(Way::Down))
}

fn hangs(machine: MachineName, state: &'static str) -> Fate {
    fate(machine, state, Goes(Way::Unanswered))
}

/// The release is stopped while it bakes.
fn dies() -> Vec<Fate> {
    vec![fate(Release, "Bake", Stopped)]
}

fn with(setting: Setting, fates: Vec<Fate>) -> Setting {
    Setting { fates, ..setting }
}

fn named(setting: Setting) -> Setting {
    Setting { names: true, ..setting }
}

fn stolen(setting: Setting) -> Setting {
    Setting { thieves: true, ..setting }
}

fn vandalised(setting: Setting) -> Setting {
    Setting { vandals: true, ..setting }
}

fn calm(setting: Setting) -> Setting {
    Setting { adversities: 0, ..setting }
}

fn heard(setting: Setting) -> Setting {
    Setting { hearing: Hearing::Always, ..setting }
}

/// A second execution comes at a state.
fn met(setting: Setting, second: Second, machine: MachineName, state: &'static str) -> Setting {
    Setting { second: Some(second), fates: vec![fate(machine, state, Comes)], ..setting }
}

fn then(setting: Setting, fates: impl IntoIterator<Item = Fate>) -> Setting {
    with(setting.clone(), setting.fates.into_iter().chain(fates).collect())
}

fn another() -> Second {
    Second::Release(version('3'))
}

fn beginnings() -> Vec<Setting> {
    vec![
        stolen(setting("a sound release, and thieves", |_| {})),
        stolen(sick(setting("a sick release, and thieves", |_| {}))),
        Setting { stale: true, ..setting("reads that are late", hooks) },
        Setting {
            stale: true,
            ..met(setting("reads that are late for the next release", |_| {}), another(), Retire, "RollbackWindow")
        },
        named(setting("every error by its name", hooks)),
        named(sick(setting("every error of a rollback by its name", hooks))),
        named(with(setting("every error of a recovery by its name", hooks), dies())),
        Setting { unknown: true, ..setting("no such service", |_| {}) },
        Setting { input: json!({}), ..heard(setting("an input that says nothing", |_| {})) },
        stolen(with(setting("an acquisition whose answer is lost", |_| {}), vec![hangs(Release, "AcquireLease")])),
        with(
            setting("an adoption that comes too late", |_| {}),
            vec![hangs(Release, "AcquireLease"), fate(Release, "AdoptLease", LeaseTaken)],
        ),
        Setting { freezes: true, ..setting("a sound release, and freezes", |_| {}) },
        Setting { freezes: true, ..sick(setting("a sick release, and freezes", |_| {})) },
        Setting {
            freezes: true,
            ..met(setting("a newer release, and freezes", conflict("supersede")), another(), Release, "Bake")
        },
        vandalised(setting("a sound release whose lease is taken away", hooks)),
        vandalised(sick(setting("a sick release whose lease is taken away", |_| {}))),
        with(setting("a plan that cannot be made", |_| {}), vec![down(Release, "PlanRelease")]),
        with(setting("a lease of nobody's", |_| {}), vec![fate(Release, "Bake", LeaseTaken)]),
        // What is left of the lease would not do for the function after it.
        with(
            setting("a slow preparation", hooks),
            vec![hangs(Release, "PrepareCandidate"), fate(Release, "PrepareCandidate", Slow(25))],
        ),
        with(setting("a promotion whose answer is lost", |_| {}), vec![hangs(Release, "FreePromoted")]),
        with(setting("a promotion that comes too late", |_| {}), vec![fate(Release, "FreePromoted", LeaseTaken)]),
    ]
}

/// Shifts and rollbacks that fail.
fn rollbacks() -> Vec<Setting> {
    let turned_away = |machine| fate(machine, "RollBack", Goes(Way::TurnedAway));
    let used_up = |machine| [vec![hangs(machine, "RollBack")], vec![turned_away(machine); 5]].concat();
    vec![
        stolen(with(setting("a shift that fails", |_| {}), vec![down(Release, "ShiftWeight")])),
        with(
            sick(setting("a rollback that hangs", |_| {})),
            vec![hangs(Release, "RollBack"), hangs(Release, "RollBack")],
        ),
        with(sick(setting("a rollback that fails", |_| {})), vec![down(Release, "RollBack")]),
        // One thing more would be too much.
        calm(with(sick(setting("a rollback that uses up its lease", |_| {})), used_up(Release))),
        calm(with(setting("a recovery that uses up its lease", |_| {}), [dies(), used_up(Rollback)].concat())),
        with(setting("a recovery that fails", |_| {}), [dies(), vec![down(Rollback, "RollBack")]].concat()),
    ]
}

/// Releases and slots that die.
fn deaths() -> Vec<Setting> {
    let dead = fate(Release, "Bake", Dies(Slot::Blue));
    vec![
        vandalised(stolen(with(sick(setting("a stable slot that dies", |_| {})), vec![dead.clone()]))),
        stolen(with(
            sick(setting("a stable slot that comes back", |_| {})),
            vec![dead.clone(), fate(Release, "WaitForStable", Revives(Slot::Blue))],
        )),
        vandalised(stolen(with(setting("a release that died", |_| {}), dies()))),
        stolen(with(
            setting("a release that died, and no fence", |_| {}),
            [dies(), vec![fate(Guard, "DescribeOwner", LeaseUnfenced)]].concat(),
        )),
        calm(then(
            met(setting("an undo by a plan that is none", |_| {}), Second::Undo, Retire, "RollbackWindow"),
            [fate(Rollback, "AcquireLease", PlanSpoiled)],
        )),
        vandalised(with(setting("a release that died with the stable slot", |_| {}), [vec![dead], dies()].concat())),
        vandalised(stolen(with(
            setting("a release that died early", |_| {}),
            vec![fate(Release, "PlanRelease", Goes(Way::StoppedDuring(0)))],
        ))),
    ]
}

/// Ends of leases that are none, found by whoever takes the lease next.
fn endless() -> Vec<Setting> {
    let [no_time, never] = ENDLESS.map(LeaseEnded);
    let next = |name, policy, machine, state| met(setting(name, conflict(policy)), another(), machine, state);
    vec![
        calm(with(
            setting("a recovery, and no time", |_| {}),
            [dies(), vec![fate(Rollback, "TakeOver", no_time)]].concat(),
        )),
        stolen(with(
            setting("a recovery, and no end", |_| {}),
            [dies(), vec![fate(Rollback, "TakeOver", never)]].concat(),
        )),
        calm(then(
            met(setting("an undo, and no time", |_| {}), Second::Undo, Retire, "RollbackWindow"),
            [fate(Rollback, "AcquireLease", no_time)],
        )),
        stolen(with(setting("a retirement, and no time", |_| {}), vec![fate(Retire, "AcquireLease", no_time)])),
        calm(with(setting("a retirement, and no end", |_| {}), vec![fate(Retire, "AcquireLease", never)])),
        calm(with(
            setting("an adoption, and no time", |_| {}),
            vec![hangs(Release, "AcquireLease"), fate(Release, "AdoptLease", no_time)],
        )),
        calm(then(
            next("the next release, and no time", "reject", Retire, "RollbackWindow"),
            [fate(Release, "AcquireLease", no_time)],
        )),
        stolen(then(
            next("the next release, and no end", "reject", Retire, "RollbackWindow"),
            [fate(Release, "AcquireLease", never)],
        )),
        calm(then(
            heard(next("a turn, and no time", "queue", Release, "Bake")),
            [fate(Release, "AcquireInTurn", no_time)],
        )),
    ]
}

fn undoing() -> Vec<Setting> {
    let promoted = |setting| met(setting, Second::Undo, Retire, "RollbackWindow");
    vec![
        stolen(promoted(setting("a release that is undone", |_| {}))),
        promoted(sick(setting("an undo of nothing", |_| {}))),
        vandalised(promoted(setting("an undo whose lease is taken away", |_| {}))),
        then(
            promoted(setting("an undo whose lease is given to another", |_| {})),
            [fate(Rollback, "WaitForPrevious", LeaseTaken)],
        ),
        then(promoted(setting("an undo without a lease table", |_| {})), [down(Rollback, "AcquireLease")]),
        stolen(then(
            promoted(setting("an undo onto a dead slot", |_| {})),
            [fate(Retire, "RollbackWindow", Dies(Slot::Blue))],
        )),
        calm(met(setting("an undo during the retirement", |_| {}), Second::Undo, Retire, "Teardown")),
        met(setting("an undo during a release", |_| {}), Second::Undo, Release, "Bake"),
    ]
}

fn retirements() -> Vec<Setting> {
    let [stopped, undone] = ["RollbackWindow", "RollbackWindowOfUndo"].map(|window| fate(Retire, window, Stopped));
    let sticky = |setting| Setting { sticky: true, ..setting };
    vec![
        with(setting("a retirement that cannot be started", |_| {}), vec![down(Release, "RetireStable")]),
        with(sick(setting("a candidate that cannot be retired", |_| {})), vec![down(Release, "RetireCandidate")]),
        with(
            setting("a dead release whose candidate cannot be retired", |_| {}),
            [dies(), vec![down(Rollback, "RetireCandidate")]].concat(),
        ),
        stolen(with(setting("a retirement in bad weather", |_| {}), vec![down(Retire, "Teardown")])),
        with(setting("a retirement that hangs", |_| {}), vec![hangs(Retire, "Teardown"), hangs(Retire, "Teardown")]),
        heard(with(setting("a retirement that is stopped", |_| {}), vec![stopped.clone()])),
        heard(with(sick(setting("a candidate's retirement that is stopped", |_| {})), vec![stopped.clone()])),
        heard(with(
            setting("a retirement after a recovery that is stopped", |_| {}),
            [dies(), vec![undone.clone()]].concat(),
        )),
        heard(with(
            sick(setting("a dead slot's retirement that is stopped", |_| {})),
            vec![fate(Release, "Bake", Dies(Slot::Blue)), stopped],
        )),
        heard(with(
            setting("a dead slot's retirement after a recovery that is stopped", |_| {}),
            [vec![fate(Release, "Bake", Dies(Slot::Blue))], dies(), vec![undone]].concat(),
        )),
        met(setting("a release before the retirement", |_| {}), another(), Retire, "RollbackWindow"),
        met(setting("a release during the retirement", conflict("queue")), another(), Retire, "Teardown"),
        vandalised(stolen(sticky(setting("sticky clients", |_| {})))),
        vandalised(stolen(with(
            sticky(setting("a slow retirement", |_| {})),
            vec![hangs(Retire, "Teardown"), fate(Retire, "Teardown", Slow(25))],
        ))),
    ]
}

/// Several releases.
fn several() -> Vec<Setting> {
    let next = |name, policy| met(heard(setting(name, conflict(policy))), another(), Release, "Bake");
    let same = Second::Release(version('2'));
    vec![
        next("the next release is turned away", "reject"),
        stolen(next("the next release waits", "queue")),
        stolen(next("the next release supersedes", "supersede")),
        met(
            heard(setting("the next release comes at the last moment", conflict("supersede"))),
            another(),
            Release,
            "FreePromoted",
        ),
        met(heard(setting("the same version during the release", conflict("queue"))), same.clone(), Release, "Bake"),
        met(setting("the same version afterwards", |_| {}), same, Retire, "RollbackWindow"),
    ]
}

/// The place in the queue.
fn queues() -> Vec<Setting> {
    let next = |name| met(heard(setting(name, conflict("queue"))), another(), Release, "Bake");
    let stopped = fate(Release, "Queue", Stopped);
    vec![
        then(next("a waiter that dies"), [stopped.clone()]),
        calm(then(next("a waiter that is redriven"), [stopped, fate(Guard, "ForgetWaiter", Redriven)])),
        // It hears of it when its token's time is up.
        then(next("a waiter that is outrun"), [fate(Release, "Queue", Third)]),
        then(
            met(heard(setting("a superseder that is outrun", conflict("supersede"))), another(), Release, "Bake"),
            [fate(Release, "Supersede", Third)],
        ),
        then(next("a place that is taken"), [fate(Release, "Queue", QueueTaken)]),
        then(
            met(
                heard(setting("a superseder's place that is taken", conflict("supersede"))),
                another(),
                Release,
                "Bake",
            ),
            [fate(Release, "Supersede", QueueTaken)],
        ),
        // Nobody wakes the newer one, and the older one finds the lease free.
        then(
            met(setting("a straggler", conflict("queue")), another(), Release, "Bake"),
            [fate(Release, "LoadService", Slow(240)), fate(Release, "Bake", Passes(1)), fate(Release, "Bake", Third)],
        ),
        then(next("a turn that is taken"), [fate(Release, "AcquireInTurn", LeaseTaken)]),
        then(next("a turn whose answer is lost"), [hangs(Release, "AcquireInTurn")]),
        then(
            met(
                stolen(heard(setting("a day in the queue", |definition| {
                    definition["on_conflict"] = "queue".into();
                    definition["strategy"]["canary"]["steps"] = json!([{"weight": 50, "max_step_seconds": 86_600}]);
                    definition["health"]["check_seconds"] = 300.into();
                }))),
                another(),
                Release,
                "Bake",
            ),
            [fate(Release, "Queue", Passes(86_460))],
        ),
        Setting {
            faults: false,
            hearing: Hearing::Perhaps,
            ..met(setting("guards hear of ends", conflict("queue")), another(), Release, "Bake")
        },
        calm(met(
            setting("a day of waiting for people", |definition| {
                definition["on_conflict"] = "queue".into();
                definition["strategy"]["approval_at"] = json!([50]);
            }),
            another(),
            Release,
            "Bake",
        )),
    ]
}

/// Compute that others scale, or that scales by itself.
fn computes() -> Vec<Setting> {
    let scaled = |setting| Setting { scaled: true, ..setting };
    let fleet =
        |name| Setting { input: json!({"service": "shop", "version": {"opaque": "2"}}), ..setting(name, external) };
    vec![
        scaled(setting("slots that scale", |_| {})),
        scaled(sick(setting("slots that scale, and a sick release", |_| {}))),
        scaled(with(setting("slots that scale, and a release that died", |_| {}), dies())),
        scaled(met(setting("slots that scale, and an undo", |_| {}), Second::Undo, Retire, "RollbackWindow")),
        scaled(met(setting("slots that scale, and the next release", |_| {}), another(), Retire, "RollbackWindow")),
        scaled(with(
            setting("slots that scale, and a retirement in bad weather", |_| {}),
            vec![down(Retire, "Teardown")],
        )),
        fleet("a fleet"),
        named(fleet("every error of a fleet by its name")),
        with(fleet("a fleet, and a release that died"), dies()),
        met(fleet("a fleet, and an undo"), Second::Undo, Retire, "RollbackWindow"),
        Setting { hook: json!("fail"), ..fleet("a fleet that fails") },
        Setting { hook: json!("wait"), ..fleet("a fleet that never comes") },
    ]
}

/// People, and functions of the service's own.
fn people() -> Vec<Setting> {
    let says = |state, word| fate(Release, state, Command(word));
    let approving = |name| Setting { approves: 2, ..setting(name, asking) };
    vec![
        Setting { commands: &["promote", "abort", "pause"], ..approving("approvals and operators") },
        with(approving("an approval that is taken back"), vec![says("ConsumeApproval", "abort")]),
        with(approving("an approval that is overtaken"), vec![says("ConsumeApproval", "promote")]),
        with(setting("an abort", |_| {}), vec![says("Bake", "abort")]),
        with(setting("an abort at the last moment", |_| {}), vec![says("FreePromoted", "abort")]),
        with(
            setting("a pause at the last moment", |_| {}),
            vec![says("FreePromoted", "pause"), says("Bake", "resume")],
        ),
        vandalised(with(setting("a promotion", |_| {}), vec![says("Bake", "promote")])),
        vandalised(approving("approvals")),
        with(
            setting("a promotion that is taken back", |_| {}),
            vec![says("Bake", "promote"), says("ConsumeCommand", "abort")],
        ),
        with(
            setting("a promotion that is spoken over", |_| {}),
            vec![says("Bake", "promote"), says("ConsumeCommand", "resume")],
        ),
        stolen(setting("hooks and testers", hooks)),
        sick(setting("testers of a sick release", testers)),
        with(setting("testers of a release that died", testers), dies()),
        met(setting("testers of a release that is undone", testers), Second::Undo, Retire, "RollbackWindow"),
        sick(setting("hooks after a rollback", hooks)),
        with(setting("hooks after a recovery", hooks), dies()),
        Setting { hook: json!("fail"), ..sick(setting("a hook that fails", hooks)) },
    ]
}
