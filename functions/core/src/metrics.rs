//! What is asked of CloudWatch, and what the answers mean.
//!
//! Metrics of `AWS/ApplicationELB` are sparse: nothing is published for a period without requests, and
//! `HTTPCode_Target_5XX_Count` only where it is not zero
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html>).

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::arn::{LoadBalancerDimension, TargetGroupArn};
use crate::judge::{Counts, Pair};
use crate::plan::{PlannedGroup, Side};

/// A metric of a target group or load balancer; the statistic is always Sum.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Metric {
    /// Requests for which a target was chosen, counted when they arrive.
    RequestCount,
    /// Answers of targets, 2XX.
    Target2xx,
    /// Answers of targets, 3XX.
    Target3xx,
    /// Answers of targets, 4XX.
    Target4xx,
    /// Answers of targets, 5XX.
    Target5xx,
    /// Connections to targets that failed.
    ConnectionErrors,
    /// Answers that the load balancer made itself, 5XX: no target to choose, none that answers. Told of load
    /// balancers only, so an empty or hanging group shows here alone.
    LoadBalancer5xx,
}

impl Metric {
    /// What is asked of a target group.
    pub const OF_GROUPS: [Self; 6] = [
        Self::RequestCount,
        Self::Target2xx,
        Self::Target3xx,
        Self::Target4xx,
        Self::Target5xx,
        Self::ConnectionErrors,
    ];

    /// What is asked of a load balancer.
    pub const OF_LOAD_BALANCERS: [Self; 2] = [Self::RequestCount, Self::LoadBalancer5xx];

    /// CloudWatch's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RequestCount => "RequestCount",
            Self::Target2xx => "HTTPCode_Target_2XX_Count",
            Self::Target3xx => "HTTPCode_Target_3XX_Count",
            Self::Target4xx => "HTTPCode_Target_4XX_Count",
            Self::Target5xx => "HTTPCode_Target_5XX_Count",
            Self::ConnectionErrors => "TargetConnectionErrorCount",
            Self::LoadBalancer5xx => "HTTPCode_ELB_5XX_Count",
        }
    }
}

/// Whole periods from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Start of the first period.
    pub start: Timestamp,
    /// End of the last.
    pub end: Timestamp,
    /// Length of a period in seconds.
    pub period_seconds: u32,
}

impl Window {
    /// The periods that touch `from` or later and were complete `lag_seconds` before `now`; empty when none was.
    #[must_use]
    pub fn complete(from: Timestamp, now: Timestamp, lag_seconds: u32, period_seconds: u32) -> Self {
        let start = floor(from, period_seconds);
        let end = floor(earlier(now, lag_seconds), period_seconds);
        Self { start, end: end.max(start), period_seconds }
    }

    /// Whether there is no period in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// The starts of the periods.
    pub fn starts(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let (end, step) = (self.end, SignedDuration::from_secs(i64::from(self.period_seconds)));
        std::iter::successors(Some(self.start), move |at| at.checked_add(step).ok()).take_while(move |at| *at < end)
    }
}

/// The latest start of a period that is not after `at`.
fn floor(at: Timestamp, period_seconds: u32) -> Timestamp {
    let second = at.as_second();
    Timestamp::from_second(second - second.rem_euclid(i64::from(period_seconds))).unwrap_or(at)
}

/// So many seconds before; saturating.
#[must_use]
pub fn earlier(at: Timestamp, seconds: u32) -> Timestamp {
    at.checked_sub(SignedDuration::from_secs(i64::from(seconds))).unwrap_or(Timestamp::MIN)
}

/// One thing to ask: the sums of a metric of a group, or of a load balancer as a whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    /// The metric.
    pub metric: Metric,
    /// The load balancer.
    pub load_balancer: LoadBalancerDimension,
    /// The target group behind it; `None` asks about the load balancer.
    pub group: Option<TargetGroupArn>,
}

/// Sums by start of period.
pub type Series = BTreeMap<Timestamp, f64>;

/// What one slot's groups did in one period, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Traffic {
    /// Requests, counted when they arrived.
    pub requests: f64,
    /// Answers, counted when they were given.
    pub answers: Counts,
}

/// The questions about one slot.
#[must_use]
pub fn queries(side: &Side, metrics: &[Metric]) -> Vec<Query> {
    let ask = |group: &PlannedGroup, metric| Query {
        metric,
        load_balancer: group.load_balancer.clone(),
        group: Some(group.arn.clone()),
    };
    side.groups.iter().flat_map(|group| metrics.iter().map(move |&metric| ask(group, metric))).collect()
}

/// The questions about a slot's load balancers.
#[must_use]
pub fn load_balancer_queries(side: &Side) -> Vec<Query> {
    let ask = |group: &PlannedGroup, metric| Query { metric, load_balancer: group.load_balancer.clone(), group: None };
    side.groups.iter().flat_map(|group| Metric::OF_LOAD_BALANCERS.map(|metric| ask(group, metric))).collect()
}

/// Adds up the answers to [`queries`], in the same order, by period.
#[must_use]
pub fn traffic(queries: &[Query], answers: &[Series]) -> BTreeMap<Timestamp, Traffic> {
    let mut periods: BTreeMap<Timestamp, Traffic> = BTreeMap::new();
    for (query, series) in std::iter::zip(queries, answers) {
        for (&at, &sum) in series {
            // A broken value must not become evidence.
            let sum = if sum.is_finite() { sum.max(0.0) } else { 0.0 };
            let traffic = periods.entry(at).or_default();
            match query.metric {
                Metric::RequestCount => traffic.requests += sum,
                Metric::Target2xx | Metric::Target3xx | Metric::Target4xx => traffic.answers.requests += sum,
                Metric::Target5xx | Metric::ConnectionErrors | Metric::LoadBalancer5xx => {
                    traffic.answers.requests += sum;
                    traffic.answers.errors += sum;
                }
            }
        }
    }
    periods
}

/// Both slots, period by period over the window; a period without data is one without requests.
#[must_use]
pub fn pairs(
    window: Window,
    candidate: &BTreeMap<Timestamp, Traffic>,
    stable: &BTreeMap<Timestamp, Traffic>,
) -> Vec<Pair> {
    let answers =
        |side: &BTreeMap<Timestamp, Traffic>, at: &Timestamp| side.get(at).map(|t| t.answers).unwrap_or_default();
    window.starts().map(|at| Pair { candidate: answers(candidate, &at), stable: answers(stable, &at) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_period_counts_once_its_end_is_old_enough() {
        for (from, now, lag, expected) in
            [(65, 240, 120, (60, 120)), (65, 239, 120, (60, 60)), (60, 300, 0, (60, 300)), (500, 300, 0, (480, 480))]
        {
            let window = Window::complete(at(from), at(now), lag, 60);
            assert_eq!((window.start, window.end), (at(expected.0), at(expected.1)), "{from} {now} {lag}");
            assert_eq!(window.starts().count() as i64, (expected.1 - expected.0) / 60);
        }
    }
}
