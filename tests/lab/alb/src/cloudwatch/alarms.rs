//! Keeps the alarms on `AWS/ApplicationELB` in the state that the metrics call for. The alarms are upstream,
//! which tells them and lets composite alarms follow; the metrics are here.
//!
//! ministack evaluates an alarm itself when it is put, and all of them with every `PutMetricData`, but leaves
//! alone those without any data of their own metric: it never has any of this namespace, so that nothing
//! works against what is set here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::alarm::Alarm;
use super::upstream::Upstream;
use crate::error::ApiError;
use crate::shared::Shared;

/// Between two looks at the alarms, while there are any to evaluate,
const PAUSE: Duration = Duration::from_millis(250);
/// and while there are none, or the upstream does not answer.
const IDLE: Duration = Duration::from_secs(1);
/// A call upstream takes no longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts to evaluate.
pub(crate) fn start(shared: &Arc<Shared>, upstream: Upstream) {
    let evaluator = Evaluator { shared: Arc::clone(shared), upstream };
    shared.tasks.spawn(async move {
        let mut complaints = BTreeSet::new();
        loop {
            let (pause, now) = evaluator.round().await;
            // Every complaint once, until it is over.
            for complaint in now.difference(&complaints) {
                tracing::warn!("{complaint}");
            }
            complaints = now;
            tokio::time::sleep(pause).await;
        }
    });
}

struct Evaluator {
    shared: Arc<Shared>,
    upstream: Upstream,
}

impl Evaluator {
    /// Evaluates every alarm once; gives how long to wait for the next round, and what there is to complain of.
    async fn round(&self) -> (Duration, BTreeSet<String>) {
        let alarms = match self.described().await {
            Ok(alarms) => alarms,
            Err(error) => return (IDLE, BTreeSet::from([format!("alarms are not evaluated: {}", error.message)])),
        };
        let mut complaints = BTreeSet::new();
        let mut pause = IDLE;
        for alarm in alarms.iter().filter_map(Alarm::read) {
            pause = PAUSE;
            match alarm {
                Ok(alarm) => self.settle(&alarm, &mut complaints).await,
                Err(unknown) => drop(complaints.insert(format!("an alarm is not evaluated: {unknown}"))),
            }
        }
        (pause, complaints)
    }

    async fn settle(&self, alarm: &Alarm, complaints: &mut BTreeSet<String>) {
        let Some((state, reason)) = alarm.transition(&self.shared, Timestamp::now()) else { return };
        tracing::info!(alarm = alarm.name, state = state.name(), reason, "an alarm changes its state");
        let body = json!({"AlarmName": alarm.name, "StateValue": state.name(), "StateReason": reason});
        if let Err(error) = self.call("SetAlarmState", &body).await {
            // It may have been deleted meanwhile; if not, the next round tries again.
            complaints.insert(format!("alarm {} cannot be set: {}", alarm.name, error.message));
        }
    }

    /// All metric alarms.
    async fn described(&self) -> Result<Vec<Value>, ApiError> {
        let mut ask = json!({"AlarmTypes": ["MetricAlarm"], "MaxRecords": 100});
        let mut alarms = Vec::new();
        loop {
            let mut answer = self.call("DescribeAlarms", &ask).await?;
            if let Value::Array(more) = answer["MetricAlarms"].take() {
                alarms.extend(more);
            }
            match answer["NextToken"].take() {
                Value::String(token) if !token.is_empty() => ask["NextToken"] = token.into(),
                _ => return Ok(alarms),
            }
        }
    }

    async fn call(&self, action: &str, body: &Value) -> Result<Value, ApiError> {
        let call = self.upstream.call(&self.shared, action, body);
        let answer = tokio::time::timeout(PATIENCE, call).await;
        answer.unwrap_or_else(|_| Err(ApiError::new("BadGateway", format!("{action} takes too long"))))
    }
}
