//! What the answers mean.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Metric, Query, Statistic, Subject, Window};
use crate::judge::{Counts, Pair};

/// Values by start of period.
pub type Series = BTreeMap<Timestamp, f64>;

/// Counts by start of period.
pub type CountSeries = BTreeMap<Timestamp, Counts>;

/// What one slot's groups did in one period, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Requests, counted when they arrived.
    pub requests: f64,
    /// Answers, counted when they were given.
    pub answers: Counts,
}

/// A broken value must not become evidence.
fn sound(value: f64) -> f64 {
    if value.is_finite() { value.max(0.0) } else { 0.0 }
}

/// Adds up the answers to [`queries`] or [`load_balancer_queries`], in the same order, by period.
#[must_use]
pub fn traffic(queries: &[Query], answers: &[Series]) -> BTreeMap<Timestamp, Traffic> {
    let mut periods: BTreeMap<Timestamp, Traffic> = BTreeMap::new();
    for (query, series) in std::iter::zip(queries, answers) {
        let (Subject::Group { metric, .. } | Subject::LoadBalancer { metric, .. }) = &query.subject else { continue };
        for (&at, &sum) in series {
            let (sum, traffic) = (sound(sum), periods.entry(at).or_default());
            match metric {
                Metric::RequestCount => traffic.requests += sum,
                Metric::Target2xx | Metric::Target3xx | Metric::Target4xx => traffic.answers.requests += sum,
                Metric::Target5xx | Metric::ConnectionErrors | Metric::LoadBalancer5xx => {
                    traffic.answers.requests += sum;
                    traffic.answers.errors += sum;
                }
                Metric::TargetResponseTime => {}
            }
        }
    }
    periods
}

/// Adds up the answers to [`slow_queries`], in the same order, by period: as errors those that were slow.
#[must_use]
pub fn slow(queries: &[Query], answers: &[Series]) -> CountSeries {
    let mut periods = CountSeries::new();
    for (query, series) in std::iter::zip(queries, answers) {
        for (&at, &count) in series {
            let (count, counts) = (sound(count), periods.entry(at).or_default());
            counts.requests += count;
            if let Statistic::CountAbove(_) = query.statistic {
                counts.errors += count;
            }
        }
    }
    periods
}

/// A count and its denominator by period: the answers to [`custom_queries`] of both.
#[must_use]
pub fn custom(count: &[Series], denominator: &[Series]) -> CountSeries {
    let mut periods = CountSeries::new();
    for (&at, &sum) in denominator.iter().flatten() {
        periods.entry(at).or_default().requests += sound(sum);
    }
    for (&at, &sum) in count.iter().flatten() {
        periods.entry(at).or_default().errors += sound(sum);
    }
    periods
}

/// Both slots, period by period over the window; a period without data is one without requests.
#[must_use]
pub fn pairs(window: Window, candidate: &CountSeries, stable: &CountSeries) -> Vec<Pair> {
    let counts = |side: &CountSeries, at: &Timestamp| side.get(at).copied().unwrap_or_default();
    window.starts().map(|at| Pair { candidate: counts(candidate, &at), stable: counts(stable, &at) }).collect()
}

/// The answers alone.
#[must_use]
pub fn answers(traffic: &BTreeMap<Timestamp, Traffic>) -> CountSeries {
    traffic.iter().map(|(at, traffic)| (*at, traffic.answers)).collect()
}
