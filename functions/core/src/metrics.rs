//! What is asked of CloudWatch, and what the answers mean.
//!
//! Metrics of `AWS/ApplicationELB` are sparse: nothing is published for a period without requests, and
//! `HTTPCode_Target_5XX_Count` only where it is not zero
//! (<https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html>).

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::{SignedDuration, Timestamp};

use crate::arn::{LoadBalancerDimension, TargetGroupArn};
use crate::definition::CustomSource;
use crate::judge::latency::Quantile;
use crate::judge::{Counts, Pair};
use crate::plan::{PlannedGroup, Side};

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

/// One thing to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    /// Of what.
    pub subject: Subject,
    /// In which way its values are put together.
    pub statistic: Statistic,
}

/// What a query is about.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A target group behind its load balancer, or what of it is in one Availability Zone.
    Group {
        /// The metric.
        metric: Metric,
        /// The load balancer.
        load_balancer: LoadBalancerDimension,
        /// The group.
        group: TargetGroupArn,
        /// The zone.
        zone: Option<String>,
    },
    /// A load balancer as a whole.
    LoadBalancer {
        /// The metric.
        metric: Metric,
        /// The load balancer.
        load_balancer: LoadBalancerDimension,
    },
    /// A metric of the service's own.
    Custom {
        /// Its namespace.
        namespace: String,
        /// Its name.
        metric: String,
        /// Its dimensions.
        dimensions: BTreeMap<String, String>,
    },
}

/// How the values of a period are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Statistic {
    /// Their sum.
    Sum,
    /// How many they are.
    Count,
    /// A quantile of them.
    Quantile(Quantile),
    /// How many are above a threshold.
    CountAbove(f64),
    /// How many are not.
    CountUpTo(f64),
}

impl std::fmt::Display for Statistic {
    /// As CloudWatch writes it:
    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Statistics-definitions.html>.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sum => f.write_str("Sum"),
            Self::Count => f.write_str("SampleCount"),
            Self::Quantile(quantile) => write!(f, "{quantile}"),
            Self::CountAbove(threshold) => write!(f, "TC({}:)", decimal(*threshold)),
            Self::CountUpTo(threshold) => write!(f, "TC(:{})", decimal(*threshold)),
        }
    }
}

/// To the microsecond, without trailing zeros.
fn decimal(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Query {
    fn sum(subject: Subject) -> Self {
        Self { subject, statistic: Statistic::Sum }
    }

    /// The metric's namespace.
    #[must_use]
    pub fn namespace(&self) -> &str {
        match &self.subject {
            Subject::Group { .. } | Subject::LoadBalancer { .. } => "AWS/ApplicationELB",
            Subject::Custom { namespace, .. } => namespace,
        }
    }

    /// Its name there.
    #[must_use]
    pub fn metric(&self) -> &str {
        match &self.subject {
            Subject::Group { metric, .. } | Subject::LoadBalancer { metric, .. } => metric.name(),
            Subject::Custom { metric, .. } => metric,
        }
    }

    /// Its dimensions, names and values.
    #[must_use]
    pub fn dimensions(&self) -> Vec<(&str, &str)> {
        match &self.subject {
            Subject::Group { load_balancer, group, zone, .. } => {
                let zone = zone.as_deref().map(|zone| ("AvailabilityZone", zone));
                zone.into_iter()
                    .chain([("LoadBalancer", load_balancer.as_str()), ("TargetGroup", group.dimension())])
                    .collect()
            }
            Subject::LoadBalancer { load_balancer, .. } => vec![("LoadBalancer", load_balancer.as_str())],
            Subject::Custom { dimensions, .. } => {
                dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
            }
        }
    }
}

/// Questions of several kinds that go into one call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    queries: Vec<Query>,
}

/// Where the questions of one kind, and the answers to them, are in a batch.
pub type Part = Range<usize>;

impl Batch {
    /// Adds questions.
    pub fn add(&mut self, queries: Vec<Query>) -> Part {
        let start = self.queries.len();
        self.queries.extend(queries);
        start..self.queries.len()
    }

    /// All of them, in the order of adding.
    #[must_use]
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    /// The answers to [`queries`] or [`load_balancer_queries`].
    #[must_use]
    pub fn traffic(&self, answers: &[Series], part: &Part) -> BTreeMap<Timestamp, Traffic> {
        traffic(&self.queries[part.clone()], &answers[part.clone()])
    }

    /// The answers to [`slow_queries`].
    #[must_use]
    pub fn slow(&self, answers: &[Series], part: &Part) -> CountSeries {
        slow(&self.queries[part.clone()], &answers[part.clone()])
    }
}

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

/// The questions about one slot's traffic, or what of it is in one zone.
#[must_use]
pub fn queries(side: &Side, metrics: &[Metric], zone: Option<&str>) -> Vec<Query> {
    let ask = |group: &PlannedGroup, metric| {
        Query::sum(Subject::Group {
            metric,
            load_balancer: group.load_balancer.clone(),
            group: group.arn.clone(),
            zone: zone.map(Into::into),
        })
    };
    side.groups.iter().flat_map(|group| metrics.iter().map(move |&metric| ask(group, metric))).collect()
}

/// The questions about a slot's load balancers.
#[must_use]
pub fn load_balancer_queries(side: &Side) -> Vec<Query> {
    let ask = |group: &PlannedGroup, metric| {
        Query::sum(Subject::LoadBalancer { metric, load_balancer: group.load_balancer.clone() })
    };
    side.groups.iter().flat_map(|group| Metric::OF_LOAD_BALANCERS.map(|metric| ask(group, metric))).collect()
}

fn response_time(group: &PlannedGroup, zone: Option<&str>, statistic: Statistic) -> Query {
    let (load_balancer, group) = (group.load_balancer.clone(), group.arn.clone());
    let metric = Metric::TargetResponseTime;
    Query { subject: Subject::Group { metric, load_balancer, group, zone: zone.map(Into::into) }, statistic }
}

/// The questions about one slot's slow answers, or what of them is in one zone: for each group, how many were slower
/// than the threshold in seconds, and how many were not.
#[must_use]
pub fn slow_queries(side: &Side, zone: Option<&str>, threshold: f64) -> Vec<Query> {
    let both = |group| {
        [Statistic::CountAbove(threshold), Statistic::CountUpTo(threshold)].map(|way| response_time(group, zone, way))
    };
    side.groups.iter().flat_map(both).collect()
}

/// The questions about the quantiles of one slot's response time: a group after the other, each with all quantiles and
/// then the number of answers.
#[must_use]
pub fn quantile_queries(side: &Side, quantiles: &[Quantile]) -> Vec<Query> {
    let ways = quantiles.iter().copied().map(Statistic::Quantile).chain([Statistic::Count]);
    side.groups.iter().flat_map(|group| ways.clone().map(move |way| response_time(group, None, way))).collect()
}

/// The questions about one slot's part of a metric of the service's own, each only once.
#[must_use]
pub fn custom_queries(side: &Side, source: &CustomSource) -> Vec<Query> {
    let mut queries: Vec<Query> = Vec::new();
    for group in &side.groups {
        let query = Query::sum(Subject::Custom {
            namespace: source.namespace.clone(),
            metric: source.metric.clone(),
            dimensions: source.dimensions_of(side.slot, group.arn.dimension(), group.load_balancer.as_str()),
        });
        if !queries.contains(&query) {
            queries.push(query);
        }
    }
    queries
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

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn statistics_are_written_as_cloudwatch_reads_them() {
        let written = [
            (Statistic::Sum, "Sum"),
            (Statistic::Count, "SampleCount"),
            (Statistic::Quantile(Quantile::P99), "p99"),
            (Statistic::CountAbove(0.25), "TC(0.25:)"),
            (Statistic::CountUpTo(2.0), "TC(:2)"),
            (Statistic::CountAbove(1e-6), "TC(0.000001:)"),
        ];
        for (statistic, text) in written {
            assert_eq!(statistic.to_string(), text);
        }
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
