//! Plans of simulated releases: the real planning, from a made-up service and a made-up history.

use std::collections::BTreeMap;

use rand::SeedableRng;
use spillway_core::arn::{RouteArn, TargetGroupArn};
use spillway_core::definition::{
    Compute, HealthPolicy, LatencyPolicy, OnConflict, Readiness, Retirement, ServiceDefinition, ServiceName,
    SlotDefinition, Strategy, TrafficPolicy,
};
use spillway_core::hook::Hooks;
use spillway_core::judge::Counts;
use spillway_core::plan::{self, Draft, History, LiveRoute, Overrides, Plan, Refused, SlowHistory, Survey};
use spillway_core::route::{Action, ActionKind, Forward, WeightedGroup};
use spillway_core::slot::PerSlot;
use spillway_core::targets::TargetCounts;
use spillway_core::version::Version;
use statrs::distribution::{ContinuousCDF, Normal};

use crate::scenario::{Candidate, Service};
use crate::traffic::{Generator, Traffic};

const ELB: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";
/// Zones that the history is told by.
const ZONES: usize = 3;
/// Periods that a history has: six hours of minutes.
const PERIODS: usize = 360;

/// A release of the service as it would be planned under this policy, after hours that are drawn by the seed.
///
/// # Errors
/// [`Refused`], which a policy that was validated does not lead to.
pub fn plan(strategy: &Strategy, health: &HealthPolicy, service: &Service, seed: u64) -> Result<Plan, Refused> {
    let definition = definition(strategy, health);
    let live: Vec<LiveRoute> = definition
        .routes
        .iter()
        .map(|route| {
            let groups = vec![WeightedGroup { arn: definition.slots.blue.target_groups[0].clone(), weight: 1 }];
            let forward = ActionKind::Forward(Forward { groups, stickiness: None });
            LiveRoute { arn: route.clone(), actions: vec![Action { order: None, kind: forward }] }
        })
        .collect();
    let roles = plan::roles(&definition, &live, &Overrides::default())?;
    let survey = Survey {
        stable_targets: vec![TargetCounts { healthy: 2, registered: 2, ..TargetCounts::default() }],
        history: history(&definition.health, service, seed),
        ..Survey::default()
    };
    let version: Option<Version> = serde_json::from_value(serde_json::json!({"opaque": "simulated"})).ok();
    let draft = Draft {
        definition,
        version,
        overrides: Overrides::default(),
        roles: Some(roles),
        survey,
        refusals: Vec::new(),
    };
    draft.plan()
}

/// A service with this policy. Alarms and metrics of its own are nothing that could be simulated.
fn definition(strategy: &Strategy, health: &HealthPolicy) -> ServiceDefinition {
    let slot = |name: &str| SlotDefinition {
        price_per_hour: None,
        target_groups: TargetGroupArn::parse(format!("{ELB}:targetgroup/{name}/0")).into_iter().collect(),
        compute: Compute::External,
    };
    ServiceDefinition {
        service: ServiceName::parse("simulated").unwrap_or_else(|_| unreachable!("a service name")),
        routes: RouteArn::parse(format!("{ELB}:listener/app/simulated/0/0")).into_iter().collect(),
        slots: PerSlot { blue: slot("blue"), green: slot("green") },
        strategy: strategy.clone(),
        readiness: Readiness::default(),
        health: HealthPolicy { alarms: Vec::new(), metrics: Vec::new(), ..health.clone() },
        retirement: Retirement::default(),
        on_conflict: OnConflict::default(),
        traffic: TrafficPolicy::default(),
        test_routes: Vec::new(),
        hooks: Hooks::default(),
    }
}

/// The stable version's hours before, zone by zone. Thresholds are multiples of its median response time.
fn history(health: &HealthPolicy, service: &Service, seed: u64) -> History {
    let quantile = |share: f64| (service.latency.spread * Normal::standard().inverse_cdf(share)).exp();
    // These seconds are medians of the service, so that what is meant as seconds is left out.
    let latency = LatencyPolicy { floor_milliseconds: 0, objectives: BTreeMap::new(), ..health.latency.clone() };
    let thresholds = latency.quantiles.iter().filter_map(|&which| {
        use spillway_core::judge::latency::Quantile::{P50, P90, P99};
        let share = match which {
            P50 => 0.5,
            P90 => 0.9,
            P99 => 0.99,
        };
        Some((which, latency.threshold(which, Some(quantile(share)))?))
    });
    let mut thresholds: Vec<_> = thresholds.collect();
    thresholds.sort_by(|a, b| a.1.total_cmp(&b.1));
    let seconds: Vec<f64> = thresholds.iter().map(|(_, seconds)| *seconds).collect();

    let zone = Service { requests_per_second: service.requests_per_second / ZONES as f64, ..*service };
    let nobody = Candidate::times("", 1.0, service);
    let traffic = Traffic::at(&zone, &nobody, 0.0, f64::from(health.period_seconds), &seconds);
    let mut generator = Generator::seed_from_u64(seed);
    let mut by_kind = vec![vec![Vec::new(); PERIODS]; 1 + seconds.len()];
    let mut period = Vec::new();
    for at in 0..PERIODS {
        for _ in 0..ZONES {
            traffic.period(&mut generator, &mut period);
            for (kind, pair) in by_kind.iter_mut().zip(&period) {
                kind[at].push(pair.stable);
            }
        }
    }
    let mut by_kind = by_kind.into_iter();
    let by_zone: Vec<Vec<Counts>> = by_kind.next().unwrap_or_default();
    let latency = std::iter::zip(thresholds, by_kind)
        .map(|((quantile, seconds), by_zone)| SlowHistory { quantile, seconds, by_zone })
        .collect();
    let service = by_zone.iter().map(|zones| zones.iter().copied().sum()).collect();
    History { period_seconds: health.period_seconds, service, by_zone, latency, metrics: Vec::new() }
}
