//! Statistics of CloudWatch, exact where CloudWatch approximates ("CloudWatch statistics definitions").

use crate::metrics::Bucket;

/// A statistic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Stat {
    Sum,
    Average,
    Minimum,
    Maximum,
    SampleCount,
    /// `p99.9`: the smallest value that this many percent of the values do not exceed.
    Percentile(f64),
    /// `TC(a:b)`: how many values lie in the range.
    TrimmedCount(Range),
    /// `TM(a:b)`, `tm99`: the average of the values in the range.
    TrimmedMean(Range),
    /// `TS(a:b)`, `ts99`: the sum of the values in the range.
    TrimmedSum(Range),
    /// `PR(a:b)`: how many percent of the values lie in the range.
    PercentileRank(Range),
}

/// A range of values, its lower bound exclusive and its upper inclusive.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Range {
    Values {
        above: f64,
        to: f64,
    },
    /// In percent of the values in order.
    Percent {
        above: f64,
        to: f64,
    },
}

impl Stat {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text {
            "Sum" => return Some(Self::Sum),
            "Average" => return Some(Self::Average),
            "Minimum" => return Some(Self::Minimum),
            "Maximum" => return Some(Self::Maximum),
            "SampleCount" => return Some(Self::SampleCount),
            _ => {}
        }
        if let Some((name, range)) = text.split_once('(') {
            let range = Range::parse(range.strip_suffix(')')?)?;
            return match (name, range) {
                ("TC", range) => Some(Self::TrimmedCount(range)),
                ("TM", range) => Some(Self::TrimmedMean(range)),
                ("TS", range) => Some(Self::TrimmedSum(range)),
                ("PR", range @ Range::Values { .. }) => Some(Self::PercentileRank(range)),
                _ => None,
            };
        }
        let percent = |text: &str| text.parse::<f64>().ok().filter(|percent| (0.0..=100.0).contains(percent));
        let upto = |text: &str| percent(text).map(|to| Range::Percent { above: 0.0, to });
        match text.get(..2)? {
            "tm" => upto(&text[2..]).map(Self::TrimmedMean),
            "tc" => upto(&text[2..]).map(Self::TrimmedCount),
            "ts" => upto(&text[2..]).map(Self::TrimmedSum),
            _ => percent(text.strip_prefix('p')?).map(Self::Percentile),
        }
    }

    /// The statistic of a bucket; nothing where it has no value, as the mean of no values.
    #[expect(clippy::cast_precision_loss, reason = "no bucket has 2^52 values")]
    pub(super) fn of(self, bucket: &Bucket) -> Option<f64> {
        match self {
            Self::Sum => return Some(bucket.sum),
            Self::Average => return Some(bucket.sum / bucket.count as f64),
            Self::Minimum => return Some(bucket.min),
            Self::Maximum => return Some(bucket.max),
            Self::SampleCount => return Some(bucket.count as f64),
            _ => {}
        }
        let values = values(bucket);
        let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
        match self {
            Self::Percentile(percent) => {
                let rank = rank_up(percent, values.len()).max(1);
                values.get(rank - 1).copied()
            }
            Self::TrimmedCount(range) => Some(range.of(&values).len() as f64),
            Self::TrimmedMean(range) => mean(range.of(&values)),
            Self::TrimmedSum(range) => Some(range.of(&values).iter().sum()),
            Self::PercentileRank(range) => {
                (!values.is_empty()).then(|| range.of(&values).len() as f64 * 100.0 / values.len() as f64)
            }
            _ => None,
        }
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        if from.is_empty() && to.is_empty() {
            return None;
        }
        let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
        let range = if from.ends_with('%') || to.ends_with('%') {
            let percent = |text: &str, default: f64| match text {
                "" => Some(default),
                text => number(text.strip_suffix('%')?).filter(|percent| (0.0..=100.0).contains(percent)),
            };
            Self::Percent { above: percent(from, 0.0)?, to: percent(to, 100.0)? }
        } else {
            let above = if from.is_empty() { f64::NEG_INFINITY } else { number(from)? };
            let to = if to.is_empty() { f64::INFINITY } else { number(to)? };
            Self::Values { above, to }
        };
        let (Self::Values { above, to } | Self::Percent { above, to }) = range;
        (above < to).then_some(range)
    }

    /// The part of ordered values that is in the range.
    fn of(self, values: &[f64]) -> &[f64] {
        let (from, to) = match self {
            Self::Values { above, to } => {
                (values.partition_point(|value| *value <= above), values.partition_point(|value| *value <= to))
            }
            Self::Percent { above, to } => (rank_up(above, values.len()), rank_up(to, values.len())),
        };
        values.get(from..to).unwrap_or_default()
    }
}

/// The values in order. Counts keep none: all of theirs are equal.
fn values(bucket: &Bucket) -> Vec<f64> {
    if bucket.samples.is_empty() {
        let count = usize::try_from(bucket.count).unwrap_or(usize::MAX);
        return vec![bucket.min; count];
    }
    let mut values = bucket.samples.clone();
    values.sort_by(f64::total_cmp);
    values
}

/// The nearest rank: how many of `count` values are the lowest `percent` of them, rounded up.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "between 0 and the count"
)]
fn rank_up(percent: f64, count: usize) -> usize {
    // 99.9 % of 1000 is 999.0000000000001 in binary; a millionth less than asked for is meant.
    ((percent * count as f64 / 100.0 - 1e-6).ceil().max(0.0) as usize).min(count)
}

#[cfg(test)]
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
mod tests {
    use super::*;

    fn bucket(samples: Vec<f64>) -> Bucket {
        Bucket {
            sum: samples.iter().sum(),
            count: samples.len() as u64,
            min: samples.iter().copied().fold(f64::INFINITY, f64::min),
            max: samples.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            samples,
        }
    }

    #[test]
    fn statistics_of_one_to_a_thousand() {
        let mut values: Vec<f64> = (1..=1000).map(f64::from).collect();
        fastrand::Rng::with_seed(1).shuffle(&mut values);
        let bucket = bucket(values);
        for (stat, expected) in [
            ("Sum", 500_500.0),
            ("Average", 500.5),
            ("Minimum", 1.0),
            ("Maximum", 1000.0),
            ("SampleCount", 1000.0),
            ("p50", 500.0),
            ("p99", 990.0),
            ("p99.9", 999.0),
            ("p0", 1.0),
            ("p100", 1000.0),
            ("TC(:300)", 300.0),
            ("TC(300:)", 700.0),
            ("TC(100:300)", 200.0),
            ("TC(5000:)", 0.0),
            ("PR(:300)", 30.0),
            ("PR(100:300)", 20.0),
            ("TM(10%:90%)", 500.5),
            ("tm50", 250.5),
            ("TS(:2)", 3.0),
        ] {
            let value = Stat::parse(stat).unwrap().of(&bucket);
            assert_eq!(value, Some(expected), "{stat}");
        }
        assert_eq!(Stat::parse("TM(5000:)").unwrap().of(&bucket), None);
    }

    #[test]
    fn percentiles_and_trimmed_counts_are_those_of_a_naive_computation() {
        let mut rng = fastrand::Rng::with_seed(2);
        for size in [1, 2, 3, 7, 100, 1013] {
            let samples: Vec<f64> = (0..size).map(|_| rng.f64()).collect();
            let bucket = bucket(samples.clone());
            let share =
                |at_most: f64| samples.iter().filter(|value| **value <= at_most).count() as f64 / f64::from(size);
            for percent in [0.1, 1.0, 50.0, 90.0, 99.0, 99.9] {
                let naive = samples
                    .iter()
                    .copied()
                    .filter(|value| share(*value) >= percent / 100.0)
                    .fold(f64::INFINITY, f64::min);
                assert_eq!(
                    Stat::parse(&format!("p{percent}")).unwrap().of(&bucket),
                    Some(naive),
                    "p{percent} of {size}"
                );
            }
            for (above, to) in [(0.0, 0.5), (0.25, 0.75), (0.9, 2.0)] {
                let naive = samples.iter().filter(|value| **value > above && **value <= to).count() as f64;
                let count = Stat::parse(&format!("TC({above}:{to})")).unwrap().of(&bucket);
                assert_eq!(count, Some(naive), "TC({above}:{to}) of {size}");
                let rank = Stat::parse(&format!("PR({above}:{to})")).unwrap().of(&bucket);
                assert_eq!(rank, Some(naive * 100.0 / f64::from(size)), "PR({above}:{to}) of {size}");
            }
        }
    }

    #[test]
    fn what_is_no_statistic_is_refused() {
        for text in ["", "p", "p101", "sum", "TC(:)", "TC(2:1)", "TC(1:2", "PR(1%:2%)", "WM(1:2)", "ä"] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }

    #[test]
    fn counts_have_a_distribution_of_ones() {
        let counts = Bucket { sum: 3.0, count: 3, min: 1.0, max: 1.0, samples: Vec::new() };
        assert_eq!(Stat::Percentile(99.0).of(&counts), Some(1.0));
    }
}
