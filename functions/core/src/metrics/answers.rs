//! What the answers mean.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Metric, Query, Statistic, Subject, Window};
use crate::judge::latency::Quantile;
use crate::judge::{Counts, Pair};

/// Values by start of period.
pub type Series = BTreeMap<Timestamp, f64>;

/// Counts by start of period.
pub type CountSeries = BTreeMap<Timestamp, Counts>;

/// Quantiles in seconds by start of period.
pub type LatencySeries = BTreeMap<Timestamp, BTreeMap<Quantile, f64>>;

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

/// Quantiles of a slot's response time in seconds, by period. Those of several groups make none of them all: it is the slowest
/// group's.
#[must_use]
pub fn latencies(queries: &[Query], answers: &[Series]) -> LatencySeries {
    let mut periods = LatencySeries::new();
    for (query, series) in std::iter::zip(queries, answers) {
        let Statistic::Quantile(quantile) = query.statistic else { continue };
        for (&at, &seconds) in series.iter().filter(|(_, seconds)| seconds.is_finite() && **seconds >= 0.0) {
            let slowest = periods.entry(at).or_default().entry(quantile).or_default();
            *slowest = seconds.max(*slowest);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arn::TargetGroupArn;

    /// A slot with several groups is as slow as the slowest of them; what is no time is left out.
    #[test]
    fn quantiles_are_those_of_the_slowest_group() {
        let query = |group: &str, quantile| {
            let arn =
                format!("arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{group}/0123456789abcdef");
            Query {
                subject: Subject::Group {
                    metric: Metric::TargetResponseTime,
                    load_balancer: serde_json::from_str("\"app/shop/1\"").unwrap(),
                    group: TargetGroupArn::parse(arn).unwrap(),
                    zone: None,
                },
                statistic: Statistic::Quantile(quantile),
            }
        };
        let [first, second] = [0, 60].map(|second| Timestamp::from_second(second).unwrap());
        let queries = [query("one", Quantile::P50), query("one", Quantile::P99), query("two", Quantile::P50)];
        let answers = [
            Series::from([(first, 0.1), (second, 0.3)]),
            Series::from([(first, f64::NAN), (second, 0.9)]),
            Series::from([(first, 0.2)]),
        ];
        let both = BTreeMap::from([(Quantile::P50, 0.3), (Quantile::P99, 0.9)]);
        let expected = LatencySeries::from([(first, BTreeMap::from([(Quantile::P50, 0.2)])), (second, both)]);
        assert_eq!(latencies(&queries, &answers), expected);
    }
}
