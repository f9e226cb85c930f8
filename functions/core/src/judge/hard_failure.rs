//! The rule for what is broken beyond doubt: no process needs to gather evidence against it.

use statrs::function::beta::checked_beta_reg;

use super::{Counts, Pair};

/// How many of the latest periods are looked at.
pub const PERIODS: usize = 3;
/// Least requests that tell something.
const LEAST_REQUESTS: f64 = 20.0;
/// Failing share of the candidate's requests.
const FAILING: f64 = 0.3;
/// The stable side must surely fail less than this, or the outage may be shared.
const STABLE_BELOW: f64 = 0.1;
/// How sure.
const LEVEL: f64 = 1e-3;

/// What the candidate is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// The stable slot in the same periods.
    Concurrent,
    /// The service before the release.
    Before(Counts),
    /// Nothing: a first deployment.
    Absent,
}

/// Whether at least 30 % of 20 or more candidate requests failed in the last three periods while the
/// baseline is surely below 10 %. Counts are divided by `phi`: a burst of phi errors is one event.
#[must_use]
pub fn hard_failure(periods: &[Pair], baseline: Baseline, phi: f64) -> bool {
    let last = &periods[periods.len().saturating_sub(PERIODS)..];
    let candidate: Counts = last.iter().map(|p| p.candidate).sum();
    let (errors, requests) = (candidate.errors / phi, candidate.requests / phi);
    if requests < LEAST_REQUESTS || errors < FAILING * requests {
        return false;
    }
    let stable: Counts = last.iter().map(|p| p.stable).sum();
    match baseline {
        Baseline::Concurrent => surely_below(stable, phi),
        // What is left of concurrent traffic tells of an outage that is shared, which the time before does not.
        Baseline::Before(_) if stable.requests / phi >= LEAST_REQUESTS && fails(stable) => false,
        // A time before with so few requests tells no more than none.
        Baseline::Before(counts) => surely_below(counts, phi) || (tells_nothing(counts, phi) && !fails(counts)),
        Baseline::Absent => true,
    }
}

fn fails(stable: Counts) -> bool {
    stable.requests > 0.0 && stable.errors >= STABLE_BELOW * stable.requests
}

/// Whether not even a clean record of so many requests would surely be below.
fn tells_nothing(stable: Counts, phi: f64) -> bool {
    !surely_below(Counts { errors: 0.0, ..stable }, phi)
}

fn surely_below(stable: Counts, phi: f64) -> bool {
    let (errors, requests) = ((stable.errors / phi).ceil(), (stable.requests / phi).floor());
    requests > 0.0 && errors < STABLE_BELOW * requests && binomial_cdf(errors, requests, STABLE_BELOW) <= LEVEL
}

/// P(Bin(n, p) <= k) for 0 <= k < n, by the regularised incomplete beta function.
fn binomial_cdf(k: f64, n: f64, p: f64) -> f64 {
    checked_beta_reg(n - k, k + 1.0, 1.0 - p).unwrap_or(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binomial_cdf_matches_direct_sums() {
        for (k, n, expected) in [
            (0.0, 10.0, 3.486784401000e-01),
            (2.0, 20.0, 6.769268051895e-01),
            (5.0, 200.0, 3.871193246267e-05),
            (90.0, 1000.0, 1.582381413933e-01),
        ] {
            let ours = binomial_cdf(k, n, 0.1);
            assert!((ours / expected - 1.0).abs() <= 1e-9, "{k} of {n}: {ours}");
        }
    }

    #[test]
    fn a_shared_outage_is_nobodys_failure() {
        let down = Counts { errors: 50.0, requests: 100.0 };
        let fine = Counts { errors: 0.0, requests: 100.0 };
        let pair = |candidate, stable| [Pair { candidate, stable }];
        assert!(hard_failure(&pair(down, fine), Baseline::Concurrent, 1.0));
        assert!(!hard_failure(&pair(down, down), Baseline::Concurrent, 1.0));
        assert!(hard_failure(&pair(down, Counts::default()), Baseline::Before(fine), 1.0));
        assert!(
            !hard_failure(&pair(down, down), Baseline::Before(fine), 1.0),
            "the last of the stable traffic fails too"
        );
        assert!(hard_failure(&pair(down, fine), Baseline::Before(fine), 1.0));
        assert!(!hard_failure(&pair(down, Counts::default()), Baseline::Before(down), 1.0));
        assert!(hard_failure(&pair(down, Counts::default()), Baseline::Absent, 1.0));
        assert!(!hard_failure(&pair(fine, fine), Baseline::Absent, 1.0));
        assert!(!hard_failure(&[], Baseline::Absent, 1.0));
    }

    /// The period before the shift is among the last three, with a few sound requests; and a short time before is no
    /// reason to be more patient than none at all.
    #[test]
    fn a_few_sound_requests_excuse_nobody() {
        let counts = |errors: u32, requests: u32| Counts { errors: errors.into(), requests: requests.into() };
        let shifting = [
            Pair { candidate: counts(0, 0), stable: counts(0, 20) },
            Pair { candidate: counts(12, 20), stable: counts(0, 0) },
            Pair { candidate: counts(13, 20), stable: counts(0, 0) },
        ];
        assert!(hard_failure(&shifting, Baseline::Before(counts(0, 277)), 1.0));
        let down = [Pair { candidate: counts(37, 60), stable: counts(0, 0) }];
        for (before, broken) in
            [((0, 0), true), ((0, 64), true), ((0, 66), true), ((6, 64), true), ((7, 64), false), ((10, 100), false)]
        {
            let before = counts(before.0, before.1);
            assert_eq!(hard_failure(&down, Baseline::Before(before), 1.0), broken, "{before:?}");
        }
    }
}
