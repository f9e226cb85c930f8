//! One simulated release: real planning and judging, a virtual clock, and made-up traffic.

use jiff::{SignedDuration, Timestamp};
use spillway_core::decision::gates::{self, Finding, Gate, Kind, Reference};
use spillway_core::decision::{self, Command, Next, rules};
use spillway_core::judge::comparison::{Comparison, Terms};
use spillway_core::judge::{Counts, Pair};
use spillway_core::lease::Notices;
use spillway_core::plan::Plan;
use spillway_core::progress::Progress;
use spillway_core::weight::Percent;

use crate::scenario::{Candidate, Service};
use crate::traffic::{Generator, Traffic, relative};

/// How a simulated release ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ending {
    /// Whether it was rolled back.
    pub rolled_back: bool,
    /// Seconds from the first exposure to the end.
    pub seconds: f64,
    /// Requests that the candidate failed until then.
    pub failed_requests: f64,
}

/// One check of a simulated release.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Look {
    /// Seconds since the first exposure.
    pub seconds: f64,
    /// The weight that it looked at.
    pub weight: Percent,
    /// What it decided.
    pub next: Next,
}

/// Simulates releases of one candidate under one plan.
#[derive(Clone, Debug)]
pub struct Simulation<'a> {
    plan: &'a Plan,
    terms: Terms,
    service: &'a Service,
    candidate: &'a Candidate,
    thresholds: Vec<f64>,
    /// Traffic at each of the plan's weights.
    at_step: Vec<Traffic>,
    /// Periods so far that no check has seen yet, oldest first.
    unseen: Vec<Vec<Pair>>,
}

/// The release begins here; any time will do.
const EPOCH: Timestamp = Timestamp::UNIX_EPOCH;

impl<'a> Simulation<'a> {
    /// Prepares.
    #[must_use]
    pub fn new(plan: &'a Plan, service: &'a Service, candidate: &'a Candidate) -> Self {
        let thresholds = relative(&plan.baseline.latency);
        let seconds = f64::from(plan.health.period_seconds);
        let at_step = (0..=plan.steps.len())
            .map(|position| Traffic::at(service, candidate, plan.weight_at(position).fraction(), seconds, &thresholds))
            .collect();
        Self { plan, terms: plan.terms(), service, candidate, thresholds, at_step, unseen: Vec::new() }
    }

    /// Releases once.
    pub fn release(&mut self, generator: &mut Generator) -> Ending {
        self.watched(generator, |_| {})
    }

    /// The same, with every check told.
    pub fn watched(&mut self, generator: &mut Generator, mut tell: impl FnMut(Look)) -> Ending {
        let health = &self.plan.health;
        let [check, period, lag] =
            [health.check_seconds, health.period_seconds, health.metric_lag_seconds].map(i64::from);
        let hour_before = self.hour_before();
        let mut comparison = Comparison::new(&self.terms, self.plan.weight_at(1).fraction());
        let mut progress = Progress::default();
        progress.shift(self.plan.weight_at(0), EPOCH, EPOCH);
        self.unseen.clear();
        let (mut now, mut failed) = (0_i64, 0.0);
        // The start of the period that traffic is drawn for next, and of the first that no check has seen.
        let (mut drawn_to, mut seen_to) = (0_i64, 0_i64);
        let mut weights = Weights::starting(progress.position);
        loop {
            now += check.max(1);
            while drawn_to + period <= now {
                let mut pairs = Vec::new();
                self.draw(&weights, drawn_to, period, generator, &mut pairs);
                failed += pairs[0].candidate.errors;
                self.unseen.push(pairs);
                drawn_to += period;
            }
            let complete = ((now - lag).div_euclid(period) * period).max(0);
            let next_weight = self.plan.weight_at(progress.position + 1).fraction();
            let shifted = progress.shifted_at.map_or(0, Timestamp::as_second);
            let visible = usize::try_from((complete - seen_to).max(0) / period).unwrap_or(0).min(self.unseen.len());
            for pairs in self.unseen.drain(..visible) {
                comparison.push(&pairs);
                if seen_to < shifted {
                    comparison.shifted(next_weight);
                }
                seen_to += period;
            }

            let reference = Reference::at(self.plan, progress.weight);
            let before = reference.baseline(hour_before);
            let mut gates = gates::of_comparison(self.plan, &comparison, &comparison, reference, before);
            gates.extend(self.quiet(&progress, complete));
            let notices = Notices::default();
            let seen = rules::Seen {
                now: at(now),
                measured_to: at(complete),
                command: Command::None,
                notices: Ok(&notices),
                reference,
                comparison: &comparison,
                gates: &gates,
                stable_is_there: true,
            };
            let outcome = rules::decide(self.plan, &progress, &seen);
            tell(Look { seconds: now as f64, weight: progress.weight, next: outcome.next });
            progress = outcome.progress;
            match outcome.next {
                Next::Bake | Next::Tell | Next::Hook => {}
                Next::Shift | Next::ConsumeCommand => {
                    progress.shift(self.plan.weight_at(progress.position), at(now), at(now));
                    weights.shift(now, progress.position);
                    comparison.shifted(self.plan.weight_at(progress.position + 1).fraction());
                }
                Next::Promoted | Next::RollBack => {
                    // What the last, unfinished period has seen.
                    let rest = (now - drawn_to).max(0);
                    if rest > 0 {
                        let mut pairs = Vec::new();
                        self.draw(&weights, drawn_to, rest, generator, &mut pairs);
                        failed += pairs[0].candidate.errors;
                    }
                    let rolled_back = outcome.next == Next::RollBack;
                    return Ending { rolled_back, seconds: now as f64, failed_requests: failed };
                }
            }
        }
    }

    /// Weights act at once here: at 100 % the stable slot is quiet, once that has been measured for long enough.
    fn quiet(&self, progress: &Progress, measured_to: i64) -> Option<Gate> {
        let (shifted, needed) =
            decision::quiet_from(self.plan, progress).filter(|_| progress.weight == Percent::ALL)?;
        let period = i64::from(self.plan.health.period_seconds);
        let from = (shifted.as_second() + period - 1).div_euclid(period) * period;
        let finding = if measured_to - from >= i64::from(needed) { Finding::Proven } else { Finding::Fine };
        Some(Gate::saying(Kind::Split, finding, ""))
    }

    /// Draws the traffic from `start` on, through whatever weights there were.
    fn draw(&self, weights: &Weights, start: i64, seconds: i64, generator: &mut Generator, pairs: &mut Vec<Pair>) {
        let period = i64::from(self.plan.health.period_seconds);
        match weights.throughout(start, start + seconds) {
            Some(position) if seconds == period => self.at_step[position].period(generator, pairs),
            _ => {
                let weight = weights.mean(start, start + seconds, |position| self.plan.weight_at(position).fraction());
                Traffic::at(self.service, self.candidate, weight, seconds as f64, &self.thresholds)
                    .period(generator, pairs);
            }
        }
    }

    fn hour_before(&self) -> Counts {
        let requests = 3600.0 * self.service.requests_per_second;
        Counts { errors: requests * self.service.error_rate, requests }
    }
}

/// Which position the release was at from when on.
struct Weights(Vec<(i64, usize)>);

impl Weights {
    fn starting(position: usize) -> Self {
        Self(vec![(0, position)])
    }

    fn shift(&mut self, now: i64, position: usize) {
        self.0.push((now, position));
    }

    /// The position that held all the time, if there is one.
    fn throughout(&self, start: i64, end: i64) -> Option<usize> {
        let last = self.0.iter().rposition(|(from, _)| *from < end)?;
        (self.0[last].0 <= start).then_some(self.0[last].1)
    }

    /// The weight on average.
    fn mean(&self, start: i64, end: i64, weight: impl Fn(usize) -> f64) -> f64 {
        let mut sum = 0.0;
        for (index, (from, position)) in self.0.iter().enumerate() {
            let to = self.0.get(index + 1).map_or(end, |next| next.0).min(end);
            sum += (to - start.max(*from)).max(0) as f64 * weight(*position);
        }
        sum / (end - start).max(1) as f64
    }
}

fn at(second: i64) -> Timestamp {
    EPOCH.checked_add(SignedDuration::from_secs(second)).unwrap_or(EPOCH)
}
