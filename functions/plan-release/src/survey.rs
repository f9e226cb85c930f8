//! What is found out before the plan: the stable slot's targets, the alarms, and the hours before.

use std::collections::BTreeSet;

use jiff::Timestamp;
use spillway_aws::error::ApiError;
use spillway_aws::ports::{Alarms, Metrics, Targets, Zones};
use spillway_core::arn::{AlarmArn, LoadBalancerDimension, RouteArn, TargetGroupArn};
use spillway_core::definition::{CustomSource, HealthPolicy, ServiceDefinition};
use spillway_core::judge::Counts;
use spillway_core::judge::latency::Quantile;
use spillway_core::metrics::{self, Batch, CountSeries, Metric, Part, Series, Window};
use spillway_core::plan::{
    History, PlannedGroup, Refusal, Roles, Side, SlowHistory, Survey, history_window, quantile_window, typical,
};
use spillway_core::slot::Slot;
use spillway_core::targets::TargetCounts;

/// Finds out; what depends on which slot is stable only when that is clear. What cannot be read for good is a reason
/// not to start, beside the others.
pub(crate) async fn survey(
    load_balancers: &(impl Targets + Zones),
    cloudwatch: &(impl Metrics + Alarms),
    definition: &ServiceDefinition,
    roles: Option<&Roles>,
    now: Timestamp,
    refusals: &mut Vec<Refusal>,
) -> Result<Survey, ApiError> {
    let arns: Vec<AlarmArn> = definition.health.alarms.iter().map(|alarm| alarm.arn.clone()).collect();
    let alarms = if arns.is_empty() { Vec::new() } else { known(cloudwatch.states(&arns).await, refusals)? };
    let missing_metrics = known(missing_metrics(cloudwatch, definition).await, refusals)?;
    let Some(roles) = roles else { return Ok(Survey { alarms, missing_metrics, ..Survey::default() }) };

    let stable = roles.side(definition, roles.stable);
    let mut stable_targets = Vec::with_capacity(stable.groups.len());
    for group in &stable.groups {
        let states = known(load_balancers.states(&group.arn).await.map(Some), refusals)?;
        stable_targets.extend(states.map(|states| TargetCounts::of(&states)));
    }
    let history = known(history(load_balancers, cloudwatch, definition, roles, now).await, refusals)?;
    Ok(Survey { stable_targets, alarms, missing_metrics, history, ..Survey::default() })
}

/// What was found out. What the next attempt may find out is an error; what cannot be found out is noted.
pub(crate) fn known<T: Default>(found: Result<T, ApiError>, refusals: &mut Vec<Refusal>) -> Result<T, ApiError> {
    match found {
        Err(error) if !error.transient => {
            refusals.push(Refusal::Unreadable(error.to_string()));
            Ok(T::default())
        }
        found => found,
    }
}

/// The zones of all load balancers, each once.
async fn zones(source: &impl Zones, roles: &Roles) -> Result<Vec<String>, ApiError> {
    let mut zones: Vec<String> = Vec::new();
    let mut asked = Vec::new();
    for route in &roles.routes {
        let load_balancer = route.arn.load_balancer();
        if !asked.contains(&load_balancer) {
            zones.extend(source.zones(&route.arn).await?);
            asked.push(load_balancer);
        }
    }
    zones.sort();
    zones.dedup();
    Ok(zones)
}

/// Which of the service's own metrics CloudWatch knows for neither slot: the candidate's may well be new.
async fn missing_metrics(
    source: &impl Metrics,
    definition: &ServiceDefinition,
) -> Result<Vec<(usize, &'static str)>, ApiError> {
    let mut missing = Vec::new();
    for (index, metric) in definition.health.metrics.iter().enumerate() {
        for (field, of) in [("count", &metric.count), ("denominator", &metric.denominator)] {
            if !exists(source, definition, of).await? {
                missing.push((index, field));
            }
        }
    }
    Ok(missing)
}

async fn exists(source: &impl Metrics, definition: &ServiceDefinition, of: &CustomSource) -> Result<bool, ApiError> {
    for slot in Slot::BOTH {
        for query in metrics::custom_queries(&anywhere(definition, slot), of) {
            if source.exists(&query).await? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// A slot with each of its target groups behind each load balancer: which belongs to which need not be clear yet.
fn anywhere(definition: &ServiceDefinition, slot: Slot) -> Side {
    let chosen = definition.slots.get(slot);
    let load_balancers: BTreeSet<LoadBalancerDimension> =
        definition.routes.iter().map(RouteArn::load_balancer).collect();
    let behind = |arn: &TargetGroupArn| {
        let arn = arn.clone();
        load_balancers
            .iter()
            .map(move |load_balancer| PlannedGroup { arn: arn.clone(), load_balancer: load_balancer.clone() })
    };
    Side {
        slot,
        groups: chosen.target_groups.iter().flat_map(behind).collect(),
        compute: chosen.compute.clone(),
        price_per_hour: None,
    }
}

/// The stable slot in the hours before: two calls, since what is slow is told by the first, and one for the quantiles.
///
/// # Errors
/// [`ApiError`] of the first call that failed.
pub async fn history(
    load_balancers: &impl Zones,
    source: &impl Metrics,
    definition: &ServiceDefinition,
    roles: &Roles,
    now: Timestamp,
) -> Result<History, ApiError> {
    let (health, stable) = (&definition.health, &roles.side(definition, roles.stable));
    let zones = zones(load_balancers, roles).await?;
    let window = history_window(now, health);
    let mut batch = Batch::default();
    let zones: Vec<Option<&str>> = zones.iter().map(|zone| Some(zone.as_str())).collect();
    let mut ask = |zone: Option<&str>| batch.add(metrics::queries(stable, &Metric::ANSWERS, zone));
    let (whole, by_zone): (Part, Vec<Part>) = (ask(None), zones.iter().copied().map(&mut ask).collect());
    let other = batch.add(metrics::queries(&roles.side(definition, roles.stable.other()), &Metric::ANSWERS, None));
    let custom: Vec<[Part; 2]> = (health.metrics.iter())
        .map(|metric| [&metric.count, &metric.denominator].map(|of| batch.add(metrics::custom_queries(stable, of))))
        .collect();
    let answers = source.values(window, batch.queries()).await?;
    let series = |part: &Part| metrics::answers(&batch.traffic(&answers, part));
    let by_zone: Vec<CountSeries> = by_zone.iter().map(series).collect();
    // Where nobody publishes by zone, the slot as a whole is one.
    let told = by_zone.iter().filter(|zone| !zone.is_empty()).count() >= 2;
    let both = rows(window, &[series(&whole), series(&other)]);
    let (parts, by_zone) = if told { (zones, by_zone) } else { (vec![None], vec![series(&whole)]) };

    Ok(History {
        period_seconds: window.period_seconds,
        service: both.into_iter().map(|slots| slots.into_iter().sum()).collect(),
        by_zone: rows(window, &by_zone),
        latency: slow_history(source, health, stable, &parts, now).await?,
        metrics: custom
            .iter()
            .map(|[count, of]| rows(window, &[metrics::custom(&answers[count.clone()], &answers[of.clone()])]))
            .collect(),
    })
}

/// What is slow, and how much of it there was in each zone.
async fn slow_history(
    source: &impl Metrics,
    health: &HealthPolicy,
    stable: &Side,
    zones: &[Option<&str>],
    now: Timestamp,
) -> Result<Vec<SlowHistory>, ApiError> {
    let quantiles = &health.latency.quantiles;
    let series = source.values(quantile_window(now, health), &metrics::quantile_queries(stable, quantiles)).await?;
    let groups: Vec<&[Series]> = series.chunks(quantiles.len() + 1).collect();
    let thresholds = quantiles.iter().enumerate().filter_map(|(index, quantile)| {
        let weighed: Vec<(&Series, &Series)> =
            groups.iter().map(|group| (&group[index], &group[quantiles.len()])).collect();
        Some((*quantile, health.latency.threshold(*quantile, typical(&weighed))?))
    });
    let thresholds: Vec<(Quantile, f64)> = thresholds.collect();

    let (window, mut batch) = (history_window(now, health), Batch::default());
    let parts: Vec<Vec<Part>> = (thresholds.iter())
        .map(|(_, seconds)| {
            zones.iter().map(|zone| batch.add(metrics::slow_queries(stable, *zone, *seconds))).collect()
        })
        .collect();
    let answers = source.values(window, batch.queries()).await?;
    Ok(std::iter::zip(thresholds, parts)
        .map(|((quantile, seconds), parts)| {
            let by_zone: Vec<CountSeries> = parts.iter().map(|part| batch.slow(&answers, part)).collect();
            SlowHistory { quantile, seconds, by_zone: rows(window, &by_zone) }
        })
        .collect())
}

/// A row for each period of the window, with a column for each part.
fn rows(window: Window, parts: &[CountSeries]) -> Vec<Vec<Counts>> {
    let row = |at: Timestamp| parts.iter().map(|part| part.get(&at).copied().unwrap_or_default()).collect();
    window.starts().map(row).collect()
}
