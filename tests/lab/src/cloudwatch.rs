//! Alarms and metrics, as operators and applications put them: straight into the emulator, past the faults of
//! the load balancer's CloudWatch and its log of calls.
//!
//! Alarms on `AWS/ApplicationELB` are evaluated by the load balancer, those on other metrics by the emulator, with
//! every value that is put and at no other time, whatever its dimensions.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::aws::AwsError;
use crate::eventually::{TooLate, eventually};
use crate::lab::Lab;

/// The state of an alarm.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AlarmState {
    /// Within its threshold.
    Ok,
    /// Outside of its threshold.
    Alarm,
    /// Just made, or without data.
    InsufficientData,
}

impl AlarmState {
    const ALL: [Self; 3] = [Self::Ok, Self::Alarm, Self::InsufficientData];
}

impl fmt::Display for AlarmState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        })
    }
}

impl Lab {
    /// Puts a metric alarm, given as the parameters of `PutMetricAlarm`, and gives its ARN.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn put_alarm(&self, alarm: &Value) -> Result<String, AwsError> {
        self.put("PutMetricAlarm", alarm).await
    }

    /// Puts a composite alarm, given as the parameters of `PutCompositeAlarm`, and gives its ARN.
    ///
    /// # Errors
    /// The emulator's; a rule must not name alarms that do not exist.
    pub async fn put_composite_alarm(&self, alarm: &Value) -> Result<String, AwsError> {
        self.put("PutCompositeAlarm", alarm).await
    }

    /// Deletes an alarm of either kind.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn delete_alarm(&self, name: &str) -> Result<(), AwsError> {
        self.cloudwatch("DeleteAlarms", &json!({ "AlarmNames": [name] })).await.map(drop)
    }

    /// The state of an alarm of either kind.
    ///
    /// # Errors
    /// The emulator's; `ResourceNotFound` if there is no such alarm.
    pub async fn alarm_state(&self, name: &str) -> Result<AlarmState, AwsError> {
        let alarm = self.alarm(name).await?;
        let state = alarm["StateValue"].as_str().unwrap_or_default();
        let known = AlarmState::ALL.into_iter().find(|known| known.to_string() == state);
        known.ok_or_else(|| unknown("InternalServiceFault", format!("alarm {name} is in the state {state:?}")))
    }

    /// Waits until an alarm is in a state.
    ///
    /// # Errors
    /// [`TooLate`] with what was seen last.
    pub async fn wait_alarm(&self, name: &str, state: AlarmState, timeout: Duration) -> Result<(), TooLate> {
        eventually(timeout, || async {
            match self.alarm_state(name).await {
                Ok(seen) if seen == state => Ok(()),
                Ok(seen) => Err(format!("alarm {name} is {seen}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    /// Sets the state of an alarm of either kind, until its next evaluation: at once for one on the load balancer's
    /// metrics, with the next value for one on others; at none if there never is a value.
    ///
    /// # Errors
    /// The emulator's; `ResourceNotFound` if there is no such alarm.
    pub async fn set_alarm_state(&self, name: &str, state: AlarmState) -> Result<(), AwsError> {
        let body = json!({"AlarmName": name, "StateValue": state.to_string(), "StateReason": "set by hand"});
        self.cloudwatch("SetAlarmState", &body).await.map(drop)
    }

    /// Puts a value of a metric, as of now, at a resolution of one second. Values of the same second add up.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn put_metric(
        &self,
        namespace: &str,
        name: &str,
        dimensions: &[(&str, &str)],
        value: f64,
    ) -> Result<(), AwsError> {
        let dimensions: Vec<Value> =
            dimensions.iter().map(|(name, value)| json!({"Name": name, "Value": value})).collect();
        let datum = json!({"MetricName": name, "Dimensions": dimensions, "Value": value, "StorageResolution": 1});
        self.cloudwatch("PutMetricData", &json!({"Namespace": namespace, "MetricData": [datum]})).await.map(drop)
    }

    async fn put(&self, action: &str, alarm: &Value) -> Result<String, AwsError> {
        self.cloudwatch(action, alarm).await?;
        let put = self.alarm(alarm["AlarmName"].as_str().unwrap_or_default()).await?;
        Ok(put["AlarmArn"].as_str().unwrap_or_default().to_owned())
    }

    async fn alarm(&self, name: &str) -> Result<Value, AwsError> {
        let body = json!({"AlarmNames": [name], "AlarmTypes": ["MetricAlarm", "CompositeAlarm"]});
        let answer = self.cloudwatch("DescribeAlarms", &body).await?;
        let found = ["MetricAlarms", "CompositeAlarms"].into_iter().find_map(|kind| answer[kind].get(0));
        found.cloned().ok_or_else(|| unknown("ResourceNotFound", format!("there is no alarm {name}")))
    }

    async fn cloudwatch(&self, action: &str, body: &Value) -> Result<Value, AwsError> {
        self.aws().call_json(&format!("GraniteServiceVersion20100801.{action}"), body).await
    }
}

fn unknown(code: &str, message: String) -> AwsError {
    AwsError { call: "DescribeAlarms".to_owned(), code: code.to_owned(), message, status: None }
}
