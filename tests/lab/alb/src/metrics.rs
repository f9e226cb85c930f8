//! The metrics of `AWS/ApplicationELB`, in buckets of one second.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

/// Seconds that buckets are kept: CloudWatch keeps high-resolution data for three hours.
const RETENTION: i64 = 3 * 3600;

/// A metric of the user guide's "CloudWatch metrics for your Application Load Balancer".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Every value, oldest first, for metrics whose distribution matters; otherwise empty.
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

    /// What was there when only this share of the values, 0 to 1, had arrived: the first ones, in whole
    /// numbers. Nothing if that is none.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "between 0 and the count, which stays far below 2^52"
    )]
    pub(crate) fn first(&self, share: f64) -> Option<Self> {
        // 0.29 of 100 is 28.999999999999996 in binary; a millionth more than asked for is meant.
        let count = ((self.count as f64 * share + 1e-6).floor().max(0.0) as u64).min(self.count);
        if count == 0 {
            return None;
        }
        if self.samples.is_empty() {
            let sum = self.sum * count as f64 / self.count as f64;
            return Some(Self { sum, count, ..self.clone() });
        }
        let mut first = Self::new();
        self.samples.iter().take(count as usize).for_each(|value| first.add(*value, true));
        Some(first)
    }
}

/// Buckets by the second since the epoch in which they begin.
pub(crate) type Series = BTreeMap<i64, Bucket>;

/// All series since the start, or since three hours ago.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    series: Mutex<BTreeMap<(Metric, Dimensions), Series>>,
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

    /// The periods that have data, counted from `start`, which is in seconds since the epoch, to before `end`.
    pub(crate) fn read(&self, metric: Metric, wanted: &Dimensions, start: i64, end: i64, period: i64) -> Series {
        let series = self.lock();
        let wanted = series
            .iter()
            .filter(|((known, dimensions), _)| *known == metric && covers(metric.level(), wanted, dimensions));
        let mut seconds: Vec<(i64, &Bucket)> =
            wanted.flat_map(|(_, series)| series.range(start..end).map(|(second, bucket)| (*second, bucket))).collect();
        // Values in the order of their seconds: what comes first is what is seen first.
        seconds.sort_by_key(|(second, _)| *second);
        let mut periods = Series::new();
        for (second, bucket) in seconds {
            let period = start + (second - start).div_euclid(period) * period;
            periods.entry(period).or_insert_with(Bucket::new).merge(bucket);
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

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Metric, Dimensions), Series>> {
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
    fn periods_are_counted_from_the_start_that_is_asked_for() {
        let metrics = Metrics::default();
        for second in [60, 64, 65, 69] {
            let at = Timestamp::from_second(second).unwrap();
            metrics.record(at, Metric::RequestCount, dimensions(Some("g"), Some("a")), 1.0);
        }
        let periods = metrics.read(Metric::RequestCount, &dimensions(None, None), 59, 69, 5);
        let sums: Vec<(i64, f64)> = periods.into_iter().map(|(at, bucket)| (at, bucket.sum)).collect();
        assert_eq!(sums, [(59, 1.0), (64, 2.0)]);
    }

    #[test]
    fn the_first_share_of_counts_and_of_samples_is_in_whole_values() {
        let counts =
            |count: u32| Bucket { sum: count.into(), count: count.into(), min: 1.0, max: 1.0, samples: Vec::new() };
        for (share, count, expected) in [
            (0.5, 7, Some(3)),
            (0.5, 1, None),
            (0.29, 100, Some(29)),
            (1.0, 3, Some(3)),
            (2.0, 3, Some(3)),
            (0.0, 9, None),
        ] {
            assert_eq!(counts(count).first(share), expected.map(counts), "{share} of {count}");
        }
        // What is an average per target stays one.
        let per_target = Bucket { sum: 2.0, count: 4, min: 0.5, max: 0.5, samples: Vec::new() };
        assert_eq!(per_target.first(0.5), Some(Bucket { sum: 1.0, count: 2, ..per_target }));
        let mut samples = Bucket::new();
        for value in [3.0, 1.0, 2.0, 9.0] {
            samples.add(value, true);
        }
        let first = samples.first(0.5).unwrap();
        assert_eq!((first.sum, first.count, first.min, first.max, first.samples), (4.0, 2, 1.0, 3.0, vec![3.0, 1.0]));
        assert_eq!(samples.first(0.2), None);
    }

    #[test]
    fn samples_of_several_zones_are_in_the_order_of_their_seconds() {
        let metrics = Metrics::default();
        for (second, zone, value) in [(61, "a", 2.0), (60, "b", 1.0), (62, "b", 3.0)] {
            let at = Timestamp::from_second(second).unwrap();
            metrics.record(at, Metric::TargetResponseTime, dimensions(Some("g"), Some(zone)), value);
        }
        let periods = metrics.read(Metric::TargetResponseTime, &dimensions(Some("g"), None), 60, 120, 60);
        assert_eq!(periods[&60].samples, [1.0, 2.0, 3.0]);
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
