//! Planning: from a definition and the live routes to everything that a release will need.

mod forecast;
mod overrides;
mod refusal;
mod roles;
mod strangers;
mod survey;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::arn::{LoadBalancerDimension, RouteArn, TargetGroupArn};
use crate::definition::length::{self, Step};
use crate::definition::{
    Compute, DryRun, HealthPolicy, Readiness, Retirement, ServiceDefinition, ServiceName, StrategyType, TrafficPolicy,
};
use crate::hook::Hooks;
use crate::judge::comparison::{Term, Terms};
use crate::judge::dispersion::dispersion;
use crate::judge::latency::Quantile;
use crate::judge::sequential::{ERRORS, Horizon};
use crate::route::{self, Action, Groups};
use crate::scaling::{GIVE_BACK_AFTER_SECONDS, Scaling};
use crate::slot::Slot;
use crate::version::Version;
use crate::weight::Percent;

pub use forecast::Forecast;
pub use overrides::{OVERRIDABLE, Overrides};
pub use refusal::{Refusal, Refused};
pub use roles::{LiveRoute, Roles, roles};
pub use strangers::strangers;
pub use survey::{AlarmState, History, SlowHistory, Survey, history_window, quantile_window, typical};

/// Least dispersion with group stickiness: an access log split by client called 23 % of equal halves unhealthy at 1,
/// and none at this.
pub(crate) const STICKY: f64 = 10.0;

/// What a release will do. Written into the lease before anything is changed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Plan {
    /// The service.
    pub service: ServiceName,
    /// What is released.
    pub version: Version,
    /// When it was planned: since then two slots run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned_at: Option<Timestamp>,
    /// Which strategy the steps come from.
    pub strategy: StrategyType,
    /// The slot with the traffic.
    pub stable: Side,
    /// The slot that gets the version.
    pub candidate: Side,
    /// Why the release may go on without a healthy stable slot, where it may: then only absolute checks apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_stable: Option<String>,
    /// The routes, in the definition's order, which is the order of writing.
    pub routes: Vec<PlannedRoute>,
    /// The steps before the promotion.
    pub steps: Vec<Step>,
    /// Weights beyond which a person must approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approval_at: Vec<Percent>,
    /// When the candidate counts as ready.
    pub readiness: Readiness,
    /// How health is judged.
    pub health: HealthPolicy,
    /// What the hours before the release say about that.
    pub baseline: Baseline,
    /// What the measured traffic must be like.
    #[serde(default)]
    pub traffic: TrafficPolicy,
    /// The longest that a client stays with the group that answered it, over all routes, in seconds; 0 without group
    /// stickiness.
    #[serde(default)]
    pub sticky_seconds: u32,
    /// Healthy targets of each of the stable slot's groups before the release: enough for all traffic.
    #[serde(default)]
    pub stable_hosts: Vec<u32>,
    /// The routes that lead testers to the candidate, in the definition's order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub test_routes: Vec<PlannedRoute>,
    /// What scales the slots by themselves, as it was before: neither slot scales in during the release.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaling: Vec<Scaling>,
    /// Functions to be asked on the way.
    #[serde(default, skip_serializing_if = "Hooks::is_empty")]
    pub hooks: Hooks,
    /// What the release has otherwise than the definition's `strategy`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub overridden: Map<String, Value>,
    /// What whoever starts the release should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// When the slot without traffic is scaled down.
    pub retirement: Retirement,
    /// Seconds after the release until its retirement has something to do: the rollback window, the life of the longest
    /// cookie, after which a slot is attached again that was taken out for it, or until the slot that serves may scale in
    /// again.
    #[serde(default)]
    pub retire_after_seconds: u32,
}

/// One slot in its role.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Side {
    /// Which slot.
    pub slot: Slot,
    /// Its target groups, each with its load balancer.
    pub groups: Vec<PlannedGroup>,
    /// What runs behind them.
    pub compute: Compute,
    /// What it costs in an hour while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_per_hour: Option<f64>,
}

/// A target group behind its load balancer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PlannedGroup {
    /// The group.
    pub arn: TargetGroupArn,
    /// The only load balancer that uses it.
    pub load_balancer: LoadBalancerDimension,
}

/// A route, its two groups, and its actions before the release.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PlannedRoute {
    /// The route.
    pub arn: RouteArn,
    /// The stable slot's group behind it.
    pub stable: TargetGroupArn,
    /// The candidate slot's.
    pub candidate: TargetGroupArn,
    /// The actions as they were before the release.
    pub original: Vec<Action>,
}

impl PlannedRoute {
    /// Whether the route kept clients with the slot that answered them first, before the release.
    #[must_use]
    pub fn is_sticky(&self) -> bool {
        route::forwards(&self.original).any(|forward| forward.sticky_seconds() > 0)
    }

    /// The two groups.
    #[must_use]
    pub fn groups(&self) -> Groups<'_> {
        Groups { stable: &self.stable, candidate: &self.candidate }
    }
}

/// What the hours before the release say: frozen for the release, since a threshold or a dispersion that followed
/// the data would prove nothing.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Baseline {
    /// Dispersion of errors, at least 1: by so much they vary more than independent ones.
    pub phi: f64,
    /// What is slow.
    pub latency: Vec<Threshold>,
    /// Dispersion of each of the service's own metrics, at least 1.
    pub metric_phis: Vec<f64>,
}

impl Default for Baseline {
    fn default() -> Self {
        Self { phi: 1.0, latency: Vec::new(), metric_phis: Vec::new() }
    }
}

/// From when on an answer is slow.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Threshold {
    /// The quantile that it stands for.
    pub quantile: Quantile,
    /// Slower than so many seconds.
    pub seconds: f64,
    /// Dispersion of slow requests, at least 1.
    pub phi: f64,
}

/// Everything that a plan is made of.
#[derive(Clone, Debug)]
pub struct Draft {
    /// The definition.
    pub definition: ServiceDefinition,
    /// What is to be released, if that could be read.
    pub version: Option<Version>,
    /// The overrides.
    pub overrides: Overrides,
    /// Which slot is stable, if that is clear.
    pub roles: Option<Roles>,
    /// What was found out about the service.
    pub survey: Survey,
    /// Reasons not to start that are known already.
    pub refusals: Vec<Refusal>,
}

impl Draft {
    /// Puts the plan together, or refuses.
    ///
    /// # Errors
    /// [`Refused`] with every reason.
    pub fn plan(self) -> Result<Plan, Refused> {
        let Self { definition, version, overrides, roles, survey, mut refusals } = self;
        refusals.extend(survey.refusals(&definition.health));
        let sides = roles
            .as_ref()
            .map(|roles| (roles.side(&definition, roles.stable), roles.side(&definition, roles.stable.other())));
        if let Some((stable, candidate)) = &sides {
            refusals.extend(version.as_ref().and_then(|version| unsuitable(version, &candidate.compute)));
            if overrides.without_stable.is_none() {
                refusals.extend(unhealthy(stable, &survey));
            }
        }
        let (Some(version), Some(roles), Some((stable, candidate)), true) =
            (version, roles, sides, refusals.is_empty())
        else {
            return Err(Refused(refusals));
        };

        let health = definition.health;
        let mut baseline = survey.history.baseline(&health);
        let mut warnings: Vec<String> = overrides.warning().into_iter().chain(survey.warnings(&health)).collect();
        let sticky_seconds = sticky_seconds(&roles);
        if sticky_seconds > 0 {
            baseline.allow_for_sticky_clients();
            warnings.push(format!(
                "stickiness: clients stay with a slot for up to {sticky_seconds} s, so that one failing client is many errors: a dispersion of at least {STICKY} is assumed, and the measured share follows the weights slowly, from below; at 100 %, and in a rollback, the loser is taken out of the route until the last cookie has expired, and a rollback after that awaits its health first"
            ));
            warnings.extend(roles.routes.iter().filter_map(pinned_already));
        }
        let mut steps = definition.strategy.steps();
        if overrides.without_stable.is_some() {
            // Nothing serves on the other side, so there is nothing to be careful with and to compare with.
            if let Some(last) = steps.pop() {
                steps = vec![Step { weight: Percent::ALL, ..last }];
            }
        } else {
            let forecast = survey.history.forecast();
            warnings.extend(forecast.choose_last_step(&mut steps, definition.strategy.adapt, baseline.phi));
            let adapt = definition.strategy.adapt;
            warnings.extend(forecast.shorten_hopeless_steps(&mut steps, adapt, &health, baseline.phi));
            warnings.extend(forecast.warnings(&steps, &health, baseline.phi));
        }
        Ok(Plan {
            steps,
            service: definition.service,
            version,
            planned_at: None,
            strategy: definition.strategy.kind,
            stable,
            candidate,
            without_stable: overrides.without_stable,
            routes: roles.routes,
            approval_at: definition.strategy.approval_at,
            readiness: definition.readiness,
            health,
            baseline,
            traffic: definition.traffic,
            sticky_seconds,
            stable_hosts: survey.stable_targets.iter().map(|counts| counts.usable()).collect(),
            test_routes: roles.test_routes,
            hooks: definition.hooks,
            overridden: overrides.strategy,
            warnings,
            retirement: definition.retirement,
            retire_after_seconds: [
                Some(definition.retirement.window_seconds),
                (sticky_seconds > 0).then(|| sticky_seconds + definition.traffic.settle_seconds),
                (!survey.scaling.is_empty()).then_some(GIVE_BACK_AFTER_SECONDS),
            ]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(0),
            scaling: survey.scaling,
        })
    }
}

fn unsuitable(version: &Version, compute: &Compute) -> Option<Refusal> {
    (!version.suits(compute)).then(|| Refusal::UnsuitableVersion {
        version: version.to_string(),
        compute: compute.to_string(),
        allowed: match compute {
            Compute::EcsService(_) => "image, task_definition, opaque",
            Compute::AutoScalingGroup(_) => "launch_template_version, opaque",
            Compute::External => "opaque",
        },
    })
}

/// The stable slot's groups that nothing healthy serves.
fn unhealthy(stable: &Side, survey: &Survey) -> Vec<Refusal> {
    std::iter::zip(&stable.groups, &survey.stable_targets)
        .filter(|(_, counts)| counts.healthy == 0)
        .map(|(group, counts)| Refusal::StableUnhealthy {
            slot: stable.slot,
            group: group.arn.clone(),
            counts: *counts,
        })
        .collect()
}

/// The longest that any route keeps clients with the slot that answered them first.
fn sticky_seconds(roles: &Roles) -> u32 {
    let forwards = roles.routes.iter().flat_map(|route| route::forwards(&route.original));
    forwards.map(route::Forward::sticky_seconds).max().unwrap_or(0)
}

/// What to know where the candidate is not in a sticky route: an earlier release may have taken it out.
fn pinned_already(route: &PlannedRoute) -> Option<String> {
    let forward = route::forward(&route.original).ok()?;
    let out = forward.sticky_seconds() > 0 && forward.weight(&route.candidate).is_none();
    out.then(|| {
        format!(
            "stickiness: {} is not in route {}; clients whose cookie still names it, from a release in the last {} s, reach it as soon as it is attached",
            route.candidate.name(),
            route.arn,
            forward.sticky_seconds()
        )
    })
}

impl Baseline {
    /// The history is of one slot, where clients of all kinds mix; between the slots they differ.
    fn allow_for_sticky_clients(&mut self) {
        let phis = self.latency.iter_mut().map(|threshold| &mut threshold.phi).chain(&mut self.metric_phis);
        for phi in phis.chain([&mut self.phi]) {
            *phi = phi.max(STICKY);
        }
    }
}

impl History {
    /// What it says about the judgement of the release.
    fn baseline(&self, health: &HealthPolicy) -> Baseline {
        let slow = self.latency.iter().map(|slow| Threshold {
            quantile: slow.quantile,
            seconds: slow.seconds,
            phi: dispersion(&slow.by_zone),
        });
        let metric_phis = (0..health.metrics.len()).map(|index| self.metrics.get(index).map_or(1.0, |m| dispersion(m)));
        Baseline { phi: dispersion(&self.by_zone), latency: slow.collect(), metric_phis: metric_phis.collect() }
    }
}

impl Plan {
    /// The candidate's weight at a position; after the last step comes the promotion.
    #[must_use]
    pub fn weight_at(&self, position: usize) -> Percent {
        self.steps.get(position).map_or(Percent::ALL, |step| step.weight)
    }

    /// The slot in this role or that.
    #[must_use]
    pub fn side(&self, slot: Slot) -> &Side {
        if self.stable.slot == slot { &self.stable } else { &self.candidate }
    }

    /// Whether going from one weight to another takes a person's approval.
    #[must_use]
    pub fn needs_approval(&self, from: Percent, to: Percent) -> bool {
        self.approval_at.iter().any(|weight| (from..to).contains(weight))
    }

    /// A route's group of this slot, and its counterpart.
    #[must_use]
    pub fn groups_of<'a>(&self, route: &'a PlannedRoute, slot: Slot) -> (&'a TargetGroupArn, &'a TargetGroupArn) {
        if self.stable.slot == slot { (&route.stable, &route.candidate) } else { (&route.candidate, &route.stable) }
    }

    /// Metric periods that the judge plans with.
    #[must_use]
    pub fn horizon(&self) -> Horizon {
        length::horizon(&self.steps, &self.health)
    }

    /// The dispersion of each of the service's own metrics.
    pub fn metric_phis(&self) -> impl Iterator<Item = f64> {
        self.baseline.metric_phis.iter().copied().chain(std::iter::repeat(1.0))
    }

    /// What is compared and how: errors, the latency thresholds, and the service's own metrics, in this order.
    #[must_use]
    pub fn terms(&self) -> Terms {
        let health = &self.health;
        let latency_decides = health.decides(DryRun::Latency);
        let slow = self.baseline.latency.iter().map(|threshold| Term {
            test: threshold.quantile.test(),
            phi: threshold.phi,
            decides: latency_decides,
        });
        let metrics = std::iter::zip(&health.metrics, self.metric_phis()).map(|(metric, phi)| metric.term(phi));
        let errors = Term { test: ERRORS, phi: self.baseline.phi, decides: health.decides(DryRun::Errors) };
        Terms {
            horizon: self.horizon(),
            errors,
            others: slow.chain(metrics).collect(),
            max_error_rate: health.max_error_rate.map(Percent::fraction),
        }
    }

    /// Seconds after which a release that still exposes users has taken longer than planned, waiting for people
    /// not counted.
    #[must_use]
    pub fn longest_exposure_seconds(&self) -> u64 {
        length::longest_exposure_seconds(&self.steps, &self.health)
            + u64::from(self.readiness.warm_up_seconds)
            + u64::from(self.traffic.settle_seconds)
            + self.hooks.longest_seconds(self.steps.len())
    }

    /// Seconds after the last write until no cookie can name a slot that was taken out of the routes any more: nodes
    /// that have not heard of it yet go on giving cookies for a while. 0 without group stickiness.
    #[must_use]
    pub fn cookie_seconds(&self) -> u32 {
        if self.sticky_seconds == 0 { 0 } else { self.sticky_seconds + self.traffic.settle_seconds }
    }

    /// Healthy targets of one of the stable slot's groups before the release.
    #[must_use]
    pub fn hosts_before(&self, group: &TargetGroupArn) -> u32 {
        let groups = std::iter::zip(&self.stable.groups, &self.stable_hosts);
        groups.filter(|(known, _)| known.arn == *group).map(|(_, hosts)| *hosts).max().unwrap_or(0)
    }

    /// The most healthy targets that one of the stable slot's groups had before the release; at least 1.
    #[must_use]
    pub fn hosts_wanted(&self) -> u32 {
        self.stable_hosts.iter().copied().max().unwrap_or(0).max(1)
    }

    /// Seconds that a release waits for people, all in all, before it is rolled back.
    #[must_use]
    pub fn longest_wait_seconds(&self) -> u64 {
        length::longest_wait_seconds(&self.health)
    }
}
