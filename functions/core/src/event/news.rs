//! What a release that runs has to tell: that it has shifted, and that it waits and for what.
//!
//! The state machine hands it on, and nothing waits for it that gives traffic back or takes it away.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Draft, Event, Kind, Observed, Severity};
use crate::plan::Plan;
use crate::weight::Percent;

/// The most that is told while the candidate is prepared, and again while it has users: each takes history.
pub const MOST: u32 = 40;
/// The most of them that may be told before only shifts and approvals are: a hold may come and go at every check.
const HOLDS: u32 = 20;

/// An event to be put, with its detail type.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct News {
    /// Its `detail-type`.
    pub detail_type: String,
    /// Its `detail`.
    pub event: Event,
}

/// What has been told so far.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Told {
    /// How much, at most [`MOST`].
    pub count: u32,
    /// What is waited for, if that has been told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
}

/// What a release waits for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// A person's approval.
    Approval,
    /// An operator, who said pause.
    Operator,
    /// The end of a freeze.
    Freeze,
    /// A gate, by its name.
    Gate(String),
    /// Proof, or something to measure.
    Proof,
}

impl Wait {
    /// What kind of event that is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        if *self == Self::Approval { Kind::ApprovalNeeded } else { Kind::Held }
    }
}

impl Told {
    /// Takes note of a shift; its number, if it is to be told.
    pub fn shift(&mut self) -> Option<u32> {
        self.wait = None;
        self.next(MOST)
    }

    /// Takes note of what is waited for now; its number, if it is to be told: when that has begun, or has changed.
    pub fn wait(&mut self, wait: Option<&Wait>) -> Option<u32> {
        let is_new = wait.is_some() && self.wait.as_ref() != wait;
        self.wait = wait.cloned();
        let most = if wait.is_some_and(|wait| wait.kind() == Kind::Held) { HOLDS } else { MOST };
        if is_new { self.next(most) } else { None }
    }

    fn next(&mut self, most: u32) -> Option<u32> {
        (self.count < most).then(|| {
            self.count += 1;
            self.count
        })
    }
}

/// The parts of news that its kind does not decide.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// ARN of the release's execution.
    pub execution: &'a str,
    /// When it happened.
    pub time: Timestamp,
    /// The candidate's weight from now on.
    pub weight: Percent,
    /// What was measured at it.
    pub observed: Option<Observed>,
    /// Why, in one line.
    pub reason: &'a str,
}

impl Report<'_> {
    /// The news of this kind and number.
    #[must_use]
    pub fn news(self, kind: Kind, number: u32) -> News {
        let severity = if kind == Kind::Shifted { Severity::Info } else { Severity::Warning };
        // What is told before the first users is counted by itself.
        let early = if self.weight == Percent::ZERO { "early-" } else { "" };
        let event = Event::of(Draft {
            kind,
            severity,
            time: self.time,
            service: self.plan.service.as_str(),
            execution: self.execution,
            version: Some(self.plan.version.to_string()),
            mark: format!("{early}{number}"),
            weight: Some(self.weight),
            observed: self.observed,
            reason: self.reason,
        });
        News { detail_type: kind.detail_type(), event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_when_it_begins_and_when_it_changes() {
        let mut told = Told::default();
        let split = Wait::Gate("split".into());
        assert_eq!(told.shift(), Some(1));
        assert_eq!(told.wait(None), None);
        assert_eq!(told.wait(Some(&split)), Some(2));
        assert_eq!(told.wait(Some(&split)), None);
        assert_eq!(told.wait(Some(&Wait::Approval)), Some(3));
        assert_eq!(told.wait(None), None);
        assert_eq!(told.wait(Some(&Wait::Approval)), Some(4));
        assert_eq!(told.shift(), Some(5));
        assert_eq!(told.wait(Some(&Wait::Approval)), Some(6));
    }

    #[test]
    fn there_is_an_end_to_it() {
        let mut told = Told::default();
        let numbers: Vec<u32> = (0..2 * MOST).filter_map(|_| told.shift()).collect();
        assert_eq!(numbers, (1..=MOST).collect::<Vec<_>>());
        assert_eq!(told.wait(Some(&Wait::Approval)), None);
    }

    /// A gate that comes and goes silences nobody who waits for a person.
    #[test]
    fn holds_leave_room_for_approvals_and_shifts() {
        let mut told = Told::default();
        for _ in 0..2 * MOST {
            told.wait(Some(&Wait::Freeze));
            told.wait(None);
        }
        assert_eq!(told.count, HOLDS);
        assert_eq!(told.wait(Some(&Wait::Approval)), Some(HOLDS + 1));
        assert_eq!(told.shift(), Some(HOLDS + 2));
    }
}
