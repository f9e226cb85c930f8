//! Whose turn it is when a release finds the lease held.
//!
//! A release that comes while another runs is turned away, waits, or has the other rolled back, as the definition's
//! `on_conflict` says. It never takes over what another has begun. The same version again is the same release, whose end
//! it shares.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::OnConflict;
use crate::lease::LeaseRecord;
use crate::version::Version;

/// A retirement, or an undo of one, holds the lease for moments: so long it is waited for whatever the policy says, in
/// seconds.
const PATIENCE_WITH_RETIREMENTS: i64 = 120;
/// The longest that a release waits for its turn, in seconds: a day.
pub const LONGEST_QUEUE_SECONDS: i64 = 86_400;
/// Waits for another release's end are a tenth of what it has taken so far, within these bounds, in seconds: so that a
/// long one does not fill the history.
const FOLLOWING: (i64, i64) = (5, 3600);

/// Where the state machine goes from here.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Take the lease, which was free.
    #[default]
    Acquire,
    /// Take the lease, if this is the release that waits for it.
    AcquireInTurn,
    /// Wait a moment, then ask again.
    Wait,
    /// Wait until the lease is given back.
    Queue,
    /// The same, and have the running release rolled back.
    Supersede,
    /// See how the release fares that brings the same version.
    Follow,
    /// The release that brings the same version was promoted.
    Promoted,
    /// It was not.
    NotPromoted,
    /// A newer release has taken the place.
    Outrun,
    /// Another one holds the lease, and the policy is not to wait.
    Held,
}

/// Whose turn it is. The state machine hands it back when it asks again.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Turn {
    /// What comes next.
    pub next: Next,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
    /// Seconds to wait, where that is next.
    #[serde(default)]
    pub wait_seconds: u32,
    /// Whether this release has waited in the queue before.
    #[serde(default)]
    pub queued: bool,
    /// ARN of the execution that brings the same version; empty without one.
    #[serde(default)]
    pub following: String,
}

/// The release that asks.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// ARN of its execution.
    pub execution: &'a str,
    /// When it was started.
    pub since: Timestamp,
    /// What it wants to bring, if that can be read.
    pub version: Option<&'a Version>,
    /// What its definition says about a conflict.
    pub policy: OnConflict,
    /// What it was told before.
    pub before: &'a Turn,
    /// The status of the execution that it follows, if it follows one: `RUNNING`, `SUCCEEDED`, `FAILED`, …
    pub followed: Option<&'a str>,
}

/// Decides.
#[must_use]
pub fn turn(asking: &Asking<'_>, record: &LeaseRecord, now: Timestamp) -> Turn {
    let Asking { execution, before, .. } = *asking;
    let say = |next, reason: String| Turn { next, reason, ..before.clone() };
    let mut waiting = record.waiting.as_ref();
    if let Some(status) = asking.followed.filter(|_| !before.following.is_empty()) {
        let followed = &before.following;
        match status {
            "RUNNING" => return follow(asking, followed, now),
            "SUCCEEDED" => return say(Next::Promoted, format!("{followed} brought the same version")),
            // It died before its turn, so that this version was not tried at all.
            _ if waiting.is_some_and(|waiting| waiting.execution == *followed) => waiting = None,
            _ => return say(Next::NotPromoted, format!("{followed}, which brings the same version, ended {status}")),
        }
    }
    let before = &Turn { following: String::new(), ..before.clone() };
    let asking = &Asking { before, ..*asking };
    let say = |next, reason: String| Turn { next, reason, ..before.clone() };
    let mine = waiting.is_some_and(|waiting| waiting.execution == execution);
    let newer = waiting.filter(|waiting| !mine && (before.queued || waiting.since > asking.since));
    if before.queued && !mine && newer.is_none() && record.owner.as_deref() != Some(execution) {
        return say(Next::Outrun, "a newer release took its place in the queue".into());
    }
    if let Some(newer) = newer {
        return say(Next::Outrun, format!("{} is newer, and waits for its turn", newer.execution));
    }
    let Some(owner) = record.owner.as_deref().filter(|owner| *owner != execution) else {
        let next = if before.queued { Next::AcquireInTurn } else { Next::Acquire };
        return say(next, "the lease is free".into());
    };

    let is_release = machine(owner) == machine(execution);
    if !before.queued {
        let same = |intent: Option<&String>| asking.version.is_some() && version_of(intent).as_ref() == asking.version;
        if is_release && same(record.intent.as_ref()) {
            return follow(asking, owner, now);
        }
        if let Some(waiting) = waiting.filter(|waiting| same(Some(&waiting.intent))) {
            return follow(asking, &waiting.execution, now);
        }
    }
    let waited = seconds_between(asking.since, now);
    let held = holder(record, owner, now);
    if !is_release && record.phase == "retiring" && waited < PATIENCE_WITH_RETIREMENTS {
        return Turn { wait_seconds: 5, ..say(Next::Wait, held) };
    }
    match asking.policy {
        OnConflict::Queue | OnConflict::Supersede if waited > LONGEST_QUEUE_SECONDS => {
            say(Next::Held, format!("{held}; waited for {waited} s"))
        }
        OnConflict::Supersede if is_release => Turn { queued: true, ..say(Next::Supersede, held) },
        OnConflict::Queue | OnConflict::Supersede => Turn { queued: true, ..say(Next::Queue, held) },
        OnConflict::Reject => say(Next::Held, held),
    }
}

fn follow(asking: &Asking<'_>, execution: &str, now: Timestamp) -> Turn {
    let wait = (seconds_between(asking.since, now) / 10).clamp(FOLLOWING.0, FOLLOWING.1);
    Turn {
        next: Next::Follow,
        reason: format!("{execution} brings the same version"),
        wait_seconds: u32::try_from(wait).unwrap_or(0),
        queued: asking.before.queued,
        following: execution.to_owned(),
    }
}

/// Who holds the lease, what for, and for how long: `held by …:release-7, baking, for 12 min 5 s`.
fn holder(record: &LeaseRecord, owner: &str, now: Timestamp) -> String {
    let phase = if record.phase.is_empty() { "in an unknown phase" } else { &record.phase };
    match record.since {
        Some(since) => {
            let held = SignedDuration::from_secs(seconds_between(since, now));
            format!("held by {owner}, {phase}, for {held:#}")
        }
        None => format!("held by {owner}, {phase}"),
    }
}

/// The version that an execution's input asks for.
fn version_of(intent: Option<&String>) -> Option<Version> {
    let input: Value = serde_json::from_str(intent?).ok()?;
    serde_json::from_value(input.get("version")?.clone()).ok()
}

/// The state machine of an execution: everything before the name in
/// `arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME`.
fn machine(execution: &str) -> &str {
    execution.rsplit_once(':').map_or(execution, |(machine, _)| machine)
}

fn seconds_between(then: Timestamp, now: Timestamp) -> i64 {
    now.duration_since(then).as_secs().max(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Waiting;

    const ME: &str = "arn:aws:states:r:1:execution:release:me";
    const OTHER: &str = "arn:aws:states:r:1:execution:release:other";
    const THIRD: &str = "arn:aws:states:r:1:execution:release:third";
    const RETIREMENT: &str = "arn:aws:states:r:1:execution:retire:other";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    fn intent(version: &str) -> String {
        format!(r#"{{"service":"shop","version":{{"opaque":"{version}"}}}}"#)
    }

    fn held(owner: &str, version: &str) -> LeaseRecord {
        LeaseRecord {
            owner: Some(owner.into()),
            fence: 7,
            phase: "baking".into(),
            since: Some(at(-725)),
            intent: Some(intent(version)),
            ..LeaseRecord::default()
        }
    }

    fn waits(execution: &str, version: &str, since: i64) -> Option<Waiting> {
        Some(Waiting { execution: execution.into(), intent: intent(version), since: at(since), supersede: false })
    }

    fn ask(policy: OnConflict, before: &Turn, followed: Option<&str>, record: &LeaseRecord) -> Turn {
        let version: Version = serde_json::from_str(r#"{"opaque":"v2"}"#).unwrap();
        let asking = Asking { execution: ME, since: at(0), version: Some(&version), policy, before, followed };
        turn(&asking, record, at(10))
    }

    #[test]
    fn the_policy_says_what_becomes_of_a_second_release() {
        let fresh = Turn::default();
        for (policy, next, queued) in [
            (OnConflict::Reject, Next::Held, false),
            (OnConflict::Queue, Next::Queue, true),
            (OnConflict::Supersede, Next::Supersede, true),
        ] {
            let told = ask(policy, &fresh, None, &held(OTHER, "v1"));
            assert_eq!((told.next, told.queued), (next, queued));
            assert_eq!(told.reason, format!("held by {OTHER}, baking, for 12m 15s"));
        }
        // A recovery, or an undo, is not to be rolled back for anybody.
        let undo = LeaseRecord { phase: "rolling_back".into(), ..held(RETIREMENT, "v1") };
        assert_eq!(ask(OnConflict::Supersede, &fresh, None, &undo).next, Next::Queue);
        let retirement = LeaseRecord { phase: "retiring".into(), ..held(RETIREMENT, "v1") };
        assert_eq!(ask(OnConflict::Reject, &fresh, None, &retirement).next, Next::Wait);
        assert_eq!(ask(OnConflict::Reject, &fresh, None, &LeaseRecord::default()).next, Next::Acquire);
        // The answer to its own acquisition was lost.
        assert_eq!(ask(OnConflict::Reject, &fresh, None, &held(ME, "v2")).next, Next::Acquire);
    }

    #[test]
    fn the_newest_waits_and_takes_its_turn() {
        let queued = Turn { queued: true, ..Turn::default() };
        let with =
            |waiting, owner: Option<&str>| LeaseRecord { owner: owner.map(Into::into), waiting, ..held(OTHER, "v1") };
        for (before, waiting, owner, next) in [
            (&queued, waits(ME, "v2", 0), Some(OTHER), Next::Queue),
            (&queued, waits(ME, "v2", 0), None, Next::AcquireInTurn),
            // Whoever took the place is newer, whatever the clocks say.
            (&queued, waits(THIRD, "v3", -5), Some(OTHER), Next::Outrun),
            (&queued, waits(THIRD, "v3", -5), None, Next::Outrun),
            (&queued, None, None, Next::Outrun),
            (&queued, None, Some(THIRD), Next::Outrun),
            (&queued, None, Some(ME), Next::AcquireInTurn),
            (&Turn::default(), waits(THIRD, "v3", 5), Some(OTHER), Next::Outrun),
            (&Turn::default(), waits(THIRD, "v3", -5), Some(OTHER), Next::Queue),
            (&Turn::default(), waits(THIRD, "v3", -5), None, Next::Acquire),
        ] {
            let told = ask(OnConflict::Queue, before, None, &with(waiting.clone(), owner));
            assert_eq!(told.next, next, "{before:?} {waiting:?} {owner:?}");
        }
    }

    #[test]
    fn the_same_version_again_is_one_release() {
        let fresh = Turn::default();
        let running = held(OTHER, "v2");
        let told = ask(OnConflict::Supersede, &fresh, None, &running);
        assert_eq!((told.next, told.following.as_str(), told.wait_seconds), (Next::Follow, OTHER, 5));
        for (status, next) in [
            ("RUNNING", Next::Follow),
            ("SUCCEEDED", Next::Promoted),
            ("FAILED", Next::NotPromoted),
            ("ABORTED", Next::NotPromoted),
        ] {
            assert_eq!(ask(OnConflict::Queue, &told, Some(status), &LeaseRecord::default()).next, next, "{status}");
        }
        let waiting = LeaseRecord { waiting: waits(THIRD, "v2", -5), ..held(OTHER, "v1") };
        let told = ask(OnConflict::Reject, &fresh, None, &waiting);
        assert_eq!((told.next, told.following.as_str()), (Next::Follow, THIRD));
        // It was stopped before its turn: this one stands in for it.
        let told = ask(OnConflict::Queue, &told, Some("ABORTED"), &waiting);
        assert_eq!((told.next, told.following.as_str()), (Next::Queue, ""));
    }
}
