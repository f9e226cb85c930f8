//! What the functions see and change: routes, compute, targets, and the traffic that follows from them.
//!
//! It is as simple as faithful allows: capacity is there as soon as it is asked for, routes are as they were written, and
//! metrics are what the weights over time make of a steady traffic.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use spillway_core::arn::{RouteArn, TargetGroupArn};
use spillway_core::compute::{EcsDeployment, EcsState, Rollout};
use spillway_core::metrics::{Metric, Query, Series, Statistic, Subject, Window};
use spillway_core::plan::AlarmState;
use spillway_core::route::{self, Action};
use spillway_core::slot::Slot;
use spillway_core::targets::TargetState;

/// The share of them that fails on a sound version, and on a sick one.
const ERRORS: [f64; 2] = [0.001, 0.2];
/// Every quantile of the response time.
const RESPONSE_SECONDS: f64 = 0.123_456_789;
/// How long after a write reads may still tell what was there before.
const LATE: SignedDuration = SignedDuration::from_secs(30);
/// An invocation that has seen a slot healthy acts on that so much later at most.
const BELIEVED: SignedDuration = SignedDuration::from_secs(30);
/// For so long a slot must have had no request before it is scaled down: what the definitions say.
const QUIET: SignedDuration = SignedDuration::from_secs(60);
/// How long ago weights still matter.
const MEMORY: SignedDuration = SignedDuration::from_hours(2);

/// Routes and their actions, each until a moment.
pub type Before = BTreeMap<Arc<str>, (Timestamp, Arc<Vec<Action>>)>;

/// One slot's compute.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Capacity {
    /// Tasks.
    pub desired: u32,
    /// The task definition revision.
    pub revision: String,
    /// Number of its deployment.
    pub deployment: u32,
    /// Whether its tasks fail their health checks.
    pub dead: bool,
    /// When they last began to.
    pub died_at: Option<Timestamp>,
}

/// Everything there is, but for leases and executions.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// Routes and their actions; one that is gone is not there.
    pub routes: BTreeMap<Arc<str>, Arc<Vec<Action>>>,
    /// What they were before the last write to each; where reads can be late.
    pub before: Option<Before>,
    /// The routes of users, all of which have the same traffic.
    pub users: Vec<Arc<str>>,
    /// Compute of blue and green.
    pub capacity: [Capacity; 2],
    /// Whether scale-in of blue and green is suspended; `None` for a service that nothing scales.
    pub scale_in_suspended: [Option<bool>; 2],
    /// Task definition revisions, by the release that registered them.
    pub revisions: BTreeMap<String, String>,
    /// Requests of each slot in a minute since then, in thousandths of the whole.
    pub shares: Vec<(Timestamp, [u32; 2])>,
    /// Requests of users to one route in a minute.
    pub requests: f64,
    /// The slot that all users are on, and whether it was healthy when that was chosen.
    pub settled: Option<(Slot, bool)>,
    /// Every alarm.
    pub alarm: AlarmState,
    /// The revision that is sick.
    pub sick: Option<String>,
    /// The largest fence that something was changed under: by a rollback, and by anything else.
    pub fences: [u64; 2],
    /// Where reads are not to be trusted, what an invocation has written: as if nothing were read back.
    pub believed: Option<BTreeMap<String, Vec<Action>>>,
    /// What must never happen, and has.
    pub violation: Option<String>,
}

/// Who changes something.
#[derive(Clone, Copy, Debug)]
pub struct Author {
    /// Under which fence.
    pub fence: u64,
    /// Whether it rolls back.
    pub rolls_back: bool,
}

/// Index of a slot.
#[must_use]
pub fn index(slot: Slot) -> usize {
    usize::from(slot == Slot::Green)
}

/// The slot that a target group's name ends in.
fn slot_of(group: &TargetGroupArn) -> Option<Slot> {
    match group.name() {
        "blue" => Some(Slot::Blue),
        "green" => Some(Slot::Green),
        _ => None,
    }
}

impl Cloud {
    /// What stands in for a cloud while it is lent to an invocation.
    #[must_use]
    pub(crate) fn nothing() -> Self {
        let capacity = || Capacity { desired: 0, revision: String::new(), deployment: 0, dead: false, died_at: None };
        Self {
            routes: BTreeMap::new(),
            before: None,
            users: Vec::new(),
            capacity: [capacity(), capacity()],
            scale_in_suspended: [None; 2],
            revisions: BTreeMap::new(),
            shares: Vec::new(),
            requests: 0.0,
            settled: None,
            alarm: AlarmState::Ok,
            sick: None,
            fences: [0; 2],
            believed: None,
            violation: None,
        }
    }

    /// The weights of blue and green in a route, where its forward has them.
    #[must_use]
    pub fn weights(&self, route: &str) -> [Option<u16>; 2] {
        let mut weights = [None; 2];
        for forward in self.routes.get(route).into_iter().flat_map(|actions| route::forwards(actions)) {
            for group in &forward.groups {
                if let Some(slot) = slot_of(&group.arn) {
                    weights[index(slot)] = Some(group.weight);
                }
            }
        }
        weights
    }

    /// Whether any route, of users or testers, gives a slot weight.
    #[must_use]
    pub fn carries(&self, slot: Slot) -> bool {
        self.routes.keys().any(|route| self.weights(route)[index(slot)] > Some(0))
    }

    fn is_attached(&self, slot: Slot) -> bool {
        self.routes.keys().any(|route| self.weights(route)[index(slot)].is_some())
    }

    /// Whether a slot would answer.
    #[must_use]
    pub fn is_healthy(&self, slot: Slot) -> bool {
        let capacity = &self.capacity[index(slot)];
        capacity.desired > 0 && !capacity.dead
    }

    /// Takes note of a change under this fence.
    ///
    /// Nobody changes anything after someone newer has. But a rollback that could not renew its lease goes on, and so may
    /// do once more what its own recovery has done: users come first, and both lead to the same.
    fn changed(&mut self, by: Author, what: &str) {
        let newer = if by.rolls_back { self.fences[1] } else { self.fences[0].max(self.fences[1]) };
        let fence = by.fence;
        if fence < newer {
            self.violate(format!("{what} under fence {fence}, after something was changed under fence {newer}"));
        }
        let mark = &mut self.fences[usize::from(!by.rolls_back)];
        *mark = fence.max(*mark);
    }

    /// Notes that something happened which must not; the first one counts.
    pub fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    /// Reads a route.
    #[must_use]
    pub fn read(&self, route: &RouteArn) -> Option<Vec<Action>> {
        self.routes.get(route.as_str()).map(|actions| (**actions).clone())
    }

    /// What a late read of a route tells, where reads can be late.
    #[must_use]
    pub fn earlier(&self, route: &str, now: Timestamp) -> Option<Vec<Action>> {
        let (at, actions) = self.before.as_ref()?.get(route)?;
        (now.duration_since(*at) <= LATE).then(|| (**actions).clone())
    }

    /// Writes a route; `None` if there is none.
    pub fn write(&mut self, route: &RouteArn, actions: &[Action], by: Author, now: Timestamp) -> Option<()> {
        let live = self.routes.get_mut(route.as_str())?;
        let was = std::mem::replace(live, Arc::new(actions.to_vec()));
        if let Some(before) = &mut self.before {
            before.insert(route.as_str().into(), (now, was));
        }
        self.changed(by, &format!("route {} was written", route.as_str().rsplit('/').next().unwrap_or_default()));
        self.shifted(now);
        self.settle(|cloud, slot| cloud.seems_healthy(slot, now) || !cloud.is_healthy(slot.other()));
        self.check_floor();
        Some(())
    }

    /// Notes what strangers have done to routes: what they choose is theirs.
    pub fn edited(&mut self, now: Timestamp) {
        self.shifted(now);
        self.settle(|_, _| true);
    }

    /// Notes which slot all users are on, and whether it was right to choose it.
    fn settle(&mut self, is_right: impl FnOnce(&Self, Slot) -> bool) {
        let on = Slot::BOTH.into_iter().find(|slot| {
            self.users.iter().filter(|route| self.routes.contains_key(*route)).all(|route| {
                let weights = self.weights(route);
                weights[index(*slot)] > Some(0) && weights[index(slot.other())].unwrap_or(0) == 0
            })
        });
        if on != self.settled.map(|(slot, _)| slot) {
            self.settled = on.map(|slot| (slot, is_right(self, slot)));
        }
    }

    /// Whether an invocation may believe that a slot answers: it did when it began.
    fn seems_healthy(&self, slot: Slot, now: Timestamp) -> bool {
        let Capacity { desired, dead, died_at, .. } = &self.capacity[index(slot)];
        let lately = died_at.is_some_and(|died| now.duration_since(died) <= BELIEVED);
        *desired > 0 && (!dead || lately)
    }

    /// A slot's tasks fail their health checks from now on.
    pub fn kill(&mut self, slot: Slot, now: Timestamp) {
        let capacity = &mut self.capacity[index(slot)];
        (capacity.dead, capacity.died_at) = (true, Some(now));
    }

    /// A slot's tasks pass their health checks again.
    pub fn revive(&mut self, slot: Slot) {
        let capacity = &mut self.capacity[index(slot)];
        (capacity.dead, capacity.died_at) = (false, None);
    }

    /// Notes how the traffic flows from now on.
    pub fn shifted(&mut self, now: Timestamp) {
        let mut shares = [0.0; 2];
        for route in &self.users {
            let forwards = self.routes.get(route).into_iter().flat_map(|actions| route::forwards(actions));
            for forward in forwards {
                let all: u32 = forward.groups.iter().map(|group| u32::from(group.weight)).sum();
                for group in &forward.groups {
                    if let Some(slot) = slot_of(&group.arn).filter(|_| all > 0) {
                        shares[index(slot)] += f64::from(group.weight) / f64::from(all);
                    }
                }
            }
        }
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few thousands")]
        let shares = shares.map(|share: f64| (share * 1000.0).round() as u32);
        if self.shares.last().is_none_or(|(_, last)| *last != shares) {
            self.shares.push((now, shares));
        }
        // What began before the oldest time that matters might as well have begun then.
        let oldest = now - MEMORY;
        while self.shares.len() > 1 && self.shares[1].0 <= oldest {
            self.shares.remove(0);
        }
        if self.shares.len() > 1 && self.shares[0].0 < oldest {
            self.shares[0].0 = oldest;
        }
    }

    /// The states of a group's targets.
    #[must_use]
    pub fn targets(&self, group: &TargetGroupArn) -> Vec<TargetState> {
        let Some(slot) = slot_of(group) else { return Vec::new() };
        let capacity = &self.capacity[index(slot)];
        let state = match (self.is_attached(slot), capacity.dead) {
            (false, _) => TargetState::Unused,
            (true, true) => TargetState::Unhealthy,
            (true, false) => TargetState::Healthy,
        };
        vec![state; capacity.desired as usize]
    }

    /// An ECS service, `shop-blue` or `shop-green`.
    #[must_use]
    pub fn service(&self, slot: Slot) -> EcsState {
        let Capacity { desired, revision, deployment, .. } = &self.capacity[index(slot)];
        EcsState {
            task_definition: revision.clone(),
            desired: *desired,
            running: *desired,
            pending: 0,
            deployments: vec![EcsDeployment {
                id: format!("{slot}-{deployment}"),
                primary: true,
                task_definition: revision.clone(),
                rollout: Some(Rollout::Completed),
                reason: String::new(),
            }],
        }
    }

    /// Changes an ECS service.
    pub fn update(
        &mut self,
        slot: Slot,
        (revision, desired, anew): (Option<&str>, u32, bool),
        by: Author,
        now: Timestamp,
    ) {
        self.changed(by, &format!("slot {slot} was scaled to {desired}"));
        self.scale(slot, desired, now);
        let capacity = &mut self.capacity[index(slot)];
        if anew || revision.is_some_and(|revision| revision != capacity.revision) {
            capacity.deployment += 1;
        }
        if let Some(revision) = revision {
            revision.clone_into(&mut capacity.revision);
        }
    }

    /// Scales a slot, whoever does it.
    pub fn scale(&mut self, slot: Slot, desired: u32, now: Timestamp) {
        if desired < self.capacity[index(slot)].desired {
            if self.carries(slot) {
                self.violate(format!("slot {slot} was scaled to {desired} while it had traffic"));
            }
            if !self.is_quiet(slot, now) {
                self.violate(format!("slot {slot} was scaled to {desired} before it was quiet"));
            }
        }
        let capacity = &mut self.capacity[index(slot)];
        capacity.desired = desired;
        if desired == 0 {
            (capacity.dead, capacity.died_at) = (false, None);
        }
    }

    /// Whether a slot has had no request for long enough.
    fn is_quiet(&self, slot: Slot, now: Timestamp) -> bool {
        let until = |at: usize| self.shares.get(at + 1).map_or(now, |(next, _)| *next);
        let lately = |at: usize| now.duration_since(until(at)) < QUIET;
        let mut shares = self.shares.iter().enumerate();
        !shares.any(|(at, (_, shares))| shares[index(slot)] > 0 && lately(at))
    }

    /// Suspends or resumes scale-in of an ECS service.
    pub fn suspend_scale_in(&mut self, slot: Slot, suspended: bool, by: Author) {
        self.changed(by, &format!("scale-in of slot {slot} was changed"));
        if let Some(live) = &mut self.scale_in_suspended[index(slot)] {
            *live = suspended;
        }
        self.check_floor();
    }

    /// While users are on both slots, neither scales in.
    fn check_floor(&mut self) {
        let weights: Vec<_> = self.users.iter().map(|route| self.weights(route)).collect();
        let exposed = Slot::BOTH.into_iter().all(|slot| weights.iter().any(|weights| weights[index(slot)] > Some(0)));
        if exposed && self.scale_in_suspended.contains(&Some(false)) {
            self.violate("a slot may scale in while users are on both".to_owned());
        }
    }

    /// Registers a task definition revision, once for each release.
    pub fn register(&mut self, release: &str, by: Author) -> String {
        self.changed(by, "a task definition was registered");
        let revision = format!("{release}-revision");
        self.revisions.entry(release.to_owned()).or_insert(revision).clone()
    }

    /// Values of a metric.
    #[must_use]
    pub fn values(&self, window: Window, query: &Query) -> Series {
        let zero = Series::new();
        let (metric, slots): (Metric, &[Slot]) = match &query.subject {
            Subject::Group { metric, group, zone: None, .. } => match slot_of(group) {
                Some(Slot::Blue) => (*metric, &[Slot::Blue]),
                Some(Slot::Green) => (*metric, &[Slot::Green]),
                None => return zero,
            },
            Subject::LoadBalancer { metric, .. } => (*metric, &Slot::BOTH),
            _ => return zero,
        };
        let timed = metric == Metric::TargetResponseTime;
        let counted = if timed { Metric::RequestCount } else { metric };
        let mut series = Series::new();
        for start in window.starts() {
            let end = start + SignedDuration::from_secs(i64::from(window.period_seconds));
            let sum: f64 = slots.iter().map(|slot| self.value(counted, *slot, start, end)).sum();
            // A tenth of the answers is slow, whatever slow is.
            let value = match (timed, query.statistic) {
                (false, Statistic::Sum) | (true, Statistic::Count) => sum,
                (true, Statistic::Quantile(_)) if sum > 0.0 => RESPONSE_SECONDS,
                (true, Statistic::CountAbove(_)) => (sum / 10.0).round(),
                (true, Statistic::CountUpTo(_)) => sum - (sum / 10.0).round(),
                _ => 0.0,
            };
            if value > 0.0 {
                series.insert(start, value);
            }
        }
        series
    }

    fn value(&self, metric: Metric, slot: Slot, start: Timestamp, end: Timestamp) -> f64 {
        let minutes = |from: Timestamp, to: Timestamp| to.duration_since(from).as_millis() as f64 / 60_000.0;
        let mut requests = 0.0;
        for (at, (since, shares)) in self.shares.iter().enumerate() {
            // The first one holds for all time before.
            let from = if at == 0 { start } else { start.max(*since) };
            let to = self.shares.get(at + 1).map_or(end, |(next, _)| end.min(*next));
            if to > from {
                requests += minutes(from, to) * f64::from(shares[index(slot)]) / 1000.0 * self.requests;
            }
        }
        let sick = self.sick.as_ref() == Some(&self.capacity[index(slot)].revision);
        let errors = (requests * ERRORS[usize::from(sick)]).round();
        match metric {
            Metric::RequestCount => requests.round(),
            Metric::Target2xx => requests.round() - errors,
            Metric::Target5xx => errors,
            _ => 0.0,
        }
    }

    /// Everything that decides how it goes on, times told from now.
    pub fn fingerprint(&self, now: Timestamp, state: &mut impl Hasher) {
        let before = self.before.iter().flatten().filter(|(_, (at, _))| now.duration_since(*at) <= LATE);
        for (route, actions) in self.routes.iter().chain(before.map(|(route, (_, actions))| (route, actions))) {
            route.hash(state);
            for forward in route::forwards(actions) {
                for group in &forward.groups {
                    group.hash_into(state);
                }
            }
        }
        for Capacity { desired, revision, deployment, dead, died_at } in &self.capacity {
            (desired, revision, deployment, dead).hash(state);
            died_at.map(|died| now.duration_since(died) <= BELIEVED).hash(state);
        }
        self.settled.map(|(slot, right)| (index(slot), right)).hash(state);
        self.scale_in_suspended.hash(state);
        self.revisions.hash(state);
        for (since, shares) in &self.shares {
            now.duration_since(*since).as_millis().hash(state);
            shares.hash(state);
        }
        self.sick.hash(state);
        self.fences.hash(state);
    }
}

trait HashInto {
    fn hash_into(&self, state: &mut impl Hasher);
}

impl HashInto for route::WeightedGroup {
    fn hash_into(&self, state: &mut impl Hasher) {
        self.arn.hash(state);
        self.weight.hash(state);
    }
}
