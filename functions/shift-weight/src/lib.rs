//! Sets absolute weights on every route, and reads them back.
//!
//! Weight 0 attaches a candidate group that a route does not have yet: a target group in no route is not
//! health-checked at all. Everything but the two weights stays as it is, and a route that someone else has changed
//! since the last write is not touched.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spillway_aws::error::{ApiError, Named, is_gone};
use spillway_aws::guard::{self, LeaseError};
use spillway_aws::ports::{Leases, Routes};
use spillway_core::arn::RouteArn;
use spillway_core::drift::Drift;
use spillway_core::event::Kind;
use spillway_core::event::news::{News, Report};
use spillway_core::lease::Lease;
use spillway_core::plan::{Plan, PlannedRoute};
use spillway_core::progress::Progress;
use spillway_core::route::{self, Action, UneditableRoute};
use spillway_core::slot::Slot;
use spillway_core::weight::Percent;
use thiserror::Error;

/// What to do, for which release.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease that the change is made under.
    pub lease: Lease,
    /// The plan.
    pub plan: Plan,
    /// How far the release has come.
    #[serde(default)]
    pub progress: Progress,
    /// Which weight to set.
    pub target: Target,
}

/// Which weight to set.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// 0 %: only attaches the candidate, so that its targets are health-checked.
    Attach,
    /// The weight of the progress's position.
    Step,
    /// Leads testers to the candidate; users' routes are not touched.
    Test,
    /// Attaches a slot at weight 0 where it was taken out, once no cookie can name it any more.
    Reattach(Slot),
}

/// What was done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Output {
    /// The progress to carry on with.
    pub progress: Progress,
    /// Seconds to wait before the first check.
    pub wait_seconds: u32,
    /// The weights of every route as read back.
    pub routes: Vec<RouteWeights>,
    /// Where the state machine goes from a step.
    #[serde(default)]
    pub next: Next,
    /// What to tell, where that is next.
    #[serde(default)]
    pub news: Option<News>,
}

/// Where the state machine goes from a step.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Wait, then check.
    #[default]
    Bake,
    /// The same, once others have been told of the shift.
    Tell,
}

/// The weights of one route.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RouteWeights {
    /// The route.
    pub route: RouteArn,
    /// Weight of the stable slot's group.
    pub stable: u16,
    /// Weight of the candidate slot's group.
    pub candidate: u16,
}

/// Why the weights are not as asked for.
#[derive(Debug, Error)]
pub enum Error {
    /// The lease is lost or cannot be read.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A call to the load balancer failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Someone else has changed a route since the last write. No route was written.
    #[error(transparent)]
    Drifted(#[from] Drift),
    /// A route has become one that cannot be edited.
    #[error("route {route} {reason}")]
    Uneditable {
        /// The route.
        route: RouteArn,
        /// Why not.
        #[source]
        reason: UneditableRoute,
    },
    /// The route tells something else than was written.
    #[error("route {route} was given {expected} and tells {found}")]
    ReadBackDiffers {
        /// The route.
        route: RouteArn,
        /// What was written.
        expected: String,
        /// What it tells.
        found: String,
    },
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Lease(error) => error.name(),
            Self::Api(error) => error.name(),
            Self::Drifted(_) => "RouteDrifted",
            Self::Uneditable { .. } => "RouteUneditable",
            Self::ReadBackDiffers { .. } => "ReadBackDiffers",
        }
    }
}

/// A route and the actions that it is to have.
struct Edit<'a> {
    planned: &'a PlannedRoute,
    actions: Vec<Action>,
    /// Whether they are there already, by an earlier attempt.
    done: bool,
}

/// Sets the weights.
///
/// Every route is read, and its edit worked out, before the first one is written, in the plan's order: what cannot be
/// done is found out while nothing has changed. A call that fails in between is repaired by the next, since weights
/// are absolute and a route that has the new ones already is as it should be.
///
/// # Errors
/// [`Error`]; some routes may have been written.
pub async fn handle(
    routes: &impl Routes,
    leases: &impl Leases,
    clock: impl Fn() -> Timestamp,
    event: Event,
) -> Result<Output, Error> {
    let Event { lease, plan, mut progress, target } = event;
    guard::verify(leases, &lease).await?;
    let edits = match target {
        Target::Attach => edits(routes, &plan.routes, progress.written(), Percent::ZERO).await?,
        Target::Step => edits(routes, &plan.routes, progress.written(), plan.weight_at(progress.position)).await?,
        Target::Test => edits(routes, &plan.test_routes, None, Percent::ALL).await?,
        Target::Reattach(slot) => attachments(routes, &plan, slot).await?,
    };

    let began = clock();
    let mut written = Vec::with_capacity(edits.len());
    for Edit { planned, actions, done } in edits {
        if !done {
            guard::verify(leases, &lease).await?;
            routes.write(&planned.arn, &actions).await?;
            tracing::info!(route = %planned.arn, actions = route::summary(&actions), "weights written");
        }
        written.push(read_back(planned, &routes.read(&planned.arn).await?, &actions)?);
    }

    let mut news = None;
    match target {
        Target::Attach => progress.shift(Percent::ZERO, began, clock()),
        Target::Step => {
            let now = clock();
            progress.shift(plan.weight_at(progress.position), began, now);
            news = shifted(&plan, &lease, &mut progress, now);
        }
        Target::Test | Target::Reattach(_) => {}
    }
    let next = if news.is_some() { Next::Tell } else { Next::Bake };
    Ok(Output { progress, wait_seconds: plan.health.check_seconds, routes: written, next, news })
}

/// The shift that has just been written and read back, unless there has been enough to tell.
fn shifted(plan: &Plan, lease: &Lease, progress: &mut Progress, now: Timestamp) -> Option<News> {
    let number = progress.told.shift()?;
    let (weight, routes) = (progress.weight, plan.routes.len());
    let routes = if routes == 1 { "the route".to_owned() } else { format!("all {routes} routes") };
    let reason =
        format!("shifted to {weight}: weight {weight} read back on {routes}, before {}", progress.weight_before);
    let report = Report { plan, execution: &lease.owner, time: now, weight, observed: None, reason: &reason };
    Some(report.news(Kind::Shifted, number))
}

/// What each route needs for a weight, if it is as the last write left it: at `last`, or as it was found at first.
async fn edits<'a>(
    routes: &impl Routes,
    planned: &'a [PlannedRoute],
    last: Option<Percent>,
    weight: Percent,
) -> Result<Vec<Edit<'a>>, Error> {
    let mut edits = Vec::with_capacity(planned.len());
    for planned in planned {
        let left = planned.left_at(last);
        let live = match routes.read(&planned.arn).await {
            Err(error) if is_gone(&error) => return Err(planned.gone(&left).into()),
            read => read?,
        };
        // The second, when an earlier attempt of this shift came so far.
        let acceptable = [left, planned.left_at(Some(weight))];
        if let Some(drift) = planned.drift(&live, &acceptable) {
            return Err(drift.into());
        }
        let actions = route::with_split(&live, planned.groups(), weight.split())
            .map_err(|reason| Error::Uneditable { route: planned.arn.clone(), reason })?;
        edits.push(Edit { planned, done: actions == live, actions });
    }
    Ok(edits)
}

/// What each sticky route needs to have the slot attached; others have it, or someone has taken it out. After a release its routes may be anyone's: one that is gone, or
/// forwards to neither slot any more, or is full, is left alone.
async fn attachments<'a>(routes: &impl Routes, plan: &'a Plan, slot: Slot) -> Result<Vec<Edit<'a>>, Error> {
    let mut edits = Vec::new();
    for planned in plan.routes.iter().filter(|planned| planned.is_sticky()) {
        let live = match routes.read(&planned.arn).await {
            Err(error) if is_gone(&error) => continue,
            read => read?,
        };
        let (group, counterpart) = plan.groups_of(planned, slot);
        let in_use = route::forward(&live).is_ok_and(|forward| forward.weight(counterpart).is_some());
        if !in_use {
            continue;
        }
        if let Ok(actions) = route::with_attached(&live, group, counterpart) {
            edits.push(Edit { planned, done: actions == live, actions });
        }
    }
    Ok(edits)
}

fn read_back(planned: &PlannedRoute, found: &[Action], expected: &[Action]) -> Result<RouteWeights, Error> {
    if !route::same(found, expected) {
        return Err(Error::ReadBackDiffers {
            route: planned.arn.clone(),
            expected: route::summary(expected),
            found: route::summary(found),
        });
    }
    let weight = |group| route::forward(found).ok().and_then(|forward| forward.weight(group)).unwrap_or(0);
    Ok(RouteWeights {
        route: planned.arn.clone(),
        stable: weight(&planned.stable),
        candidate: weight(&planned.candidate),
    })
}
