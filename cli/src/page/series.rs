//! What the charts show, worked out from a record.

use jiff::{SignedDuration, Timestamp};
use spillway_core::judge::Counts;
use spillway_core::judge::latency::Quantile;
use spillway_core::judge::recording::{Minute, Recorded};
use spillway_core::weight::Percent;

use crate::record::Record;
use crate::record::timeline::What;

/// Metric periods are put together into so many groups at most: what a screen can tell apart, and a table can list.
const MOST_GROUPS: usize = 60;
/// Part of the release's time that the charts show before and after it.
const ROOM: f64 = 0.03;
/// The quantile of the standard normal distribution for an interval of 95 %.
const Z: f64 = 1.959_963_984_540_054;

/// Some metric periods in a row.
#[derive(Clone, Debug)]
pub struct Group<'a> {
    /// When the first of them began.
    pub began: Timestamp,
    /// Their middle, in seconds since the beginning of the record.
    pub middle: f64,
    minutes: &'a [Minute],
}

impl Group<'_> {
    /// A count of the candidate, and of the stable slot.
    pub fn both(&self, of: impl Fn(&Recorded) -> Option<Counts>) -> [Counts; 2] {
        let sum = |side: fn(&Minute) -> &Recorded| self.minutes.iter().filter_map(|minute| of(side(minute))).sum();
        [sum(|minute| &minute.candidate), sum(|minute| &minute.stable)]
    }

    /// Answers and errors.
    pub fn errors(&self) -> [Counts; 2] {
        self.both(|recorded| Some(recorded.errors()))
    }

    /// Slow answers.
    pub fn slow(&self, quantile: Quantile) -> [Counts; 2] {
        self.both(|recorded| recorded.slow(quantile))
    }

    /// The slowest of its periods' quantiles of the candidate's response time, and of the stable slot's, in seconds.
    pub fn latency(&self, quantile: Quantile) -> [Option<f64>; 2] {
        let slowest = |side: fn(&Minute) -> &Recorded| {
            let all = self.minutes.iter().filter_map(|minute| side(minute).latency.get(&quantile).copied());
            all.max_by(f64::total_cmp)
        };
        [slowest(|minute| &minute.candidate), slowest(|minute| &minute.stable)]
    }

    /// The candidate's weight at the end.
    pub fn weight(&self) -> Percent {
        self.minutes.last().map_or(Percent::ZERO, |minute| minute.weight)
    }

    /// The candidate's part of all answers.
    pub fn share(&self) -> Option<f64> {
        let [candidate, stable] = self.errors();
        let all = candidate.requests + stable.requests;
        (all > 0.0).then(|| candidate.requests / all)
    }
}

/// The record's metric periods, put together where they are many; those of different weights stay apart.
pub fn groups(record: &Record) -> Vec<Group<'_>> {
    let period = record.plan.as_ref().map_or(60, |plan| plan.health.period_seconds);
    let size = record.minutes.len().div_ceil(MOST_GROUPS).max(1);
    let runs = record.minutes.chunk_by(|a, b| a.weight == b.weight);
    runs.flat_map(|run| run.chunks(size))
        .map(|minutes| {
            let began = minutes[0].minute;
            let end = minutes[minutes.len() - 1].minute;
            let middle = (since(record, began) + since(record, end) + f64::from(period)) / 2.0;
            Group { began, middle, minutes }
        })
        .collect()
}

/// When the charts begin: a little before the first users. Waiting and preparing may have taken hours before.
pub fn beginning(record: &Record) -> Timestamp {
    let exposed = record.progress.exposed_at.unwrap_or(record.started);
    let room = SignedDuration::from_secs_f64(ROOM * last(record).duration_since(exposed).as_secs_f64().max(1.0));
    exposed.checked_sub(room).unwrap_or(exposed)
}

/// Seconds since the charts' beginning; negative before it.
pub fn since(record: &Record, at: Timestamp) -> f64 {
    at.duration_since(beginning(record)).as_secs_f64()
}

/// Seconds that the charts show: until a little after the release's end, or the latest that is known of it.
pub fn seconds(record: &Record) -> f64 {
    (since(record, last(record)) * (1.0 + ROOM)).max(1.0)
}

fn last(record: &Record) -> Timestamp {
    let last = record.ended.or(record.checks.last().map(|check| check.at)).unwrap_or(record.started);
    last.max(record.minutes.last().map_or(last, |minute| minute.minute))
}

/// The interval in which the rate behind such counts is, with 95 % confidence: Wilson's, for as many independent requests
/// as these amount to at this dispersion. <https://doi.org/10.1080/01621459.1927.10502953>.
pub fn interval(counts: Counts, phi: f64) -> Option<(f64, f64)> {
    let n = counts.requests / phi.max(1.0);
    let rate = counts.error_rate()?.clamp(0.0, 1.0);
    let middle = (rate + Z * Z / (2.0 * n)) / (1.0 + Z * Z / n);
    let half = Z / (1.0 + Z * Z / n) * (rate * (1.0 - rate) / n + Z * Z / (4.0 * n * n)).sqrt();
    Some(((middle - half).max(0.0), (middle + half).min(1.0)))
}

/// The candidate's weight as it was asked for, as corners of a line, in seconds and as fractions.
pub fn requested(record: &Record) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = vec![(0.0, 0.0)];
    let mut to = |at: Timestamp, weight: f64| {
        let at = since(record, at);
        let before = corners.last().map_or(0.0, |corner| corner.1);
        corners.extend([(at, before), (at, weight)]);
    };
    for entry in &record.timeline {
        match entry.what {
            What::Shifted { to: weight, .. } => to(entry.at, weight.fraction()),
            What::GivingBack { done: true } => to(entry.at, 0.0),
            _ => {}
        }
    }
    let last = corners.last().map_or(0.0, |corner| corner.1);
    corners.push((seconds(record), last));
    corners
}

/// Times in which the release was held, or waited for a person, in seconds; one that goes on lasts to the end.
pub fn waits(record: &Record) -> Vec<(&'static str, f64, f64)> {
    let (mut hold, mut wait, mut spans) = (None, None, Vec::new());
    for entry in &record.timeline {
        let at = since(record, entry.at);
        let (began, class) = match entry.what {
            What::HoldBegan { .. } => {
                hold.get_or_insert(at);
                continue;
            }
            What::WaitBegan { .. } => {
                wait.get_or_insert(at);
                continue;
            }
            What::HoldEnded { .. } => (hold.take(), "hold"),
            What::WaitEnded { .. } => (wait.take(), "wait"),
            What::RollingBack => {
                spans.extend(hold.take().map(|began| ("hold", began, at)));
                (wait.take(), "wait")
            }
            _ => continue,
        };
        spans.extend(began.map(|began| (class, began, at)));
    }
    let end = seconds(record);
    spans.extend(hold.map(|began| ("hold", began, end)));
    spans.extend(wait.map(|began| ("wait", began, end)));
    spans
}

/// One gate's e-values over the checks.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The gate's name.
    pub gate: String,
    /// The e-value from which on it is proof.
    pub proof_at: f64,
    /// Seconds since the beginning, and e-values.
    pub values: Vec<(f64, f64)>,
}

/// The e-values of every gate that has any.
pub fn evidence(record: &Record) -> Vec<Evidence> {
    let mut found: Vec<Evidence> = Vec::new();
    for check in &record.checks {
        for gate in check.judged() {
            let value = (since(record, check.at), gate.e_value.unwrap_or(1.0));
            match found.iter_mut().find(|evidence| evidence.gate == gate.gate) {
                Some(evidence) => evidence.values.push(value),
                None => found.push(Evidence {
                    gate: gate.gate.clone(),
                    proof_at: gate.proof_at.unwrap_or(100.0),
                    values: vec![value],
                }),
            }
        }
    }
    // What decides comes first.
    found.sort_by_key(|evidence| match evidence.gate.as_str() {
        "together" => 0,
        "errors" => 1,
        "health" => 3,
        _ => 2,
    });
    found
}

/// Latency's thresholds that differ: their seconds, and the quantiles that they stand for.
pub fn thresholds(record: &Record) -> Vec<(f64, Vec<Quantile>)> {
    let mut found: Vec<(f64, Vec<Quantile>)> = Vec::new();
    for threshold in record.plan.iter().flat_map(|plan| &plan.baseline.latency) {
        match found.iter_mut().find(|(seconds, _)| *seconds == threshold.seconds) {
            Some((_, quantiles)) => quantiles.push(threshold.quantile),
            None => found.push((threshold.seconds, vec![threshold.quantile])),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_holds_its_rate_and_grows_with_dispersion() {
        // Against the values of the formula for 10 of 100, worked out by hand: 0.0552 to 0.1744.
        let (lower, upper) = interval(Counts { errors: 10.0, requests: 100.0 }, 1.0).unwrap();
        assert!((lower - 0.0552).abs() < 1e-4 && (upper - 0.1744).abs() < 1e-4, "{lower} {upper}");
        let (wider_lower, wider_upper) = interval(Counts { errors: 10.0, requests: 100.0 }, 4.0).unwrap();
        assert!(wider_lower < lower && wider_upper > upper);
        let (none, some) = interval(Counts { errors: 0.0, requests: 20.0 }, 1.0).unwrap();
        assert!(none == 0.0 && (some - 0.1611).abs() < 1e-4, "{some}");
        assert_eq!(interval(Counts::default(), 1.0), None);
    }
}
