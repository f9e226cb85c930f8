//! Retires a slot: scales it to zero, but only when the rollback window is over, no route gives it weight and no traffic
//! was measured on it. One that was taken out of its routes is to be attached again once no cookie can name it any more.
//! What the release took from the slots' scaling is given back: to the slot that serves at the first attempt, to the
//! other when it is scaled to zero. What is gone counts as retired; what is refused for good fails the retirement, once
//! nothing else is left to be done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spillway_aws::error::{ApiError, Named, is_gone};
use spillway_aws::guard::{self, LeaseError};
use spillway_aws::ports::{AutoScalingGroups, EcsServices, GroupInstances, Leases, Metrics, Routes, ScalableTargets};
use spillway_aws::scale_in::{self, present};
use spillway_core::compute::{GroupChange, GroupState};
use spillway_core::cost::Cost;
use spillway_core::definition::{AutoScalingGroup, Compute};
use spillway_core::hook::{self, Call, Pending, Point, Reply, Standing};
use spillway_core::lease::Lease;
use spillway_core::metrics::{self, Metric, Window};
use spillway_core::plan::{Plan, Side};
use spillway_core::route;
use spillway_core::scaling::Scaling;
use spillway_core::slot::Slot;
use thiserror::Error;

/// The longest wait between two attempts, in seconds.
const LONGEST_WAIT: u32 = 3600;
/// The longest wait between two questions to the hook, in seconds ...
const LONGEST_PAUSE: u32 = 600;
/// ... which double after so many of them: the longest patience must fit into an execution's history.
const ASKS_UNTIL_RARER: u32 = 10;

/// What to retire.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease that the change is made under.
    pub lease: Lease,
    /// The plan of the release that left the slot without traffic.
    pub plan: Plan,
    /// The slot.
    pub slot: Slot,
    /// How often it was tried before.
    pub attempt: u32,
    /// When the release left the slot without traffic.
    pub started_at: Timestamp,
    /// Since when two slots have run.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// What earlier attempts have come to.
    #[serde(default)]
    pub memory: Memory,
    /// What the hook that scales external compute down has said, if it was asked.
    #[serde(default)]
    pub hook: Reply,
}

/// How far the hook that scales external compute down is; carried from attempt to attempt by the state machine.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Memory {
    /// The hook that is waited for.
    pub pending: Option<Pending>,
    /// How often it has been asked.
    pub asked: u32,
    /// Whether it has said ok.
    pub retired: bool,
}

/// Where the state machine goes from here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// The slot is retired.
    Done,
    /// Wait, then try again.
    Wait,
    /// Attach the slot at weight 0, then try again.
    Attach,
    /// Ask the hook, wait, then try again.
    Hook,
}

/// Whether the slot is retired.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Output {
    /// What comes next.
    pub next: Next,
    /// Why not, or what was done.
    pub reason: String,
    /// Seconds to wait before the next attempt.
    pub wait_seconds: u32,
    /// How often it has been tried now.
    pub attempt: u32,
    /// What is still to be given back to the slots' scaling, as text, for the lease.
    pub scaling: String,
    /// What to carry on with.
    pub memory: Memory,
    /// The hook to ask, where that is next.
    pub hook: Option<Call>,
    /// What the slot has cost beside the other so far.
    pub cost: Option<Cost>,
}

/// Why the attempt failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The lease is lost or cannot be read.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A call to AWS failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The hook that scales external compute down does not say ok: the slot stays as it is.
    #[error("{0}")]
    HookFailed(String),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Lease(error) => error.name(),
            Self::Api(error) => error.name(),
            Self::HookFailed(_) => "HookFailed",
        }
    }
}

/// What teardown needs of the world.
#[derive(Debug)]
pub struct Ports<'a, S, G, R, M, L> {
    /// ECS services.
    pub services: &'a S,
    /// Auto Scaling groups, and what scales slots.
    pub groups: &'a G,
    /// The routes.
    pub routes: &'a R,
    /// Traffic.
    pub metrics: &'a M,
    /// The lease table.
    pub leases: &'a L,
}

impl<S, G, R, M, L> Clone for Ports<'_, S, G, R, M, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, G, R, M, L> Copy for Ports<'_, S, G, R, M, L> {}

/// Retires the slot, or says why not yet.
///
/// # Errors
/// [`Error`]; then nothing, or the scaling alone, has happened, or all but what a call is refused for good.
pub async fn handle<S, G, R, M, L>(
    ports: Ports<'_, S, G, R, M, L>,
    clock: impl Fn() -> Timestamp,
    event: Event,
) -> Result<Output, Error>
where
    S: EcsServices,
    G: AutoScalingGroups + GroupInstances + ScalableTargets,
    R: Routes,
    M: Metrics,
    L: Leases,
{
    let Event { lease, plan, slot, attempt, started_at, since, mut memory, hook } = event;
    let record = guard::verify(ports.leases, &lease).await?;
    let side = plan.side(slot);
    // The lease knows what is owed: an undo, or a retirement before, may have given some of it back.
    let recorded = record.scaling.len();
    let (own, others): (Vec<Scaling>, Vec<Scaling>) =
        record.scaling.into_iter().partition(|owed| owed.is_of(&side.compute));
    let mut missed = give_back(ports, &lease, others).await?;
    let owed = text(&own, &missed);
    let quiet = plan.retirement.quiet_seconds;
    let again = quiet.saturating_mul(1 << attempt.min(12)).min(LONGEST_WAIT).max(quiet.min(LONGEST_WAIT));
    // Up to now, when it is about to end; until an attempt says that it is done, it goes on.
    let cost = since.or(plan.planned_at).map(|since| Cost::of(side, since, clock()));
    let answer = move |next, reason: String, wait_seconds, owed: &str| {
        tracing::info!(?next, reason, "retirement");
        let attempt = attempt.saturating_add(1);
        Output { next, reason, wait_seconds, attempt, scaling: owed.into(), memory, hook: None, cost }
    };

    let age = u32::try_from(clock().duration_since(started_at).as_secs()).unwrap_or(0);
    let detached = plan.sticky_seconds > 0 && is_detached(ports.routes, &plan, side).await?;
    // Until no cookie can name the slot any more.
    let pinned = plan.cookie_seconds().saturating_sub(age);
    if detached && pinned == 0 {
        return Ok(answer(Next::Attach, format!("no cookie names slot {slot} any more"), 0, &owed));
    }
    let window = plan.retirement.window_seconds.saturating_sub(age);
    if window > 0 {
        let wait = if detached { window.min(pinned) } else { window };
        return Ok(Output {
            attempt,
            ..answer(Next::Wait, format!("the rollback window lasts {window} s more"), wait, &owed)
        });
    }
    if let Some(reason) = carries_weight(ports.routes, &plan, side).await? {
        return Ok(answer(Next::Wait, reason, again, &owed));
    }
    if let Some(reason) = carries_traffic(ports.metrics, &plan, side, clock()).await? {
        return Ok(answer(Next::Wait, reason, again, &owed));
    }
    let reason = match &side.compute {
        Compute::EcsService(service) => {
            let found = present(ports.services.describe(service).await)?;
            // Right before the write: a newer release may want the slot.
            guard::verify(ports.leases, &lease).await?;
            let left = match &found {
                Some(state) if state.desired > 0 => present(ports.services.update(service, None, 0, false).await)?,
                _ => found,
            };
            let what = if left.is_some() { "scaled to zero" } else { "gone" };
            format!("ECS service {} is {what}", service.service)
        }
        Compute::AutoScalingGroup(group) => {
            let found = present(ports.groups.describe(&group.name).await)?;
            guard::verify(ports.leases, &lease).await?;
            let what = if let Some(state) = found {
                empty(ports.groups, group, &state).await?;
                "scaled to zero"
            } else {
                "gone"
            };
            format!("Auto Scaling group {} is {what}", group.name)
        }
        Compute::External => {
            let now = clock();
            let asked = plan.hooks.at(Point::Retire).filter(|_| !memory.retired);
            match asked.map(|asked| hook::standing(asked, Point::Retire, memory.pending, &hook, now)) {
                Some(Standing::Ask(pending, words)) => {
                    guard::verify(ports.leases, &lease).await?;
                    let rarer = 1 << (memory.asked / ASKS_UNTIL_RARER).min(10);
                    let wait = plan.readiness.poll_seconds.saturating_mul(rarer).min(LONGEST_PAUSE);
                    memory = Memory { pending: Some(pending), asked: memory.asked.saturating_add(1), ..memory };
                    let call = Call::scaling(&plan, lease.release(), Point::Retire, slot, 0);
                    return Ok(Output { hook: call, memory, attempt, ..answer(Next::Hook, words, wait, &owed) });
                }
                Some(Standing::Failed(words)) => return Err(Error::HookFailed(words)),
                Some(Standing::Passed) => {
                    memory.retired = true;
                    format!("the hook has scaled slot {slot} down")
                }
                None => format!("slot {slot} is quiet; others scale it"),
            }
        }
    };
    missed.extend(give_back(ports, &lease, own).await?);
    let owed = text(&[], &missed);
    if detached {
        let reason = format!("{reason}; it is attached again in {pinned} s, when no cookie can name it any more");
        return Ok(Output { memory, ..answer(Next::Wait, reason, pinned, &owed) });
    }
    if let Some(Missed(_, error)) = missed.first() {
        // Not before the lease tells what is given back, and nothing else is left to be tried.
        if missed.len() == recorded && missed.iter().all(|Missed(_, error)| !error.transient) {
            return Err(error.clone().into());
        }
        let reason = format!("{reason}; not every slot scales as it did before: {error}");
        return Ok(Output { memory, ..answer(Next::Wait, reason, again, &owed) });
    }
    Ok(Output { memory, ..answer(Next::Done, reason, 0, &owed) })
}

/// What could not be given back to a slot's scaling now, and why.
struct Missed(Scaling, ApiError);

/// Empties a group, of protected instances as well.
async fn empty<G>(groups: &G, group: &AutoScalingGroup, state: &GroupState) -> Result<(), ApiError>
where
    G: AutoScalingGroups + GroupInstances,
{
    if state.desired > 0 || state.min > 0 {
        let none = GroupChange { min: Some(0), desired: Some(0), ..GroupChange::default() };
        groups.update(&group.name, &none).await?;
    }
    let protected = state.protected();
    if protected.is_empty() { Ok(()) } else { groups.unprotect(&group.name, &protected).await }
}

/// All that is owed, as text.
fn text(own: &[Scaling], missed: &[Missed]) -> String {
    let all: Vec<&Scaling> = missed.iter().map(|Missed(scaling, _)| scaling).chain(own).collect();
    // Names, numbers and flags: there is nothing that cannot be written.
    serde_json::to_string(&all).unwrap_or_else(|_| "[]".into())
}

/// Gives back what was taken. A call that fails keeps nothing else from being done: it is made again at the next attempt,
/// if there is one.
async fn give_back<S, G, R, M, L>(
    ports: Ports<'_, S, G, R, M, L>,
    lease: &Lease,
    owed: Vec<Scaling>,
) -> Result<Vec<Missed>, LeaseError>
where
    G: AutoScalingGroups + GroupInstances + ScalableTargets,
    L: Leases,
{
    let mut missed = Vec::new();
    for scaling in owed {
        match scale_in::release(ports.groups, ports.leases, lease, &scaling).await {
            Ok(()) => tracing::info!(?scaling, "may scale in again"),
            Err(LeaseError::Unread(error)) => {
                tracing::warn!(?scaling, %error, "cannot be given back yet");
                missed.push(Missed(scaling, error));
            }
            Err(lost) => return Err(lost),
        }
    }
    Ok(missed)
}

/// Whether some sticky route that the slot could be in lacks it.
async fn is_detached(routes: &impl Routes, plan: &Plan, side: &Side) -> Result<bool, ApiError> {
    for planned in plan.routes.iter().filter(|planned| planned.is_sticky()) {
        let actions = match routes.read(&planned.arn).await {
            Ok(actions) => actions,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        let (own, other) = plan.groups_of(planned, side.slot);
        let lacks = |forward: &route::Forward| forward.weight(own).is_none() && forward.weight(other).is_some();
        // One without room stays as it is.
        if route::forward(&actions).is_ok_and(lacks) && route::with_attached(&actions, own, other).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Why the slot still counts as serving: a route gives it weight. A testers' route that is as it was before the release, and
/// leads to a slot without capacity, is somebody's own.
async fn carries_weight(routes: &impl Routes, plan: &Plan, side: &Side) -> Result<Option<String>, ApiError> {
    let users = plan.routes.iter().map(|planned| (planned, false));
    let testers = plan.test_routes.iter().map(|planned| (planned, true));
    for (planned, testers) in users.chain(testers) {
        let actions = match routes.read(&planned.arn).await {
            Ok(actions) => actions,
            // A route that is gone sends nothing anywhere.
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(error),
        };
        if testers && route::same(&actions, &planned.original) {
            continue;
        }
        // All forward actions: someone may have added one.
        for group in &side.groups {
            let weight = route::forwards(&actions).filter_map(|forward| forward.weight(&group.arn)).max();
            if let Some(weight) = weight.filter(|weight| *weight > 0) {
                return Ok(Some(format!("slot {} has weight {weight} in route {}", side.slot, planned.arn)));
            }
        }
    }
    Ok(None)
}

/// Why the slot still counts as serving: requests were measured. Weight 0 is no proof of that: sticky clients
/// stay, and a route takes a while to be the one that was written.
async fn carries_traffic(
    source: &impl Metrics,
    plan: &Plan,
    side: &Side,
    now: Timestamp,
) -> Result<Option<String>, ApiError> {
    let (health, quiet) = (&plan.health, plan.retirement.quiet_seconds);
    // Up to now, and not only up to the lag: a request that is known already counts already.
    let from = metrics::earlier(now, quiet.saturating_add(health.metric_lag_seconds));
    let window = Window::complete(from, now, 0, health.period_seconds);
    let queries = metrics::queries(side, &[Metric::RequestCount], None);
    let series = source.values(window, &queries).await?;
    let requests: f64 = metrics::traffic(&queries, &series).values().map(|traffic| traffic.requests).sum();
    Ok((requests > 0.0).then(|| {
        format!("slot {} had {requests} requests in the last {} s", side.slot, quiet + health.metric_lag_seconds)
    }))
}
