//! Gives all traffic back to the stable slot on every route, whatever state they are in, as fast as that slot can
//! carry it. Called until it says that it is done.

use futures_util::future::{join, join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spillway_aws::error::{ApiError, Named, is_gone};
use spillway_aws::guard::{self, LeaseError};
use spillway_aws::ports::{Leases, Routes, Targets};
use spillway_core::arn::{RouteArn, TargetGroupArn};
use spillway_core::cost::Cost;
use spillway_core::failure;
use spillway_core::hook::{self, Call, Pending, Point, Reply};
use spillway_core::lease::{Lease, NotHeld};
use spillway_core::plan::{Plan, PlannedRoute};
use spillway_core::rollback::{self, Hosts, Memory, Move, Patience, Standing};
use spillway_core::route::{self, Action, UneditableRoute};
use spillway_core::targets::TargetCounts;
use spillway_core::weight::Percent;
use thiserror::Error;

/// The longest wait between two looks, in seconds ...
const LONGEST_WAIT: u32 = 600;
/// ... which double after so many of them: the longest patience must fit into an execution's history.
const LOOKS_UNTIL_RARER: u32 = 10;

/// Routes that cannot be restored are tried again so often, with a renewed lease each time; then people are called.
const MOST_FAILURES: u32 = 20;
/// Testers are waited for in so many looks, which are half a minute.
const MOST_OPEN_LOOKS: u32 = 5;
/// The longest wait between two such attempts, in seconds.
const LONGEST_PAUSE: u32 = 60;

/// What to undo, for which release.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease that the change is made under.
    pub lease: Lease,
    /// The plan that was recorded before anything was changed.
    pub plan: Plan,
    /// Whether the execution has been redriven, and so may come long after its release.
    pub redriven: bool,
    /// Whether the lease could be renewed right before. If not, users come first, and the lease need not last.
    #[serde(default = "yes")]
    pub renewed: bool,
    /// Why: a decision's reason, or the error that a state ended with.
    pub failure: Value,
    /// Since when two slots have run, where that is not since the plan: an undo comes later.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// What earlier calls have found.
    #[serde(default)]
    pub restoration: Restoration,
    /// What the hook after the rollback has said, if it was asked.
    #[serde(default)]
    pub hook: Reply,
}

fn yes() -> bool {
    true
}

/// What the calls of one rollback have found so far; carried from call to call by the state machine.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
pub struct Restoration {
    /// When the first call was.
    pub started_at: Option<Timestamp>,
    /// How many looks there were.
    pub looks: u32,
    /// In how many looks in a row the stable slot was dead.
    pub dead_looks: u32,
    /// The largest share of the slots' traffic that the candidate has had, route by route.
    pub exposed: Vec<f64>,
    /// In how many looks in a row routes could not be restored, and nothing else was waited for.
    pub failures: u32,
    /// In how many looks a testers' route could not be closed, and nothing else was waited for.
    pub open_looks: u32,
    /// Whether people have been called.
    pub paged: bool,
    /// The hook that is waited for.
    pub pending: Option<Pending>,
    /// Whether the hook has had its say.
    pub heard: bool,
    /// Whether the hook that provisions external compute has had its say.
    pub provisioned: bool,
    /// What there is to say about it, after the cause.
    pub remark: String,
}

impl Restoration {
    /// Adds words to what follows the cause.
    fn note(&mut self, words: &str) {
        self.remark.push_str("; ");
        self.remark.push_str(words);
    }
}

/// Where the state machine goes from here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// All traffic is on the stable slot.
    Done,
    /// Some routes could not be restored: wait, then try again.
    Again,
    /// Ask for the stable slot's capacity, wait, then look again.
    Restore,
    /// Call people, wait, then look again.
    Page,
    /// Ask the hook, wait, then look again.
    Hook,
    /// The stable slot has been dead for too long. The candidate, which has healthy hosts, has all traffic.
    StableDead,
}

/// What was done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Output {
    /// What comes next.
    pub next: Next,
    /// Why the release was rolled back, and where that stands, for people.
    pub cause: String,
    /// Every route, in the order of the plan.
    pub routes: Vec<Restored>,
    /// Seconds to wait before the next look.
    pub wait_seconds: u32,
    /// What to carry on with.
    pub restoration: Restoration,
    /// The hook to ask, where that is next.
    pub hook: Option<Call>,
    /// What the candidate has cost beside the stable slot so far.
    pub cost: Option<Cost>,
}

/// One route after a call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Restored {
    /// The route.
    pub route: RouteArn,
    /// Where it stands.
    pub standing: Standing,
}

/// Why traffic is not all back.
#[derive(Debug, Error)]
pub enum Error {
    /// The lease is someone else's: nothing was touched.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// Some routes could not be restored. The others were.
    #[error("{} of {total} routes could not be restored: {}", .failed.len(), listed(.failed))]
    RollbackIncomplete {
        /// How many routes there are.
        total: usize,
        /// Those that failed, and why.
        failed: Vec<(RouteArn, RouteError)>,
    },
    /// The stable slot has been dead for too long behind some routes, and has the traffic of others.
    #[error("the stable slot has the traffic of {0}, and has been dead behind another route for too long")]
    RollbackDivided(RouteArn),
    /// Neither slot has had a healthy host for too long.
    #[error("neither slot has a healthy host behind {0}, and the time to wait for one is over")]
    NothingServes(RouteArn),
    /// The stable slot was dead, and whether it or the candidate serves could not be read, however often it was tried.
    #[error("the stable slot was dead behind {0}, and target health there cannot be read any more")]
    Unreadable(RouteArn),
}

/// Why one route could not be restored.
#[derive(Debug, Error)]
pub enum RouteError {
    /// The lease was lost on the way.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A call to the load balancer failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The route cannot be edited.
    #[error("it {0}")]
    Uneditable(#[from] UneditableRoute),
    /// The route does not tell what was written.
    #[error("it was given {expected} and tells {found}")]
    ReadBackDiffers {
        /// What was written.
        expected: String,
        /// What it tells.
        found: String,
    },
}

fn listed(failed: &[(RouteArn, RouteError)]) -> String {
    let texts: Vec<String> = failed.iter().map(|(route, error)| format!("{route}: {error}")).collect();
    texts.join("; ")
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Lease(error) => error.name(),
            Self::RollbackIncomplete { .. } => "RollbackIncomplete",
            Self::RollbackDivided(_) => "RollbackDivided",
            Self::NothingServes(_) => "NothingServes",
            Self::Unreadable(_) => "Unreadable",
        }
    }
}

/// Rolls back, as far as it goes now. A route that fails does not keep the others from being restored.
///
/// # Errors
/// [`Error`]: the lease is lost (nothing was touched), or some routes failed (it names them).
pub async fn handle(
    load_balancers: &(impl Routes + Targets),
    leases: &impl Leases,
    clock: impl Fn() -> Timestamp,
    event: Event,
) -> Result<Output, Error> {
    let readable = may_write(leases, &event).await?;
    let now = clock();
    let mut restoration = event.restoration.clone();
    let started = *restoration.started_at.get_or_insert(now);
    let waited = now.duration_since(started).as_secs();
    let patience = if waited >= i64::from(event.plan.readiness.timeout_seconds) {
        Patience::Over
    } else if restoration.dead_looks > 0 {
        Patience::Waiting
    } else {
        Patience::Fresh
    };
    // All at once: a route whose calls hang must not keep the others waiting until the function's time is up.
    let routes = event.plan.routes.len();
    restoration.exposed.resize(routes, 0.0);
    let memory = |exposed: f64| Memory {
        patience,
        was_dead: event.restoration.dead_looks > 0,
        blind: event.restoration.failures >= MOST_FAILURES,
        exposed,
        resigned: event.plan.without_stable.is_some(),
    };
    let attempts = std::iter::zip(&event.plan.routes, &mut restoration.exposed).map(|(planned, exposed)| {
        restore(load_balancers, leases, &event, planned, readable, memory(*exposed), exposed)
    });
    let outcomes = join_all(attempts).await;
    let (mut restored, mut failed) = (Vec::new(), Vec::new());
    for (planned, outcome) in std::iter::zip(&event.plan.routes, outcomes) {
        match outcome {
            Ok(standing) => restored.push(Restored { route: planned.arn.clone(), standing }),
            Err(error) => failed.push((planned.arn.clone(), error)),
        }
    }
    // While others wait for capacity, a route that fails is tried again with them.
    let unsettled = restored.iter().any(|route| !route.standing.is_settled());
    let stuck = !failed.is_empty() && (!unsettled || patience == Patience::Over);
    restoration.failures = if stuck { restoration.failures.saturating_add(1) } else { 0 };
    if restoration.failures > MOST_FAILURES {
        return Err(Error::RollbackIncomplete { total: event.plan.routes.len(), failed });
    }
    for (route, error) in &failed {
        tracing::warn!(%route, %error, "the route is tried again at the next look");
    }
    // Nobody but testers is there: they wait until all users are back, and are left where they are in the end. Their slot is not
    // scaled down then, which is for people to look at.
    let mut open = Vec::new();
    for planned in &event.plan.test_routes {
        if let Err(error) = close(load_balancers, leases, &event, planned).await {
            tracing::warn!(route = %planned.arn, %error, "the testers' route is not closed");
            open.push((planned.arn.clone(), error));
        }
    }
    let lingering = !open.is_empty() && !stuck && !unsettled && restoration.open_looks < MOST_OPEN_LOOKS;
    restoration.open_looks += u32::from(lingering);

    let dead = restored.iter().any(|route| route.standing == Standing::Dead);
    let unknown = restored.iter().find(|route| route.standing == Standing::Unknown).map(|route| route.route.clone());
    restoration.dead_looks = match (dead, failed.is_empty() && unknown.is_none()) {
        (true, _) => restoration.dead_looks + 1,
        (false, true) => 0,
        (false, false) => restoration.dead_looks,
    };
    let over = patience == Patience::Over || (event.plan.without_stable.is_some() && patience == Patience::Waiting);
    let (next, call) = if stuck || lingering {
        (Next::Again, None)
    } else if !unsettled {
        hear(&event, &mut restoration, now)
    } else if let Some(route) = unknown {
        look_again(&event, &mut restoration, route)?
    } else if dead && patience != Patience::Fresh && !restoration.paged {
        restoration.paged = true;
        (Next::Page, None)
    } else if dead && over {
        match kept_by_the_candidate(load_balancers, &event.plan, &restored).await {
            Ok(()) => (Next::StableDead, None),
            Err(Error::Unreadable(route)) => look_again(&event, &mut restoration, route)?,
            Err(error) => return Err(error),
        }
    } else {
        ask_for_capacity(&event, &mut restoration, now)
    };
    let poll = event.plan.readiness.poll_seconds;
    let rarer = 1 << (restoration.looks / LOOKS_UNTIL_RARER).min(10);
    let wait_seconds = match next {
        Next::Again => (1 << (restoration.failures.max(restoration.open_looks) - 1).min(10)).min(LONGEST_PAUSE),
        _ => poll.saturating_mul(rarer).min(LONGEST_WAIT),
    };
    restoration.looks = restoration.looks.saturating_add(1);
    let failures = if stuck { format!("; not yet restored: {}", listed(&failed)) } else { String::new() };
    let open = if open.is_empty() {
        String::new()
    } else {
        format!("; testers are still led to the candidate: {}", listed(&open))
    };
    let standing = standing_words(&event.plan, &restored);
    let cost = event.since.or(event.plan.planned_at).map(|since| Cost::of(&event.plan.candidate, since, now));
    let spent = cost.map(|cost| format!("; {cost}")).unwrap_or_default();
    let cause = format!("{}{standing}{failures}{open}{}{spent}", cause(&event.failure), restoration.remark);
    tracing::info!(?next, cause, "rollback");
    Ok(Output { next, cause, routes: restored, wait_seconds, restoration, hook: call, cost })
}

/// Who gives the stable slot its capacity: the hook that provisions external compute, or Spillway itself. A hook that fails
/// leaves the slot as it is, which is waited for all the same.
fn ask_for_capacity(event: &Event, restoration: &mut Restoration, now: Timestamp) -> (Next, Option<Call>) {
    let (plan, point) = (&event.plan, Point::Restore);
    let asked = plan.hooks.at(point).filter(|_| !restoration.provisioned);
    let Some(asked) = asked else { return (Next::Restore, None) };
    // Without its reply it has not been asked, as below.
    let pending = restoration.pending.filter(|_| event.hook.point == Some(point));
    match hook::standing(asked, point, pending, &event.hook, now) {
        hook::Standing::Ask(pending, _) => {
            restoration.pending = Some(pending);
            (Next::Hook, Call::scaling(plan, event.lease.release(), point, plan.stable.slot, plan.hosts_wanted()))
        }
        standing => {
            restoration.provisioned = true;
            if let hook::Standing::Failed(words) = standing {
                restoration.note(&words);
            }
            (Next::Restore, None)
        }
    }
}

/// What the hook after a rollback says. It changes nothing any more, but if it fails, people hear of it.
fn hear(event: &Event, restoration: &mut Restoration, now: Timestamp) -> (Next, Option<Call>) {
    let point = Point::AfterRollback;
    let Some(asked) = event.plan.hooks.at(point).filter(|_| !restoration.heard) else { return (Next::Done, None) };
    // Without any reply it has not been asked: a prompt rollback is followed by another before anyone is.
    let pending = restoration.pending.filter(|_| event.hook.point == Some(point));
    match hook::standing(asked, point, pending, &event.hook, now) {
        hook::Standing::Passed => {
            restoration.heard = true;
            (Next::Done, None)
        }
        hook::Standing::Failed(words) => {
            restoration.heard = true;
            restoration.note(&words);
            (Next::Page, None)
        }
        hook::Standing::Ask(pending, _) => {
            restoration.pending = Some(pending);
            (Next::Hook, Call::of(&event.plan, event.lease.release(), point, Percent::ZERO))
        }
    }
}

/// What is worth saying about routes that are not simply restored.
fn standing_words(plan: &Plan, restored: &[Restored]) -> String {
    let words = restored.iter().filter_map(|Restored { route, standing }| {
        let stable = plan.stable.slot;
        Some(match standing {
            Standing::Restored | Standing::Unchanged => return None,
            Standing::Gone => format!("; route {route} does not exist any more"),
            Standing::Left => format!("; route {route} forwards to neither slot any more and is left as it is"),
            Standing::Awaiting => format!("; route {route} waits until {stable} is healthy"),
            Standing::Ramped => format!("; route {route} waits for {stable}'s capacity"),
            Standing::Dead => {
                format!("; {stable} has no healthy host behind route {route}: what serves keeps the traffic")
            }
            Standing::Unknown => format!("; whether {stable} is still dead behind route {route} cannot be read"),
        })
    });
    words.collect()
}

/// The failure in words. A decision's reason is that already.
fn cause(failure: &Value) -> String {
    match failure::parts(failure) {
        (error, message) if error.is_empty() && message.is_empty() => "rolled back for an unknown reason".into(),
        (error, message) if error.is_empty() => message,
        (error, message) if message.is_empty() => format!("rolled back after {error}"),
        (error, message) => format!("rolled back after {error}: {message}"),
    }
}

/// If the lease table cannot be read, users come first: only a redriven execution, which may come long after
/// its release, must not write then.
///
/// Gives whether the lease could be read.
async fn may_write(leases: &impl Leases, event: &Event) -> Result<bool, LeaseError> {
    match guard::verify(leases, &event.lease).await {
        Err(LeaseError::Unread(error)) if !event.redriven => {
            tracing::warn!(%error, "the lease cannot be read; rolling back all the same");
            Ok(false)
        }
        Err(LeaseError::NotHeld(NotHeld::TooShort { .. })) if !event.renewed && !event.redriven => Ok(true),
        verified => verified.map(|_| true),
    }
}

/// The next move for one route, made.
async fn restore(
    load_balancers: &(impl Routes + Targets),
    leases: &impl Leases,
    event: &Event,
    planned: &PlannedRoute,
    lease_is_readable: bool,
    memory: Memory,
    exposed: &mut f64,
) -> Result<Standing, RouteError> {
    let live = match Routes::read(load_balancers, &planned.arn).await {
        Ok(live) => live,
        Err(error) if is_gone(&error) => return Ok(Standing::Gone),
        Err(error) => return Err(error.into()),
    };
    let hosts = hosts(load_balancers, &event.plan, planned).await;
    if let Ok(forward) = route::forward(&live) {
        *exposed = exposed.max(forward.candidate_share(planned.groups()));
    }
    let Move { write, standing } = rollback::next_move(planned, &live, hosts, memory)?;
    let Some(actions) = write else { return Ok(standing) };
    // A table that hangs must not use up the function's time once more.
    if lease_is_readable {
        may_write(leases, event).await?;
    }
    put(load_balancers, planned, &actions).await?;
    Ok(standing)
}

/// Writes a route, and reads it back.
async fn put(routes: &impl Routes, planned: &PlannedRoute, actions: &[Action]) -> Result<(), RouteError> {
    routes.write(&planned.arn, actions).await?;
    let found = routes.read(&planned.arn).await?;
    if !route::same(&found, actions) {
        return Err(RouteError::ReadBackDiffers { expected: route::summary(actions), found: route::summary(&found) });
    }
    tracing::info!(route = %planned.arn, actions = route::summary(actions), "route written");
    Ok(())
}

/// Takes testers back to where they were, unless someone has changed their route.
async fn close(
    routes: &impl Routes,
    leases: &impl Leases,
    event: &Event,
    planned: &PlannedRoute,
) -> Result<(), RouteError> {
    let live = match routes.read(&planned.arn).await {
        Err(error) if is_gone(&error) => return Ok(()),
        read => read?,
    };
    if route::same(&live, &planned.left_at(Some(Percent::ALL))) {
        may_write(leases, event).await?;
        put(routes, planned, &planned.original).await?;
    }
    Ok(())
}

/// What stands behind a route; nothing where that cannot be told.
async fn hosts(targets: &impl Targets, plan: &Plan, planned: &PlannedRoute) -> Option<Hosts> {
    let (stable, candidate) = join(counts(targets, &planned.stable), counts(targets, &planned.candidate)).await;
    let (stable, candidate) = (stable?, candidate?);
    Some(Hosts { stable, candidate, before: plan.hosts_before(&planned.stable) })
}

async fn counts(targets: &impl Targets, group: &TargetGroupArn) -> Option<TargetCounts> {
    match targets.states(group).await {
        Ok(states) => Some(TargetCounts::of(&states)),
        Err(error) => {
            tracing::warn!(%error, "target health cannot be read");
            None
        }
    }
}

/// What cannot be read now, another look may tell.
fn look_again(event: &Event, memory: &mut Restoration, route: RouteArn) -> Result<(Next, Option<Call>), Error> {
    memory.failures = event.restoration.failures.saturating_add(1);
    if memory.failures > MOST_FAILURES { Err(Error::Unreadable(route)) } else { Ok((Next::Restore, None)) }
}

/// Makes sure that the candidate has all traffic of all routes, and healthy hosts behind them.
async fn kept_by_the_candidate(targets: &impl Targets, plan: &Plan, restored: &[Restored]) -> Result<(), Error> {
    for (planned, Restored { route, standing }) in std::iter::zip(&plan.routes, restored) {
        match standing {
            Standing::Gone | Standing::Left => {}
            Standing::Dead => match counts(targets, &planned.candidate).await {
                Some(counts) if counts.usable() > 0 => {}
                Some(_) => return Err(Error::NothingServes(route.clone())),
                None => return Err(Error::Unreadable(route.clone())),
            },
            _ => return Err(Error::RollbackDivided(route.clone())),
        }
    }
    Ok(())
}
