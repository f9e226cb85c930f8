//! Gives all traffic back to the stable slot on every route, whatever state they are in.

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spillway_aws::error::{ApiError, Named};
use spillway_aws::guard::{self, LeaseError};
use spillway_aws::ports::{Leases, Routes};
use spillway_core::arn::RouteArn;
use spillway_core::lease::Lease;
use spillway_core::plan::{Plan, PlannedRoute};
use spillway_core::route::{self, UneditableRoute};
use thiserror::Error;

/// What to undo, for which release.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease that the change is made under.
    pub lease: Lease,
    /// The plan that was recorded before anything was changed.
    pub plan: Plan,
    /// Whether the execution has been redriven, and so may come long after its release.
    pub redriven: bool,
    /// Why: a decision's reason, or the error that a state ended with.
    pub failure: Value,
}

/// What was done.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Output {
    /// Why the release was rolled back, for people.
    pub cause: String,
    /// Every route, in the order of the plan.
    pub routes: Vec<Restored>,
}

/// One route after the rollback.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Restored {
    /// The route.
    pub route: RouteArn,
    /// What was done about it.
    pub outcome: Outcome,
}

/// What was done about a route.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its weights were written, and read back.
    Restored,
    /// All its traffic was on the stable slot already.
    Unchanged,
    /// It does not exist any more, so it sends no traffic anywhere.
    Gone,
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
    /// Neither the live nor the original actions forward to the stable slot.
    #[error("it {0}")]
    Uneditable(#[from] UneditableRoute),
    /// The route still sends traffic elsewhere after the write.
    #[error("it still sends traffic to the candidate")]
    ReadBackDiffers,
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
        }
    }
}

/// Rolls back. A route that fails does not keep the others from being restored.
///
/// # Errors
/// [`Error`]: the lease is lost (nothing was touched), or some routes failed (it names them).
pub async fn handle(routes: &impl Routes, leases: &impl Leases, event: Event) -> Result<Output, Error> {
    let readable = may_write(leases, &event).await?;
    // All at once: a route whose calls hang must not keep the others waiting until the function's time is up.
    let attempts = event.plan.routes.iter().map(|planned| restore(routes, leases, &event, planned, readable));
    let outcomes = join_all(attempts).await;
    let (mut restored, mut failed) = (Vec::new(), Vec::new());
    for (planned, outcome) in std::iter::zip(&event.plan.routes, outcomes) {
        match outcome {
            Ok(outcome) => restored.push(Restored { route: planned.arn.clone(), outcome }),
            Err(error) => failed.push((planned.arn.clone(), error)),
        }
    }
    if failed.is_empty() {
        return Ok(Output { cause: cause(&event.failure), routes: restored });
    }
    Err(Error::RollbackIncomplete { total: event.plan.routes.len(), failed })
}

/// The failure in words. A decision's reason is that already; an error of the state machine has a name, and a
/// function's error has its message wrapped in JSON once more.
fn cause(failure: &Value) -> String {
    if let Some(reason) = failure.as_str() {
        return reason.to_owned();
    }
    let field = |name: &str| failure.get(name).and_then(Value::as_str).unwrap_or_default();
    let (error, cause) = (field("Error"), field("Cause"));
    let message = serde_json::from_str::<Value>(cause)
        .ok()
        .and_then(|inner| inner.get("errorMessage").and_then(Value::as_str).map(str::to_owned));
    match (error, message.as_deref().unwrap_or(cause)) {
        ("", "") => "rolled back for an unknown reason".into(),
        (error, "") => format!("rolled back after {error}"),
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
        verified => verified.map(|()| true),
    }
}

async fn restore(
    routes: &impl Routes,
    leases: &impl Leases,
    event: &Event,
    planned: &PlannedRoute,
    lease_is_readable: bool,
) -> Result<Outcome, RouteError> {
    let live = match routes.read(&planned.arn).await {
        Ok(live) => live,
        Err(error) if is_gone(&error) => return Ok(Outcome::Gone),
        Err(error) => return Err(error.into()),
    };
    let edited = route::with_all_on_stable(&live, &planned.original, planned.groups())?;
    if edited == live {
        return Ok(Outcome::Unchanged);
    }
    // A table that hangs must not use up the function's time once more.
    if lease_is_readable {
        may_write(leases, event).await?;
    }
    routes.write(&planned.arn, &edited).await?;
    let after = routes.read(&planned.arn).await?;
    let forward = route::forward(&after)?;
    let serves = forward.weight(&planned.stable).is_some_and(|weight| weight > 0);
    let exposes = forward.weight(&planned.candidate).is_some_and(|weight| weight > 0);
    if !serves || exposes {
        return Err(RouteError::ReadBackDiffers);
    }
    tracing::info!(route = %planned.arn, "all traffic given back to the stable slot");
    Ok(Outcome::Restored)
}

fn is_gone(error: &ApiError) -> bool {
    matches!(error.code.as_str(), "RuleNotFound" | "ListenerNotFound")
}
