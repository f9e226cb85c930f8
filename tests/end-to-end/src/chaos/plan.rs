//! What a release goes through, chosen by a seed. No clock and no lab: the same seed gives the same plan.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use spillway_lab::Slot;
use spillway_lab::functions::FUNCTIONS;

/// The latest moment at which a fault begins, in milliseconds after the release's start: about as long as one takes.
const LAST_START_MS: u64 = 16_000;

/// Calls of the functions that can fail or lose their answers: to the load balancer and the metrics, and to the lease table
/// and ECS.
const CALLS: [&str; 8] = [
    "ModifyRule",
    "DescribeRules",
    "DescribeTargetHealth",
    "GetMetricData",
    "GetItem",
    "DescribeServices",
    "UpdateService",
    "RegisterTaskDefinition",
];

/// One release, and what happens meanwhile.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Chooses everything else.
    pub seed: u64,
    /// What is released.
    pub version: Version,
    /// `canary`, `linear`, `blue_green` or `all_at_once`.
    pub strategy: &'static str,
    /// `reject`, `queue` or `supersede`.
    pub on_conflict: &'static str,
    /// The faults, earliest first.
    pub faults: Vec<Planned>,
}

/// A version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Version {
    /// It answers well.
    Sound,
    /// This share of its answers are errors, in percent.
    Faulty(u8),
}

/// A fault and its time.
#[derive(Clone, Debug, PartialEq)]
pub struct Planned {
    /// After the release's start.
    pub at: Duration,
    /// What happens.
    pub fault: Fault,
}

/// What can happen. Those of the load balancer, the metrics and the functions meet every service of the lab.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Every process of a function is killed as soon as it is seen, for this long.
    KillFunction(&'static str, Duration),
    /// The load balancer's API takes few calls.
    ThrottleLoadBalancer(Duration),
    /// Few questions for metrics are answered.
    ThrottleMetrics(Duration),
    /// The lease table and ECS take few calls of the functions.
    ThrottleCalls(Duration),
    /// No question for metrics is answered.
    DropMetrics(Duration),
    /// The next calls of an action take effect and are not answered.
    LoseAnswers(&'static str, usize),
    /// The next calls of an action fail and have no effect.
    FailCalls(&'static str, usize),
    /// For a while, reads of routes are this old.
    StaleReads(Duration, Duration),
    /// For a while, changes of routes take this long to reach users.
    SlowPropagation(Duration, Duration),
    /// The oldest process of a slot is killed.
    KillTask(Slot),
    /// The release is stopped: no Catch runs.
    StopRelease,
    /// The guard's next recovery of the service is stopped, this long after its start.
    StopRecovery(Duration),
    /// The next retirement of one of the service's slots is stopped, this long after its start.
    StopRetirement(Duration),
    /// Another release of the service is started.
    SecondRelease(Version),
    /// A guard too many.
    Guard,
}

impl Fault {
    /// How many kinds there are.
    pub const KINDS: usize = 15;

    /// Its name in the report.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::KillFunction(..) => "function killed",
            Self::ThrottleLoadBalancer(_) => "load balancer's API throttled",
            Self::ThrottleMetrics(_) => "metrics throttled",
            Self::ThrottleCalls(_) => "lease table and ECS throttled",
            Self::DropMetrics(_) => "metrics down",
            Self::LoseAnswers(..) => "answers lost",
            Self::FailCalls(..) => "calls failed",
            Self::StaleReads(..) => "stale reads",
            Self::SlowPropagation(..) => "slow propagation",
            Self::KillTask(_) => "task killed",
            Self::StopRelease => "release stopped",
            Self::StopRecovery(_) => "recovery stopped",
            Self::StopRetirement(_) => "retirement stopped",
            Self::SecondRelease(_) => "second release",
            Self::Guard => "extra guard",
        }
    }

    /// Whether users may notice it, however well they are looked after.
    #[must_use]
    pub fn touches_users(&self) -> bool {
        matches!(self, Self::KillTask(_) | Self::SecondRelease(Version::Faulty(_)))
    }
}

impl Plan {
    /// The plan of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let version = version(&mut rng);
        let strategy = pick(&mut rng, &["canary", "canary", "linear", "blue_green", "all_at_once"]);
        let on_conflict = pick(&mut rng, &["reject", "queue", "supersede"]);
        let mut faults = Vec::new();
        for _ in 0..rng.usize(0..=3) {
            let at = milliseconds(&mut rng, 0, LAST_START_MS);
            let fault = fault(&mut rng);
            if fault == Fault::StopRelease && rng.u8(0..3) == 0 {
                let after = milliseconds(&mut rng, 0, 15_000);
                faults.push(Planned { at, fault: Fault::StopRecovery(after) });
            }
            faults.push(Planned { at, fault });
        }
        faults.sort_by_key(|planned| planned.at);
        Self { seed, version, strategy, on_conflict, faults }
    }
}

fn version(rng: &mut Rng) -> Version {
    if rng.u8(0..10) < 7 { Version::Sound } else { Version::Faulty(rng.u8(50..=90)) }
}

fn fault(rng: &mut Rng) -> Fault {
    match rng.u8(0..22) {
        0..=2 => Fault::KillFunction(pick(rng, &FUNCTIONS), milliseconds(rng, 100, 3000)),
        3 => Fault::ThrottleLoadBalancer(milliseconds(rng, 1000, 6000)),
        4 => Fault::ThrottleMetrics(milliseconds(rng, 1000, 6000)),
        5 => Fault::DropMetrics(milliseconds(rng, 500, 5000)),
        6 | 7 | 19 => Fault::LoseAnswers(pick(rng, &CALLS), rng.usize(1..=3)),
        8 | 20 => Fault::FailCalls(pick(rng, &CALLS), rng.usize(1..=4)),
        21 => Fault::ThrottleCalls(milliseconds(rng, 1000, 6000)),
        9 => Fault::StaleReads(milliseconds(rng, 300, 2000), milliseconds(rng, 1000, 6000)),
        10 => Fault::SlowPropagation(milliseconds(rng, 300, 3000), milliseconds(rng, 1000, 6000)),
        11 => Fault::KillTask(if rng.bool() { Slot::Blue } else { Slot::Green }),
        12..=14 => Fault::StopRelease,
        15 => Fault::StopRetirement(milliseconds(rng, 0, 6000)),
        16 | 17 => Fault::SecondRelease(version(rng)),
        _ => Fault::Guard,
    }
}

fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(0..from.len())]
}

fn milliseconds(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_millis(rng.u64(from..=to) / 100 * 100)
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sound => f.write_str("sound"),
            Self::Faulty(percent) => write!(f, "faulty ({percent} % errors)"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = Duration::as_secs_f64;
        match self {
            Self::KillFunction(name, lasting) => write!(f, "kill {name} for {} s", s(lasting)),
            Self::ThrottleLoadBalancer(lasting) => write!(f, "throttle the load balancer's API for {} s", s(lasting)),
            Self::ThrottleMetrics(lasting) => write!(f, "throttle metrics for {} s", s(lasting)),
            Self::ThrottleCalls(lasting) => write!(f, "throttle the lease table and ECS for {} s", s(lasting)),
            Self::DropMetrics(lasting) => write!(f, "no metrics for {} s", s(lasting)),
            Self::LoseAnswers(action, count) => write!(f, "lose {count} answers to {action}"),
            Self::FailCalls(action, count) => write!(f, "fail {count} calls of {action}"),
            Self::StaleReads(old, lasting) => write!(f, "reads {} s old for {} s", s(old), s(lasting)),
            Self::SlowPropagation(delay, lasting) => write!(f, "changes {} s late for {} s", s(delay), s(lasting)),
            Self::KillTask(slot) => write!(f, "kill a task of {slot}"),
            Self::StopRelease => f.write_str("stop the release"),
            Self::StopRecovery(after) => write!(f, "stop its recovery {} s after its start", s(after)),
            Self::StopRetirement(after) => write!(f, "stop a retirement {} s after its start", s(after)),
            Self::SecondRelease(version) => write!(f, "release another version, {version}"),
            Self::Guard => f.write_str("start a guard"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}: {}, {}, {}", self.seed, self.version, self.strategy, self.on_conflict)?;
        for Planned { at, fault } in &self.faults {
            write!(f, "; {} s: {fault}", at.as_secs_f64())?;
        }
        Ok(())
    }
}
