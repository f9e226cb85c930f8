//! Why a release ended as it did, in at most five lines.

use jiff::Timestamp;
use spillway_core::decision::{Command, Decision};
use spillway_core::figures::count;
use spillway_core::version::short;
use spillway_core::weight::Percent;

use super::Record;
use super::timeline::{Entry, Tone, What, tone_of};
use crate::operator::words::length;

/// A time with its day.
const FULL: &str = "%F %T UTC";

/// The lines, each with what it is about.
#[derive(Clone, Debug, Default, Eq, PartialEq, serde::Serialize)]
pub struct Explanation {
    /// What happened.
    pub what: String,
    /// Why: the number against its limit.
    pub why: String,
    /// Who was affected.
    pub affected: String,
    /// Where traffic is.
    pub traffic: String,
    /// What to do next.
    pub next: String,
}

impl Explanation {
    /// Those that say something.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let Self { what, why, affected, traffic, next } = self;
        [what, why, affected, traffic, next].into_iter().map(String::as_str).filter(|line| !line.is_empty())
    }
}

impl Record {
    /// Why it ended as it did.
    pub fn explanation(&self) -> Explanation {
        Explanation {
            what: self.what_happened(),
            why: sentence(&self.why()),
            affected: self.affected(),
            traffic: self.where_traffic_is(),
            next: self.what_next(),
        }
    }

    /// How it ended, for people.
    pub fn outcome(&self) -> &str {
        match self.ending.as_deref() {
            Some("Promoted") if self.undone => "undone",
            Some("Stopped" | "TimedOut") if self.undone => "recovered",
            None => "running",
            Some("Promoted") => "promoted",
            Some("SamePromoted") => "promoted by another release",
            Some("AlreadyStable") => "not needed",
            Some("RolledBack") => "rolled back",
            Some("StableDead") => "left on the new version",
            Some("Refused") => "refused",
            Some("LeaseHeld") => "turned away",
            Some("Outrun") => "overtaken",
            Some("SameFailed") => "failed with another release",
            Some("LeaseLost") => "taken over",
            Some("LeaseNotFreed") => "ended with the lease held",
            Some("RollBackFailed") => "not rolled back",
            Some("Stopped") => "stopped",
            Some("TimedOut") => "timed out",
            Some(other) => other,
        }
    }

    /// How the outcome is meant.
    pub fn tone(&self) -> Tone {
        match &self.ending {
            Some(_) if self.undone => Tone::Bad,
            None => Tone::Plain,
            Some(ending) => tone_of(ending),
        }
    }

    /// The reason that the release was rolled back for, or ended with: of the check or the error that decided.
    pub fn why(&self) -> String {
        let began = self.timeline.iter().rev().find(|entry| entry.what == What::RollingBack);
        let cause = match (self.ending.as_deref(), began) {
            (Some("RolledBack" | "StableDead" | "RollBackFailed"), Some(began)) if !began.why.is_empty() => &began.why,
            (None, _) => self.timeline.last().map_or(&self.cause, |entry| &entry.why),
            _ => &self.cause,
        };
        // The first line says that, and at which weight.
        let known = [format!("rolled back from {}: ", self.progress.weight), "promoted at 100 %: ".to_owned()];
        let cause = known.iter().find_map(|known| cause.strip_prefix(known)).unwrap_or(cause);
        cause.lines().map(str::trim).collect::<Vec<_>>().join("; ")
    }

    /// Seconds that it took, or has taken up to its last event.
    pub fn seconds(&self) -> i64 {
        let last = self.timeline.last().map_or(self.started, |entry| entry.at);
        self.ended.unwrap_or(last).duration_since(self.started).as_secs()
    }

    fn what_happened(&self) -> String {
        let version = self.version.as_ref().map(|version| format!(" ({})", short(&version.to_string())));
        let at = if self.exposed() { format!(" at {}", self.progress.weight) } else { String::new() };
        let ended = match self.ending.as_deref() {
            Some("Promoted") if self.undone => "was promoted, and then undone",
            None => "is running",
            Some("Promoted") => "was promoted",
            Some("SamePromoted") => "shared the end of another release of the same version, which was promoted",
            Some("AlreadyStable") => "was not needed: this version served all users already",
            Some("RolledBack") => "was rolled back",
            Some("StableDead") => "left all traffic on the new version: the old one had no healthy host",
            Some("Refused") => "was refused",
            Some("LeaseHeld") => "was turned away: another execution was changing the service",
            Some("Outrun") => "was overtaken by a newer release while it waited for its turn",
            Some("SameFailed") => "shared the end of another release of the same version, which was not promoted",
            Some("LeaseLost") => "lost the service to another execution",
            Some("LeaseNotFreed") => "ended without giving its lease back",
            Some("RollBackFailed") => "could not be rolled back",
            Some("Stopped") => "was stopped by hand",
            Some("TimedOut") => "ran out of time",
            Some(_) => "failed",
        };
        let at = match self.ending.as_deref() {
            None | Some("RolledBack" | "RollBackFailed" | "Stopped" | "TimedOut") => at,
            _ => String::new(),
        };
        let took = length(self.seconds());
        let took = match self.ended {
            Some(ended) => format!(" after {took}, {}", ended.strftime(FULL)),
            None => format!(", for {took} so far"),
        };
        format!("{}: release {}{} {ended}{at}{took}.", self.service, self.release, version.unwrap_or_default())
    }

    /// A time of the day that the release ended, or else of its own day.
    fn clock(&self, at: Timestamp) -> String {
        let day = |at: Timestamp| at.strftime("%F").to_string();
        let same = self.ended.is_some_and(|ended| day(ended) == day(at));
        at.strftime(if same { "%T" } else { FULL }).to_string()
    }

    fn affected(&self) -> String {
        if !self.exposed() {
            return "No user reached the new version.".into();
        }
        let Some(check) = self.last_check() else {
            return "Users reached the new version; it ended before any of their requests had been measured.".into();
        };
        let candidate = check.candidate();
        let until = self.progress.judged_to.unwrap_or(check.at);
        let few = if candidate.errors == 1.0 { "request" } else { "requests" };
        let excess = self.excess_errors().unwrap_or(0.0);
        let beyond = if candidate.errors < 0.5 {
            String::new()
        } else {
            format!(", {} more than at the old version's rate", count(excess))
        };
        format!(
            "{} {few} of {} failed on the new version{beyond}, as measured until {}.",
            count(candidate.errors),
            count(candidate.requests),
            self.clock(until)
        )
    }

    fn where_traffic_is(&self) -> String {
        let Some(plan) = &self.plan else {
            return if self.ending.is_some() { "Traffic was not touched.".into() } else { String::new() };
        };
        let (stable, candidate) = (plan.stable.slot, plan.candidate.slot);
        let back = self.timeline.iter().find(|entry| entry.what == What::GivingBack { done: true });
        if self.undone {
            return format!("All traffic is on {stable} again, the version before.");
        }
        match self.ending.as_deref() {
            Some("Promoted") => {
                format!("All traffic is on {candidate}, the new version{}.", self.retirement(&stable.to_string()))
            }
            Some("StableDead") => {
                format!("All traffic is on {candidate}, the new version: {stable} had no healthy host.")
            }
            Some("RolledBack") if !self.exposed() => format!("All traffic stayed on {stable}, the old version."),
            Some("RolledBack") => {
                let since = back.map_or_else(String::new, |entry| format!(", since {}", self.clock(entry.at)));
                format!(
                    "All traffic is on {stable}, the old version{since}{}.",
                    self.retirement(&candidate.to_string())
                )
            }
            None => format!("{} of the traffic is to go to {candidate}, the new version.", self.weight),
            Some("Refused" | "LeaseHeld" | "Outrun" | "SameFailed" | "AlreadyStable" | "SamePromoted") => {
                "Traffic was not touched.".into()
            }
            Some(_) if self.weight == Percent::ZERO => {
                format!("All traffic was on {stable}, the old version, when it ended.")
            }
            Some(_) => format!("Traffic may be split: {candidate} had {} when it ended.", self.weight),
        }
    }

    /// What has become of the slot without traffic.
    fn retirement(&self, slot: &str) -> String {
        let ended = self.timeline.iter().rev().find_map(|entry| match &entry.what {
            What::RetirementEnded { ending } => Some(ending.as_str()),
            _ => None,
        });
        let started = self.timeline.iter().any(|entry| entry.what == What::RetirementStarted);
        match (ended, started) {
            (Some("Retired"), _) => format!("; {slot} is retired"),
            (Some("RetirementFailed"), _) => format!("; {slot} could not be retired, and goes on costing"),
            (None, true) => format!("; {slot} waits for its retirement"),
            _ => String::new(),
        }
    }

    fn what_next(&self) -> String {
        let service = &self.service;
        let candidate = self.plan.as_ref().map_or_else(String::new, |plan| plan.candidate.slot.to_string());
        let next = match self.ending.as_deref() {
            Some("Promoted") if self.undone => {
                format!("find out why it was undone, then start the next release of {service}")
            }
            Some(_) if self.undone => "start it again; the guard has given traffic back and freed the lease".into(),
            None => format!("spillway status {service}; pause, approve, promote or abort act at the next check"),
            Some("Promoted") => "nothing; an undo is possible until the next release is planned".into(),
            Some("SamePromoted" | "AlreadyStable") => "nothing".into(),
            Some("RolledBack") => self.after_a_rollback(&candidate),
            Some("StableDead") => {
                format!("find out why the old version died; start the next release of {service} when there is one")
            }
            Some("Refused") => "remove what the second line says, then start it again; nothing was changed".into(),
            Some("LeaseHeld") => format!(
                "wait for the execution that the second line names (spillway status {service} --wait), then start it again"
            ),
            Some("Outrun") => "nothing: the newer release goes on in its place".into(),
            Some("SameFailed") => "spillway explain the release that the second line names".into(),
            Some("LeaseLost") => format!("spillway status {service} tells who has it now"),
            Some("LeaseNotFreed" | "Stopped" | "TimedOut") => {
                format!("spillway status {service}: the guard gives traffic back and frees the lease within minutes")
            }
            _ => format!(
                "look at the routes of {service} now and give the old version all weight by hand; the lease is kept until the guard has done it"
            ),
        };
        format!("Next: {next}.")
    }

    fn after_a_rollback(&self, candidate: &str) -> String {
        if self.timeline.iter().any(|entry| entry.what == What::Command { word: Command::Abort }) {
            return "it was aborted by an operator; start it again when that reason is gone".into();
        }
        let failed = |entry: &&Entry| matches!(entry.what, What::Checked { decision: Decision::RollBack, .. });
        let gate = self.last_check().and_then(|check| {
            let failed = |finding| finding == spillway_core::decision::gates::Finding::Failed;
            check.check.evidence.gates.iter().find(|gate| failed(gate.finding) && !gate.dry_run)
        });
        let exposed = self.progress.exposed_at;
        let since = exposed.map_or_else(String::new, |at| format!(" from {} on", self.clock(at)));
        match (self.timeline.iter().rfind(failed), gate.map(|gate| gate.gate.as_str())) {
            (Some(_), Some("routes")) => "find out who changed the routes; start it again when nobody else does".into(),
            (Some(_), Some("hosts")) => {
                format!("find out why the hosts of {candidate} failed their health checks, then release a fix")
            }
            (Some(_), Some("stable_hosts")) => {
                "heal the old version first: it has no healthy host behind some route".into()
            }
            (Some(_), Some(gate)) if gate.starts_with("alarm") => format!("look at {gate}; start again when it is OK"),
            (Some(_), Some(_)) => format!("read the logs of {candidate}{since}, fix the version, release it again"),
            (Some(_), None) => "remove what the second line says, or change the policy; then start it again".into(),
            (None, _) if exposed.is_none() => {
                format!("read the logs of {candidate}, fix what the second line says, start it again")
            }
            (None, _) => "fix what the second line says, then start it again".into(),
        }
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.trim_end_matches('.').chars();
    match letters.next() {
        None => String::new(),
        // Names and numbers stay as they are.
        Some(first) => format!("{}{}.", first.to_uppercase(), letters.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spillway_aws::executions::Status;

    fn ended(ending: &str, cause: &str) -> Record {
        Record {
            service: "shop".into(),
            status: if ending == "Promoted" { Status::Succeeded } else { Status::Failed },
            ending: Some(ending.into()),
            cause: cause.into(),
            ended: Some("2026-11-23T06:01:05Z".parse().unwrap()),
            ..Record::begun(
                "arn:aws:states:r:1:execution:spillway-release:r-1",
                "2026-11-23T06:00:00Z".parse().unwrap(),
            )
        }
    }

    const ENDINGS: [&str; 14] = [
        "Promoted",
        "AlreadyStable",
        "SamePromoted",
        "RolledBack",
        "StableDead",
        "Refused",
        "LeaseHeld",
        "Outrun",
        "SameFailed",
        "LeaseLost",
        "LeaseNotFreed",
        "RollBackFailed",
        "Stopped",
        "TimedOut",
    ];

    #[test]
    fn every_ending_has_at_most_five_lines_and_something_to_do() {
        let rolled_back = Record::from_file(include_str!("../../tests/cmd/rolled-back.history.json")).unwrap();
        let machine: serde_json::Value =
            serde_json::from_str(include_str!("../../../statemachine/release.asl.json")).unwrap();
        let states = machine["States"].as_object().unwrap().iter();
        let ends = states.filter(|(_, state)| matches!(state["Type"].as_str(), Some("Succeed" | "Fail")));
        for (ending, _) in ends {
            assert!(ENDINGS.contains(&ending.as_str()), "{ending} is an ending that is not explained");
        }
        for ending in ENDINGS {
            for record in [ended(ending, "a\nb"), Record { ending: Some(ending.into()), ..rolled_back.clone() }] {
                let explanation = record.explanation();
                let lines: Vec<&str> = explanation.lines().collect();
                assert!((3..=5).contains(&lines.len()), "{lines:?}");
                assert!(lines.iter().all(|line| !line.contains('\n') && line.ends_with('.')), "{lines:?}");
                assert!(lines[0].contains("release ") && lines.last().unwrap().starts_with("Next: "), "{lines:?}");
                assert_ne!(record.outcome(), ending, "{ending} has no words");
            }
        }
    }

    #[test]
    fn a_refusal_tells_every_reason_and_that_nothing_was_changed() {
        let refused = ended("Refused", "ReleaseRefused: an alarm fires\n  no healthy host");
        let lines: Vec<String> = refused.explanation().lines().map(ToOwned::to_owned).collect();
        assert_eq!(
            lines,
            [
                "shop: release r-1 was refused after 1 min 5 s, 2026-11-23 06:01:05 UTC.",
                "ReleaseRefused: an alarm fires; no healthy host.",
                "No user reached the new version.",
                "Traffic was not touched.",
                "Next: remove what the second line says, then start it again; nothing was changed.",
            ]
        );
    }

    #[test]
    fn what_to_do_after_a_rollback_depends_on_what_failed() {
        let record = Record::from_file(include_str!("../../tests/cmd/rolled-back.history.json")).unwrap();
        let next = |change: fn(&mut Record)| {
            let mut record = record.clone();
            change(&mut record);
            record.explanation().next
        };
        let fail = |record: &mut Record, gate: &str| {
            let gates = &mut record.checks.last_mut().unwrap().check.evidence.gates;
            gates[0].finding = spillway_core::decision::gates::Finding::Failed;
            gate.clone_into(&mut gates[0].gate);
        };
        assert!(next(|_| ()).starts_with("Next: read the logs of blue from "));
        for gate in ["routes", "hosts", "stable_hosts", "alarm checkout-orders"] {
            let mut record = record.clone();
            fail(&mut record, gate);
            let next = record.explanation().next;
            assert!(!next.contains("read the logs"), "{gate}: {next}");
        }
        let aborted = next(|record| {
            let at = record.started;
            record.timeline.push(Entry { at, what: What::Command { word: Command::Abort }, why: String::new() });
        });
        assert!(aborted.contains("aborted by an operator"), "{aborted}");
    }

    #[test]
    fn an_undo_and_a_recovery_are_told_apart() {
        let undone = Record { undone: true, ..ended("Promoted", "") };
        let recovered = Record { undone: true, ..ended("Stopped", "") };
        assert_eq!((undone.outcome(), recovered.outcome()), ("undone", "recovered"));
        assert!(undone.explanation().what.contains("was promoted, and then undone"));
        assert!(recovered.explanation().next.contains("the guard has given traffic back"));
    }
}
