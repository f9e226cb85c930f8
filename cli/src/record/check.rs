//! One check: when, and what it saw and decided.

use jiff::Timestamp;
use serde::Serialize;
use spillway_core::decision::evidence::GateReport;
use spillway_core::decision::{Check, SUSPICION};
use spillway_core::judge::Counts;
use spillway_core::judge::sequential::ERRORS;
use spillway_core::weight::Percent;

/// A check of a release.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Checked {
    /// When it had decided.
    pub at: Timestamp,
    /// What it saw and decided; its progress is the one after it, of which only the weight is written.
    #[serde(flatten)]
    pub check: Check,
}

/// Requests of both slots.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The candidate's.
    pub candidate: f64,
    /// The stable slot's.
    pub stable: f64,
}

impl Share {
    /// The candidate's part of all of them, as a fraction; `None` without requests.
    pub fn fraction(self) -> Option<f64> {
        let all = self.candidate + self.stable;
        (all > 0.0).then(|| self.candidate / all)
    }
}

/// Healthy hosts of a slot's weakest target group.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Hosts {
    /// Those that are healthy.
    pub healthy: u32,
    /// All that are registered.
    pub registered: u32,
}

impl Checked {
    /// The candidate's weight that was asked for.
    pub fn weight(&self) -> Percent {
        self.check.progress.weight
    }

    /// A gate's report.
    pub fn gate(&self, name: &str) -> Option<&GateReport> {
        self.check.evidence.gates.iter().find(|gate| gate.gate == name)
    }

    /// The measured split: of the latest periods that began after the shift had settled, or, before there are any, of
    /// those since the shift.
    pub fn share(&self) -> Option<Share> {
        let settled = self.gate("split").and_then(|gate| gate.counts);
        let pair = settled.unwrap_or(self.check.evidence.since_shift);
        let share = Share { candidate: pair.candidate.requests, stable: pair.stable.requests };
        share.fraction().map(|_| share)
    }

    /// The candidate's answers since the first exposure.
    pub fn candidate(&self) -> Counts {
        self.check.evidence.candidate
    }

    /// The stable slot's answers since then.
    pub fn stable(&self) -> Counts {
        self.check.evidence.stable
    }

    /// The candidate's hosts, where they could be read.
    pub fn candidate_hosts(&self) -> Option<Hosts> {
        hosts(&self.gate("hosts")?.line)
    }

    /// The stable slot's, where they could be read; not at 100 %.
    pub fn stable_hosts(&self) -> Option<Hosts> {
        hosts(&self.gate("stable_hosts")?.line)
    }

    /// The gates that have an e-value.
    pub fn judged(&self) -> impl Iterator<Item = &GateReport> {
        self.check.evidence.gates.iter().filter(|gate| gate.e_value.is_some() && gate.proof_at.is_some())
    }
}

/// The e-value from which on a gate that is proof at `proof_at` is suspicious.
pub fn suspicious_at(proof_at: f64) -> f64 {
    SUSPICION * proof_at / ERRORS.proof().round()
}

/// `candidate hosts: 2 of 3 targets healthy in checkout-green`.
fn hosts(line: &str) -> Option<Hosts> {
    let (_, rest) = line.split_once(": ")?;
    let (healthy, rest) = rest.split_once(" of ")?;
    let (registered, _) = rest.split_once(" targets healthy")?;
    Some(Hosts { healthy: healthy.parse().ok()?, registered: registered.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use spillway_core::targets::{TargetCounts, TargetState};

    #[test]
    fn hosts_are_read_as_the_core_tells_them() {
        let counts = TargetCounts::of(&[TargetState::Healthy, TargetState::Healthy, TargetState::Unhealthy]);
        let line = format!("candidate hosts: {counts} in shop-green (dry run)");
        assert_eq!(hosts(&line), Some(Hosts { healthy: 2, registered: 3 }), "{line}");
        assert_eq!(hosts("target health: DescribeTargetHealth: Timeout: late"), None);
    }

    #[test]
    fn a_share_needs_requests() {
        assert_eq!(Share { candidate: 1.0, stable: 3.0 }.fraction(), Some(0.25));
        assert_eq!(Share { candidate: 0.0, stable: 0.0 }.fraction(), None);
    }
}
