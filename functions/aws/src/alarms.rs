//! Alarms of CloudWatch.

use std::collections::BTreeMap;

use aws_sdk_cloudwatch::types::{AlarmType, StateValue};
use spillway_core::arn::AlarmArn;
use spillway_core::plan::AlarmState;

use crate::client::{api_error, invalid_answer};
use crate::error::ApiError;
use crate::metrics::CloudWatch;
use crate::ports::Alarms;

const DESCRIBE: &str = "DescribeAlarms";

/// Most names that one call takes:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html>.
const MOST_NAMES: usize = 100;
/// More pages than the answer about that many alarms can have.
const MOST_PAGES: usize = 20;

impl CloudWatch {
    /// The states of one call's worth of alarms, by ARN.
    async fn describe(&self, alarms: &[AlarmArn]) -> Result<BTreeMap<String, AlarmState>, ApiError> {
        let mut states = BTreeMap::new();
        let mut token: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = self
                .client
                .describe_alarms()
                .set_alarm_names(Some(alarms.iter().map(|alarm| alarm.name().to_owned()).collect()))
                // Without this only metric alarms are told of.
                .set_alarm_types(Some(vec![AlarmType::MetricAlarm, AlarmType::CompositeAlarm, AlarmType::LogAlarm]))
                .set_next_token(token.clone())
                .send()
                .await
                .map_err(|error| api_error(DESCRIBE, "", &error))?;
            let metric = page.metric_alarms().iter().map(|alarm| (alarm.alarm_arn(), alarm.state_value()));
            let composite = page.composite_alarms().iter().map(|alarm| (alarm.alarm_arn(), alarm.state_value()));
            let log = page.log_alarms().iter().map(|alarm| (alarm.alarm_arn(), alarm.state_value()));
            for (arn, value) in metric.chain(composite).chain(log) {
                let arn = arn.unwrap_or_default();
                states.insert(arn.to_owned(), state(arn, value)?);
            }
            match page.next_token.filter(|next| !next.is_empty()) {
                None => return Ok(states),
                next if next == token => {
                    return Err(invalid_answer(DESCRIBE, "", "a page names itself as the next one"));
                }
                next => token = next,
            }
        }
        Err(invalid_answer(DESCRIBE, "", format!("there are more than {MOST_PAGES} pages")))
    }
}

impl Alarms for CloudWatch {
    async fn states(&self, alarms: &[AlarmArn]) -> Result<Vec<AlarmState>, ApiError> {
        let mut states = Vec::with_capacity(alarms.len());
        for chunk in alarms.chunks(MOST_NAMES) {
            let found = self.describe(chunk).await?;
            states.extend(chunk.iter().map(|alarm| found.get(alarm.as_str()).copied().unwrap_or(AlarmState::Missing)));
        }
        Ok(states)
    }
}

fn state(arn: &str, value: Option<&StateValue>) -> Result<AlarmState, ApiError> {
    match value {
        Some(StateValue::Ok) => Ok(AlarmState::Ok),
        Some(StateValue::Alarm) => Ok(AlarmState::Alarm),
        Some(StateValue::InsufficientData) => Ok(AlarmState::InsufficientData),
        other => {
            let value = other.map_or("missing", StateValue::as_str);
            Err(invalid_answer(DESCRIBE, arn, format!("the alarm's state is {value}")))
        }
    }
}
