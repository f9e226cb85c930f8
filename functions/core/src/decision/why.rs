//! Why it was decided so, in words.

use super::gates::Kind;
use super::rules::{Seen, is_last};
use super::{Command, Decision};
use crate::figures;
use crate::plan::Plan;
use crate::progress::Progress;

/// Why it was decided so.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Why {
    /// An operator's wish.
    Wish(Command),
    /// A newer release is to take the place of this one.
    Superseded,
    /// Nothing goes on in a freeze.
    Frozen,
    /// A gate failed: its position.
    Failed(usize),
    /// Seconds that were waited for people, and that were allowed.
    WaitedTooLong(u64, u64),
    /// Seconds of exposure, and what was planned for.
    ExposedTooLong(u64, u64),
    /// A reason to wait.
    Held(Cause),
    /// A reason to wait that lasted so many seconds, which is too long.
    HoldIsOver(u64, Cause),
    /// Proof that the candidate is well enough.
    Proven,
    /// So many seconds measured without a reason against it, where there is nothing to compare with.
    Measured(u64),
    /// The step is over without proof.
    NoProof,
    /// Nothing yet.
    Nothing,
}

/// A reason to wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cause {
    /// A gate, by its position.
    Gate(usize),
    /// The step is over without proof, and something speaks against going on.
    Doubt(Doubt),
}

/// What speaks against going on without proof.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// What there is to know is not known.
    Unmeasured,
    /// A gate, by its position.
    Gate(usize),
    /// No requests since the last shift.
    NoRequests,
    /// At 100 %, the stable slot has not been measured quiet.
    NotQuiet,
    /// The candidate got none of so many.
    NoneOf(f64),
    /// The evidence is against the candidate, if weakly.
    Evidence,
}

impl Why {
    /// The decision and its reason in one line, for people.
    #[must_use]
    pub fn text(&self, decision: Decision, plan: &Plan, progress: &Progress, seen: &Seen<'_>) -> String {
        let weight = progress.weight;
        let verb = match decision {
            Decision::RollBack => "rolled back from",
            Decision::Hold => "held at",
            Decision::Continue => "continues at",
            Decision::Advance if is_last(plan, progress) => "promoted at",
            Decision::Advance => "advanced from",
        };
        format!("{verb} {weight}: {}", self.words(decision, plan, seen))
    }

    fn words(&self, decision: Decision, plan: &Plan, seen: &Seen<'_>) -> String {
        let errors = || line_of(Kind::Stream(0), plan, seen);
        match *self {
            Self::Wish(Command::Abort) => "aborted by an operator".into(),
            Self::Wish(Command::Pause) => "paused by an operator".into(),
            Self::Wish(Command::Promote) => "by an operator, all the way".into(),
            Self::Wish(_) => "approved by an operator".into(),
            Self::Superseded => match seen.notices.map(|notices| notices.superseded_by.as_deref()) {
                Ok(Some(newer)) => format!("{newer} is newer, and takes its place"),
                _ => "a newer release takes its place".into(),
            },
            Self::Frozen => match seen.notices {
                Ok(notices) => notices.freeze.as_ref().map(ToString::to_string).unwrap_or_default(),
                Err(error) => format!("whether there is a freeze cannot be read: {error}"),
            },
            Self::Failed(gate) => line(gate, plan, seen),
            Self::WaitedTooLong(waited, patience) => format!("waited for people for {waited} s, at most {patience} s"),
            Self::ExposedTooLong(exposed, allowed) => {
                format!("exposed for {exposed} s, planned for at most {allowed} s")
            }
            Self::Held(cause) => cause.words(plan, seen),
            Self::HoldIsOver(seconds, cause) => {
                let then = match decision {
                    Decision::Advance => ", and on by policy, without proof",
                    Decision::Continue => ", and on by policy",
                    Decision::Hold => " without relief, waiting for approval",
                    Decision::RollBack => " without relief",
                };
                format!("held for {seconds} s{then}: {}", cause.words(plan, seen))
            }
            Self::Proven => format!("{}; {}", line_of(Kind::Health, plan, seen), errors()),
            Self::Measured(seconds) => format!("{seconds} s measured without a reason against it; {}", errors()),
            Self::NoProof => {
                let then = match decision {
                    Decision::Advance => ", and nothing against it",
                    Decision::Hold => ", waiting for approval",
                    _ => "",
                };
                format!("no proof of health within the step{then}; {}", errors())
            }
            Self::Nothing => errors(),
        }
    }
}

impl Cause {
    fn words(self, plan: &Plan, seen: &Seen<'_>) -> String {
        let doubt = match self {
            Self::Gate(gate) => return line(gate, plan, seen),
            Self::Doubt(Doubt::Unmeasured) => "it cannot be measured".into(),
            Self::Doubt(Doubt::Gate(gate)) => line(gate, plan, seen),
            Self::Doubt(Doubt::NotQuiet) => line_of(Kind::Split, plan, seen),
            Self::Doubt(Doubt::NoRequests) => "no measured requests since the last shift".into(),
            Self::Doubt(Doubt::NoneOf(requests)) => {
                format!("the candidate got none of {} requests", figures::count(requests))
            }
            Self::Doubt(Doubt::Evidence) => "some doubt".into(),
        };
        format!("no proof of health within the step, and {doubt}; {}", line_of(Kind::Stream(0), plan, seen))
    }
}

fn line(gate: usize, plan: &Plan, seen: &Seen<'_>) -> String {
    let Some(gate) = seen.gates.get(gate) else { return String::new() };
    let line = gate.line(plan, seen.comparison, seen.reference);
    // All together says little by itself: the part that says most has the numbers.
    match seen.comparison.most_telling() {
        Some(most) if gate.kind == Kind::Together => format!("{line}; {}", line_of(Kind::Stream(most), plan, seen)),
        _ => line,
    }
}

fn line_of(kind: Kind, plan: &Plan, seen: &Seen<'_>) -> String {
    seen.gates.iter().position(|gate| gate.kind == kind).map(|gate| line(gate, plan, seen)).unwrap_or_default()
}
