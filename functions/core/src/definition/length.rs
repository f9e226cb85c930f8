//! How long a release may take: its steps, and the longest that they can last.

use serde::{Deserialize, Serialize};

use super::{HealthPolicy, Readiness};
use crate::event::news;
use crate::judge::sequential::Horizon;
use crate::weight::Percent;

/// The most history events that planning allows. An execution may have 25 000; the rest is for a day in the queue, which
/// takes some 1 500, and for retries.
pub const MAX_HISTORY_EVENTS: u64 = 20_000;
/// The longest release that planning allows, in seconds: the machine's own time-out is 30 days.
pub const MAX_RELEASE_SECONDS: u64 = 29 * 86_400;
/// History events of one check, or of one look at the candidate's readiness.
const EVENTS_PER_CHECK: u64 = 14;
/// History events of a check, or look, that asks a hook as well, which may be tried again.
pub const EVENTS_PER_HOOK: u64 = 24;
/// History events of everything else, and of each step's shift.
const EVENTS_BESIDES: u64 = 450;
/// History events of each thing that others are told of.
const EVENTS_PER_NEWS: u64 = 5;
/// While a release waits for a person, checks are rarer by this factor ...
pub const WAITING_FACTOR: u32 = 4;
/// ... and there are at most so many of them: 27 hours of waiting at a check a minute.
const WAITING_LOOKS: u64 = 400;
/// Before the first users they are rarer still, and as many fewer: the same time again.
pub const EARLY_WAITING_FACTOR: u32 = 8;

/// One step: a weight and how long it may take.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Step {
    /// The candidate's weight.
    pub weight: Percent,
    /// Seconds that the step lasts at least.
    pub minimum_time_seconds: u32,
    /// Seconds after which the step is decided without proof.
    pub max_step_seconds: u32,
}

/// Metric periods that the judge plans with: the sum of the longest times and holds of all steps, at least 2; and
/// those after them in which a release may still be on, going back and forth or waiting for people.
#[must_use]
pub fn horizon(steps: &[Step], health: &HealthPolicy) -> Horizon {
    let period = u64::from(health.period_seconds.max(1));
    let periods = |seconds: u64| usize::try_from(seconds / period).unwrap_or(usize::MAX);
    let planned = periods(exposure_seconds(steps, health)).max(2);
    let longest = longest_exposure_seconds(steps, health) + longest_wait_seconds(health);
    Horizon { planned, late: periods(longest).saturating_sub(planned) }
}

fn exposure_seconds(steps: &[Step], health: &HealthPolicy) -> u64 {
    steps.iter().map(|step| longest_step_seconds(step, health) + u64::from(health.hold_seconds)).sum()
}

/// Seconds after which a step without proof is decided: its longest time, or the time that it takes until its minimum
/// time has been measured, since measurements come late.
#[must_use]
pub fn longest_step_seconds(step: &Step, health: &HealthPolicy) -> u64 {
    let [check, lag, period] = [health.check_seconds, health.metric_lag_seconds, health.period_seconds].map(u64::from);
    u64::from(step.max_step_seconds).max(u64::from(step.minimum_time_seconds) + lag + 2 * period + check)
}

/// Seconds that CloudWatch keeps periods of this length: high-resolution ones for three hours, minutes for 15 days, 5
/// minutes for 63 days: <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html>.
#[must_use]
pub fn retention_seconds(period_seconds: u32) -> u64 {
    match period_seconds {
        0..60 => 3 * 3600,
        60..300 => 15 * 86_400,
        _ => 63 * 86_400,
    }
}

/// All steps at their longest, a quarter more for going back and forth, and what each step and the promotion
/// overshoot by: the last check and the metrics' lag.
#[must_use]
pub fn longest_exposure_seconds(steps: &[Step], health: &HealthPolicy) -> u64 {
    let [check, lag, period] = [health.check_seconds, health.metric_lag_seconds, health.period_seconds].map(u64::from);
    let overshoot = 2 * check + lag + period;
    let turns = u64::try_from(steps.len()).unwrap_or(u64::MAX).saturating_add(2);
    exposure_seconds(steps, health) * 5 / 4 + turns * overshoot + u64::from(health.hold_seconds)
}

/// The longest that a release can take, in seconds, waiting for people not counted.
#[must_use]
pub fn worst_case_seconds(steps: &[Step], health: &HealthPolicy, readiness: Readiness) -> u64 {
    u64::from(readiness.timeout_seconds)
        + u64::from(readiness.warm_up_seconds)
        + longest_exposure_seconds(steps, health)
}

/// The most history events that a release can make, retries aside.
#[must_use]
pub fn worst_case_events(steps: &[Step], health: &HealthPolicy, readiness: Readiness) -> u64 {
    let looks = u64::from(readiness.timeout_seconds) / u64::from(readiness.poll_seconds.max(1));
    let exposed = longest_exposure_seconds(steps, health) + u64::from(readiness.warm_up_seconds);
    let checks = exposed / u64::from(health.check_seconds.max(1));
    // Before the first users, and with them.
    let told = 2 * u64::from(news::MOST) * EVENTS_PER_NEWS;
    let early = WAITING_LOOKS * u64::from(WAITING_FACTOR) / u64::from(EARLY_WAITING_FACTOR);
    (looks + checks + WAITING_LOOKS + early) * EVENTS_PER_CHECK + EVENTS_BESIDES + told
}

/// Seconds that a release waits for people, all in all.
#[must_use]
pub fn longest_wait_seconds(health: &HealthPolicy) -> u64 {
    WAITING_LOOKS * u64::from(WAITING_FACTOR) * u64::from(health.check_seconds)
}
