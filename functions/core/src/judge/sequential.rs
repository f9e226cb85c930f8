//! The sequential processes: e-values that stay valid at every look.
//!
//! *Unhealthy* tests H0: `p_c <= r0 p_b + d` in every period, against alternatives `h` times worse than r0.
//! With the share `s = n_c / n_b`, `theta = r0 s / (1 + r0 s)` and `q = r0 h s / (1 + r0 h s)`, one period adds
//!
//! ```text
//! l = [ e_c ln(q/theta) + e_b ln((1-q)/(1-theta)) - (q/theta - 1) d n_c ] / phi
//! ```
//!
//! to each alternative's log likelihood ratio. With `a = q/theta - 1`,
//! `E[e^l] <= exp(a n_c (p_c - r0 p_b - d)) <= 1` by `1 + x <= e^x`, whatever the unknown and varying `p_b`.
//! Mixtures over alternatives and start times keep that, and Ville's inequality makes
//! `P(E ever reaches 1/alpha) <= alpha`.
//!
//! A release that waits for people outlasts its plan. For that time more start times are added, with a prior weight of
//! [`LATE`] in all: the sum of both then has an expectation of at most `1 + LATE` under H0, so that the level of a
//! release that outlasts its plan is `(1 + LATE) alpha`, and alpha until then.
//!
//! *Healthy* is the same with the sign turned: H0': `p_c >= r1 p_b + B/w'`.

use super::{Counts, Pair, log_sum_exp};

/// How many alternatives each test of *unhealthy* is made against.
const ALTERNATIVES: usize = 7;

/// What counts as worse, and how it is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unhealthy {
    /// r0: the ratio to the baseline's rate that is tolerated.
    pub tolerance: f64,
    /// d: the difference to the baseline's rate that is tolerated, as a fraction.
    pub slack: f64,
    /// h: alternatives, as multiples of `tolerance`, each above 1.
    pub alternatives: &'static [f64; ALTERNATIVES],
    /// alpha: the chance of ever calling a tolerable candidate unhealthy.
    pub alpha: f64,
}

/// The error-rate process: a quarter worse is tolerated, at a level of 1 %.
pub const ERRORS: Unhealthy =
    Unhealthy { tolerance: 1.25, slack: 1e-4, alternatives: &[1.25, 1.6, 2.2, 3.5, 7.0, 20.0, 100.0], alpha: 0.01 };

/// Prior weight of the process that starts with the first period.
const FIRST_START: f64 = 0.5;
/// Prior weight, on top of the whole, of all starts after the planned periods.
pub const LATE: f64 = 0.05;
/// Candidate requests to one stable request, and the inverse, beyond which nothing changes any more.
const EXTREME_SHARE: f64 = 1e18;

/// How many periods a release may last. Fixed when it starts: start times have their prior weight from it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Horizon {
    /// Periods that it is planned for, at least 2.
    pub planned: usize,
    /// Periods after those in which it may still be on, waiting for people.
    pub late: usize,
}

impl Horizon {
    /// A release that does not outlast its plan.
    #[must_use]
    pub fn planned(planned: usize) -> Self {
        Self { planned, late: 0 }
    }

    /// Prior weight of a start at this period, counted from 0.
    #[allow(clippy::cast_precision_loss, reason = "a release has far fewer than 2^52 periods")]
    fn start(self, t: usize) -> f64 {
        let planned = self.planned.max(2);
        if t == 0 {
            FIRST_START
        } else if t < planned {
            (1.0 - FIRST_START) / (planned - 1) as f64
        } else if t < planned + self.late {
            LATE / self.late as f64
        } else {
            0.0
        }
    }

    /// Prior weight of the starts that are still to come after this period.
    #[allow(clippy::cast_precision_loss, reason = "a release has far fewer than 2^52 periods")]
    fn unspent(self, t: usize) -> f64 {
        let planned = self.planned.max(2);
        if t < planned {
            return (1.0 - FIRST_START) * (1.0 - t.min(planned - 1) as f64 / (planned - 1) as f64);
        }
        LATE * (planned + self.late).saturating_sub(t + 1) as f64 / self.late.max(1) as f64
    }
}

/// One process, fed period by period: the evidence that the candidate is worse.
///
/// With prior weight `pi_t` on a start at period t, `M_k <- (M_k + pi_t) e^{l_k}` for each alternative k, and
/// `E_t = mean_k M_k + (1 - sum of pi so far)`: half of the prior is on the first period, the rest spread evenly
/// over the planned ones.
#[derive(Clone, Debug)]
pub struct Process {
    hypothesis: Hypothesis,
    phi: f64,
    horizon: Horizon,
    periods: usize,
    /// ln M of each alternative.
    log_m: [f64; ALTERNATIVES],
    log_e: f64,
    peak: f64,
}

#[derive(Clone, Copy, Debug)]
enum Hypothesis {
    /// H0: `p_c <= r0 p_b + d`.
    NoWorse(Unhealthy),
    /// H0: `p_c <= limit`.
    WithinLimit(f64),
}

impl Process {
    /// Compares with the stable version. `phi` is the dispersion (1: independent errors).
    #[must_use]
    pub fn comparing(test: Unhealthy, phi: f64, horizon: Horizon) -> Self {
        Self::new(Hypothesis::NoWorse(test), phi, horizon)
    }

    /// Compares with a limit alone, H0: `p_c <= limit`: one period adds `[e_c ln h - (h - 1) limit n_c] / phi`, the
    /// same bound with a known rate in place of the baseline's.
    #[must_use]
    pub fn limiting(limit: f64, phi: f64, horizon: Horizon) -> Self {
        Self::new(Hypothesis::WithinLimit(limit), phi, horizon)
    }

    fn new(hypothesis: Hypothesis, phi: f64, horizon: Horizon) -> Self {
        let phi = if phi.is_finite() { phi.max(1.0) } else { 1.0 };
        let log_m = [f64::NEG_INFINITY; ALTERNATIVES];
        Self { hypothesis, phi, horizon, periods: 0, log_m, log_e: 0.0, peak: 0.0 }
    }

    /// Takes in the next period.
    pub fn push(&mut self, period: &Pair) {
        let start = self.horizon.start(self.periods);
        if start > 0.0 {
            let start = start.ln();
            for log_m in &mut self.log_m {
                *log_m = log_add_exp(*log_m, start);
            }
        }
        match self.hypothesis {
            Hypothesis::NoWorse(test) => test.add(period, self.phi, &mut self.log_m),
            Hypothesis::WithinLimit(limit) => add_over_limit(period.candidate, limit, self.phi, &mut self.log_m),
        }
        let unspent = self.horizon.unspent(self.periods);
        let tail = (unspent > 1e-12).then(|| unspent.ln());
        self.log_e = log_sum_exp(self.log_m.iter().map(|log_m| log_m - LOG_ALTERNATIVES).chain(tail));
        self.peak = self.peak.max(self.log_e);
        self.periods += 1;
    }

    /// ln E, 0 before the first period.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        self.log_e
    }

    /// The highest that ln E has been, at least 0.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// The dispersion that it assumes.
    #[must_use]
    pub fn phi(&self) -> f64 {
        self.phi
    }

    /// ln E after each of these periods, oldest first.
    #[must_use]
    pub fn replay(mut self, periods: &[Pair]) -> Vec<f64> {
        periods
            .iter()
            .map(|period| {
                self.push(period);
                self.log_e
            })
            .collect()
    }
}

/// ln 7.
const LOG_ALTERNATIVES: f64 = 1.945_910_149_055_313_3;

/// The most that one period adds to an alternative: one alone cannot take E from 1 to 1/alpha.
fn cap(alpha: f64) -> f64 {
    0.5 * (2.0 * 7.0 / alpha).ln() + 0.1
}

impl Unhealthy {
    /// 1/alpha: an e-value that reaches this is proof.
    #[must_use]
    pub fn proof(&self) -> f64 {
        1.0 / self.alpha
    }

    /// Whether no candidate could be worse than is tolerated, because the stable version's own rate is that high.
    #[must_use]
    pub fn is_blind(&self, stable: Counts) -> bool {
        stable.error_rate().is_some_and(|rate| self.tolerance * rate + self.slack >= 1.0)
    }

    fn add(&self, period: &Pair, phi: f64, log_m: &mut [f64; ALTERNATIVES]) {
        let Pair { candidate, stable } = period;
        let Some(share) = share(period) else { return };
        let most = cap(self.alpha);
        let same = (self.tolerance * share).ln_1p();
        for (log_m, h) in log_m.iter_mut().zip(self.alternatives) {
            let lose = same - (self.tolerance * h * share).ln_1p();
            let win = h.ln() + lose;
            let log = candidate.errors * win + stable.errors * lose - win.exp_m1() * self.slack * candidate.requests;
            *log_m += (log / phi).min(most);
        }
    }
}

fn add_over_limit(candidate: Counts, limit: f64, phi: f64, log_m: &mut [f64; ALTERNATIVES]) {
    let most = cap(ERRORS.alpha);
    for (log_m, h) in log_m.iter_mut().zip(ERRORS.alternatives) {
        *log_m += ((candidate.errors * h.ln() - (h - 1.0) * limit * candidate.requests) / phi).min(most);
    }
}

/// Candidate requests to one stable request; nothing when one side has no traffic, which is no evidence.
fn share(period: &Pair) -> Option<f64> {
    let (candidate, stable) = (period.candidate.requests, period.stable.requests);
    (candidate > 0.0 && stable > 0.0).then(|| (candidate / stable).clamp(1.0 / EXTREME_SHARE, EXTREME_SHARE))
}

/// What counts as healthy enough to advance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Healthy {
    /// r1: the ratio to the baseline's rate that must be excluded.
    pub ratio: f64,
    /// B: the share of all traffic that may fail because of the next weight, as a fraction.
    pub budget: f64,
    /// h: alternatives, as multiples of `ratio`, each below 1.
    pub alternatives: &'static [f64; 4],
    /// beta: the chance of ever calling a candidate healthy that is not.
    pub beta: f64,
}

/// The gate before each advance: less than twice the baseline's rate plus `B/w'`, at a level of 5 %.
pub const ADVANCE: Healthy = Healthy { ratio: 2.0, budget: 5e-4, alternatives: &[0.6, 0.35, 0.15, 0.03], beta: 0.05 };

impl Healthy {
    /// 1/beta: an e-value that reaches this is proof.
    #[must_use]
    pub fn proof(&self) -> f64 {
        1.0 / self.beta
    }

    /// Candidate requests that proof takes at an error rate of both sides, a weight before and one after the
    /// advance, all fractions: `n = phi ln(4/beta) / max_h [p ln(q/theta) + (p/s) ln((1-q)/(1-theta)) +
    /// (1 - q/theta) B/w']`.
    #[must_use]
    pub fn requests_needed(&self, error_rate: f64, weight: f64, next_weight: f64, phi: f64) -> f64 {
        let share = (weight / (1.0 - weight)).clamp(1.0 / EXTREME_SHARE, EXTREME_SHARE);
        let slack = self.budget / next_weight;
        let best = self.alternatives.iter().map(|h| {
            let (win, lose) = self.log_ratios(*h, share);
            error_rate * win + error_rate / share * lose - win.exp_m1() * slack
        });
        phi * (4.0 / self.beta).ln() / best.fold(0.0, f64::max)
    }

    /// ln(q/theta) and ln((1-q)/(1-theta)) for theta = r s/(1 + r s) and q = r h s/(1 + r h s).
    fn log_ratios(&self, h: f64, share: f64) -> (f64, f64) {
        let lose = (self.ratio * share).ln_1p() - (self.ratio * h * share).ln_1p();
        (h.ln() + lose, lose)
    }
}

/// The evidence, since the last weight change, that the candidate is well enough for the next weight.
#[derive(Clone, Debug)]
pub struct Gate {
    test: Healthy,
    phi: f64,
    /// B/w'.
    slack: f64,
    log_m: [f64; 4],
}

impl Gate {
    /// Before a weight, a fraction above 0, up to 1.
    #[must_use]
    pub fn before(test: Healthy, next_weight: f64, phi: f64) -> Self {
        Self { test, phi, slack: test.budget / next_weight, log_m: [0.0; 4] }
    }

    /// Takes in the next period.
    pub fn push(&mut self, period: &Pair) {
        let Pair { candidate, stable } = period;
        let Some(share) = share(period) else { return };
        for (log_m, h) in self.log_m.iter_mut().zip(self.test.alternatives) {
            let (win, lose) = self.test.log_ratios(*h, share);
            let log = candidate.errors * win + stable.errors * lose - win.exp_m1() * self.slack * candidate.requests;
            *log_m += log / self.phi;
        }
    }

    /// ln E', 0 before the first period.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        log_sum_exp(self.log_m.iter().map(|log_m| log_m - 4.0_f64.ln()))
    }
}

/// ln(e^a + e^b), without overflow.
fn log_add_exp(a: f64, b: f64) -> f64 {
    let (high, low) = if a >= b { (a, b) } else { (b, a) };
    if low == f64::NEG_INFINITY { high } else { high + (low - high).exp().ln_1p() }
}
