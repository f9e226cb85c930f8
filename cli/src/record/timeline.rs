//! What happened in a release, and why, in order of time.

use jiff::Timestamp;
use serde::Serialize;
use spillway_core::decision::{Command, Decision};
use spillway_core::definition::StrategyType;
use spillway_core::hook::Point;
use spillway_core::slot::Slot;
use spillway_core::weight::Percent;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
    /// Why, or with which words; may be empty.
    pub why: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// The execution was started.
    Started,
    /// A failed execution was started again where it had failed.
    Redriven,
    /// Another execution holds the lease.
    WaitingForTurn,
    /// The plan is there; nothing has been changed yet.
    Planned {
        /// The strategy.
        strategy: StrategyType,
        /// The weights on the way to 100 %.
        steps: Vec<Percent>,
        /// The slot with the old version.
        stable: Slot,
        /// The slot for the new one.
        candidate: Slot,
    },
    /// The candidate was attached at 0 %, so that its targets are health-checked.
    Attached,
    /// The candidate is not ready yet.
    Preparing,
    /// Testers are led to the candidate.
    TestRoutesOpened,
    /// The candidate can take traffic.
    Prepared,
    /// All routes have new weights, and tell them.
    Shifted {
        /// The candidate's weight before.
        from: Percent,
        /// The candidate's weight from now on.
        to: Percent,
    },
    /// A check.
    Checked {
        /// The candidate's weight.
        weight: Percent,
        /// What was decided.
        decision: Decision,
    },
    /// The release stays where it is, for a reason of its own.
    HoldBegan {
        /// The candidate's weight.
        weight: Percent,
    },
    /// That reason is gone.
    HoldEnded {
        /// The candidate's weight.
        weight: Percent,
    },
    /// The release waits for a person.
    WaitBegan {
        /// The candidate's weight.
        weight: Percent,
    },
    /// It waits no longer.
    WaitEnded {
        /// The candidate's weight.
        weight: Percent,
    },
    /// An operator's word was read.
    Command {
        /// The word.
        word: Command,
    },
    /// A hook is asked.
    HookAsked {
        /// At which point.
        point: Point,
    },
    /// It has answered, or could not be asked.
    HookAnswered {
        /// At which point.
        point: Option<Point>,
    },
    /// A task has failed; it may be tried again.
    TaskFailed {
        /// The state of the machine.
        state: String,
    },
    /// The release begins to give all traffic back.
    RollingBack,
    /// A look at what a rollback has come to.
    GivingBack {
        /// Whether all traffic is back.
        done: bool,
    },
    /// People were called.
    Paged,
    /// The release has ended.
    Ended {
        /// How.
        ending: String,
    },
    /// Another execution has begun to give all traffic back: of an operator, or of the guard.
    UndoStarted,
    /// That has ended.
    UndoEnded {
        /// How.
        ending: String,
    },
    /// The retirement of the slot without traffic has begun: it stays warm for the rollback window.
    RetirementStarted,
    /// That has ended.
    RetirementEnded {
        /// How.
        ending: String,
    },
}

/// How what happened is meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As hoped for.
    Good,
    /// Neither.
    Plain,
    /// A reason to wait.
    Wait,
    /// A reason to roll back.
    Bad,
}

impl What {
    /// How it is meant.
    pub fn tone(&self) -> Tone {
        match self {
            Self::Prepared | Self::Shifted { .. } | Self::HoldEnded { .. } | Self::WaitEnded { .. } => Tone::Good,
            Self::Checked { decision, .. } => match decision {
                Decision::Advance => Tone::Good,
                Decision::Continue => Tone::Plain,
                Decision::Hold => Tone::Wait,
                Decision::RollBack => Tone::Bad,
            },
            Self::HoldBegan { .. } | Self::WaitBegan { .. } | Self::WaitingForTurn | Self::TaskFailed { .. } => {
                Tone::Wait
            }
            Self::Command { word } if *word == Command::Abort => Tone::Bad,
            Self::RollingBack | Self::Paged | Self::UndoStarted => Tone::Bad,
            Self::GivingBack { done } => {
                if *done {
                    Tone::Good
                } else {
                    Tone::Bad
                }
            }
            Self::Ended { ending } | Self::UndoEnded { ending } | Self::RetirementEnded { ending } => tone_of(ending),
            Self::Started
            | Self::Redriven
            | Self::Planned { .. }
            | Self::Attached
            | Self::Preparing
            | Self::TestRoutesOpened
            | Self::Command { .. }
            | Self::HookAsked { .. }
            | Self::HookAnswered { .. }
            | Self::RetirementStarted => Tone::Plain,
        }
    }
}

/// How an ending is meant.
pub fn tone_of(ending: &str) -> Tone {
    match ending {
        "Promoted" | "SamePromoted" | "AlreadyStable" | "Retired" | "Freed" => Tone::Good,
        "Superseded" | "NotDead" => Tone::Plain,
        "LeaseHeld" | "Outrun" | "Refused" | "NothingToUndo" => Tone::Wait,
        _ => Tone::Bad,
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Started => f.write_str("started"),
            Self::Redriven => f.write_str("started again where it had failed"),
            Self::WaitingForTurn => f.write_str("waits for its turn"),
            Self::Planned { strategy, steps, stable, candidate } => {
                write!(f, "planned: {}, {}, {stable} to {candidate}", words(*strategy), ladder(steps))
            }
            Self::Attached => f.write_str("candidate attached at 0 %"),
            Self::Preparing => f.write_str("preparing the candidate"),
            Self::TestRoutesOpened => f.write_str("testers are led to the candidate"),
            Self::Prepared => f.write_str("candidate ready"),
            Self::Shifted { from, to } => write!(f, "weight {from} to {to}"),
            Self::Checked { weight, decision } => write!(f, "check at {weight}: {}", decided(*decision)),
            Self::HoldBegan { weight } => write!(f, "hold begins at {weight}"),
            Self::HoldEnded { weight } => write!(f, "hold ends at {weight}"),
            Self::WaitBegan { weight } => write!(f, "waits for a person at {weight}"),
            Self::WaitEnded { weight } => write!(f, "waits no longer at {weight}"),
            Self::Command { word } => write!(f, "operator: {}", said(*word)),
            Self::HookAsked { point } => write!(f, "hook {point} asked"),
            Self::HookAnswered { point: Some(point) } => write!(f, "hook {point} answered"),
            Self::HookAnswered { point: None } => f.write_str("hook answered"),
            Self::TaskFailed { state } => write!(f, "{state} failed"),
            Self::RollingBack => f.write_str("rollback begins"),
            Self::GivingBack { done: true } => f.write_str("all traffic is back"),
            Self::GivingBack { done: false } => f.write_str("traffic is being given back"),
            Self::Paged => f.write_str("people were paged"),
            Self::Ended { ending } => f.write_str(ending),
            Self::UndoStarted => f.write_str("undo begins"),
            Self::UndoEnded { ending } => write!(f, "undo: {ending}"),
            Self::RetirementStarted => f.write_str("retirement begins"),
            Self::RetirementEnded { ending } => write!(f, "retirement: {ending}"),
        }
    }
}

/// A strategy in words.
pub fn words(strategy: StrategyType) -> &'static str {
    match strategy {
        StrategyType::Canary => "canary",
        StrategyType::Linear => "linear",
        StrategyType::BlueGreen => "blue-green",
        StrategyType::AllAtOnce => "all at once",
    }
}

/// `10, 50, 95, 100 %`.
pub fn ladder(steps: &[Percent]) -> String {
    let last = steps.last().filter(|last| **last == Percent::ALL);
    let all = steps.iter().chain(last.is_none().then_some(&Percent::ALL));
    let texts: Vec<String> = all.map(|weight| f64::from(*weight).to_string()).collect();
    format!("{} %", texts.join(", "))
}

/// A decision in a word or two.
pub fn decided(decision: Decision) -> &'static str {
    match decision {
        Decision::Advance => "advance",
        Decision::Continue => "continue",
        Decision::Hold => "hold",
        Decision::RollBack => "roll back",
    }
}

fn said(word: Command) -> &'static str {
    match word {
        Command::None | Command::Unknown => "nothing",
        Command::Pause => "pause",
        Command::Resume => "resume",
        Command::Approve => "approve",
        Command::Promote => "promote",
        Command::Abort => "abort",
    }
}

/// The timeline as people read it: without what repeats itself. Of checks in a row that decide the same at the same weight
/// the first is told, and none that the next entry tells of; and of a reason, what the entry before has not said.
pub fn told(timeline: &[Entry]) -> Vec<(&Entry, &str)> {
    let mut told: Vec<(&Entry, &str)> = Vec::new();
    let (mut decided, mut said) = (None, "");
    for (index, entry) in timeline.iter().enumerate() {
        if let What::Checked { weight, decision } = entry.what {
            let next = timeline.get(index + 1);
            let repeated = next.is_some_and(|next| next.why == entry.why && !matches!(next.what, What::Checked { .. }));
            if decided.replace((weight, decision)) == Some((weight, decision)) || repeated {
                continue;
            }
        }
        let new = match entry.why.strip_prefix(said) {
            Some(rest) if !said.is_empty() && (rest.is_empty() || rest.starts_with("; ")) => {
                rest.trim_start_matches("; ")
            }
            _ => &entry.why,
        };
        if !entry.why.is_empty() {
            said = &entry.why;
        }
        told.push((entry, new));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_itself_is_told_once() {
        let weight = Percent::whole(10);
        let entry = |what: What, why: &str| Entry { at: Timestamp::UNIX_EPOCH, what, why: why.into() };
        let checked = |decision, why: &str| entry(What::Checked { weight, decision }, why);
        let timeline = [
            checked(Decision::Continue, "a"),
            checked(Decision::Continue, "b"),
            checked(Decision::Hold, "c"),
            entry(What::HoldBegan { weight }, "c"),
            checked(Decision::Hold, "d"),
            checked(Decision::RollBack, "e"),
            entry(What::RollingBack, "e"),
            entry(What::GivingBack { done: true }, "e; 2 slot-hours"),
            entry(What::RetirementStarted, ""),
            entry(What::Ended { ending: "RolledBack".into() }, "e; 2 slot-hours"),
        ];
        let lines: Vec<String> = told(&timeline).iter().map(|(entry, why)| format!("{}: {why}", entry.what)).collect();
        assert_eq!(
            lines,
            [
                "check at 10 %: continue: a",
                "hold begins at 10 %: c",
                "rollback begins: e",
                "all traffic is back: 2 slot-hours",
                "retirement begins: ",
                "RolledBack: ",
            ]
        );
    }
}
