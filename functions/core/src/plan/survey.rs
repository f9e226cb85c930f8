//! What is found out about a service before a release of it is planned.

use jiff::Timestamp;

use super::forecast::Forecast;
use super::refusal::Refusal;
use crate::definition::{CustomSource, HealthPolicy, OnInsufficientData};
use crate::judge::Counts;
use crate::judge::latency::Quantile;
use crate::metrics::{Series, Window};
use crate::scaling::Scaling;
use crate::targets::TargetCounts;

/// Periods that the dispersion and the thresholds look back over: six hours of minutes.
const HISTORY_PERIODS: u32 = 360;
/// Fewest periods, where they are longer than that.
const LEAST_PERIODS: u32 = 24;
/// Seconds that traffic is forecast from.
const FORECAST_SECONDS: u32 = 3600;

/// What is found out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Targets of the stable slot's groups, in their order.
    pub stable_targets: Vec<TargetCounts>,
    /// The alarms, in the definition's order.
    pub alarms: Vec<AlarmState>,
    /// The service's own metrics that CloudWatch does not know: position, and `count` or `denominator`.
    pub missing_metrics: Vec<(usize, &'static str)>,
    /// The hours before.
    pub history: History,
    /// What scales the slots by themselves.
    pub scaling: Vec<Scaling>,
}

/// The state of an alarm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AlarmState {
    /// All is well.
    Ok,
    /// It is not.
    Alarm,
    /// Nobody knows.
    InsufficientData,
    /// There is no such alarm.
    Missing,
}

/// The stable version in the hours before the release.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Seconds of a period.
    pub period_seconds: u32,
    /// Answers of both slots, period by period, oldest first: the stable one may have been the candidate an hour ago.
    pub service: Vec<Counts>,
    /// Answers by zone, a row for each period, oldest first.
    pub by_zone: Vec<Vec<Counts>>,
    /// Slow answers, threshold by threshold.
    pub latency: Vec<SlowHistory>,
    /// The service's own metrics, each as rows of one.
    pub metrics: Vec<Vec<Vec<Counts>>>,
}

/// Slow answers in the hours before the release.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowHistory {
    /// The quantile that the threshold stands for.
    pub quantile: Quantile,
    /// Slower than so many seconds.
    pub seconds: f64,
    /// Slow answers by zone, a row for each period, oldest first.
    pub by_zone: Vec<Vec<Counts>>,
}

/// The periods that planning looks back over: six hours of minutes.
#[must_use]
pub fn history_window(now: Timestamp, health: &HealthPolicy) -> Window {
    let lag = crate::metrics::earlier(now, health.metric_lag_seconds);
    Window::before(lag, periods_back(health), health.period_seconds.max(1))
}

/// The same time in longer periods, for quantiles: hours, where metric periods are minutes.
#[must_use]
pub fn quantile_window(now: Timestamp, health: &HealthPolicy) -> Window {
    let lag = crate::metrics::earlier(now, health.metric_lag_seconds);
    // The periods that CloudWatch has: 1, 5, 10 and 30 s, and multiples of a minute.
    let part = match health.period_seconds {
        0 | 1 => 10,
        5 => 30,
        10 => 60,
        30 => 300,
        longer => longer.max(3600).next_multiple_of(60),
    };
    let parts = (periods_back(health) * health.period_seconds.max(1)).div_ceil(part);
    Window { end: lag, ..Window::before(lag, parts, part) }
}

fn periods_back(health: &HealthPolicy) -> u32 {
    let period = health.period_seconds.max(1);
    (HISTORY_PERIODS * period.min(60) / period).max(LEAST_PERIODS)
}

/// The typical value of some series, each with how much its values count for: their weighted median; nothing without
/// values.
#[must_use]
pub fn typical(series: &[(&Series, &Series)]) -> Option<f64> {
    let weighed = series.iter().flat_map(|(values, weights)| {
        values.iter().map(|(at, value)| (*value, weights.get(at).copied().unwrap_or(0.0)))
    });
    let mut values: Vec<(f64, f64)> = weighed.filter(|(value, weight)| value.is_finite() && *weight > 0.0).collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = values.iter().map(|(_, weight)| weight).sum::<f64>() / 2.0;
    let mut below = 0.0;
    let middle = values.iter().find(|(_, weight)| {
        below += weight;
        below >= half
    });
    middle.map(|(value, _)| *value)
}

impl Survey {
    /// Reasons not to start.
    pub(super) fn refusals(&self, health: &HealthPolicy) -> Vec<Refusal> {
        let alarms = std::iter::zip(&health.alarms, &self.alarms).enumerate().filter(|(_, (alarm, _))| !alarm.dry_run);
        let alarms = alarms.filter_map(|(index, (alarm, state))| {
            let arn = alarm.arn.clone();
            match (state, alarm.on_insufficient_data) {
                (AlarmState::Alarm, _) => Some(Refusal::AlarmFiring { index, arn }),
                (AlarmState::Missing, _) => Some(Refusal::AlarmMissing { index, arn }),
                (AlarmState::InsufficientData, OnInsufficientData::Rollback) => {
                    Some(Refusal::AlarmWithoutData { index, arn })
                }
                _ => None,
            }
        });
        let metrics = self.missing_metrics.iter().filter_map(|&(index, field)| {
            let metric = health.metrics.get(index)?;
            let source: &CustomSource = if field == "count" { &metric.count } else { &metric.denominator };
            Some(Refusal::MetricMissing { index, field, wanted: Box::new(source.clone()) })
        });
        alarms.chain(metrics).collect()
    }

    /// What is no reason, and should be known.
    pub(super) fn warnings(&self, health: &HealthPolicy) -> Vec<String> {
        let alarms = std::iter::zip(&health.alarms, &self.alarms).filter_map(|(alarm, state)| {
            let name = alarm.arn.name();
            match state {
                AlarmState::InsufficientData => Some(match alarm.on_insufficient_data {
                    OnInsufficientData::Ignore => {
                        format!("alarm {name}: INSUFFICIENT_DATA, which the definition ignores")
                    }
                    _ => format!("alarm {name}: INSUFFICIENT_DATA; unless that changes, each step is held for it"),
                }),
                AlarmState::Alarm if alarm.dry_run => Some(format!("alarm {name}: in ALARM, and has no say (dry_run)")),
                AlarmState::Missing if alarm.dry_run => {
                    Some(format!("alarm {name}: does not exist, and has no say (dry_run)"))
                }
                _ => None,
            }
        });
        let unknown = health
            .latency
            .quantiles
            .iter()
            .filter(|quantile| !self.history.latency.iter().any(|slow| slow.quantile == **quantile));
        let unknown: Vec<&str> = unknown.map(|quantile| quantile.name()).collect();
        let unknown = (!unknown.is_empty()).then(|| {
            let quantiles = unknown.join(", ");
            format!(
                "latency {quantiles}: not compared, for want of response times before the release and of an objective"
            )
        });
        let blind = self
            .history
            .latency
            .iter()
            .filter(|slow| slow.quantile.test().is_blind(slow.by_zone.iter().flatten().copied().sum()));
        let blind = blind.map(|slow| {
            format!(
                "latency {}: blind, since the stable version itself is slower than {} s too often; set health.latency.objectives.{0}",
                slow.quantile, slow.seconds
            )
        });
        alarms.chain(unknown).chain(blind).collect()
    }
}

impl History {
    /// What traffic to expect: the rate of the last hour, or since there was any, and the error rate of all hours.
    #[must_use]
    pub fn forecast(&self) -> Forecast {
        let period = self.period_seconds.max(1);
        let periods = usize::try_from(FORECAST_SECONDS.div_ceil(period)).unwrap_or(usize::MAX);
        let (earlier, hour) = self.service.split_at(self.service.len().saturating_sub(periods));
        // A service that had no request before is younger than the hour.
        let any = |counts: &Counts| counts.requests > 0.0;
        let young = if earlier.iter().any(any) { 0 } else { hour.iter().position(any).unwrap_or(hour.len()) };
        let seconds = hour[young..].len() as f64 * f64::from(period);
        let requests: f64 = hour.iter().map(|counts| counts.requests).sum();
        Forecast {
            requests_per_second: if seconds > 0.0 { requests / seconds } else { 0.0 },
            error_rate: self.by_zone.iter().flatten().copied().sum::<Counts>().error_rate().unwrap_or(0.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A load balancer with a hundredth of the traffic does not set the threshold of the other.
    #[test]
    fn quantiles_count_for_the_requests_behind_them() {
        let at = |hour: i64| Timestamp::from_second(1_800_000_000 + 3600 * hour).unwrap();
        let series = |value: f64| (0..6).map(|hour| (at(hour), value)).collect::<Series>();
        let (public, internal) = ((series(0.1), series(9900.0)), (series(5.0), series(100.0)));
        assert_eq!(typical(&[(&public.0, &public.1), (&internal.0, &internal.1)]), Some(0.1));
        assert_eq!(typical(&[(&internal.0, &internal.1)]), Some(5.0));
        assert_eq!(typical(&[(&internal.0, &Series::new())]), None, "nothing behind it");
    }

    #[test]
    fn a_young_service_is_forecast_from_what_there_is_of_it() {
        let minute = |requests| Counts { errors: 0.0, requests };
        let of = |service: Vec<Counts>| {
            History { period_seconds: 60, service, ..History::default() }.forecast().requests_per_second
        };
        assert_eq!(of(vec![minute(6000.0); 360]), 100.0);
        assert_eq!(of([vec![minute(0.0); 355], vec![minute(6000.0); 5]].concat()), 100.0);
        assert_eq!(of([vec![minute(6000.0); 300], vec![minute(0.0); 30], vec![minute(6000.0); 30]].concat()), 50.0);
        assert_eq!(of(vec![minute(0.0); 360]), 0.0);
        assert_eq!(of(Vec::new()), 0.0);
    }

    /// Six hours of minutes, in periods that CloudWatch has.
    #[test]
    fn looks_back_over_hours_in_periods_that_exist() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (period, back, part) in
            [(1, 360, 10), (5, 1800, 30), (10, 3600, 60), (30, 10_800, 300), (60, 21_600, 3600), (3600, 86_400, 3600)]
        {
            let health = HealthPolicy { period_seconds: period, metric_lag_seconds: 0, ..HealthPolicy::default() };
            let window = history_window(now, &health);
            assert_eq!(window.end.duration_since(window.start).as_secs(), back, "{period}");
            let quantiles = quantile_window(now, &health);
            assert_eq!((quantiles.period_seconds, quantiles.end), (part, now), "{period}");
            assert!(quantiles.end.duration_since(quantiles.start).as_secs() >= back, "{period}");
        }
    }
}
