//! scratch
use spillway_core::definition::{HealthPolicy, LatencyPolicy, Strategy, StrategyType};
use spillway_simulate::characteristics::*;
use spillway_simulate::scenario::{Candidate, Latency, Service};
fn main() {
    let n: usize = std::env::var("N").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    for (rps, base) in [(0.5,0.01),(5.0,0.001),(50.0,0.001),(50.0,0.01),(500.0,0.001),(5000.0,0.001)] {
        for lat in [false, true] {
        let service = Service { requests_per_second: rps, error_rate: base, latency: Latency::default() };
        let mut candidates = Candidate::usual(&service);
        candidates.insert(1, Candidate::times("1.25x",1.25,&service));
        candidates.insert(3, Candidate::times("3x",3.0,&service));
        candidates.push(Candidate::times("5x@50",5.0,&service).from_weight(0.5));
        candidates.push(Candidate::times("slow1.3",1.0,&service).slower(1.3));
        let latency = if lat { LatencyPolicy::default() } else { LatencyPolicy { quantiles: Vec::new(), ..LatencyPolicy::default() } };
        let health = HealthPolicy { latency, ..HealthPolicy::default() };
        let strategy = Strategy::of(StrategyType::Canary);
        let e = Experiment { strategy: &strategy, health: &health, service: &service, candidates: &candidates, releases: n, seed: 1, threads: 2 };
        let plans = plans(&e).unwrap();
        println!("--- {rps} rps {base} lat={lat} steps {:?} phi {:.2}", spillway_simulate::release::weights(&plans[0]).iter().map(|w| w.to_string()).collect::<Vec<_>>(), plans.iter().map(|p|p.baseline.phi).sum::<f64>()/16.0);
        for c in characteristics(&e, &plans, &|_|()) {
            println!("{:8} rb {:6.2}%  rb min {:?} prom {:?} failed {:?}", c.candidate, 100.0*c.rolled_back, c.minutes_to_rollback.map(|s|(s.median,s.p90)), c.minutes_to_promotion.map(|s|(s.median,s.p90)), (c.failed_requests.median,c.failed_requests.p90));
        }
        }
    }
}
