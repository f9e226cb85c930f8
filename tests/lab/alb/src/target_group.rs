//! A target group: its targets, their health, and which of them gets the next request.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// A target group as `DescribeTargetGroups` tells it, with its targets.
#[derive(Debug)]
pub(crate) struct TargetGroup {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) protocol_version: String,
    pub(crate) port: u16,
    pub(crate) vpc: String,
    pub(crate) target_type: TargetType,
    pub(crate) health_check: HealthCheck,
    pub(crate) attributes: BTreeMap<String, String>,
    /// The load balancer whose listeners or rules forward to this group: one at most.
    pub(crate) used_by: Option<String>,
    /// When the last listener or rule stopped forwarding to this group.
    released: Option<Instant>,
    pub(crate) targets: Vec<Target>,
    turn: usize,
}

/// How targets are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetType {
    Instance,
    Ip,
}

/// The health check settings, as the API has them; the data plane's interval is the settings'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HealthCheck {
    pub(crate) protocol: String,
    pub(crate) port: HealthPort,
    pub(crate) path: String,
    pub(crate) interval_seconds: u32,
    pub(crate) timeout_seconds: u32,
    pub(crate) healthy_threshold: u32,
    pub(crate) unhealthy_threshold: u32,
    pub(crate) matcher: Matcher,
}

/// The port that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HealthPort {
    Traffic,
    Fixed(u16),
}

/// Codes of a healthy answer: `200`, `200-299`, `200,202`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Matcher {
    pub(crate) text: String,
    ranges: Vec<(u16, u16)>,
}

impl Matcher {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let ranges = text
            .split(',')
            .map(|part| {
                let (from, to) = part.split_once('-').unwrap_or((part, part));
                let range = (from.trim().parse().ok()?, to.trim().parse().ok()?);
                (range.0 >= 200 && range.0 <= range.1 && range.1 <= 499).then_some(range)
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Self { text: text.to_owned(), ranges })
    }

    fn matches(&self, code: u16) -> bool {
        self.ranges.iter().any(|(from, to)| (*from..=*to).contains(&code))
    }
}

/// A registration of a target.
#[derive(Debug)]
pub(crate) struct Target {
    /// Tells this registration from an earlier one of the same target.
    pub(crate) registration: u64,
    pub(crate) id: String,
    pub(crate) port: u16,
    pub(crate) zone: String,
    pub(crate) given_zone: Option<String>,
    pub(crate) health: Health,
    /// Whether a health check is under way.
    pub(crate) checking: bool,
    successes: u32,
    failures: u32,
}

/// The health of a target, with the states and reasons of the API's model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// The group is in no listener or rule: nothing is checked.
    NotInUse,
    Registering,
    InitialChecking,
    Healthy,
    Unhealthy(Failure),
    Draining {
        until: Instant,
    },
}

/// How a health check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    Code(u16),
    Timeout,
    Failed,
}

/// What a health check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Code(u16),
    Timeout,
    Failed,
}

impl Health {
    /// State, reason and description, as `DescribeTargetHealth` words them.
    pub(crate) fn describe(&self) -> (&'static str, Option<&'static str>, Option<String>) {
        let words = |text: &str| Some(text.to_owned());
        match self {
            Self::NotInUse => (
                "unused",
                Some("Target.NotInUse"),
                words("Target group is not configured to receive traffic from the load balancer"),
            ),
            Self::Registering => {
                ("initial", Some("Elb.RegistrationInProgress"), words("Target registration is in progress"))
            }
            Self::InitialChecking => {
                ("initial", Some("Elb.InitialHealthChecking"), words("Initial health checks in progress"))
            }
            Self::Healthy => ("healthy", None, None),
            Self::Unhealthy(Failure::Code(code)) => (
                "unhealthy",
                Some("Target.ResponseCodeMismatch"),
                Some(format!("Health checks failed with these codes: [{code}]")),
            ),
            Self::Unhealthy(Failure::Timeout) => ("unhealthy", Some("Target.Timeout"), words("Request timed out")),
            Self::Unhealthy(Failure::Failed) => {
                ("unhealthy", Some("Target.FailedHealthChecks"), words("Health checks failed"))
            }
            Self::Draining { .. } => {
                ("draining", Some("Target.DeregistrationInProgress"), words("Target deregistration is in progress"))
            }
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        matches!(self, Self::Draining { .. })
    }
}

impl Target {
    /// Where the target is connected to: 127.0.0.1 for an instance, loopback addresses only for an
    /// IP address; nothing else is reachable from here.
    pub(crate) fn address(&self, target_type: TargetType, port: u16) -> Option<SocketAddr> {
        let ip = match target_type {
            TargetType::Instance => IpAddr::V4(Ipv4Addr::LOCALHOST),
            TargetType::Ip => self.id.parse().ok()?,
        };
        ip.is_loopback().then(|| SocketAddr::new(ip, port))
    }

    /// Counts a result; the state changes after the threshold's number of equal results in a row.
    /// A new target needs a single success ("it must pass one health check", user guide).
    pub(crate) fn record(&mut self, found: &Found, check: &HealthCheck) {
        let failure = match found {
            Found::Code(code) if check.matcher.matches(*code) => None,
            Found::Code(code) => Some(Failure::Code(*code)),
            Found::Timeout => Some(Failure::Timeout),
            Found::Failed => Some(Failure::Failed),
        };
        (self.successes, self.failures) =
            if failure.is_none() { (self.successes + 1, 0) } else { (0, self.failures + 1) };
        match (&self.health, failure) {
            (Health::NotInUse | Health::Draining { .. }, _) => {}
            (Health::Registering | Health::InitialChecking, None) => self.health = Health::Healthy,
            (Health::Unhealthy(_), None) if self.successes >= check.healthy_threshold => {
                self.health = Health::Healthy;
            }
            (_, Some(failure)) if self.failures >= check.unhealthy_threshold => {
                self.health = Health::Unhealthy(failure);
            }
            (Health::Registering, Some(_)) => self.health = Health::InitialChecking,
            _ => {}
        }
    }

    fn begin(&mut self, in_use: bool) {
        self.health = if in_use { Health::Registering } else { Health::NotInUse };
        (self.successes, self.failures) = (0, 0);
    }
}

/// What a new target group is made of.
pub(crate) struct Spec {
    pub(crate) arn: String,
    pub(crate) name: String,
    pub(crate) protocol: String,
    pub(crate) protocol_version: String,
    pub(crate) port: u16,
    pub(crate) vpc: String,
    pub(crate) target_type: TargetType,
    pub(crate) health_check: HealthCheck,
}

impl TargetGroup {
    pub(crate) fn new(spec: Spec) -> Self {
        let attributes = [
            ("deregistration_delay.timeout_seconds", "300"),
            ("load_balancing.algorithm.type", "round_robin"),
            ("load_balancing.cross_zone.enabled", "use_load_balancer_configuration"),
            ("slow_start.duration_seconds", "0"),
            ("stickiness.app_cookie.duration_seconds", "86400"),
            ("stickiness.enabled", "false"),
            ("stickiness.lb_cookie.duration_seconds", "86400"),
            ("stickiness.type", "lb_cookie"),
        ];
        Self {
            arn: spec.arn,
            name: spec.name,
            protocol: spec.protocol,
            protocol_version: spec.protocol_version,
            port: spec.port,
            vpc: spec.vpc,
            target_type: spec.target_type,
            health_check: spec.health_check,
            attributes: attributes.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            used_by: None,
            released: None,
            targets: Vec::new(),
            turn: 0,
        }
    }

    /// Notes which load balancer forwards here. Coming into use starts the health checks of every
    /// target afresh; going out of use ends them.
    pub(crate) fn set_used_by(&mut self, load_balancer: Option<String>, now: Instant) {
        if self.used_by.is_some() != load_balancer.is_some() {
            for target in self.targets.iter_mut().filter(|target| !target.health.is_draining()) {
                target.begin(load_balancer.is_some());
            }
        }
        if self.used_by.is_some() && load_balancer.is_none() {
            self.released = Some(now);
        }
        self.used_by = load_balancer;
    }

    /// Whether the group cannot be deleted: it is in use, or was until less than `slow_release` ago.
    pub(crate) fn is_held(&self, now: Instant, slow_release: Duration) -> bool {
        let releasing = self.released.is_some_and(|at| now.saturating_duration_since(at) < slow_release);
        self.used_by.is_some() || releasing
    }

    /// Registers a target; one that is registered already stays as it is, one that is draining
    /// starts again.
    pub(crate) fn register(&mut self, id: &str, port: u16, zone: Option<String>, region: &str, registration: u64) {
        self.targets.retain(|target| !(target.is(id, port) && target.health.is_draining()));
        if self.targets.iter().any(|target| target.is(id, port)) {
            return;
        }
        let derived = zone.clone().filter(|zone| zone != "all");
        let mut target = Target {
            registration,
            id: id.to_owned(),
            port,
            zone: derived.unwrap_or_else(|| zone_of(id, port, region)),
            given_zone: zone,
            health: Health::NotInUse,
            checking: false,
            successes: 0,
            failures: 0,
        };
        target.begin(self.used_by.is_some());
        self.targets.push(target);
    }

    /// Deregisters a target, or with no port all of this id. In a group in use it drains first.
    pub(crate) fn deregister(&mut self, id: &str, port: Option<u16>, delay: Duration, now: Instant) {
        let in_use = self.used_by.is_some();
        let matching = |target: &Target| target.id == id && port.is_none_or(|port| target.port == port);
        for target in &mut self.targets {
            if matching(target) && !target.health.is_draining() {
                target.health = Health::Draining { until: now + delay };
            }
        }
        if !in_use {
            self.targets.retain(|target| !matching(target));
        }
    }

    /// Removes the targets that have drained.
    pub(crate) fn prune(&mut self, now: Instant) {
        self.targets.retain(|target| !matches!(target.health, Health::Draining { until } if until <= now));
    }

    /// The target of the next request: the next healthy one in turn, or, when none is healthy, the
    /// next of all (fail-open); none if no target is registered that is not draining.
    pub(crate) fn pick(&mut self) -> Option<&Target> {
        let healthy = self.targets.iter().any(|target| target.health == Health::Healthy);
        let eligible: Vec<usize> = (0..self.targets.len())
            .filter(|index| match self.targets[*index].health {
                Health::Healthy => true,
                Health::Draining { .. } => false,
                _ => !healthy,
            })
            .collect();
        if eligible.is_empty() {
            return None;
        }
        self.turn = self.turn.wrapping_add(1);
        Some(&self.targets[eligible[self.turn % eligible.len()]])
    }

    /// How many targets are registered and not draining, in one zone or in all.
    pub(crate) fn registered(&self, zone: Option<&str>) -> usize {
        self.count(zone, |health| !health.is_draining())
    }

    pub(crate) fn count(&self, zone: Option<&str>, test: impl Fn(&Health) -> bool) -> usize {
        self.targets.iter().filter(|target| zone.is_none_or(|zone| target.zone == zone) && test(&target.health)).count()
    }
}

impl Target {
    pub(crate) fn is(&self, id: &str, port: u16) -> bool {
        self.id == id && self.port == port
    }
}

/// Spreads targets over two zones by a hash (FNV-1a) of what they are called.
fn zone_of(id: &str, port: u16, region: &str) -> String {
    let hash = format!("{id}:{port}")
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{region}{}", if (hash >> 32) % 2 == 0 { 'a' } else { 'b' })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> TargetGroup {
        TargetGroup::new(Spec {
            arn: "arn".to_owned(),
            name: "blue".to_owned(),
            protocol: "HTTP".to_owned(),
            protocol_version: "HTTP1".to_owned(),
            port: 80,
            vpc: "vpc".to_owned(),
            target_type: TargetType::Ip,
            health_check: HealthCheck {
                protocol: "HTTP".to_owned(),
                port: HealthPort::Traffic,
                path: "/".to_owned(),
                interval_seconds: 30,
                timeout_seconds: 5,
                healthy_threshold: 3,
                unhealthy_threshold: 2,
                matcher: Matcher::parse("200-299,301").unwrap(),
            },
        })
    }

    #[test]
    fn thresholds_count_equal_results_in_a_row() {
        let mut group = group();
        let check = group.health_check.clone();
        group.register("127.0.0.1", 1, None, "r", 1);
        assert_eq!(group.targets[0].health, Health::NotInUse);
        group.set_used_by(Some("lb".to_owned()), Instant::now());
        let target = &mut group.targets[0];
        let unhealthy = Health::Unhealthy(Failure::Code(500));
        for (found, expected) in [
            (500, Health::InitialChecking),
            (200, Health::Healthy),
            (500, Health::Healthy),
            (301, Health::Healthy),
            (500, Health::Healthy),
            (500, unhealthy.clone()),
            (200, unhealthy.clone()),
            (200, unhealthy),
            (204, Health::Healthy),
        ] {
            target.record(&Found::Code(found), &check);
            assert_eq!(target.health, expected);
        }
        group.set_used_by(None, Instant::now());
        assert_eq!(group.targets[0].health, Health::NotInUse);
    }

    #[test]
    fn healthy_targets_take_turns_and_with_none_all_do() {
        let mut group = group();
        group.set_used_by(Some("lb".to_owned()), Instant::now());
        for port in 1..=3 {
            group.register("127.0.0.1", port, None, "r", u64::from(port));
        }
        let picked = |group: &mut TargetGroup| -> Vec<u16> {
            let mut ports: Vec<u16> = (0..6).filter_map(|_| group.pick().map(|target| target.port)).collect();
            ports.sort_unstable();
            ports
        };
        assert_eq!(picked(&mut group), [1, 1, 2, 2, 3, 3]);
        group.targets[1].health = Health::Healthy;
        assert_eq!(picked(&mut group), [2; 6]);
        let now = Instant::now();
        group.deregister("127.0.0.1", Some(2), Duration::from_secs(1), now);
        assert_eq!(picked(&mut group), [1, 1, 1, 3, 3, 3]);
        group.prune(now + Duration::from_secs(1));
        assert_eq!(group.targets.len(), 2);
    }

    #[test]
    fn matchers() {
        for (text, valid) in [("200", true), ("200-299", true), ("200,202", true), ("600", false), ("x", false)] {
            assert_eq!(Matcher::parse(text).is_some(), valid, "{text}");
        }
    }
}
