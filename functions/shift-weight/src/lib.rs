//! Sets absolute weights on every route, and reads them back.
//!
//! Weight 0 attaches a candidate group that a route does not have yet: a target group in no route is not
//! health-checked at all. Everything but the two weights stays as it is.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spillway_aws::error::{ApiError, Named};
use spillway_aws::guard::{self, LeaseError};
use spillway_aws::ports::{Leases, Routes};
use spillway_core::arn::RouteArn;
use spillway_core::lease::Lease;
use spillway_core::plan::{Plan, PlannedRoute};
use spillway_core::progress::Progress;
use spillway_core::route::{self, Action, UneditableRoute};
use spillway_core::weight::{Percent, Split};
use thiserror::Error;

/// What to do, for which release.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease that the change is made under.
    pub lease: Lease,
    /// The plan.
    pub plan: Plan,
    /// How far the release has come.
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
    /// A route has become one that cannot be edited.
    #[error("route {route} {reason}")]
    Uneditable {
        /// The route.
        route: RouteArn,
        /// Why not.
        #[source]
        reason: UneditableRoute,
    },
    /// The route tells other weights than were written.
    #[error("route {route} was given {expected:?} and tells {found:?}")]
    ReadBackDiffers {
        /// The route.
        route: RouteArn,
        /// What was written: weights of the stable and the candidate group.
        expected: (u16, u16),
        /// What it tells; a missing group has none.
        found: (Option<u16>, Option<u16>),
    },
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Lease(error) => error.name(),
            Self::Api(error) => error.name(),
            Self::Uneditable { .. } => "RouteUneditable",
            Self::ReadBackDiffers { .. } => "ReadBackDiffers",
        }
    }
}

/// Sets the weights.
///
/// Every route is read, and its edit worked out, before the first one is written: what cannot be done is
/// found out while nothing has changed. A call that fails in between is repaired by the next, since weights
/// are absolute.
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
    let weight = match target {
        Target::Attach => Percent::ZERO,
        Target::Step => plan.weight_at(progress.position),
    };
    let split = weight.split();
    guard::verify(leases, &lease).await?;

    let mut edits = Vec::with_capacity(plan.routes.len());
    for planned in &plan.routes {
        let live = routes.read(&planned.arn).await?;
        let edited = route::with_split(&live, planned.groups(), split)
            .map_err(|reason| Error::Uneditable { route: planned.arn.clone(), reason })?;
        edits.push((planned, (edited != live).then_some(edited)));
    }

    let began = clock();
    let mut written = Vec::with_capacity(edits.len());
    for (planned, edited) in edits {
        if let Some(edited) = edited {
            guard::verify(leases, &lease).await?;
            routes.write(&planned.arn, &edited).await?;
            tracing::info!(route = %planned.arn, stable = split.stable, candidate = split.candidate, "weights written");
        }
        written.push(read_back(planned, &routes.read(&planned.arn).await?, split)?);
    }

    progress.shift(weight, began, clock());
    Ok(Output { progress, wait_seconds: plan.health.check_seconds, routes: written })
}

fn read_back(planned: &PlannedRoute, actions: &[Action], split: Split) -> Result<RouteWeights, Error> {
    let weights = route::forward(actions).ok();
    let found = (
        weights.and_then(|forward| forward.weight(&planned.stable)),
        weights.and_then(|forward| forward.weight(&planned.candidate)),
    );
    if found == (Some(split.stable), Some(split.candidate)) {
        return Ok(RouteWeights { route: planned.arn.clone(), stable: split.stable, candidate: split.candidate });
    }
    Err(Error::ReadBackDiffers { route: planned.arn.clone(), expected: (split.stable, split.candidate), found })
}
