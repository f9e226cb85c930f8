//! Argo Rollouts: a background analysis of the candidate's success rate.
//!
//! The template is the one that Argo's documentation shows, with a minute in place of five and 99 % in place of 95 %:
//!
//! ```yaml
//! metrics:
//! - name: success-rate
//!   interval: 1m
//!   successCondition: isNaN(result[0]) || result[0] >= 0.99
//!   failureLimit: 3
//! ```
//!
//! What the source says ([analysis.go], [evaluate.go]):
//!
//! - A measurement fails when its success condition does not hold. The analysis fails, and the release with it, when
//!   failed measurements *exceed* the limit, thus at the fourth (`assessMetricFailureInconclusiveOrError`; test
//!   `TestAssessMetricStatusFailureLimit`), whatever the [documentation] says of "three". They need not follow one
//!   another, and a background analysis goes on counting from step to step.
//! - `NaN`, which is what no requests divided by no requests make, satisfies no comparison: the measurement fails,
//!   unless the condition asks for it by `isNaN`. [`NoData`] chooses.
//! - A measurement is inconclusive only where there is a failure condition too and neither holds. More of those than
//!   `inconclusiveLimit` (default 0) pause the release for people; they roll nothing back, so they are left out.
//! - No value at all is an error where the condition takes the first value. An error is measured again after 10
//!   seconds, and the fifth in a row (`consecutiveErrorLimit`, default 4) ends the analysis: left out too, since
//!   conditions guard against it (`len(result) == 0`).
//!
//! Simplified: the query covers exactly the minute since the last measurement, as `increase(...[1m])` would; the
//! examples use `irate(...[5m])`, the last two samples, which is noisier. The first measurement is taken after the
//! first minute (`initialDelay: 1m`).
//!
//! [analysis.go]: https://github.com/argoproj/argo-rollouts/blob/c9dd7ea02f9dbc933ec706821b4530401ab9e6ba/analysis/analysis.go
//! [evaluate.go]: https://github.com/argoproj/argo-rollouts/blob/0b95b27691495d4510ef2413622cb1944b04f704/utils/evaluate/evaluate.go
//! [documentation]: https://github.com/argoproj/argo-rollouts/blob/a8a44ec7a3b8bd118030355e8c0c3fe34a8d03f1/docs/features/analysis.md

use spillway_core::judge::{Counts, Pair};

use super::{Opinion, Rival};

/// Least success rate of a measurement, as a fraction.
const SUCCESS_RATE: f64 = 0.99;
/// `failureLimit`: failed measurements that are allowed.
const FAILURE_LIMIT: usize = 3;

/// What a minute without candidate requests is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NoData {
    /// A success: the condition begins with `isNaN(result[0]) ||`, as the documentation shows.
    #[default]
    Succeeds,
    /// A failure: the condition is the bare comparison.
    Fails,
}

/// Rolls back at the fourth minute with a success rate below 99 %.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArgoRollouts {
    /// What a minute without candidate requests is.
    pub no_data: NoData,
}

impl ArgoRollouts {
    fn fails(self, candidate: Counts) -> bool {
        if candidate.requests > 0.0 {
            (candidate.requests - candidate.errors) / candidate.requests < SUCCESS_RATE
        } else {
            self.no_data == NoData::Fails
        }
    }
}

impl Rival for ArgoRollouts {
    fn name(&self) -> &'static str {
        "Argo Rollouts: success >= 99 %, limit 3"
    }

    fn look(&mut self, minutes: &[Pair]) -> Opinion {
        let failed = minutes.iter().filter(|minute| self.fails(minute.candidate)).count();
        Opinion::roll_back_if(failed > FAILURE_LIMIT)
    }
}

#[cfg(test)]
mod tests {
    use super::super::minutes::{of_candidate, rolls_back_after};
    use super::*;

    const GOOD: (f64, f64) = (1.0, 100.0);
    const BAD: (f64, f64) = (2.0, 100.0);
    const NONE: (f64, f64) = (0.0, 0.0);

    #[test]
    fn the_fourth_failure_is_one_too_many() {
        for (name, candidate, expected) in [
            ("nothing seen", &[][..], None),
            ("exactly 99 % is a success", &[GOOD; 60], None),
            ("three failures are allowed", &[BAD, BAD, BAD, GOOD, GOOD], None),
            ("the fourth is not", &[BAD, BAD, BAD, BAD], Some(4)),
            ("they need not follow one another", &[BAD, GOOD, BAD, GOOD, BAD, GOOD, GOOD, BAD], Some(8)),
            (
                "one failed request of few is a failed minute",
                &[(1.0, 2.0), (1.0, 2.0), (1.0, 2.0), (1.0, 2.0)],
                Some(4),
            ),
            ("no requests are no failure", &[NONE; 60], None),
            ("nor a success that forgives", &[BAD, NONE, BAD, NONE, BAD, NONE, BAD], Some(7)),
        ] {
            assert_eq!(rolls_back_after(&mut ArgoRollouts::default(), &of_candidate(candidate)), expected, "{name}");
        }
    }

    #[test]
    fn a_bare_comparison_fails_without_requests() {
        let mut bare = ArgoRollouts { no_data: NoData::Fails };
        assert_eq!(rolls_back_after(&mut bare, &of_candidate(&[NONE; 60])), Some(4));
        assert_eq!(rolls_back_after(&mut bare, &of_candidate(&[BAD, NONE, GOOD, NONE, BAD])), Some(5));
    }
}
