//! Simulated traffic: requests arrive independently of each other, so all counts are Poisson and independent.

use rand::Rng;
use rand_distr::{Distribution, Normal, Poisson};
use rand_xoshiro::Xoshiro256PlusPlus;
use spillway_core::judge::{Counts, Pair};
use spillway_core::plan::Threshold;
use statrs::distribution::{ContinuousCDF, Normal as Gauss};

use crate::scenario::{Candidate, Latency, Service};

/// The generator: small, quick, and the same everywhere.
pub type Generator = Xoshiro256PlusPlus;

/// One slot's traffic at one weight.
#[derive(Clone, Debug)]
struct Slot {
    failing: Option<Poisson<f64>>,
    /// Sound answers by how slow they are: quicker than the first threshold, and so on.
    by_speed: Vec<Option<Poisson<f64>>>,
    /// For periods of different speed: sound answers, and how slow they would be without jitter.
    sound: f64,
    slowdown: f64,
}

/// Both slots' traffic in periods of one weight.
#[derive(Clone, Debug)]
pub struct Traffic {
    candidate: Slot,
    stable: Slot,
    latency: Latency,
    thresholds: Vec<f64>,
}

/// Where the thresholds lie among the stable version's response times: standard deviations above the mean of their
/// logarithm. A threshold is told relative to the median, which is 1.
#[must_use]
pub fn relative(thresholds: &[Threshold]) -> Vec<f64> {
    thresholds.iter().map(|threshold| threshold.seconds).collect()
}

impl Traffic {
    /// Periods of so many seconds, with the candidate at a weight between 0 and 1. `thresholds` are multiples of the
    /// stable version's median.
    #[must_use]
    pub fn at(service: &Service, candidate: &Candidate, weight: f64, seconds: f64, thresholds: &[f64]) -> Self {
        let requests = service.requests_per_second * seconds;
        let bad = weight >= candidate.from_weight;
        let error_rate = if bad { candidate.error_rate } else { service.error_rate };
        let slowdown = if bad { candidate.slowdown } else { 1.0 };
        Self {
            candidate: Slot::new(requests * weight, error_rate, slowdown, service.latency, thresholds),
            stable: Slot::new(requests * (1.0 - weight), service.error_rate, 1.0, service.latency, thresholds),
            latency: service.latency,
            thresholds: thresholds.to_vec(),
        }
    }

    /// One period: errors, and a pair for each threshold.
    pub fn period(&self, generator: &mut Generator, period: &mut Vec<Pair>) {
        period.clear();
        period.resize(1 + self.thresholds.len(), Pair::default());
        self.candidate.draw(self, generator, |at, counts| period[at].candidate = counts);
        self.stable.draw(self, generator, |at, counts| period[at].stable = counts);
    }
}

impl Slot {
    fn new(requests: f64, error_rate: f64, slowdown: f64, latency: Latency, thresholds: &[f64]) -> Self {
        let sound = requests * (1.0 - error_rate);
        let mut slot = Self { failing: poisson(requests * error_rate), by_speed: Vec::new(), sound, slowdown };
        slot.by_speed = slot.speeds(latency.spread, 1.0, thresholds).collect();
        slot
    }

    /// The sound answers by speed, when all take so many times as long.
    fn speeds(&self, spread: f64, factor: f64, thresholds: &[f64]) -> impl Iterator<Item = Option<Poisson<f64>>> {
        let median = (self.slowdown * factor).ln();
        let slower = move |threshold: &f64| Gauss::standard().sf((threshold.ln() - median) / spread);
        let shares: Vec<f64> = std::iter::once(1.0).chain(thresholds.iter().map(slower)).chain([0.0]).collect();
        let sound = self.sound;
        (1..shares.len()).map(move |at| poisson(sound * (shares[at - 1] - shares[at]).max(0.0)))
    }

    fn draw(&self, traffic: &Traffic, generator: &mut Generator, mut tell: impl FnMut(usize, Counts)) {
        let errors = sample(self.failing.as_ref(), generator);
        let mut counts = [0.0; 8];
        if traffic.latency.jitter > 0.0 && !traffic.thresholds.is_empty() {
            let factor = Normal::new(0.0, traffic.latency.jitter).map_or(1.0, |normal| normal.sample(generator).exp());
            for (count, speed) in
                counts.iter_mut().zip(self.speeds(traffic.latency.spread, factor, &traffic.thresholds))
            {
                *count = sample(speed.as_ref(), generator);
            }
        } else {
            for (count, speed) in counts.iter_mut().zip(&self.by_speed) {
                *count = sample(speed.as_ref(), generator);
            }
        }
        let requests = errors + counts.iter().sum::<f64>();
        tell(0, Counts { errors, requests });
        let mut slow = 0.0;
        for at in (0..traffic.thresholds.len()).rev() {
            slow += counts[at + 1];
            tell(at + 1, Counts { errors: slow, requests });
        }
    }
}

fn poisson(mean: f64) -> Option<Poisson<f64>> {
    if mean > 0.0 { Poisson::new(mean).ok() } else { None }
}

fn sample(poisson: Option<&Poisson<f64>>, generator: &mut impl Rng) -> f64 {
    poisson.map_or(0.0, |poisson| poisson.sample(generator))
}
