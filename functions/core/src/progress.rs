//! How far a release has come: handed from function to function through the state machine, which only
//! carries it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::news::Told;
use crate::hook::{Pending, Point};
use crate::weight::Percent;

/// How far a release has come.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Progress {
    /// The step that is on, or to be shifted to next; the number of steps stands for the promotion.
    pub position: usize,
    /// The candidate's weight as written last.
    pub weight: Percent,
    /// The highest weight that the candidate has had.
    #[serde(default)]
    pub highest: Percent,
    /// Since when the measured split has not been the one asked for.
    #[serde(default)]
    pub split_since: Option<Timestamp>,
    /// Whether the policy went on although the measured split was not what was asked for, at this weight.
    #[serde(default)]
    pub split_overruled: bool,
    /// The hooks that have said ok since the last weight change.
    #[serde(default)]
    pub passed: Vec<Point>,
    /// The hook that is waited for, and since when.
    #[serde(default)]
    pub pending: Option<Pending>,
    /// When that weight was written; `None` before the candidate was attached.
    pub shifted_at: Option<Timestamp>,
    /// When the candidate got traffic for the first time.
    pub exposed_at: Option<Timestamp>,
    /// Since when the release has been held for a reason of its own.
    pub held_since: Option<Timestamp>,
    /// Since when it has been waiting for a person.
    pub waiting_since: Option<Timestamp>,
    /// Seconds that it waited for people before that.
    pub waited_seconds: u64,
    /// Seconds since the last weight change that it waited for people or was held: they use up none of the step.
    pub waited_in_step_seconds: u64,
    /// The weight before that.
    #[serde(default)]
    pub weight_before: Percent,
    /// The end of the last metric period that a check has seen.
    #[serde(default)]
    pub judged_to: Option<Timestamp>,
    /// What has been told of it since the candidate was attached.
    #[serde(default)]
    pub told: Told,
}

impl Progress {
    /// After a weight was written: the writing `began` and was read back `now`. Users may be exposed from the first
    /// write on; the split holds everywhere only after the last.
    pub fn shift(&mut self, weight: Percent, began: Timestamp, now: Timestamp) {
        self.weight_before = std::mem::replace(&mut self.weight, weight);
        self.shifted_at = Some(now);
        self.waited_in_step_seconds = 0;
        self.highest = self.highest.max(weight);
        self.split_since = None;
        self.split_overruled = false;
        self.passed.clear();
        self.pending = None;
        if weight > Percent::ZERO {
            self.exposed_at.get_or_insert(began);
        }
    }
}
