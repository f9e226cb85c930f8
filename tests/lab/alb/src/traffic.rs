//! Counts what happens on the data plane: as metrics, and as totals since the start.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::arn::{load_balancer_dimension, target_group_dimension};
use crate::counts::{Counts, ElbCounts};
use crate::metrics::{Dimensions, Metric, Metrics};
use crate::route::Chosen;
use crate::state::State;
use crate::target_group::Health;

/// The recorder of the data plane.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    pub(crate) metrics: Metrics,
    totals: Mutex<Totals>,
}

#[derive(Debug, Default)]
struct Totals {
    groups: HashMap<String, Counts>,
    load_balancers: HashMap<String, ElbCounts>,
}

impl Traffic {
    pub(crate) fn group(&self, arn: &str) -> Counts {
        self.totals().groups.get(arn).copied().unwrap_or_default()
    }

    pub(crate) fn load_balancer(&self, arn: &str) -> ElbCounts {
        self.totals().load_balancers.get(arn).copied().unwrap_or_default()
    }

    /// A request arrived.
    pub(crate) fn arrived(&self, load_balancer: &str) {
        self.totals().load_balancers.entry(load_balancer.to_owned()).or_default().requests += 1;
    }

    /// A target was chosen for a request, which makes it count ("only incremented for requests where
    /// the load balancer node was able to choose a target").
    #[expect(clippy::cast_precision_loss, reason = "nobody registers 2^52 targets")]
    pub(crate) fn chosen(&self, chosen: &Chosen) {
        self.totals().groups.entry(chosen.group.clone()).or_default().requests += 1;
        let at = Timestamp::now();
        self.metrics.record(at, Metric::RequestCount, chosen.dimensions.clone(), 1.0);
        let zone = chosen.dimensions.clone();
        let group = Dimensions { zone: None, ..zone.clone() };
        let per_target = Metric::RequestCountPerTarget;
        self.metrics.record(at, per_target, group, 1.0 / chosen.targets.max(1) as f64);
        self.metrics.record(at, per_target, zone, 1.0 / chosen.zone_targets.max(1) as f64);
    }

    /// A target has begun to answer.
    pub(crate) fn answered(&self, chosen: &Chosen, code: u16, after: Duration) {
        let at = Timestamp::now();
        {
            let mut totals = self.totals();
            let counts = totals.groups.entry(chosen.group.clone()).or_default();
            match code {
                200..=299 => counts.http_2xx += 1,
                300..=399 => counts.http_3xx += 1,
                400..=499 => counts.http_4xx += 1,
                500..=599 => counts.http_5xx += 1,
                _ => {}
            }
        }
        if let Some(metric) = Metric::of_target_code(code) {
            self.metrics.record(at, metric, chosen.dimensions.clone(), 1.0);
        }
        let time = Metric::TargetResponseTime;
        self.metrics.record(at, time, chosen.dimensions.clone(), after.as_secs_f64());
    }

    /// A connection to a target could not be established.
    pub(crate) fn connection_error(&self, chosen: &Chosen) {
        self.totals().groups.entry(chosen.group.clone()).or_default().connection_errors += 1;
        let metric = Metric::TargetConnectionErrors;
        self.metrics.record(Timestamp::now(), metric, chosen.dimensions.clone(), 1.0);
    }

    /// The load balancer answered 502, 503 or 504 itself.
    pub(crate) fn elb_error(&self, load_balancer: &str, code: u16) {
        self.totals().load_balancers.entry(load_balancer.to_owned()).or_default().elb_5xx += 1;
        let of_code = match code {
            502 => Some(Metric::Elb502),
            503 => Some(Metric::Elb503),
            504 => Some(Metric::Elb504),
            _ => None,
        };
        let at = Timestamp::now();
        for metric in [Some(Metric::Elb5xx), of_code].into_iter().flatten() {
            self.of_load_balancer(at, load_balancer, metric);
        }
    }

    pub(crate) fn fixed_response(&self, load_balancer: &str) {
        self.of_load_balancer(Timestamp::now(), load_balancer, Metric::FixedResponses);
    }

    pub(crate) fn redirect(&self, load_balancer: &str) {
        self.of_load_balancer(Timestamp::now(), load_balancer, Metric::Redirects);
    }

    /// Records how many targets of each group in use are healthy and how many are not.
    #[expect(clippy::cast_precision_loss, reason = "nobody registers 2^52 targets")]
    pub(crate) fn sample_hosts(&self, state: &State, at: Timestamp) {
        for group in state.target_groups.values() {
            let Some(load_balancer) = &group.used_by else { continue };
            let mut zones: Vec<Option<&str>> = group.targets.iter().map(|target| Some(target.zone.as_str())).collect();
            zones.push(None);
            zones.sort_unstable();
            zones.dedup();
            for zone in zones {
                let dimensions = Dimensions {
                    load_balancer: Some(load_balancer_dimension(load_balancer).to_owned()),
                    target_group: Some(target_group_dimension(&group.arn).to_owned()),
                    zone: zone.map(ToOwned::to_owned),
                };
                let healthy = group.count(zone, |health| *health == Health::Healthy);
                let unhealthy = group.count(zone, |health| matches!(health, Health::Unhealthy(_)));
                self.metrics.record(at, Metric::HealthyHosts, dimensions.clone(), healthy as f64);
                self.metrics.record(at, Metric::UnhealthyHosts, dimensions, unhealthy as f64);
            }
        }
    }

    fn of_load_balancer(&self, at: Timestamp, load_balancer: &str, metric: Metric) {
        let dimensions = Dimensions {
            load_balancer: Some(load_balancer_dimension(load_balancer).to_owned()),
            ..Dimensions::default()
        };
        self.metrics.record(at, metric, dimensions, 1.0);
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
