//! What is asked.

use std::collections::BTreeMap;
use std::ops::Range;

use jiff::Timestamp;

use super::{CountSeries, LatencySeries, Metric, Series, Traffic, latencies, slow, traffic};
use crate::arn::{LoadBalancerDimension, TargetGroupArn};
use crate::definition::CustomSource;
use crate::judge::latency::Quantile;
use crate::plan::{PlannedGroup, Side};

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

/// The questions about the quantiles of one slot's response time alone, for people to see.
#[must_use]
pub fn latency_queries(side: &Side, quantiles: &[Quantile]) -> Vec<Query> {
    let ways = quantiles.iter().copied().map(Statistic::Quantile);
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

    /// The answers to [`latency_queries`].
    #[must_use]
    pub fn latencies(&self, answers: &[Series], part: &Part) -> LatencySeries {
        latencies(&self.queries[part.clone()], &answers[part.clone()])
    }

    /// The answers to [`slow_queries`].
    #[must_use]
    pub fn slow(&self, answers: &[Series], part: &Part) -> CountSeries {
        slow(&self.queries[part.clone()], &answers[part.clone()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
