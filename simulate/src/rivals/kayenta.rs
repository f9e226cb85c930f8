//! Kayenta, Spinnaker's canary analysis: its judge `NetflixACAJudge` on the error rate, every five minutes.
//!
//! What the source says:
//!
//! - **When** ([RunCanaryIntervalsStage.kt]): at the end of each interval, here 5 minutes, over everything since the
//!   canary began (`lookback` 0). A score that is not above the marginal threshold ends the canary then and there
//!   ([MonitorKayentaCanaryTask.kt]).
//! - **Data** ([NetflixACAJudge.scala]): one value for each minute and side. A minute without requests is `NaN`;
//!   `nanStrategy` drops it or makes it 0, see [`NanStrategy`]. Outliers are kept unless one asks for their removal.
//! - **Classification** ([MannWhitneyClassifier.scala]), with tolerance 0.25 and confidence 98 % built in. No values on
//!   one side: *no data*, or *pass* where `NaN` is replaced. The same values on both sides, in any order: *pass*. Else
//!   *high* when the lower bound of the shift exceeds a quarter of the shift's own estimate (a quarter of neither
//!   mean), and the ratio of means is at least 1 (`allowedIncrease` and `criticalIncrease`) or has a mean of 0 in it.
//!   Where all values of each side are alike, normal noise of 1e-5 of the value breaks the ties first. Shift, bounds
//!   and estimate are the module `mann_whitney`'s.
//! - **Score** ([WeightedSumScorer.scala]): a critical metric that is *high* or has *no data* makes it 0. So does any
//!   only metric with *no data* (half of all metrics or more). An exception, as when all values are tied, is an
//!   *error*, which is not critical and leaves the score at 100.
//!
//! The metric here is the error rate, critical, direction `increase`, the only one. It is in percent, as in Kayenta's
//! own examples: bounds and estimate come from a search that stops within 1e-4 of the unit, which is coarse for
//! fractions. Two things that follow from the above and are easily missed:
//!
//! - No excess is small enough to be tolerated. The quarter is one of the shift that was found, so what counts is how
//!   sure it is, not how large: with enough traffic a candidate that is 10 % worse is *high*.
//! - Few values, such as four a side, never reach 98 %. Then the lower bound is the candidate's least value less the
//!   stable version's greatest, and one failed request in the candidate's only minute with traffic may be *high*.
//!
//! Simplified: there is no warm-up, the data are complete when they are judged, and the noise is spread evenly instead
//! of drawn, so that a simulation can be repeated.
//!
//! [MannWhitneyClassifier.scala]: https://github.com/spinnaker/spinnaker/blob/f8b98eba888b220dcc3c7c6f2514405398300e63/kayenta/kayenta-judge/src/main/scala/com/netflix/kayenta/judge/classifiers/metric/MannWhitneyClassifier.scala
//! [MonitorKayentaCanaryTask.kt]: https://github.com/spinnaker/orca/blob/086b1bfbd09e8b1dfceea7b1ecf59582fb8e455e/orca-kayenta/src/main/kotlin/com/netflix/spinnaker/orca/kayenta/tasks/MonitorKayentaCanaryTask.kt
//! [NetflixACAJudge.scala]: https://github.com/spinnaker/spinnaker/blob/f8b98eba888b220dcc3c7c6f2514405398300e63/kayenta/kayenta-judge/src/main/scala/com/netflix/kayenta/judge/NetflixACAJudge.scala
//! [RunCanaryIntervalsStage.kt]: https://github.com/spinnaker/orca/blob/0ef750a7f1aecc862bcbc03629674728a99f5c37/orca-kayenta/src/main/kotlin/com/netflix/spinnaker/orca/kayenta/pipeline/RunCanaryIntervalsStage.kt
//! [WeightedSumScorer.scala]: https://github.com/spinnaker/spinnaker/blob/f8b98eba888b220dcc3c7c6f2514405398300e63/kayenta/kayenta-judge/src/main/scala/com/netflix/kayenta/judge/scorers/WeightedSumScorer.scala

use spillway_core::judge::{Counts, Pair};
use statrs::distribution::{ContinuousCDF, Normal};

use super::mann_whitney::{AllTied, Samples};
use super::{Opinion, Rival};

/// Minutes from one judgement to the next.
const INTERVAL: usize = 5;
/// Confidence of the interval, two-sided.
const CONFIDENCE: f64 = 0.98;
/// Share of the estimated shift that the lower bound must exceed.
const TOLERANCE: f64 = 0.25;
/// Ratio of means from which the metric may be *high*, and fail critically.
const ALLOWED_INCREASE: f64 = 1.0;
/// Noise that breaks ties, as a fraction of the value.
const NOISE: f64 = 1e-5;

/// What becomes of a minute without requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum NanStrategy {
    /// It is dropped, Kayenta's default. A side without any requests has *no data*, which fails the canary.
    #[default]
    Remove,
    /// It counts as an error rate of 0.
    Replace,
}

/// Rolls back when the error rate is classified as high, or has no data.
#[derive(Clone, Debug)]
pub struct Kayenta {
    nan_strategy: NanStrategy,
    classifier: Classifier,
    /// Used again from look to look.
    experiment: Vec<f64>,
    control: Vec<f64>,
}

impl Kayenta {
    /// With this strategy for minutes without requests.
    #[must_use]
    pub fn new(nan_strategy: NanStrategy) -> Self {
        let classifier = Classifier::new(TOLERANCE, CONFIDENCE);
        Self { nan_strategy, classifier, experiment: Vec::new(), control: Vec::new() }
    }

    /// The error rate of a minute in percent, if it has a value.
    fn value(nan_strategy: NanStrategy, minute: Counts) -> Option<f64> {
        match (minute.error_rate(), nan_strategy) {
            (Some(rate), _) => Some(100.0 * rate),
            (None, NanStrategy::Remove) => None,
            (None, NanStrategy::Replace) => Some(0.0),
        }
    }
}

impl Default for Kayenta {
    fn default() -> Self {
        Self::new(NanStrategy::default())
    }
}

impl Rival for Kayenta {
    fn name(&self) -> &'static str {
        "Kayenta: Mann-Whitney, 5 min"
    }

    fn look(&mut self, minutes: &[Pair]) -> Opinion {
        if minutes.is_empty() || !minutes.len().is_multiple_of(INTERVAL) {
            return Opinion::GoOn;
        }
        self.experiment.clear();
        self.experiment.extend(minutes.iter().filter_map(|pair| Self::value(self.nan_strategy, pair.candidate)));
        self.control.clear();
        self.control.extend(minutes.iter().filter_map(|pair| Self::value(self.nan_strategy, pair.stable)));
        match self.classifier.classify(&mut self.experiment, &mut self.control) {
            Classification::High | Classification::NoData => Opinion::RollBack,
            Classification::Pass | Classification::Error => Opinion::GoOn,
        }
    }
}

/// What Kayenta calls a metric. It can also be too low, but not where the direction is `increase`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Classification {
    Pass,
    High,
    NoData,
    /// It cannot be calculated.
    Error,
}

#[derive(Clone, Copy, Debug)]
struct Classifier {
    tolerance: f64,
    /// Normal quantile of the confidence.
    quantile: f64,
}

impl Classifier {
    fn new(tolerance: f64, confidence: f64) -> Self {
        Self { tolerance, quantile: -Normal::standard().inverse_cdf((1.0 - confidence) / 2.0) }
    }

    /// Brings both sides into order, and may add noise to them.
    fn classify(self, experiment: &mut [f64], control: &mut [f64]) -> Classification {
        experiment.sort_unstable_by(f64::total_cmp);
        control.sort_unstable_by(f64::total_cmp);
        if experiment.is_empty() || control.is_empty() {
            return Classification::NoData;
        }
        if experiment == control {
            return Classification::Pass;
        }
        if is_constant(experiment) && is_constant(control) {
            if experiment[0] == control[0] {
                return Classification::Pass;
            }
            add_noise(experiment);
            add_noise(control);
        }
        match self.is_high(experiment, control) {
            Ok(true) => Classification::High,
            Ok(false) => Classification::Pass,
            Err(AllTied) => Classification::Error,
        }
    }

    fn is_high(self, experiment: &[f64], control: &[f64]) -> Result<bool, AllTied> {
        let Some(samples) = Samples::new(experiment, control) else { return Ok(false) };
        let significant = samples.bound(self.quantile)? > self.tolerance * samples.estimate()?.abs();
        // A control of 0 makes no ratio, and then every increase counts.
        let allowed = mean(experiment) / mean(control) < ALLOWED_INCREASE;
        Ok(significant && !allowed)
    }
}

fn is_constant(ascending: &[f64]) -> bool {
    ascending.first() == ascending.last()
}

/// Moves equal values apart, in ascending order.
#[allow(clippy::cast_precision_loss, reason = "samples have far fewer than 2^52 values")]
fn add_noise(values: &mut [f64]) {
    let middle = (values.len() as f64 - 1.0) / 2.0;
    for (i, value) in values.iter_mut().enumerate() {
        *value *= 1.0 + NOISE * (i as f64 - middle) / (middle + 0.5);
    }
}

#[allow(clippy::cast_precision_loss, reason = "samples have far fewer than 2^52 values")]
fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::super::mann_whitney::examples::{ERROR_RATES_CONTROL, ERROR_RATES_EXPERIMENT, values};
    use super::super::minutes::{minute, rolls_back_after};
    use super::Classification::{High, NoData, Pass};
    use super::*;

    const LOW_20: &[f64] = &[20.0, 22.0, 21.0, 25.0, 30.0];

    /// Examples of Kayenta's [ClassifierSuite.scala], by name, with its tolerance of 0.1 and confidence of 95 %.
    ///
    /// Of those only the ones that look for an increase, or for either direction: what is low there passes here. The
    /// thirty values of some are rounded to two decimals, which no classification depends on.
    ///
    /// [ClassifierSuite.scala]: https://github.com/spinnaker/spinnaker/blob/d2f41cb63b88906a36c2076046fd2260eb227c4a/kayenta/kayenta-judge/src/test/scala/com/netflix/kayenta/judge/ClassifierSuite.scala
    #[test]
    fn agrees_with_kayenta() {
        let ten = &[
            9.78, 10.59, 7.84, 9.32, 8.38, 8.94, 8.27, 9.75, 11.62, 9.28, 8.15, 10.56, 13.50, 11.05, 6.95, 12.52, 9.02,
            4.92, 11.25, 11.60, 8.44, 11.11, 10.70, 8.92, 10.09, 11.42, 9.38, 7.80, 10.62, 11.91,
        ][..];
        let also_ten = &[
            11.15, 9.96, 7.07, 7.30, 9.79, 9.60, 6.19, 12.35, 10.37, 8.61, 9.91, 10.36, 14.21, 10.95, 10.22, 11.74,
            10.91, 12.82, 8.10, 8.50, 12.11, 13.27, 10.11, 6.95, 6.21, 10.16, 8.35, 8.38, 7.00, 10.76,
        ][..];
        let twenty = &[
            20.88, 21.79, 19.71, 15.86, 19.51, 19.39, 22.93, 17.16, 18.66, 23.42, 24.06, 22.63, 21.98, 21.66, 20.07,
            22.12, 16.44, 21.56, 21.00, 17.78, 17.81, 18.54, 20.56, 19.55, 21.77, 21.81, 20.96, 20.98, 19.11, 16.98,
        ][..];
        let error_rates = values(ERROR_RATES_EXPERIMENT);
        let fewer_errors = values(ERROR_RATES_CONTROL);
        for (name, experiment, control, expected) in [
            ("Pass Metric", ten, also_ten, Pass),
            ("High Metric", twenty, also_ten, High),
            ("Directional Test: Increase", ten, twenty, Pass),
            ("High Metric (Large Input)", &error_rates, &fewer_errors, High),
            ("Mean Ratio Effect Size: High", LOW_20, &[1.0, 2.2, 1.1, 2.5, 3.0], High),
            ("Mean Ratio Effect Size: Pass", &[10.0, 12.2, 10.1, 12.5, 23.0], LOW_20, Pass),
            ("Missing Experiment Data", &[], &[1.0, 2.0, 3.0, 4.0, 5.0], NoData),
            ("Missing Data: Reason String", &[], &[], NoData),
            ("Majority Tied Observations", &[1.0, 1.0, 1.0, 1.0, 10.0], &[1.0; 5], Pass),
            ("Tied Ranks", &[10.0; 5], &[1.0; 5], High),
            ("Tied Ranks With Zeros", &[10.0; 5], &[0.0; 5], High),
            ("Zero Mean: High Metric", &[54.9, 54.5, 55.1, 55.6, 57.4], &[0.0; 5], High),
            ("Zero Mean: Low Metric", &[0.0; 5], &[54.9, 54.5, 55.1, 55.6, 57.4], Pass),
            ("Zero Mean: Pass Metric", &[0.0; 5], &[0.0; 5], Pass),
            (
                "Zero Mean: Critical Metric",
                &[0.05, 0.05, 0.016667, 0.016667, 0.016667, 0.05, 0.033333, 0.05, 0.05, 0.133333],
                &[0.0; 10],
                High,
            ),
            ("Tied Observations", &[1.0, 1.0, 1.0], &[1.0, 1.0], Pass),
            ("Identical Populations", &[1.0, 2.0, 3.0, 4.0, 5.0], &[5.0, 4.0, 3.0, 2.0, 1.0], Pass),
        ] {
            let classified = Classifier::new(0.1, 0.95).classify(&mut experiment.to_vec(), &mut control.to_vec());
            assert_eq!(classified, expected, "{name}");
        }
    }

    #[test]
    fn a_smaller_mean_is_not_high() {
        // Shifted up almost everywhere, and yet with fewer errors in all.
        let mut experiment = [2.0; 20];
        let mut control = [1.0; 20];
        control[19] = 100.0;
        let classifier = Classifier::new(TOLERANCE, CONFIDENCE);
        assert_eq!(classifier.is_high(&experiment, &control), Ok(false));
        control[19] = 1.5;
        assert_eq!(classifier.classify(&mut experiment, &mut control), High);
    }

    #[test]
    fn looks_every_five_minutes_at_all_minutes() {
        let much = minute((50.0, 100.0), (1.0, 100.0));
        let little = minute((0.0, 100.0), (1.0, 100.0));
        let kayenta = &mut Kayenta::default();
        assert_eq!(rolls_back_after(kayenta, &[much; 4]), None);
        assert_eq!(rolls_back_after(kayenta, &[much; 20]), Some(5));
        assert_eq!(rolls_back_after(kayenta, &[little; 20]), None);
        // Five good minutes hide the bad ones until z = 99.5 / sqrt(400 / 12 (41 - 11460 / 1560)) = 2.97.
        assert_eq!(rolls_back_after(kayenta, &[[little; 5], [much; 5], [much; 5], [much; 5]].concat()), Some(20));
    }

    #[test]
    fn the_metric_is_in_percent() {
        let none = Counts::default();
        let some = Counts { errors: 3.0, requests: 200.0 };
        for (strategy, counts, expected) in [
            (NanStrategy::Remove, some, Some(1.5)),
            (NanStrategy::Replace, some, Some(1.5)),
            (NanStrategy::Remove, none, None),
            (NanStrategy::Replace, none, Some(0.0)),
        ] {
            assert_eq!(Kayenta::value(strategy, counts), expected, "{strategy:?} {counts:?}");
        }
    }

    #[test]
    fn a_side_without_requests_fails_unless_it_is_replaced() {
        let none = (0.0, 0.0);
        for (name, minutes, removing, replacing) in [
            ("no candidate", [minute(none, (1.0, 100.0)); 10], Some(5), None),
            ("no stable version", [minute((0.0, 100.0), none); 10], Some(5), None),
            ("no stable version, and errors", [minute((1.0, 100.0), none); 10], Some(5), Some(5)),
            ("no traffic", [minute(none, none); 10], Some(5), None),
        ] {
            assert_eq!(rolls_back_after(&mut Kayenta::default(), &minutes), removing, "{name}");
            assert_eq!(rolls_back_after(&mut Kayenta::new(NanStrategy::Replace), &minutes), replacing, "{name}");
        }
    }

    #[test]
    fn the_bound_is_compared_with_a_quarter_of_the_estimate() {
        // Errors of ten minutes with 1000 requests each, and the lower bound as a share of the estimate.
        for (name, candidate, stable, expected) in [
            (
                "0.294",
                [24, 32, 36, 42, 43, 44, 71, 79, 95, 99],
                [2, 5, 6, 7, 10, 14, 26, 27, 45, 49],
                Opinion::RollBack,
            ),
            ("0.205", [28, 38, 44, 54, 58, 84, 90, 92, 98, 99], [4, 5, 23, 26, 29, 30, 34, 35, 36, 48], Opinion::GoOn),
            (
                "0.404, but below 0 at a confidence of 98.5 %",
                [20, 27, 28, 53, 55, 60, 69, 73, 74, 97],
                [0, 2, 4, 5, 34, 36, 37, 38, 40, 41],
                Opinion::RollBack,
            ),
            (
                "0.177, but 0.284 at a confidence of 97.5 %",
                [22, 24, 32, 38, 42, 52, 64, 72, 81, 96],
                [1, 3, 8, 11, 13, 14, 30, 33, 53, 55],
                Opinion::GoOn,
            ),
            (
                "0.7: a tenth more errors, but steadily",
                [109, 110, 110, 111, 111, 112, 112, 113, 113, 114],
                [99, 100, 100, 101, 101, 102, 102, 103, 103, 104],
                Opinion::RollBack,
            ),
        ] {
            let errors = std::iter::zip(candidate, stable);
            let minutes: Vec<Pair> =
                errors.map(|(c, s)| minute((f64::from(c), 1000.0), (f64::from(s), 1000.0))).collect();
            assert_eq!(Kayenta::default().look(&minutes), expected, "{name}");
        }
    }

    #[test]
    fn one_failed_request_may_be_high_or_an_error() {
        // One request of the candidate in five minutes, and it fails.
        let mut minutes = [minute((0.0, 0.0), (0.0, 60.0)); 5];
        minutes[3].candidate = Counts { errors: 1.0, requests: 1.0 };
        assert_eq!(rolls_back_after(&mut Kayenta::default(), &minutes), None, "all values are tied");
        minutes[0].stable.errors = 1.0;
        assert_eq!(rolls_back_after(&mut Kayenta::default(), &minutes), Some(5), "a worse stable version");
    }

    #[test]
    fn noise_moves_values_apart_in_order() {
        let mut values = [100.0; 4];
        add_noise(&mut values);
        assert!(values.is_sorted() && values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
        assert!(values.iter().all(|value| (value - 100.0).abs() <= 100.0 * NOISE), "{values:?}");
        let mut zeros = [0.0; 4];
        add_noise(&mut zeros);
        assert_eq!(zeros, [0.0; 4]);
    }
}
