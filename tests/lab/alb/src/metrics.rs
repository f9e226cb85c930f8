//! The metrics of `AWS/ApplicationELB`, in buckets of one second.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Seconds that buckets are kept: CloudWatch keeps high-resolution data for three hours.
const RETENTION: i64 = 3 * 3600;

/// A metric of the user guide's "CloudWatch metrics for your Application Load Balancer".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Metric {
    RequestCount,
    RequestCountPerTarget,
    Target2xx,
    Target3xx,
    Target4xx,
    Target5xx,
    TargetConnectionErrors,
    TargetResponseTime,
    HealthyHosts,
    UnhealthyHosts,
    Elb5xx,
    Elb502,
    Elb503,
    Elb504,
    FixedResponses,
    Redirects,
}

/// Whether one level of a metric can be added up from the finer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    /// Recorded per zone of a group, added up to group and load balancer.
    Additive,
    /// Recorded for a group, and for each of its zones by itself.
    PerGroup,
    /// Recorded for the load balancer only.
    PerLoadBalancer,
}

impl Metric {
    const ALL: [(&str, Self); 16] = [
        ("RequestCount", Self::RequestCount),
        ("RequestCountPerTarget", Self::RequestCountPerTarget),
        ("HTTPCode_Target_2XX_Count", Self::Target2xx),
        ("HTTPCode_Target_3XX_Count", Self::Target3xx),
        ("HTTPCode_Target_4XX_Count", Self::Target4xx),
        ("HTTPCode_Target_5XX_Count", Self::Target5xx),
        ("TargetConnectionErrorCount", Self::TargetConnectionErrors),
        ("TargetResponseTime", Self::TargetResponseTime),
        ("HealthyHostCount", Self::HealthyHosts),
        ("UnHealthyHostCount", Self::UnhealthyHosts),
        ("HTTPCode_ELB_5XX_Count", Self::Elb5xx),
        ("HTTPCode_ELB_502_Count", Self::Elb502),
        ("HTTPCode_ELB_503_Count", Self::Elb503),
        ("HTTPCode_ELB_504_Count", Self::Elb504),
        ("HTTP_Fixed_Response_Count", Self::FixedResponses),
        ("HTTP_Redirect_Count", Self::Redirects),
    ];

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, metric)| metric)
    }

    pub(crate) fn unit(self) -> &'static str {
        if self == Self::TargetResponseTime { "Seconds" } else { "Count" }
    }

    /// The metric of a target's answer, if its code has one.
    pub(crate) fn of_target_code(code: u16) -> Option<Self> {
        match code {
            200..=299 => Some(Self::Target2xx),
            300..=399 => Some(Self::Target3xx),
            400..=499 => Some(Self::Target4xx),
            500..=599 => Some(Self::Target5xx),
            _ => None,
        }
    }

    fn level(self) -> Level {
        match self {
            Self::RequestCountPerTarget | Self::HealthyHosts | Self::UnhealthyHosts => Level::PerGroup,
            Self::Elb5xx | Self::Elb502 | Self::Elb503 | Self::Elb504 | Self::FixedResponses | Self::Redirects => {
                Level::PerLoadBalancer
            }
            _ => Level::Additive,
        }
    }

    fn keeps_samples(self) -> bool {
        matches!(self, Self::TargetResponseTime | Self::HealthyHosts | Self::UnhealthyHosts)
    }
}

/// The dimensions of a series: values as CloudWatch has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Dimensions {
    pub(crate) load_balancer: Option<String>,
    pub(crate) target_group: Option<String>,
    pub(crate) zone: Option<String>,
}

/// What is known of a metric in a stretch of time. A bucket that exists has at least one value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bucket {
    pub(crate) sum: f64,
    pub(crate) count: u64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    /// Every value, for metrics whose distribution matters; otherwise empty.
    pub(crate) samples: Vec<f64>,
}

impl Bucket {
    fn new() -> Self {
        Self { sum: 0.0, count: 0, min: f64::INFINITY, max: f64::NEG_INFINITY, samples: Vec::new() }
    }

    fn add(&mut self, value: f64, keep: bool) {
        self.sum += value;
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        if keep {
            self.samples.push(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.samples.extend_from_slice(&other.samples);
    }
}

type Series = BTreeMap<i64, Bucket>;

/// All series since the start, or since three hours ago.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    series: Mutex<HashMap<(Metric, Dimensions), Series>>,
}

impl Metrics {
    /// Adds a value at a time. `dimensions` are the finest there are for this metric.
    pub(crate) fn record(&self, at: Timestamp, metric: Metric, dimensions: Dimensions, value: f64) {
        self.lock()
            .entry((metric, dimensions))
            .or_default()
            .entry(second(at))
            .or_insert_with(Bucket::new)
            .add(value, metric.keeps_samples());
    }

    /// The periods from `start` (a multiple of `period`, seconds since the epoch) to before `end` that have data.
    pub(crate) fn read(&self, metric: Metric, wanted: &Dimensions, start: i64, end: i64, period: i64) -> Series {
        let mut periods = Series::new();
        for ((_, _), series) in self
            .lock()
            .iter()
            .filter(|((known, dimensions), _)| *known == metric && covers(metric.level(), wanted, dimensions))
        {
            for (second, bucket) in series.range(start..end) {
                periods.entry(second - second.rem_euclid(period)).or_insert_with(Bucket::new).merge(bucket);
            }
        }
        periods
    }

    /// Forgets what is older than three hours.
    pub(crate) fn forget_before(&self, now: Timestamp) {
        let oldest = second(now) - RETENTION;
        for series in self.lock().values_mut() {
            if series.first_key_value().is_some_and(|(first, _)| *first < oldest) {
                *series = series.split_off(&oldest);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Metric, Dimensions), Series>> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a recorded series is part of the wanted one.
fn covers(level: Level, wanted: &Dimensions, recorded: &Dimensions) -> bool {
    let same = |wanted: &Option<String>, recorded: &Option<String>| wanted.is_none() || wanted == recorded;
    let load_balancer = same(&wanted.load_balancer, &recorded.load_balancer);
    match level {
        Level::Additive => {
            load_balancer
                && wanted.load_balancer.is_some()
                && same(&wanted.target_group, &recorded.target_group)
                && same(&wanted.zone, &recorded.zone)
        }
        Level::PerGroup => {
            load_balancer && wanted.target_group == recorded.target_group && wanted.zone == recorded.zone
        }
        Level::PerLoadBalancer => wanted == recorded,
    }
}

fn second(at: Timestamp) -> i64 {
    at.as_millisecond().div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimensions(group: Option<&str>, zone: Option<&str>) -> Dimensions {
        Dimensions {
            load_balancer: Some("app/shop/1".to_owned()),
            target_group: group.map(ToOwned::to_owned),
            zone: zone.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn counts_add_up_over_zones_groups_and_seconds() {
        let metrics = Metrics::default();
        for (second, group, zone) in [(60, "g", "a"), (61, "g", "b"), (119, "h", "a"), (120, "g", "a")] {
            let at = Timestamp::from_second(second).unwrap();
            metrics.record(at, Metric::RequestCount, dimensions(Some(group), Some(zone)), 1.0);
        }
        let sums = |wanted: &Dimensions, period: i64| -> Vec<(i64, f64)> {
            metrics
                .read(Metric::RequestCount, wanted, 60, 180, period)
                .into_iter()
                .map(|(at, bucket)| (at, bucket.sum))
                .collect()
        };
        assert_eq!(sums(&dimensions(None, None), 60), [(60, 3.0), (120, 1.0)]);
        assert_eq!(sums(&dimensions(Some("g"), None), 60), [(60, 2.0), (120, 1.0)]);
        assert_eq!(sums(&dimensions(Some("g"), Some("a")), 1), [(60, 1.0), (120, 1.0)]);
        assert_eq!(sums(&Dimensions::default(), 60), []);
    }

    #[test]
    fn host_counts_are_read_at_the_level_they_were_recorded_at() {
        let metrics = Metrics::default();
        let at = Timestamp::from_second(60).unwrap();
        metrics.record(at, Metric::HealthyHosts, dimensions(Some("g"), None), 2.0);
        metrics.record(at, Metric::HealthyHosts, dimensions(Some("g"), Some("a")), 1.0);
        let group = metrics.read(Metric::HealthyHosts, &dimensions(Some("g"), None), 60, 120, 60);
        assert_eq!(group[&60].samples, [2.0]);
        assert!(metrics.read(Metric::HealthyHosts, &dimensions(None, None), 60, 120, 60).is_empty());
    }
}
