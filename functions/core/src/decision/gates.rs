//! The gates: everything that has a say in a check, each with its finding and its numbers.

use serde::{Deserialize, Serialize};

use super::{Look, SUSPICION};
use crate::definition::{DryRun, OnInsufficientData};
use crate::drift::Reading;
use crate::figures;
use crate::judge::comparison::{Comparison, Stream};
use crate::judge::hard_failure::Baseline;
use crate::judge::sequential::{ADVANCE, ERRORS};
use crate::judge::{Counts, Pair};
use crate::plan::{AlarmState, Plan};
use crate::progress::Progress;
use crate::targets::TargetCounts;
use crate::weight::Percent;

/// What a gate says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Nothing against the candidate.
    Fine,
    /// Proof that the candidate is well enough.
    Proven,
    /// It could not be found out: a reason to wait.
    Unknown,
    /// A reason to wait.
    Suspicious,
    /// A reason to roll back.
    Failed,
}

/// What a gate is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Whether the metrics could be read, and are there.
    Metrics,
    /// Whether the routes are as this release left them.
    Routes,
    /// Healthy hosts of the candidate.
    Hosts,
    /// Healthy hosts of the stable slot: without them there is nothing to compare with, and nothing to go back to.
    StableHosts,
    /// An alarm, by its position in the definition.
    Alarm(usize),
    /// A candidate that is broken beyond doubt.
    HardFailure,
    /// The absolute limit on the error rate.
    Limit,
    /// What is compared with the stable version, by its position: errors, latencies, the service's own metrics.
    Stream(usize),
    /// All of those together.
    Together,
    /// All alarms, which could not be read.
    Alarms,
    /// A candidate that gets none of its requests.
    Share,
    /// The measured split of requests.
    Split,
    /// Requests without an answer.
    Answers,
    /// Errors that the load balancer made itself.
    LoadBalancer,
    /// Proof that the candidate is well enough for the next weight.
    Health,
}

impl Kind {
    /// Whether it is about the split of requests.
    #[must_use]
    pub fn is_split(self) -> bool {
        matches!(self, Self::Share | Self::Split)
    }
}

/// One gate.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    /// What it is about.
    pub kind: Kind,
    /// What it says.
    pub finding: Finding,
    /// Whether it has a say; otherwise it is a dry run.
    pub decides: bool,
    /// The candidate's counts, and the stable version's.
    pub counts: Pair,
    /// ln of its e-value, where it has one.
    pub log_e: Option<f64>,
    /// The e-value from which on it is proof.
    pub proof: f64,
    /// What it says in words, where numbers do not.
    pub words: String,
}

impl Gate {
    /// A gate without numbers.
    #[must_use]
    pub fn saying(kind: Kind, finding: Finding, words: impl Into<String>) -> Self {
        Self { kind, finding, decides: true, counts: Pair::default(), log_e: None, proof: 0.0, words: words.into() }
    }

    /// The same, without a say unless `decides`.
    #[must_use]
    pub fn deciding(self, decides: bool) -> Self {
        Self { decides, ..self }
    }

    /// Whether it has a say and says this.
    #[must_use]
    pub fn says(&self, finding: Finding) -> bool {
        self.decides && self.finding == finding
    }
}

/// What the candidate is compared with.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// The stable slot in the same periods.
    Concurrent,
    /// The hour before the release, for what is broken beyond doubt only.
    Before,
    /// Nothing: absolute limits only.
    Absent,
}

impl Reference {
    /// What there is to compare with at a weight.
    #[must_use]
    pub fn at(plan: &Plan, weight: Percent) -> Self {
        if plan.without_stable.is_some() {
            Self::Absent
        } else if weight == Percent::ALL {
            Self::Before
        } else {
            Self::Concurrent
        }
    }

    /// What a broken candidate is told from, given the stable version's answers before the release.
    #[must_use]
    pub fn baseline(self, before: Counts) -> Baseline {
        match self {
            Self::Concurrent => Baseline::Concurrent,
            Self::Before if before.requests > 0.0 => Baseline::Before(before),
            Self::Before | Self::Absent => Baseline::Absent,
        }
    }
}

/// What the metrics, the target groups and the alarms say by themselves.
pub(super) fn of_world(plan: &Plan, progress: &Progress, look: &Look) -> Vec<Gate> {
    let mut gates = Vec::with_capacity(10);
    gates.push(routes(plan, progress, look));
    gates.push(match &look.observed {
        Err(reason) => Gate::saying(Kind::Metrics, Finding::Unknown, format!("metrics: {reason}")),
        Ok(_) => Gate::saying(Kind::Metrics, Finding::Fine, format!("metrics: complete up to {}", look.window.end)),
    });
    gates.push(hosts(plan, look).deciding(plan.health.decides(DryRun::Hosts)));
    gates.extend(stable_hosts(plan, progress, look));
    match &look.alarms {
        Err(reason) => {
            let decides = plan.health.alarms.iter().any(|alarm| !alarm.dry_run);
            gates.push(Gate::saying(Kind::Alarms, Finding::Unknown, format!("alarms: {reason}")).deciding(decides));
        }
        Ok(states) => gates.extend(alarms(plan, states)),
    }
    gates
}

/// Whether each route is as the last write left it. Right after a shift an answer may be older than that.
fn routes(plan: &Plan, progress: &Progress, look: &Look) -> Gate {
    let expected = progress.written();
    let settling = progress
        .shifted_at
        .is_some_and(|shifted| look.now.duration_since(shifted).as_secs() < i64::from(plan.traffic.settle_seconds));
    let mut unread = None;
    for (planned, reading) in std::iter::zip(&plan.routes, &look.routes) {
        let left = planned.left_at(expected);
        let drift = match reading {
            Reading::Unread(reason) => {
                unread.get_or_insert_with(|| Gate::saying(Kind::Routes, Finding::Unknown, format!("routes: {reason}")));
                continue;
            }
            Reading::Gone => Some(planned.gone(&left)),
            Reading::Actions(live) => {
                let before = planned.left_at(Some(progress.weight_before));
                let drift = planned.drift(live, std::slice::from_ref(&left));
                if drift.is_some() && settling && planned.drift(live, &[before]).is_none() {
                    unread.get_or_insert_with(|| {
                        let words = format!("routes: {} still tells what it was before the shift", planned.arn);
                        Gate::saying(Kind::Routes, Finding::Unknown, words)
                    });
                    continue;
                }
                drift
            }
        };
        if let Some(drift) = drift {
            return Gate::saying(Kind::Routes, Finding::Failed, format!("RouteDrifted: {drift}"));
        }
    }
    unread.unwrap_or_else(|| {
        Gate::saying(Kind::Routes, Finding::Fine, format!("routes: all {} as they were left", plan.routes.len()))
    })
}

/// A stable slot without any healthy host, while it has users: they fail, a comparison with them proves nothing, and the
/// rollback knows what to do. Nothing where it is known to be so, or no user is there.
fn stable_hosts(plan: &Plan, progress: &Progress, look: &Look) -> Option<Gate> {
    if plan.without_stable.is_some() || progress.weight == Percent::ALL {
        return None;
    }
    let saying = |finding, words: String| Gate::saying(Kind::StableHosts, finding, words);
    let targets = match &look.stable_targets {
        Err(reason) => return Some(saying(Finding::Unknown, format!("stable target health: {reason}"))),
        Ok(targets) => targets,
    };
    let weakest = std::iter::zip(&plan.stable.groups, targets).min_by_key(|(_, counts)| counts.usable());
    let (group, counts) = weakest?;
    let finding = if counts.usable() == 0 { Finding::Failed } else { Finding::Fine };
    Some(saying(finding, format!("stable hosts: {counts} in {}", group.arn.name())))
}

fn hosts(plan: &Plan, look: &Look) -> Gate {
    let saying = |finding, words: String| Gate::saying(Kind::Hosts, finding, words);
    let targets = match &look.candidate_targets {
        Err(reason) => return saying(Finding::Unknown, format!("target health: {reason}")),
        Ok(targets) => targets,
    };
    let named = |position: usize, counts: TargetCounts| {
        let group = plan.candidate.groups.get(position).map_or("?", |group| group.arn.name());
        format!("candidate hosts: {counts} in {group}")
    };
    if let Some(position) = targets.iter().position(|counts| counts.healthy == 0 && counts.unknown == 0) {
        return saying(Finding::Failed, named(position, targets[position]));
    }
    if targets.iter().any(|counts| counts.healthy == 0) {
        return saying(Finding::Unknown, "target health: unknown, health checks are off".into());
    }
    let share = |counts: &TargetCounts| f64::from(counts.healthy) / f64::from(counts.registered.max(1));
    let weakest = targets.iter().copied().enumerate().min_by(|(_, a), (_, b)| share(a).total_cmp(&share(b)));
    match weakest {
        // Half of them gone is no capacity to shift onto.
        Some((position, counts)) if share(&counts) < 0.5 => saying(Finding::Suspicious, named(position, counts)),
        Some((position, counts)) => saying(Finding::Fine, named(position, counts)),
        None => saying(Finding::Unknown, "target health: the candidate has no target group".into()),
    }
}

fn alarms<'a>(plan: &'a Plan, states: &'a [AlarmState]) -> impl Iterator<Item = Gate> + 'a {
    plan.health.alarms.iter().enumerate().map(|(index, alarm)| {
        let (finding, words) = match (states.get(index), alarm.on_insufficient_data) {
            (Some(AlarmState::Ok), _) => (Finding::Fine, "OK"),
            (Some(AlarmState::Alarm), _) => (Finding::Failed, "in ALARM"),
            (Some(AlarmState::InsufficientData), OnInsufficientData::Hold) => {
                (Finding::Suspicious, "INSUFFICIENT_DATA")
            }
            (Some(AlarmState::InsufficientData), OnInsufficientData::Ignore) => {
                (Finding::Fine, "INSUFFICIENT_DATA, which the definition ignores")
            }
            (Some(AlarmState::InsufficientData), OnInsufficientData::Rollback) => {
                (Finding::Failed, "INSUFFICIENT_DATA, which the definition takes as ALARM")
            }
            (Some(AlarmState::Missing) | None, _) => (Finding::Unknown, "does not exist any more"),
        };
        Gate::saying(Kind::Alarm(index), finding, format!("alarm {}: {words}", alarm.arn.name()))
            .deciding(!alarm.dry_run)
    })
}

/// What the comparison says, and `latest`, in which the warm-up counts as well: a broken candidate is one then, too.
#[must_use]
pub fn of_comparison(
    plan: &Plan,
    comparison: &Comparison,
    latest: &Comparison,
    reference: Reference,
    baseline: Baseline,
) -> Vec<Gate> {
    let health = &plan.health;
    let number = |kind, finding, counts, log_e: f64, proof| Gate {
        kind,
        finding,
        decides: true,
        counts,
        log_e: Some(log_e),
        proof,
        words: String::new(),
    };
    let mut gates = Vec::with_capacity(4 + comparison.streams().len());
    let broken = latest.hard_failure(baseline);
    gates.push(Gate {
        counts: latest.latest().iter().copied().sum(),
        ..Gate::saying(Kind::HardFailure, if broken { Finding::Failed } else { Finding::Fine }, String::new())
            .deciding(health.decides(DryRun::HardFailure))
    });
    if let Some(limit) = comparison.limit() {
        let proven = limit.peak() >= ERRORS.proof().ln();
        let (finding, log_e) = if proven { (Finding::Failed, limit.peak()) } else { (Finding::Fine, limit.log_e()) };
        let gate = number(Kind::Limit, finding, comparison.errors(), log_e, ERRORS.proof());
        gates.push(gate.deciding(health.decides(DryRun::MaxErrorRate)));
    }
    let together = comparison.deciding() > 1;
    for (index, stream) in comparison.streams().iter().enumerate() {
        let (finding, log_e) = finding(stream.process.log_e(), stream.process.peak(), stream.proof());
        let gate = number(Kind::Stream(index), finding, stream.sums, log_e, stream.proof());
        gates.push(gate.deciding(stream.weight > 0.0));
    }
    if together {
        let (finding, log_e) = finding(comparison.log_e(), comparison.peak(), ERRORS.proof());
        gates.push(number(Kind::Together, finding, Pair::default(), log_e, ERRORS.proof()));
    }
    if reference == Reference::Concurrent {
        let log_e = comparison.log_e_healthy();
        let finding = if log_e >= ADVANCE.proof().ln() { Finding::Proven } else { Finding::Fine };
        let gate = number(Kind::Health, finding, comparison.since_shift(), log_e, ADVANCE.proof());
        gates.push(gate.deciding(health.decides(DryRun::Errors)));
    }
    gates
}

/// What a process says: proof once is proof for good, suspicion is of now. A part of the whole is suspicious where it
/// makes the whole so by itself.
fn finding(log_e: f64, peak: f64, proof: f64) -> (Finding, f64) {
    let part = proof / ERRORS.proof();
    if peak >= proof.ln() {
        (Finding::Failed, peak)
    } else if log_e >= (SUSPICION * part).ln() {
        (Finding::Suspicious, log_e)
    } else {
        (Finding::Fine, log_e)
    }
}

impl Gate {
    /// Its name in reports: `errors`, `latency p90`, `metric declined`, `alarm checkout-5xx`.
    #[must_use]
    pub fn name(&self, plan: &Plan) -> String {
        match self.kind {
            Kind::Metrics => "metrics".into(),
            Kind::Routes => "routes".into(),
            Kind::Hosts => "hosts".into(),
            Kind::StableHosts => "stable_hosts".into(),
            Kind::Split => "split".into(),
            Kind::Alarm(index) => {
                format!("alarm {}", plan.health.alarms.get(index).map_or("", |alarm| alarm.arn.name()))
            }
            Kind::HardFailure => "hard_failure".into(),
            Kind::Limit => "max_error_rate".into(),
            Kind::Stream(0) => "errors".into(),
            Kind::Stream(index) => {
                let latencies = &plan.baseline.latency;
                let metric = || plan.health.metrics.get(index - 1 - latencies.len()).map_or("", |m| m.name.as_str());
                latencies.get(index - 1).map_or_else(
                    || format!("metric {}", metric()),
                    |threshold| format!("latency {}", threshold.quantile),
                )
            }
            Kind::Together => "together".into(),
            Kind::Alarms => "alarms".into(),
            Kind::Share => "share".into(),
            Kind::Answers => "answers".into(),
            Kind::LoadBalancer => "load_balancer".into(),
            Kind::Health => "health".into(),
        }
    }

    /// One line for people: `errors: candidate 0.52 % of 12 031, stable 0.10 % of 229 114, e-value 412 >= 100: unhealthy`.
    #[must_use]
    pub fn line(&self, plan: &Plan, comparison: &Comparison, reference: Reference) -> String {
        let line = self.bare_line(plan, comparison, reference);
        if self.decides { line } else { format!("{line} (dry run)") }
    }

    fn bare_line(&self, plan: &Plan, comparison: &Comparison, reference: Reference) -> String {
        let Pair { candidate, stable } = self.counts;
        match self.kind {
            Kind::HardFailure if self.finding == Finding::Failed => format!(
                "hard failure: candidate {} latest requests, stable {}: broken",
                figures::rate(candidate),
                figures::rate(stable)
            ),
            Kind::HardFailure => format!("hard failure: none; candidate {} latest requests", figures::rate(candidate)),
            Kind::Limit => {
                let limit = plan.health.max_error_rate.unwrap_or_default();
                format!("error limit: candidate {} against at most {limit}, {}", figures::rate(candidate), self.value())
            }
            Kind::Stream(index) => {
                let slower = index.checked_sub(1).and_then(|at| plan.baseline.latency.get(at));
                let slower =
                    slower.map_or(String::new(), |slow| format!(" slower than {} s", figures::short(slow.seconds)));
                let stable = match reference {
                    Reference::Concurrent => format!("stable {}", figures::rate(stable)),
                    Reference::Before => "stable without traffic".into(),
                    Reference::Absent => "no stable version to compare with".into(),
                };
                let blind = comparison.streams().get(index).is_some_and(Stream::is_blind);
                let blind = if blind { "; blind, since the stable version itself is this slow" } else { "" };
                let name = self.name(plan);
                format!("{name}: candidate {}{slower}, {stable}, {}{blind}", figures::rate(candidate), self.value())
            }
            Kind::Together => format!("together: {}", self.value()),
            Kind::Health => {
                let e = figures::short(figures::e_value(self.log_e.unwrap_or(0.0)));
                let (sign, words) =
                    if self.finding == Finding::Proven { (">=", "proven") } else { ("<", "not proven") };
                format!("health: e-value {e} {sign} {:.0} since the last shift: {words}", self.proof)
            }
            Kind::Metrics
            | Kind::Routes
            | Kind::Hosts
            | Kind::StableHosts
            | Kind::Split
            | Kind::Alarm(_)
            | Kind::Alarms
            | Kind::Share
            | Kind::Answers
            | Kind::LoadBalancer => self.words.clone(),
        }
    }

    /// `e-value 412 >= 100: unhealthy`.
    fn value(&self) -> String {
        let suspicion = SUSPICION * self.proof / ERRORS.proof();
        let (sign, limit, verdict) = match self.finding {
            Finding::Failed => (">=", self.proof, "unhealthy"),
            Finding::Suspicious => (">=", suspicion, "suspicious"),
            _ if self.kind == Kind::Limit => ("<", self.proof, "within it"),
            _ => ("<", suspicion, "no evidence against it"),
        };
        let e = figures::short(figures::e_value(self.log_e.unwrap_or(0.0)));
        format!("e-value {e} {sign} {}: {verdict}", figures::count(limit))
    }
}
