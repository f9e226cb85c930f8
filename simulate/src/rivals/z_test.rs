//! "Significant now": a z-test of two proportions, repeated every minute.
//!
//! No tool's source, but what a dashboard or a script does that shows a p-value: with all requests since the first
//! exposure, the pooled rate `p = (e_c + e_b) / (n_c + n_b)` and
//!
//! ```text
//! z = (e_c/n_c - e_b/n_b) / sqrt(p (1 - p) (1/n_c + 1/n_b))
//! ```
//!
//! the candidate is worse when z exceeds the standard normal distribution's 99 % quantile, one-sided 1 %
//! ([NIST's handbook, 7.3.3]). That level holds for one look at a number of requests that was fixed before; here every
//! minute has one.
//!
//! Without requests on either side, or where all answers are alike, nothing is significant.
//!
//! [NIST's handbook, 7.3.3]: https://www.itl.nist.gov/div898/handbook/prc/section3/prc33.htm

use spillway_core::judge::{Counts, Pair};
use statrs::distribution::{ContinuousCDF, Normal};

use super::{Opinion, Rival};

/// Level of each look, one-sided.
const LEVEL: f64 = 0.01;

/// Rolls back when the candidate's errors are significantly more than the stable version's.
#[derive(Clone, Copy, Debug)]
pub struct ZTest {
    critical: f64,
}

impl Default for ZTest {
    fn default() -> Self {
        Self { critical: Normal::standard().inverse_cdf(1.0 - LEVEL) }
    }
}

impl Rival for ZTest {
    fn name(&self) -> &'static str {
        "z-test each minute, 1 %"
    }

    fn look(&mut self, minutes: &[Pair]) -> Opinion {
        let candidate = minutes.iter().map(|minute| minute.candidate).sum();
        let stable = minutes.iter().map(|minute| minute.stable).sum();
        Opinion::roll_back_if(z(candidate, stable).is_some_and(|z| z > self.critical))
    }
}

/// How many standard errors the candidate's rate is above the stable version's; `None` when there is nothing to
/// compare.
fn z(candidate: Counts, stable: Counts) -> Option<f64> {
    let difference = candidate.error_rate()? - stable.error_rate()?;
    let pooled = (candidate + stable).error_rate()?;
    let variance = pooled * (1.0 - pooled) * (1.0 / candidate.requests + 1.0 / stable.requests);
    (variance > 0.0).then(|| difference / variance.sqrt())
}

#[cfg(test)]
mod tests {
    use super::super::minutes::{minute, rolls_back_after};
    use super::*;

    fn counts(errors: f64, requests: f64) -> Counts {
        Counts { errors, requests }
    }

    #[test]
    fn z_agrees_with_calculation_by_hand() {
        for (candidate, stable, expected) in [
            // p = 0.1, variance = 0.09 * 0.02
            (counts(15.0, 100.0), counts(5.0, 100.0), 0.1 / 0.0018_f64.sqrt()),
            (counts(5.0, 100.0), counts(15.0, 100.0), -0.1 / 0.0018_f64.sqrt()),
            // p = 0.02, variance = 0.0196 * (1/100 + 1/900)
            (counts(11.0, 100.0), counts(9.0, 900.0), 0.1 / (0.0196_f64 / 90.0).sqrt()),
            (counts(3.0, 100.0), counts(30.0, 1000.0), 0.0),
        ] {
            let z = z(candidate, stable).unwrap();
            assert!((z - expected).abs() <= 1e-12, "{candidate:?}, {stable:?}: {z}");
        }
    }

    #[test]
    fn nothing_to_compare_is_not_significant() {
        for (candidate, stable) in [
            (counts(0.0, 0.0), counts(0.0, 0.0)),
            (counts(5.0, 5.0), counts(0.0, 0.0)),
            (counts(0.0, 0.0), counts(5.0, 5.0)),
            (counts(0.0, 100.0), counts(0.0, 100.0)),
            (counts(100.0, 100.0), counts(100.0, 100.0)),
        ] {
            assert_eq!(z(candidate, stable), None, "{candidate:?}, {stable:?}");
        }
    }

    #[test]
    fn adds_minutes_up_until_they_are_significant() {
        let equal = [minute((1.0, 100.0), (1.0, 100.0)); 60];
        let twice = [minute((2.0, 100.0), (1.0, 100.0)); 60];
        let better = [minute((0.0, 100.0), (9.0, 100.0)); 60];
        let test = &mut ZTest::default();
        assert_eq!(rolls_back_after(test, &equal), None);
        assert_eq!(rolls_back_after(test, &better), None);
        // z = 0.01 / sqrt(0.015 * 0.985 * 2 / (100 t)) = sqrt(t) 0.5817, which passes 2.3263 at t = 16.
        assert_eq!(rolls_back_after(test, &twice), Some(16));
    }
}
