//! One check: metrics and commands in, a decision with its evidence out.
//!
//! Stateless: everything is recomputed from all complete periods since the first exposure, so that a check
//! may be repeated at will and data that arrive late or are revised are taken in.

use futures_util::future::{join, join_all, join5, try_join_all};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spillway_aws::error::{ApiError, Named, is_gone};
use spillway_aws::ports::{Alarms, Leases, Metrics, Routes, Targets};
use spillway_core::arn::AlarmArn;
use spillway_core::decision::{self, Check, Command, Latencies, Look, Observed, Sides};
use spillway_core::drift::Reading;
use spillway_core::hook::Reply;
use spillway_core::judge::latency::Quantile;
use spillway_core::lease::{Lease, Notices};
use spillway_core::metrics::{self, Batch, Metric, Part, Window};
use spillway_core::plan::{AlarmState, Plan, Side};
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
    /// What the hook that was asked last has said.
    #[serde(default)]
    pub hook: Reply,
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
    cloudwatch: &(impl Metrics + Alarms),
    load_balancers: &(impl Routes + Targets),
    leases: &impl Leases,
    clock: impl Fn() -> Timestamp,
    event: Event,
) -> Result<Check, Error> {
    let Event { lease, plan, progress, command, hook } = event;
    let exposed = progress.exposed_at.ok_or(Error::NotExposed)?;
    let now = clock();
    let health = &plan.health;
    let window = Window::complete(exposed, now, health.metric_lag_seconds, health.period_seconds);
    // All at once: what is throttled is tried again for a while, and the function's time is limited.
    let (observed, routes, (candidate_targets, stable_targets), alarms, notices) = join5(
        observe(cloudwatch, &plan, window),
        routes(load_balancers, &plan),
        join(targets(load_balancers, &plan.candidate), targets(load_balancers, &plan.stable)),
        alarms(cloudwatch, &plan),
        notices(leases, &lease, now),
    )
    .await;
    let unread = |error: ApiError| error.to_string();
    let look = Look {
        now,
        window,
        observed: observed.map_err(unread),
        routes,
        candidate_targets: candidate_targets.map_err(unread),
        stable_targets: stable_targets.map_err(unread),
        alarms: alarms.map_err(unread),
        command,
        notices: notices.map_err(unread),
        hook,
        execution: lease.owner,
    };
    let check = decision::check(&plan, &progress, &look);
    tracing::info!(decision = ?check.decision, reason = check.reason, "checked");
    Ok(check)
}

/// One call for everything: both slots and their load balancers, since the hour before the first exposure.
async fn observe(source: &impl Metrics, plan: &Plan, window: Window) -> Result<Observed, ApiError> {
    let mut batch = Batch::default();
    let candidate = batch.add(metrics::queries(&plan.candidate, &Metric::OF_GROUPS, None));
    let stable = batch.add(metrics::queries(&plan.stable, &Metric::OF_GROUPS, None));
    let load_balancers = batch.add(metrics::load_balancer_queries(&plan.stable));
    let thresholds = plan.baseline.latency.iter();
    let slow: Vec<[Part; 2]> = thresholds
        .map(|threshold| {
            [&plan.candidate, &plan.stable].map(|side| batch.add(metrics::slow_queries(side, None, threshold.seconds)))
        })
        .collect();
    let quantiles: Vec<Quantile> = plan.baseline.latency.iter().map(|threshold| threshold.quantile).collect();
    let latencies = [&plan.candidate, &plan.stable].map(|side| batch.add(metrics::latency_queries(side, &quantiles)));
    let custom: Vec<[[Part; 2]; 2]> = (plan.health.metrics.iter())
        .map(|metric| {
            [&plan.candidate, &plan.stable].map(|side| {
                [&metric.count, &metric.denominator].map(|source| batch.add(metrics::custom_queries(side, source)))
            })
        })
        .collect();

    // Whole periods, so that the earlier ones lie on the same grid.
    let before = BEFORE_SECONDS.next_multiple_of(window.period_seconds.max(1));
    let whole = Window { start: metrics::earlier(window.start, before), ..window };
    let answers = source.values(whole, batch.queries()).await?;
    let slow = slow.iter().map(|sides| sides.each_ref().map(|part| batch.slow(&answers, part)));
    let custom = custom.iter().map(|sides| {
        sides.each_ref().map(|[count, of]| metrics::custom(&answers[count.clone()], &answers[of.clone()]))
    });
    Ok(Observed {
        candidate: batch.traffic(&answers, &candidate),
        stable: batch.traffic(&answers, &stable),
        load_balancers: batch.traffic(&answers, &load_balancers),
        latencies: Latencies {
            candidate: batch.latencies(&answers, &latencies[0]),
            stable: batch.latencies(&answers, &latencies[1]),
        },
        others: slow.chain(custom).map(|[candidate, stable]| Sides { candidate, stable }).collect(),
    })
}

async fn targets(source: &impl Targets, side: &Side) -> Result<Vec<TargetCounts>, ApiError> {
    let counts = side.groups.iter().map(async |group| Ok(TargetCounts::of(&source.states(&group.arn).await?)));
    try_join_all(counts).await
}

/// Every route as it stands.
async fn routes(source: &impl Routes, plan: &Plan) -> Vec<Reading> {
    let readings = plan.routes.iter().map(async |planned| match source.read(&planned.arn).await {
        Ok(actions) => Reading::Actions(actions),
        Err(error) if is_gone(&error) => Reading::Gone,
        Err(error) => Reading::Unread(error.to_string()),
    });
    join_all(readings).await
}

/// What others want of the release. Whose the lease is does not matter here: nothing is changed.
async fn notices(leases: &impl Leases, lease: &Lease, now: Timestamp) -> Result<Notices, ApiError> {
    let (record, all) = join(leases.read(&lease.service), leases.freeze_of_all()).await;
    Ok(Notices::of(&record?.unwrap_or_default(), all?, now))
}

async fn alarms(source: &impl Alarms, plan: &Plan) -> Result<Vec<AlarmState>, ApiError> {
    let arns: Vec<AlarmArn> = plan.health.alarms.iter().map(|alarm| alarm.arn.clone()).collect();
    if arns.is_empty() { Ok(Vec::new()) } else { source.states(&arns).await }
}
