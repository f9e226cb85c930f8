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
//! *Healthy* is the same with the sign turned: H0': `p_c >= r1 p_b + B/w'`.

use super::{Counts, Pair, log_sum_exp};

/// What counts as worse, and how it is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unhealthy {
    /// r0: the ratio to the baseline's rate that is tolerated.
    pub tolerance: f64,
    /// d: the difference to the baseline's rate that is tolerated, as a fraction.
    pub slack: f64,
    /// h: alternatives, as multiples of `tolerance`, each above 1.
    pub alternatives: &'static [f64],
    /// alpha: the chance of ever calling a tolerable candidate unhealthy.
    pub alpha: f64,
}

/// The error-rate process: a quarter worse is tolerated, at a level of 1 %.
pub const ERRORS: Unhealthy =
    Unhealthy { tolerance: 1.25, slack: 1e-4, alternatives: &[1.25, 1.6, 2.2, 3.5, 7.0, 20.0, 100.0], alpha: 0.01 };

/// Prior weight of the process that starts with the first period.
const FIRST_START: f64 = 0.5;

impl Unhealthy {
    /// 1/alpha: an e-value that reaches this is proof.
    #[must_use]
    pub fn proof(&self) -> f64 {
        1.0 / self.alpha
    }

    /// ln E after each period, oldest first. `phi` is the dispersion (1: independent errors), `planned` the
    /// number of periods that the release is planned for, at least 2.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a release has far fewer than 2^52 periods")]
    pub fn log_e(&self, periods: &[Pair], phi: f64, planned: usize) -> Vec<f64> {
        let count = self.alternatives.len() as f64;
        let cap = 0.5 * (2.0 * count / self.alpha).ln() + 0.1;
        mixture(periods.len(), planned, self.alternatives, |t, h| self.evidence(&periods[t], h, phi, cap))
    }

    fn evidence(&self, period: &Pair, h: f64, phi: f64, cap: f64) -> f64 {
        let Pair { candidate, stable } = period;
        if candidate.requests <= 0.0 || stable.requests <= 0.0 {
            return 0.0; // one side has no traffic: no evidence
        }
        let (win, lose) = log_ratios(self.tolerance, h, candidate.requests / stable.requests);
        let log = candidate.errors * win + stable.errors * lose - win.exp_m1() * self.slack * candidate.requests;
        (log / phi).min(cap)
    }
}

/// ln E of the one-sample process, after each period: H0: `p_c <= limit`.
///
/// One period adds `[e_c ln h - (h - 1) limit n_c] / phi`: the same bound with a known rate in place of the
/// baseline's.
#[must_use]
#[allow(clippy::cast_precision_loss, reason = "seven alternatives")]
pub fn log_e_over_limit(periods: &[Counts], limit: f64, phi: f64, planned: usize) -> Vec<f64> {
    let count = ERRORS.alternatives.len() as f64;
    let cap = 0.5 * (2.0 * count / ERRORS.alpha).ln() + 0.1;
    mixture(periods.len(), planned, ERRORS.alternatives, |t, h| {
        ((periods[t].errors * h.ln() - (h - 1.0) * limit * periods[t].requests) / phi).min(cap)
    })
}

/// ln of the mixture over alternatives and start times, after each period.
///
/// `M_k <- (M_k + pi_t) e^{l_k}`, `E_t = mean_k M_k + (1 - sum of pi so far)`, with half of the prior on the
/// first period and the rest spread evenly over the planned ones.
#[allow(clippy::cast_precision_loss, reason = "a release has far fewer than 2^52 periods")]
fn mixture(len: usize, planned: usize, alternatives: &[f64], evidence: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    let planned = planned.max(2);
    let (later, log_count) = ((1.0 - FIRST_START) / (planned - 1) as f64, (alternatives.len() as f64).ln());
    let mut log_m = vec![f64::NEG_INFINITY; alternatives.len()];
    (0..len)
        .map(|t| {
            let start = match t {
                0 => FIRST_START,
                _ if t < planned => later,
                _ => 0.0,
            };
            for (m, h) in log_m.iter_mut().zip(alternatives) {
                if start > 0.0 {
                    *m = log_sum_exp([*m, start.ln()].into_iter());
                }
                *m += evidence(t, *h);
            }
            let unspent = (1.0 - FIRST_START) * (1.0 - t.min(planned - 1) as f64 / (planned - 1) as f64);
            let tail = (unspent > 1e-12).then(|| unspent.ln());
            log_sum_exp(log_m.iter().map(|m| m - log_count).chain(tail))
        })
        .collect()
}

/// What counts as healthy enough to advance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Healthy {
    /// r1: the ratio to the baseline's rate that must be excluded.
    pub ratio: f64,
    /// B: the share of all traffic that may fail because of the next weight, as a fraction.
    pub budget: f64,
    /// h: alternatives, as multiples of `ratio`, each below 1.
    pub alternatives: &'static [f64],
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

    /// ln E' after each period since the last weight change; `next_weight` is a fraction above 0, up to 1.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "four alternatives")]
    pub fn log_e(&self, periods: &[Pair], next_weight: f64, phi: f64) -> Vec<f64> {
        let log_count = (self.alternatives.len() as f64).ln();
        let mut log_m = vec![0.0; self.alternatives.len()];
        periods
            .iter()
            .map(|period| {
                for (m, h) in log_m.iter_mut().zip(self.alternatives) {
                    *m += self.evidence(period, self.budget / next_weight, *h, phi);
                }
                log_sum_exp(log_m.iter().map(|m| m - log_count))
            })
            .collect()
    }

    fn evidence(&self, period: &Pair, slack: f64, h: f64, phi: f64) -> f64 {
        let Pair { candidate, stable } = period;
        if candidate.requests <= 0.0 || stable.requests <= 0.0 {
            return 0.0;
        }
        let (win, lose) = log_ratios(self.ratio, h, candidate.requests / stable.requests);
        (candidate.errors * win + stable.errors * lose - win.exp_m1() * slack * candidate.requests) / phi
    }
}

/// ln(q/theta) and ln((1-q)/(1-theta)) for theta = r s/(1 + r s) and q = r h s/(1 + r h s).
fn log_ratios(r: f64, h: f64, share: f64) -> (f64, f64) {
    let d = (r * share).ln_1p() - (r * h * share).ln_1p();
    (h.ln() + d, d)
}
