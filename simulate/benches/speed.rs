//! How many 30-minute releases one core simulates in a second.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use spillway_core::definition::{HealthPolicy, LatencyPolicy, Strategy, StrategyType};
use spillway_simulate::planning;
use spillway_simulate::release::Simulation;
use spillway_simulate::scenario::{Candidate, Latency, Service};
use spillway_simulate::traffic::Generator;

fn main() {
    let service = Service { requests_per_second: 500.0, error_rate: 0.001, latency: Latency::default() };
    let candidate = Candidate::times("healthy", 1.0, &service);
    let errors_only = LatencyPolicy { quantiles: Vec::new(), ..LatencyPolicy::default() };
    for (name, latency) in [("errors", errors_only), ("errors and latency", LatencyPolicy::default())] {
        let health = HealthPolicy { latency, ..HealthPolicy::default() };
        let plan = match planning::plan(&Strategy::of(StrategyType::Canary), &health, &service, 1) {
            Ok(plan) => plan,
            Err(refused) => panic!("{refused}"),
        };
        let mut simulation = Simulation::new(&plan, &service, &candidate);
        let mut generator = Generator::seed_from_u64(1);
        let (start, mut minutes, mut releases) = (Instant::now(), 0.0, 0);
        while start.elapsed() < Duration::from_secs(3) {
            for _ in 0..100 {
                minutes += simulation.release(&mut generator).seconds / 60.0;
                releases += 1;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "{name}: {:.0} releases of 30 minutes a second on one core ({releases} releases of {:.1} minutes in {seconds:.1} s)",
            minutes / 30.0 / seconds,
            minutes / f64::from(releases)
        );
    }
}
