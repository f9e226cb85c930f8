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
    /// Go on with the lease, which is its own already.
    Adopt,
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
    /// Another one holds the lease, and it was waited for long enough.
    GivenUp,
}

/// Whose turn it is.
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
    /// Whether it has waited in the queue before.
    pub queued: bool,
    /// Whether there is a freeze: nobody is rolled back for a release that may not start.
    pub frozen: bool,
    /// ARN of the execution that it follows; empty without one.
    pub following: &'a str,
    /// The status of that, if it follows one: `RUNNING`, `SUCCEEDED`, `FAILED`, …
    pub followed: Option<&'a str>,
}

/// Decides.
#[must_use]
pub fn turn(asking: &Asking<'_>, record: &LeaseRecord, now: Timestamp) -> Turn {
    let Asking { execution, following, .. } = *asking;
    let say = |next, reason: String| Turn { next, reason, ..Turn::default() };
    // The answer that said so was lost.
    if record.owner.as_deref() == Some(execution) {
        return say(Next::Adopt, "the lease is its own".into());
    }
    let mut waiting = record.waiting.as_ref();
    if let Some(status) = asking.followed {
        match status {
            "RUNNING" => return follow(asking, following, now),
            "SUCCEEDED" => return say(Next::Promoted, format!("{following} brought the same version")),
            // It died before its turn, so that this version was not tried at all.
            _ if waiting.is_some_and(|waiting| waiting.execution == following) => waiting = None,
            _ => return say(Next::NotPromoted, format!("{following}, which brings the same version, ended {status}")),
        }
    }
    let mine = waiting.is_some_and(|waiting| waiting.execution == execution);
    // An answer may have been lost.
    let queued = asking.queued || mine;
    let other = waiting.filter(|_| !mine);
    let held = record.owner.as_deref();
    let is_release = held.is_some_and(|owner| machine(owner) == machine(execution));

    // One that has waited, and finds that its own version has gone before it, has not been outrun by another.
    if !mine {
        let same = |intent: &str| asking.version.is_some() && version_of(intent).as_ref() == asking.version;
        if let Some(other) = other.filter(|other| same(&other.intent)) {
            return follow(asking, &other.execution, now);
        }
        // Whatever else waits: events come late and twice, and a newer one must not be lost to an older one's echo.
        if let Some(running) = held.filter(|_| is_release && record.intent.as_deref().is_some_and(same)) {
            return follow(asking, running, now);
        }
    }
    if let Some(newer) = other.filter(|other| queued || other.since > asking.since) {
        return say(Next::Outrun, format!("{} is newer, and waits for its turn", newer.execution));
    }
    if queued && !mine {
        return say(Next::Outrun, "a newer release took its place in the queue".into());
    }
    let Some(owner) = held else {
        return say(if queued { Next::AcquireInTurn } else { Next::Acquire }, "the lease is free".into());
    };

    let waited = seconds_between(asking.since, now);
    let holder = holder(record, owner, now);
    if queued && waited > LONGEST_QUEUE_SECONDS {
        return say(Next::GivenUp, format!("{holder}; waited for {waited} s"));
    }
    if !is_release && record.phase == "retiring" && (queued || waited < PATIENCE_WITH_RETIREMENTS) {
        return Turn { wait_seconds: 5, ..say(Next::Wait, holder) };
    }
    match asking.policy {
        OnConflict::Supersede if is_release && !asking.frozen => say(Next::Supersede, holder),
        OnConflict::Queue | OnConflict::Supersede => say(Next::Queue, holder),
        OnConflict::Reject => say(Next::Held, holder),
    }
}

fn follow(asking: &Asking<'_>, execution: &str, now: Timestamp) -> Turn {
    let wait = (seconds_between(asking.since, now) / 10).clamp(FOLLOWING.0, FOLLOWING.1);
    Turn {
        next: Next::Follow,
        reason: format!("{execution} brings the same version"),
        wait_seconds: u32::try_from(wait).unwrap_or(0),
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
fn version_of(intent: &str) -> Option<Version> {
    let input: Value = serde_json::from_str(intent).ok()?;
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

    #[allow(clippy::unnecessary_wraps, reason = "as it stands in a record")]
    fn waits(execution: &str, version: &str, since: i64) -> Option<Waiting> {
        Some(Waiting { execution: execution.into(), intent: intent(version), since: at(since), supersede: false })
    }

    fn ask(policy: OnConflict, queued: bool, record: &LeaseRecord) -> Turn {
        told(policy, queued, "", None, record)
    }

    fn told(policy: OnConflict, queued: bool, following: &str, followed: Option<&str>, record: &LeaseRecord) -> Turn {
        let version: Version = serde_json::from_str(r#"{"opaque":"v2"}"#).unwrap();
        let version = Some(&version);
        let asking =
            Asking { execution: ME, since: at(0), version, policy, queued, frozen: false, following, followed };
        turn(&asking, record, at(10))
    }

    #[test]
    fn the_policy_says_what_becomes_of_a_second_release() {
        for (policy, next) in [
            (OnConflict::Reject, Next::Held),
            (OnConflict::Queue, Next::Queue),
            (OnConflict::Supersede, Next::Supersede),
        ] {
            let told = ask(policy, false, &held(OTHER, "v1"));
            assert_eq!((told.next, told.reason), (next, format!("held by {OTHER}, baking, for 12m 15s")));
        }
        // A recovery, or an undo, is not to be rolled back for anybody.
        let undo = LeaseRecord { phase: "rolling_back".into(), ..held(RETIREMENT, "v1") };
        assert_eq!(ask(OnConflict::Supersede, false, &undo).next, Next::Queue);
        assert_eq!(ask(OnConflict::Reject, false, &LeaseRecord::default()).next, Next::Acquire);
        // The answer to its own acquisition was lost; and a newer release may wait by now.
        let acquired = held(ME, "v2");
        for (queued, waiting) in [(false, None), (true, None), (false, waits(THIRD, "v3", 5))] {
            let record = LeaseRecord { waiting, ..acquired.clone() };
            assert_eq!(ask(OnConflict::Reject, queued, &record).next, Next::Adopt);
        }
    }

    /// A retirement has the lease for moments: even one that has waited for long waits a moment more.
    #[test]
    fn retirements_are_waited_for() {
        let retirement = LeaseRecord { phase: "retiring".into(), ..held(RETIREMENT, "v1") };
        let waits_already = LeaseRecord { waiting: waits(ME, "v2", 0), ..retirement.clone() };
        for (record, queued, seconds, next) in [
            (&retirement, false, 10, Next::Wait),
            (&retirement, false, 119, Next::Wait),
            (&retirement, false, 120, Next::Held),
            (&waits_already, true, 5000, Next::Wait),
            (&waits_already, true, LONGEST_QUEUE_SECONDS + 1, Next::GivenUp),
        ] {
            let asking = Asking {
                execution: ME,
                since: at(0),
                version: None,
                policy: OnConflict::Reject,
                queued,
                frozen: false,
                following: "",
                followed: None,
            };
            assert_eq!(turn(&asking, record, at(seconds)).next, next, "{queued} {seconds}");
        }
    }

    /// Nobody goes back for a release that may not start.
    #[test]
    fn nothing_is_superseded_in_a_freeze() {
        let asking = Asking {
            execution: ME,
            since: at(0),
            version: None,
            policy: OnConflict::Supersede,
            queued: false,
            frozen: true,
            following: "",
            followed: None,
        };
        assert_eq!(turn(&asking, &held(OTHER, "v1"), at(10)).next, Next::Queue);
    }

    /// An event that came twice has taken the lease in the moment in which it was free: that is the same release.
    #[test]
    fn whoever_waited_follows_its_own_version() {
        for record in [held(OTHER, "v2"), LeaseRecord { waiting: waits(OTHER, "v2", 5), ..held(THIRD, "v1") }] {
            let told = ask(OnConflict::Queue, true, &record);
            assert_eq!((told.next, told.following.as_str()), (Next::Follow, OTHER));
        }
        assert_eq!(ask(OnConflict::Queue, true, &held(OTHER, "v3")).next, Next::Outrun);
    }

    #[test]
    fn the_newest_waits_and_takes_its_turn() {
        let with =
            |waiting, owner: Option<&str>| LeaseRecord { owner: owner.map(Into::into), waiting, ..held(OTHER, "v1") };
        for (queued, waiting, owner, next) in [
            (true, waits(ME, "v2", 0), Some(OTHER), Next::Queue),
            (true, waits(ME, "v2", 0), None, Next::AcquireInTurn),
            // It waits, and the answer to that was lost.
            (false, waits(ME, "v2", 0), None, Next::AcquireInTurn),
            // It was told to wait, and before it did, the lease was given back.
            (false, None, None, Next::Acquire),
            // Whoever took the place is newer, whatever the clocks say.
            (true, waits(THIRD, "v3", -5), Some(OTHER), Next::Outrun),
            (true, waits(THIRD, "v3", -5), None, Next::Outrun),
            (true, None, None, Next::Outrun),
            (true, None, Some(THIRD), Next::Outrun),
            (true, None, Some(ME), Next::Adopt),
            (false, waits(THIRD, "v3", 5), Some(OTHER), Next::Outrun),
            (false, waits(THIRD, "v3", -5), Some(OTHER), Next::Queue),
            (false, waits(THIRD, "v3", -5), None, Next::Acquire),
        ] {
            let told = ask(OnConflict::Queue, queued, &with(waiting.clone(), owner));
            assert_eq!(told.next, next, "{queued} {waiting:?} {owner:?}");
        }
    }

    #[test]
    fn the_same_version_again_is_one_release() {
        let running = held(OTHER, "v2");
        let told_first = ask(OnConflict::Supersede, false, &running);
        assert_eq!((told_first.next, told_first.following.as_str(), told_first.wait_seconds), (Next::Follow, OTHER, 5));
        for (status, next) in [
            ("RUNNING", Next::Follow),
            ("SUCCEEDED", Next::Promoted),
            ("FAILED", Next::NotPromoted),
            ("ABORTED", Next::NotPromoted),
        ] {
            let told = told(OnConflict::Queue, false, OTHER, Some(status), &LeaseRecord::default());
            assert_eq!(told.next, next, "{status}");
        }
        let waiting = LeaseRecord { waiting: waits(THIRD, "v2", -5), ..held(OTHER, "v1") };
        let told_second = ask(OnConflict::Reject, false, &waiting);
        assert_eq!((told_second.next, told_second.following.as_str()), (Next::Follow, THIRD));
        // It was stopped before its turn: this one stands in for it.
        let told_third = told(OnConflict::Queue, false, THIRD, Some("ABORTED"), &waiting);
        assert_eq!((told_third.next, told_third.following.as_str()), (Next::Queue, ""));
        // An event that comes twice takes nobody's place.
        let echo = LeaseRecord { waiting: waits(THIRD, "v3", -5), ..held(OTHER, "v2") };
        assert_eq!(ask(OnConflict::Supersede, false, &echo).next, Next::Follow);
    }
}
