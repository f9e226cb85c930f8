//! Everything that is compared, in one process at one level.
//!
//! Each kind of event has a process of its own: errors, slow requests at each threshold, and the user's own
//! metrics. `E = 1/2 E_errors + 1/(2 L) (E_1 + ... + E_L)` over the L others, or `E_errors` alone: a mean of
//! e-values is one, so the level of all together stays alpha. What is on trial only (`decides` is false) has no
//! part in it, and a process to be reported.

use super::hard_failure::{self, Baseline, hard_failure};
use super::sequential::{ADVANCE, ERRORS, Gate, Horizon, Process, Unhealthy};
use super::{Pair, log_sum_exp};

/// What is compared and how: frozen when the release is planned.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// How long the release may last.
    pub horizon: Horizon,
    /// Errors.
    pub errors: Term,
    /// Slow requests and the user's metrics.
    pub others: Vec<Term>,
    /// Error rate as a fraction that the candidate must not exceed, whatever the stable version does.
    pub max_error_rate: Option<f64>,
}

/// One kind of event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Term {
    /// What counts as worse.
    pub test: Unhealthy,
    /// Dispersion, at least 1.
    pub phi: f64,
    /// Whether it has a say.
    pub decides: bool,
}

impl Terms {
    /// Errors alone.
    #[must_use]
    pub fn of_errors(phi: f64, horizon: Horizon) -> Self {
        Self { horizon, errors: Term { test: ERRORS, phi, decides: true }, others: Vec::new(), max_error_rate: None }
    }
}

/// One kind of event since the first exposure.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What counts as worse.
    pub test: Unhealthy,
    /// The evidence.
    pub process: Process,
    /// Its part of the whole; 0 when it has no say.
    pub weight: f64,
    /// All periods added up.
    pub sums: Pair,
}

impl Stream {
    /// Whether it can tell nothing, because the stable version's own rate is too high.
    #[must_use]
    pub fn is_blind(&self) -> bool {
        self.test.is_blind(self.sums.stable)
    }

    /// The e-value of this stream that is proof by itself: 1/alpha by its part of the whole.
    #[must_use]
    pub fn proof(&self) -> f64 {
        self.test.proof() / if self.weight > 0.0 { self.weight } else { 1.0 }
    }
}

/// The candidate against the stable version, fed period by period.
#[derive(Clone, Debug)]
pub struct Comparison {
    streams: Vec<Stream>,
    limit: Option<Process>,
    gate: Gate,
    latest: [Pair; hard_failure::PERIODS],
    since_shift: Pair,
    periods: usize,
    log_e: f64,
    peak: f64,
}

impl Comparison {
    /// Before the first exposure; `next_weight` is the one after the first, a fraction.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "a handful of streams")]
    pub fn new(terms: &Terms, next_weight: f64) -> Self {
        let deciding = terms.others.iter().filter(|term| term.decides).count() as f64;
        let (errors, other) = match (terms.errors.decides, deciding) {
            (true, 0.0) => (1.0, 0.0),
            (true, _) => (0.5, 0.5 / deciding),
            (false, _) => (0.0, if deciding > 0.0 { 1.0 / deciding } else { 0.0 }),
        };
        let stream = |term: &Term, weight: f64| Stream {
            test: term.test,
            process: Process::comparing(term.test, term.phi, terms.horizon),
            weight: if term.decides { weight } else { 0.0 },
            sums: Pair::default(),
        };
        Self {
            streams: std::iter::once(stream(&terms.errors, errors))
                .chain(terms.others.iter().map(|term| stream(term, other)))
                .collect(),
            limit: terms.max_error_rate.map(|limit| Process::limiting(limit, terms.errors.phi, terms.horizon)),
            gate: Gate::before(ADVANCE, next_weight, terms.errors.phi.max(1.0)),
            latest: [Pair::default(); hard_failure::PERIODS],
            since_shift: Pair::default(),
            periods: 0,
            log_e: 0.0,
            peak: 0.0,
        }
    }

    /// From here on the candidate has another weight: proof that it is well enough must be gathered anew.
    pub fn shifted(&mut self, next_weight: f64) {
        self.gate = Gate::before(ADVANCE, next_weight, self.phi());
        self.since_shift = Pair::default();
    }

    /// Takes in the next period: errors first, then a pair for each other term, in their order; what is missing is
    /// no evidence.
    pub fn push(&mut self, period: &[Pair]) {
        for (index, stream) in self.streams.iter_mut().enumerate() {
            let pair = period.get(index).copied().unwrap_or_default();
            stream.process.push(&pair);
            stream.sums = stream.sums + pair;
        }
        let errors = period.first().copied().unwrap_or_default();
        if let Some(limit) = &mut self.limit {
            limit.push(&errors);
        }
        self.gate.push(&errors);
        self.latest.rotate_left(1);
        self.latest[hard_failure::PERIODS - 1] = errors;
        self.since_shift = self.since_shift + errors;
        self.periods += 1;
        let deciding = self.streams.iter().filter(|stream| stream.weight > 0.0);
        let log_e = log_sum_exp(deciding.map(|stream| stream.weight.ln() + stream.process.log_e()));
        // Without any that decides there is no evidence, and never will be.
        self.log_e = if self.streams.iter().any(|stream| stream.weight > 0.0) { log_e } else { 0.0 };
        self.peak = self.peak.max(self.log_e);
    }

    /// Errors first, then the others in the order of the terms.
    #[must_use]
    pub fn streams(&self) -> &[Stream] {
        &self.streams
    }

    /// How many streams have a say.
    #[must_use]
    pub fn deciding(&self) -> usize {
        self.streams.iter().filter(|stream| stream.weight > 0.0).count()
    }

    /// ln E: evidence that the candidate is worse, all together.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        self.log_e
    }

    /// The highest that ln E has been, at least 0.
    #[must_use]
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// The position of the stream that most of E comes from; nothing where none has a say.
    #[must_use]
    pub fn most_telling(&self) -> Option<usize> {
        let parts = self.streams.iter().enumerate().filter(|(_, stream)| stream.weight > 0.0);
        let part = |stream: &Stream| stream.weight.ln() + stream.process.log_e();
        parts.max_by(|(_, a), (_, b)| part(a).total_cmp(&part(b))).map(|(index, _)| index)
    }

    /// ln E': evidence, since the last weight change, that the candidate is well enough for the next weight.
    #[must_use]
    pub fn log_e_healthy(&self) -> f64 {
        self.gate.log_e()
    }

    /// The evidence that the absolute limit is exceeded, where there is one.
    #[must_use]
    pub fn limit(&self) -> Option<&Process> {
        self.limit.as_ref()
    }

    /// Whether the candidate is broken beyond doubt.
    #[must_use]
    pub fn hard_failure(&self, baseline: Baseline) -> bool {
        hard_failure(self.latest(), baseline, self.phi())
    }

    /// Errors in the latest periods.
    #[must_use]
    pub fn latest(&self) -> &[Pair] {
        &self.latest[hard_failure::PERIODS.saturating_sub(self.periods)..]
    }

    /// Errors since the first exposure.
    #[must_use]
    pub fn errors(&self) -> Pair {
        self.streams[0].sums
    }

    /// Errors since the last weight change.
    #[must_use]
    pub fn since_shift(&self) -> Pair {
        self.since_shift
    }

    /// Periods so far.
    #[must_use]
    pub fn periods(&self) -> usize {
        self.periods
    }

    /// The dispersion of errors.
    #[must_use]
    pub fn phi(&self) -> f64 {
        self.streams[0].process.phi()
    }
}
