//! What can be seen of the metrics at a moment: data come late, and are revised.

use jiff::{SignedDuration, Timestamp};

use crate::faults::Arrival;
use crate::metrics::{Dimensions, Metric, Metrics, Series};

/// How a metric looks at a moment; all in seconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct View {
    /// Periods that end later than this cannot be seen yet,
    until: i64,
    /// and of those that end later than this
    settled: i64,
    /// only this share.
    share: f64,
}

impl View {
    pub(crate) fn new(now: Timestamp, arrival: Arrival) -> Self {
        let before = |duration| {
            let duration = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
            now.saturating_sub(duration).map_or(i64::MIN, |at| at.as_millisecond().div_euclid(1000))
        };
        Self { until: before(arrival.delay), settled: before(arrival.settled), share: arrival.share }
    }

    /// The end of the last second that can be seen.
    pub(crate) fn until(&self) -> i64 {
        self.until
    }

    /// The periods that have data to be seen, counted from `start` to before `end`.
    pub(crate) fn periods(
        &self,
        metrics: &Metrics,
        (metric, dimensions): &(Metric, Dimensions),
        (start, end): (i64, i64),
        period: i64,
    ) -> Series {
        let seen = metrics.read(*metric, dimensions, start, end, period).into_iter().filter_map(|(at, bucket)| {
            let over = at.saturating_add(period);
            let bucket = if over > self.until {
                None
            } else if over > self.settled {
                bucket.first(self.share)
            } else {
                Some(bucket)
            };
            Some((at, bucket?))
        });
        seen.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_period_is_missing_then_in_part_then_whole() {
        let metrics = Metrics::default();
        let dimensions = Dimensions { load_balancer: Some("app/shop/1".to_owned()), ..Dimensions::default() };
        let series = (Metric::Elb5xx, dimensions.clone());
        for second in [60, 61, 62, 63, 64, 65] {
            metrics.record(Timestamp::from_second(second).unwrap(), Metric::Elb5xx, dimensions.clone(), 1.0);
        }
        let arrival = Arrival { delay: Duration::from_secs(2), settled: Duration::from_secs(10), share: 0.5 };
        let seen = |now: i64, period: i64| -> Vec<(i64, f64)> {
            let view = View::new(Timestamp::from_second(now).unwrap(), arrival);
            view.periods(&metrics, &series, (60, 66), period).into_iter().map(|(at, bucket)| (at, bucket.sum)).collect()
        };
        // The second period is over at 66, and can be seen in part from 68 and as a whole from 76.
        for (now, expected) in [
            (64, vec![]),
            (65, vec![(60, 1.0)]),
            (68, vec![(60, 1.0), (63, 1.0)]),
            (73, vec![(60, 3.0), (63, 1.0)]),
            (76, vec![(60, 3.0), (63, 3.0)]),
        ] {
            assert_eq!(seen(now, 3), expected, "at {now}");
        }
        // Of single values nothing is left to be published.
        assert_eq!(seen(70, 1), []);
        assert_eq!(seen(72, 1), [(60, 1.0), (61, 1.0)]);
    }

    #[test]
    fn without_faults_a_period_shows_when_it_is_over() {
        let now = Timestamp::from_millisecond(61_999).unwrap();
        assert_eq!(View::new(now, Arrival::default()), View { until: 61, settled: 61, share: 0.0 });
        let never = Arrival { delay: Duration::MAX, ..Arrival::default() };
        assert!(View::new(now, never).until() < 0);
    }
}
