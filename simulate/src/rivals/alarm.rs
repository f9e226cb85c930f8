//! An alarm on the candidate's rate of 5XX answers, as the deployments of AWS watch it.
//!
//! `CodeDeploy` and ECS roll a deployment back when a CloudWatch alarm named for it goes to `ALARM`. The usual one is a
//! metric math expression, `100 * errors / requests > 1`, over one-minute periods, 2 datapoints out of 3. Flagger is
//! similar: it rolls back at a number of failed checks of a success rate.
//!
//! How CloudWatch evaluates M of N where data are missing is [documented], with a table that the tests repeat:
//! it looks at more periods than N, the evaluation range, and takes the N latest datapoints that exist there. Only what
//! is then missing is filled in as `TreatMissingData` says. In the table N is 3 and the range 5 periods; the
//! documentation says that the length depends on the period, and gives no other number, so 5 it is.
//!
//! A minute without requests has no datapoint, since the expression divides by zero there. Missing data are
//! `notBreaching`, the setting that rolls back least; `missing`, the default, would also alarm on one breaching
//! datapoint once two empty periods have followed it.
//!
//! Simplified: the alarm sees a minute once, with all that happened in it.
//!
//! [documented]: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html

use spillway_core::judge::Pair;

use super::{Opinion, Rival};

/// Error rate beyond which a datapoint is breaching, as a fraction.
const THRESHOLD: f64 = 0.01;
/// M, `DatapointsToAlarm`.
const DATAPOINTS_TO_ALARM: usize = 2;
/// N, `EvaluationPeriods`.
const EVALUATION_PERIODS: usize = 3;
/// Periods of the evaluation range.
const EVALUATION_RANGE: usize = 5;

/// Rolls back when 2 of the last 3 datapoints have an error rate above 1 %.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alarm;

impl Rival for Alarm {
    fn name(&self) -> &'static str {
        "alarm: 5XX > 1 %, 2 of 3"
    }

    fn look(&mut self, minutes: &[Pair]) -> Opinion {
        let breaching = minutes
            .iter()
            .rev()
            .take(EVALUATION_RANGE)
            .filter_map(|minute| minute.candidate.error_rate())
            .take(EVALUATION_PERIODS)
            .filter(|&rate| rate > THRESHOLD)
            .count();
        Opinion::roll_back_if(breaching >= DATAPOINTS_TO_ALARM)
    }
}

#[cfg(test)]
mod tests {
    use super::super::minutes::of_candidate;
    use super::*;

    fn opinion(datapoints: &str) -> Opinion {
        let candidate: Vec<(f64, f64)> = datapoints
            .chars()
            .map(|datapoint| match datapoint {
                '0' => (1.0, 100.0),
                'X' => (2.0, 100.0),
                _ => (0.0, 0.0),
            })
            .collect();
        Alarm.look(&of_candidate(&candidate))
    }

    /// Column "NOT BREACHING" of the documentation's table for 2 out of 3, the latest datapoint on the right.
    #[test]
    fn agrees_with_the_documentation() {
        for (datapoints, expected) in [
            ("0-X-X", Opinion::RollBack),
            ("00X0X", Opinion::RollBack),
            ("0-X--", Opinion::GoOn),
            ("----0", Opinion::GoOn),
            ("---X-", Opinion::GoOn),
        ] {
            assert_eq!(opinion(datapoints), expected, "{datapoints}");
        }
    }

    #[test]
    fn looks_at_the_last_three_datapoints_of_five_minutes() {
        for (datapoints, expected) in [
            ("", Opinion::GoOn),
            ("X", Opinion::GoOn),
            ("XX", Opinion::RollBack),
            ("X0X", Opinion::RollBack),
            ("X00X", Opinion::GoOn),
            ("XX00", Opinion::GoOn),
            ("XX---", Opinion::RollBack),
            ("XX----", Opinion::GoOn),
            ("-----", Opinion::GoOn),
            ("00000", Opinion::GoOn),
        ] {
            assert_eq!(opinion(datapoints), expected, "{datapoints:?}");
        }
    }
}
