//! A metric alarm on `AWS/ApplicationELB`, as `DescribeAlarms` tells it.

use jiff::Timestamp;
use serde_json::Value;

use super::evaluation::{Comparison, Missing, Rule, State};
use super::query::{NAMESPACE, integer, series};
use super::stat::Stat;
use crate::metrics::{Dimensions, Metric};
use crate::shared::Shared;
use crate::visible::View;

/// "The evaluation interval is the number of evaluation periods multiplied by the period", a week at most.
const LONGEST: i64 = 7 * 24 * 3600;

/// An alarm that can be evaluated here.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alarm {
    pub(super) name: String,
    /// As it stands upstream.
    pub(super) state: State,
    /// None for a metric or dimension that the namespace does not have: an alarm without data.
    series: Option<(Metric, Dimensions)>,
    stat: Stat,
    /// Seconds.
    period: i64,
    rule: Rule,
}

/// What is wrong with an alarm.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the alarm's {field} is {value}")]
pub(super) struct Unknown {
    field: &'static str,
    value: Value,
}

impl Alarm {
    /// Reads an alarm in the shape of the JSON protocol; none if it is on metrics of elsewhere.
    pub(super) fn read(alarm: &Value) -> Option<Result<Self, Unknown>> {
        (alarm["Namespace"] == NAMESPACE).then(|| Self::parse(alarm))
    }

    fn parse(alarm: &Value) -> Result<Self, Unknown> {
        let unknown = |field: &'static str| move || Unknown { field, value: alarm[field].clone() };
        let text = |field: &str| alarm[field].as_str().filter(|text| !text.is_empty());
        // An alarm has the one or the other; ministack tells an Average beside the latter.
        let stat = if text("ExtendedStatistic").is_some() { "ExtendedStatistic" } else { "Statistic" };
        let period = integer(&alarm["Period"]).filter(|period| (1..=LONGEST).contains(period));
        let period = period.ok_or_else(unknown("Period"))?;
        let count = |field: &'static str, most: i64| {
            let count = integer(&alarm[field]).filter(|count| (1..=most).contains(count));
            count.and_then(|count| usize::try_from(count).ok()).ok_or_else(unknown(field))
        };
        let periods = count("EvaluationPeriods", LONGEST / period)?;
        let to_alarm = match &alarm["DatapointsToAlarm"] {
            Value::Null => periods,
            _ => count("DatapointsToAlarm", i64::try_from(periods).unwrap_or(i64::MAX))?,
        };
        let comparison = text("ComparisonOperator").and_then(Comparison::from_name);
        Ok(Self {
            name: text("AlarmName").ok_or_else(unknown("AlarmName"))?.to_owned(),
            state: text("StateValue").and_then(State::from_name).ok_or_else(unknown("StateValue"))?,
            series: series(text("MetricName").unwrap_or_default(), &alarm["Unit"], &alarm["Dimensions"]),
            stat: text(stat).and_then(Stat::parse).ok_or_else(unknown(stat))?,
            period,
            rule: Rule {
                periods,
                to_alarm,
                comparison: comparison.ok_or_else(unknown("ComparisonOperator"))?,
                threshold: alarm["Threshold"].as_f64().ok_or_else(unknown("Threshold"))?,
                missing: Missing::from_name(text("TreatMissingData").unwrap_or("missing"))
                    .ok_or_else(unknown("TreatMissingData"))?,
            },
        })
    }

    /// The state that it must go to, and why; none if it is in the right one.
    pub(super) fn transition(&self, shared: &Shared, now: Timestamp) -> Option<(State, String)> {
        let points = self.points(shared, now);
        let state = self.rule.evaluate(&points).filter(|state| *state != self.state)?;
        let points: Vec<String> =
            points.iter().map(|point| point.map_or_else(|| "-".to_owned(), |value| value.to_string())).collect();
        let reason = format!("{}; the last ones: {}", self.rule.describe(), points.join(" "));
        Some((state, reason))
    }

    /// The data points of the range that is evaluated, the most recent last.
    ///
    /// The last period ends with the last second that can be seen, and the alarm moves with it, as a real
    /// one of several minutes moves on every minute. What comes late is late, and never missing.
    fn points(&self, shared: &Shared, now: Timestamp) -> Vec<Option<f64>> {
        let range = self.rule.range();
        let Some(series) = &self.series else { return vec![None; range] };
        let view = View::new(now, shared.faults.arrival(series.0));
        let until = view.until();
        let starts: Vec<i64> =
            (1..).map(|ago: i64| until.saturating_sub(ago.saturating_mul(self.period))).take(range).collect();
        let oldest = starts.last().copied().unwrap_or(until);
        let seen = view.periods(&shared.traffic.metrics, series, (oldest, until), self.period);
        starts.iter().rev().map(|start| self.stat.of(seen.get(start)?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::settings::Settings;

    fn described(changes: &[(&str, Value)]) -> Value {
        let mut alarm = json!({
            "AlarmName": "errors",
            "Namespace": "AWS/ApplicationELB",
            "MetricName": "HTTPCode_Target_5XX_Count",
            "Dimensions": [{"Name": "LoadBalancer", "Value": "app/shop/1"}],
            "Statistic": "Sum",
            "ExtendedStatistic": null,
            "Period": 2,
            "EvaluationPeriods": 2,
            "Threshold": 3.0,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
            "StateValue": "INSUFFICIENT_DATA",
        });
        for (field, value) in changes {
            alarm[*field] = value.clone();
        }
        alarm
    }

    fn read(changes: &[(&str, Value)]) -> Alarm {
        Alarm::read(&described(changes)).unwrap().unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A stand-in with errors in these seconds.
    fn with_errors(seconds: &[i64]) -> Shared {
        let shared = Shared::new(Settings::default());
        for second in seconds {
            let dimensions = Dimensions {
                load_balancer: Some("app/shop/1".to_owned()),
                target_group: Some("g".to_owned()),
                zone: None,
            };
            shared.traffic.metrics.record(at(*second), Metric::Target5xx, dimensions, 1.0);
        }
        shared
    }

    #[test]
    fn its_periods_end_with_what_can_be_seen() {
        let shared = with_errors(&[100, 101, 101, 102, 103]);
        let alarm = read(&[]);
        assert_eq!(alarm.points(&shared, at(103)), [None, None, Some(1.0), Some(3.0)]);
        assert_eq!(alarm.points(&shared, at(104)), [None, None, Some(3.0), Some(2.0)]);
        shared.faults.metric_delay_of("HTTPCode_Target_5XX_Count", Duration::from_secs(7));
        assert_eq!(alarm.points(&shared, at(110)), [None, None, Some(1.0), Some(3.0)]);
        shared.faults.revise_metrics(0.5, Duration::from_secs(10));
        assert_eq!(alarm.points(&shared, at(110)), [None, None, None, Some(1.0)]);
        let silent = read(&[("MetricName", "NoSuchMetric".into())]);
        assert_eq!(silent.points(&shared, at(110)), [None; 4]);
    }

    #[test]
    fn it_goes_to_a_state_that_it_is_not_in() {
        let shared = with_errors(&[100, 100, 101, 101, 102, 102, 103, 103]);
        let at_104 = |changes: &[(&str, Value)]| read(changes).transition(&shared, at(104));
        let (state, reason) = at_104(&[]).unwrap();
        assert_eq!(state, State::Alarm);
        assert_eq!(
            reason,
            "2 of 2 datapoints GreaterThanThreshold 3, missing ones notBreaching; the last ones: - - 4 4"
        );
        assert_eq!(at_104(&[("StateValue", "ALARM".into())]), None);
        assert_eq!(at_104(&[("Threshold", 4.into())]).unwrap().0, State::Ok);
        let never = [("MetricName", "HTTPCode_ELB_5XX_Count".into()), ("TreatMissingData", "ignore".into())];
        assert_eq!(at_104(&never), None);
    }

    #[test]
    fn an_extended_statistic_counts_before_a_statistic() {
        let alarm = read(&[("Statistic", "Average".into()), ("ExtendedStatistic", "p99".into())]);
        assert_eq!(alarm.stat, Stat::Percentile(99.0));
        let one_of_two = read(&[("DatapointsToAlarm", 1.into())]);
        assert_eq!((one_of_two.rule.to_alarm, read(&[]).rule.to_alarm), (1, 2));
    }

    #[test]
    fn what_cannot_be_evaluated_is_named() {
        assert_eq!(Alarm::read(&described(&[("Namespace", "Shop".into())])), None);
        assert_eq!(Alarm::read(&json!({"AlarmName": "of expressions", "Metrics": []})), None);
        for (field, value) in [
            ("Period", json!(0)),
            ("Period", json!(LONGEST)),
            ("EvaluationPeriods", Value::Null),
            ("DatapointsToAlarm", json!(3)),
            ("ComparisonOperator", json!("LessThanLowerThreshold")),
            ("Statistic", json!("Mean")),
            ("TreatMissingData", json!("perhaps")),
            ("StateValue", json!("FINE")),
            ("Threshold", Value::Null),
        ] {
            let error = Alarm::read(&described(&[(field, value.clone())])).unwrap().unwrap_err();
            let field = if value == json!(LONGEST) { "EvaluationPeriods" } else { field };
            assert_eq!(error.field, field, "{value}");
        }
    }
}
