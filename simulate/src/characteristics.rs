//! Operating characteristics: what a policy does to many releases of each kind of candidate.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::SeedableRng;
use serde::Serialize;
use spillway_core::definition::{HealthPolicy, Strategy};
use spillway_core::plan::{Plan, Refused};

use crate::planning;
use crate::release::{Ending, Simulation};
use crate::scenario::{Candidate, Service};
use crate::traffic::Generator;

/// So many histories are drawn; releases are planned after one of them in turn.
const HISTORIES: usize = 16;
/// Releases that one thread takes at a time.
const BATCH: usize = 64;

/// What to simulate.
#[derive(Clone, Debug)]
pub struct Experiment<'a> {
    /// How traffic moves.
    pub strategy: &'a Strategy,
    /// How health is judged.
    pub health: &'a HealthPolicy,
    /// The service.
    pub service: &'a Service,
    /// The candidates.
    pub candidates: &'a [Candidate],
    /// Releases of each.
    pub releases: usize,
    /// The same seed gives the same releases, on any number of threads.
    pub seed: u64,
    /// Threads to use, at least 1.
    pub threads: usize,
}

/// What a policy does to the releases of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Characteristics {
    /// The candidate.
    pub candidate: String,
    /// Releases that were simulated.
    pub releases: usize,
    /// Share of them that was rolled back, 0 to 1.
    pub rolled_back: f64,
    /// Minutes from the first exposure to the rollback; nothing when none was rolled back.
    pub minutes_to_rollback: Option<Spread>,
    /// Minutes from the first exposure to the promotion; nothing when none was promoted.
    pub minutes_to_promotion: Option<Spread>,
    /// Requests of users that the candidate failed until the end, whichever it was.
    pub failed_requests: Spread,
    /// The minutes of every rollback, in order.
    #[serde(skip)]
    pub rollback_minutes: Vec<f64>,
}

/// Middle and upper end of a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// Half are not above it.
    pub median: f64,
    /// Nine of ten are not above it.
    pub p90: f64,
}

impl Spread {
    /// Of these values; nothing without any.
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let at = |share: usize| values.get((values.len() * share).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { median: at(50)?, p90: at(90)? })
    }
}

/// The plans that the releases run under.
///
/// # Errors
/// [`Refused`].
pub fn plans(experiment: &Experiment<'_>) -> Result<Vec<Plan>, Refused> {
    (0..HISTORIES as u64)
        .map(|index| {
            let seed = experiment.seed.wrapping_mul(31).wrapping_add(index);
            planning::plan(experiment.strategy, experiment.health, experiment.service, seed)
        })
        .collect()
}

/// Simulates; `progress` is told whenever some more releases are done.
#[must_use]
pub fn characteristics(
    experiment: &Experiment<'_>,
    plans: &[Plan],
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Characteristics> {
    experiment.candidates.iter().map(|candidate| one(experiment, plans, candidate, progress)).collect()
}

fn one(
    experiment: &Experiment<'_>,
    plans: &[Plan],
    candidate: &Candidate,
    progress: &(dyn Fn(usize) + Sync),
) -> Characteristics {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut simulations: Vec<Simulation<'_>> =
            plans.iter().map(|plan| Simulation::new(plan, experiment.service, candidate)).collect();
        let mut endings: Vec<(usize, Ending)> = Vec::new();
        loop {
            let start = next.fetch_add(BATCH, Ordering::Relaxed);
            let end = (start + BATCH).min(experiment.releases);
            if start >= end || simulations.is_empty() {
                return endings;
            }
            for index in start..end {
                // A stream of its own for each release, so that threads do not matter.
                let mut generator =
                    Generator::seed_from_u64(experiment.seed ^ (index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
                let simulation = index % plans.len();
                endings.push((index, simulations[simulation].release(&mut generator)));
            }
            progress(end - start);
        }
    };
    let mut endings: Vec<(usize, Ending)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..experiment.threads).map(|_| scope.spawn(work)).collect();
        let mine = work();
        let theirs = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(endings) => endings,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        theirs.chain(mine).collect()
    });
    endings.sort_by_key(|(index, _)| *index);
    let endings: Vec<Ending> = endings.into_iter().map(|(_, ending)| ending).collect();
    let minutes = |rolled_back: bool| {
        Spread::of(endings.iter().filter(|e| e.rolled_back == rolled_back).map(|e| e.seconds / 60.0).collect())
    };
    let mut rollback_minutes: Vec<f64> =
        endings.iter().filter(|ending| ending.rolled_back).map(|ending| ending.seconds / 60.0).collect();
    rollback_minutes.sort_by(f64::total_cmp);
    let count = rollback_minutes.len();
    Characteristics {
        candidate: candidate.name.clone(),
        releases: endings.len(),
        rolled_back: count as f64 / endings.len().max(1) as f64,
        minutes_to_rollback: minutes(true),
        minutes_to_promotion: minutes(false),
        failed_requests: Spread::of(endings.iter().map(|ending| ending.failed_requests).collect())
            .unwrap_or(Spread { median: 0.0, p90: 0.0 }),
        rollback_minutes,
    }
}
