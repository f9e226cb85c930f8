//! One check: metrics and commands in, a decision with its evidence out.
//!
//! Stateless: everything is recomputed from all complete periods since the first exposure, so that a check
//! may be repeated at will and data that arrive late or are revised are taken in.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spillway_aws::error::{ApiError, Named};
use spillway_aws::ports::{Metrics, Targets};
use spillway_core::decision::{self, Check, Command, Look, Observed};
use spillway_core::judge::Counts;
use spillway_core::lease::Lease;
use spillway_core::metrics::{self, Metric, Query, Series, Window};
use spillway_core::plan::Plan;
use spillway_core::progress::Progress;
use spillway_core::targets::TargetCounts;
use thiserror::Error;

/// Seconds before the first exposure that tell what is usual.
const BEFORE_SECONDS: u32 = 3600;

/// What to check.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease.
    pub lease: Lease,
    /// The plan.
    pub plan: Plan,
    /// How far the release has come.
    pub progress: Progress,
    /// The operator's wish, from the lease.
    pub command: Command,
}

/// Why there is no decision.
#[derive(Debug, Error)]
pub enum Error {
    /// A check before the first shift.
    #[error("progress.exposed_at: missing; the candidate has had no traffic yet, so there is nothing to check")]
    NotExposed,
}

impl Named for Error {
    fn name(&self) -> &'static str {
        "InvalidInput"
    }
}

/// Checks.
///
/// What cannot be read is no error: not knowing is a reason to hold, and in the end to roll back.
///
/// # Errors
/// [`Error`] for an event that makes no sense.
pub async fn handle(
    source: &impl Metrics,
    targets: &impl Targets,
    clock: impl Fn() -> Timestamp,
    event: Event,
) -> Result<Check, Error> {
    let Event { lease: _, plan, progress, command } = event;
    let exposed = progress.exposed_at.ok_or(Error::NotExposed)?;
    let now = clock();
    let health = &plan.health;
    let window = Window::complete(exposed, now, health.metric_lag_seconds, health.period_seconds);
    let look = Look {
        now,
        window,
        observed: observe(source, &plan, window).await.map_err(|error| error.to_string()),
        candidate_targets: candidate_targets(targets, &plan).await.map_err(|error| error.to_string()),
        command,
    };
    let check = decision::check(&plan, &progress, &look);
    tracing::info!(decision = ?check.decision, reason = check.reason, "checked");
    Ok(check)
}

/// One call for everything: both slots and their load balancers, since the hour before the first exposure.
async fn observe(source: &impl Metrics, plan: &Plan, window: Window) -> Result<Observed, ApiError> {
    let candidate = metrics::queries(&plan.candidate, &Metric::OF_GROUPS);
    let stable = metrics::queries(&plan.stable, &Metric::OF_GROUPS);
    let load_balancers = metrics::load_balancer_queries(&plan.stable);
    let all: Vec<Query> = [candidate.as_slice(), stable.as_slice(), load_balancers.as_slice()].concat();
    // Whole periods, so that the earlier ones lie on the same grid.
    let before = BEFORE_SECONDS.next_multiple_of(window.period_seconds.max(1));
    let whole = Window { start: metrics::earlier(window.start, before), ..window };
    let mut series = source.sums(whole, &all).await?.into_iter();
    let mut answers = |queries: &[Query]| {
        let mine: Vec<Series> = series.by_ref().take(queries.len()).collect();
        metrics::traffic(queries, &mine)
    };
    let (candidate, stable, load_balancers) = (answers(&candidate), answers(&stable), answers(&load_balancers));
    let before: Counts = stable.range(..window.start).map(|(_, traffic)| traffic.answers).sum();
    Ok(Observed { candidate, stable, load_balancers, before })
}

async fn candidate_targets(targets: &impl Targets, plan: &Plan) -> Result<Vec<TargetCounts>, ApiError> {
    let mut counts = Vec::with_capacity(plan.candidate.groups.len());
    for group in &plan.candidate.groups {
        counts.push(TargetCounts::of(&targets.states(&group.arn).await?));
    }
    Ok(counts)
}
