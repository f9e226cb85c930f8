//! What the expected traffic lets the judge prove, said before the release starts.

use crate::definition::length::{self, Step};
use crate::definition::{Adapt, HealthPolicy, OnInconclusive};
use crate::figures;
use crate::judge::sequential::{ADVANCE, ERRORS};
use crate::weight::Percent;

/// Errors that the stable version must be expected to show in a step above 50 %: with fewer there is nothing to
/// compare with, and a minute at 50 % tells more.
const LEAST_STABLE_ERRORS: f64 = 1.0;
/// In steps below this weight a minute tells little.
const SMALL: Percent = Percent::whole(20);
/// A dispersion from here on is worth a word.
const BURSTY: f64 = 2.0;

/// An error rate from here on is worth a word.
const FAILING: f64 = 0.1;

/// The traffic to expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// Requests of the whole service in a second.
    pub requests_per_second: f64,
    /// Error rate of the stable version, as a fraction.
    pub error_rate: f64,
}

impl Forecast {
    /// Leaves out the steps above 50 % where the stable version's traffic there would tell nothing, and says so.
    pub(super) fn choose_last_step(&self, steps: &mut Vec<Step>, wish: Adapt, phi: f64) -> Option<String> {
        let last = *steps.last()?;
        let rest = 1.0 - last.weight.fraction();
        if wish == Adapt::AsWritten || last.weight <= Percent::HALF || rest <= 0.0 || self.requests_per_second <= 0.0 {
            return None;
        }
        let requests = self.requests_per_second * rest * f64::from(last.max_step_seconds);
        let errors = requests * (self.error_rate + ERRORS.slack) / phi;
        if errors >= LEAST_STABLE_ERRORS {
            return None;
        }
        let first = steps.iter().position(|step| step.weight > Percent::HALF)?;
        let left_out = steps.split_off(first);
        let mut time: u32 = left_out.iter().map(|step| step.max_step_seconds).fold(0, u32::saturating_add);
        // Their time is worth most at an even split.
        let half = match steps.pop_if(|step| step.weight == Percent::HALF) {
            Some(half) => {
                time = time.saturating_add(half.max_step_seconds);
                half
            }
            None => Step { weight: Percent::HALF, ..left_out[0] },
        };
        steps.push(Step { max_step_seconds: time, ..half });
        Some(format!(
            "last step: 50 % in place of {}, where the stable version is expected to answer {} requests in {} s, with {:.1} errors: too few to compare with; 50 % gets its time, and strategy.adapt as_written keeps it",
            last.weight,
            figures::count(requests),
            last.max_step_seconds,
            errors
        ))
    }

    /// Shortens the small steps in which proof is out of reach, and says so: a minute there tells little, and waiting
    /// longer hardly more.
    pub(super) fn shorten_hopeless_steps(
        &self,
        steps: &mut [Step],
        wish: Adapt,
        health: &HealthPolicy,
        phi: f64,
    ) -> Option<String> {
        if wish == Adapt::AsWritten || self.requests_per_second <= 0.0 {
            return None;
        }
        let mut shortened: Vec<String> = Vec::new();
        for index in 0..steps.len() {
            let hopeless = self.proof(steps, index, health, phi).is_some_and(|(needed, expected)| expected < needed);
            let step = &mut steps[index];
            if hopeless && step.weight < SMALL {
                step.max_step_seconds = step.minimum_time_seconds.max(1);
                shortened.push(step.weight.to_string());
            }
        }
        (!shortened.is_empty()).then(|| {
            format!(
                "short steps: {} as long as it takes to measure their minimum time, since proof is out of reach there; strategy.adapt as_written keeps their time",
                shortened.join(", ")
            )
        })
    }

    /// Requests of the candidate that proof takes in a step, and that are expected to be measured in it; nothing for a
    /// step that needs none.
    fn proof(&self, steps: &[Step], index: usize, health: &HealthPolicy, phi: f64) -> Option<(f64, f64)> {
        let step = steps.get(index)?;
        let next = steps.get(index + 1).map_or(Percent::ALL, |step| step.weight);
        if step.weight == Percent::ALL || (step.weight.is_nearly_all() && next == Percent::ALL) {
            return None;
        }
        let weight = step.weight.fraction();
        let needed = ADVANCE.requests_needed(self.error_rate, weight, next.fraction(), phi);
        // What is complete by then: the metrics' lag and the period of the shift are lost.
        let unseen = u64::from(health.metric_lag_seconds + health.period_seconds);
        let measured = length::longest_step_seconds(step, health).saturating_sub(unseen);
        Some((needed, self.requests_per_second * weight * measured as f64))
    }

    /// Where proof is not to be expected, with the numbers.
    pub(super) fn warnings(&self, steps: &[Step], health: &HealthPolicy, phi: f64) -> Vec<String> {
        if self.requests_per_second <= 0.0 {
            return vec![
                "traffic: no requests in the last hour; without any there is no proof, and the release is held at its first step".into(),
            ];
        }
        let bursty = (phi >= BURSTY).then(|| {
            format!(
                "errors: they come in bursts (dispersion {phi:.1}), so that proof takes {phi:.1} times as many requests"
            )
        });
        let failing = (self.error_rate >= FAILING).then(|| {
            format!(
                "errors: the stable version fails {} of its requests; quick errors make its answers look quick, so that a version that fails less may look slow: consider latency in health.dry_run for this release",
                figures::percent(self.error_rate)
            )
        });
        let short = steps.iter().enumerate().filter_map(|(index, step)| {
            let (needed, expected) = self.proof(steps, index, health, phi)?;
            let next = steps.get(index + 1).map_or(Percent::ALL, |step| step.weight);
            (expected < needed).then(|| {
                let then = match health.on_inconclusive {
                    OnInconclusive::Advance => "advances without proof if nothing speaks against it",
                    OnInconclusive::Pause => "waits for approval",
                    OnInconclusive::Rollback => "rolls back",
                };
                format!(
                    "step {}: proof of health before {next} takes {} requests of the candidate at the usual error rate of {}, and {} are expected to be measured within {} s: the step {then}",
                    step.weight,
                    figures::count(needed.ceil()),
                    figures::percent(self.error_rate),
                    figures::count(expected),
                    length::longest_step_seconds(step, health)
                )
            })
        });
        bursty.into_iter().chain(failing).chain(short).collect()
    }
}
