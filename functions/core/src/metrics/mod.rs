//! What is asked of CloudWatch, and what the answers mean.
//!
//! Metrics of `AWS/ApplicationELB` are sparse: nothing is published for a period without requests, and
//! `HTTPCode_Target_5XX_Count` only where it is not zero
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html>).

mod answers;
mod query;

use jiff::{SignedDuration, Timestamp};

pub use answers::{CountSeries, LatencySeries, Series, Traffic, answers, custom, latencies, pairs, slow, traffic};
pub use query::{
    Batch, Part, Query, Statistic, Subject, custom_queries, latency_queries, load_balancer_queries, quantile_queries,
    queries, slow_queries,
};

/// A metric of a target group or load balancer.
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
    /// Seconds until a target began its answer.
    TargetResponseTime,
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

    /// What makes up the answers of a target group.
    pub const ANSWERS: [Self; 5] =
        [Self::Target2xx, Self::Target3xx, Self::Target4xx, Self::Target5xx, Self::ConnectionErrors];

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
            Self::TargetResponseTime => "TargetResponseTime",
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

    /// So many whole periods before the end of this one, on the same grid.
    #[must_use]
    pub fn before(end: Timestamp, periods: u32, period_seconds: u32) -> Self {
        let end = floor(end, period_seconds);
        Self { start: earlier(end, periods.saturating_mul(period_seconds)), end, period_seconds }
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
