//! The plan and the cost, in tables.

use maud::{Markup, html};
use spillway_core::definition::{OnInconclusive, OnSplitMismatch};
use spillway_core::plan::{Plan, Side};
use spillway_core::weight::Percent;

use crate::operator::words::length;
use crate::record::Record;
use crate::record::timeline::words;

/// The plan.
pub fn section(record: &Record) -> Markup {
    let Some(plan) = &record.plan else {
        return html! { section { h2 { "Plan" } p { "The release did not get as far as a plan." } } };
    };
    html! {
        section {
            h2 { "Plan" }
            @for warning in &plan.warnings { p class="warning" { strong { "Warning: " } (warning) } }
            (roles(plan))
            (steps(plan))
            (policy(plan))
        }
    }
}

fn roles(plan: &Plan) -> Markup {
    let groups =
        |side: &Side| side.groups.iter().map(|group| group.arn.name().to_owned()).collect::<Vec<_>>().join(", ");
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Slots" {
            table {
                thead { tr { th scope="col" { "role" } th scope="col" { "slot" } th scope="col" { "target groups" } th scope="col" { "compute" } } }
                tbody {
                    @for (role, side) in [("stable (old version)", &plan.stable), ("candidate (new version)", &plan.candidate)] {
                        tr { th scope="row" { (role) } td { (side.slot) } td { (groups(side)) } td { (side.compute) } }
                    }
                }
            }
        }
    }
}

fn steps(plan: &Plan) -> Markup {
    let rows = plan.steps.iter().enumerate().map(|(index, step)| {
        let next = plan.weight_at(index + 1);
        (index, step, plan.needs_approval(step.weight, next))
    });
    html! {
        div class="scroll" tabindex="0" role="region" aria-label="Steps" {
            table {
                thead { tr { th scope="col" { "step" } th scope="col" { "weight" } th scope="col" { "at least" } th scope="col" { "at most, without proof" } th scope="col" { "then" } } }
                tbody {
                    @for (index, step, asks) in rows {
                        tr {
                            td { (index + 1) }
                            td { (step.weight) }
                            td { (length(step.minimum_time_seconds.into())) }
                            td { (length(step.max_step_seconds.into())) }
                            td { @if asks { "a person approves" } @else { "goes on" } }
                        }
                    }
                    @if plan.steps.last().is_none_or(|step| step.weight != Percent::ALL) {
                        tr { td { (plan.steps.len() + 1) } td { "100 %" } td { "-" } td { "-" } td { "promoted once the old slot is measured quiet" } }
                    }
                }
            }
        }
    }
}

fn policy(plan: &Plan) -> Markup {
    let health = &plan.health;
    let unproven = match health.on_inconclusive {
        OnInconclusive::Advance => "goes on unless something speaks against it",
        OnInconclusive::Pause => "waits for a person",
        OnInconclusive::Rollback => "rolls back",
    };
    let split = match plan.traffic.on_split_mismatch {
        OnSplitMismatch::Rollback => "rolls back",
        OnSplitMismatch::Continue => "goes on",
    };
    let latency =
        plan.baseline.latency.iter().map(|slow| format!("{} {}", slow.quantile.name(), seconds(slow.seconds)));
    let alarms = health.alarms.iter().map(|alarm| alarm.arn.name().to_owned());
    let hooks = plan.hooks.named().map(|(name, hook)| format!("{name}: {}", hook.function.as_str()));
    let listed = |texts: Vec<String>| if texts.is_empty() { "none".to_owned() } else { texts.join(", ") };
    let facts: Vec<(&str, String)> = vec![
        ("strategy", words(plan.strategy).to_owned()),
        (
            "checks",
            format!(
                "every {}, of metric periods of {}, once {} old",
                length(health.check_seconds.into()),
                length(health.period_seconds.into()),
                length(health.metric_lag_seconds.into())
            ),
        ),
        ("without proof", format!("{unproven}; a hold lasts {} at most", length(health.hold_seconds.into()))),
        ("split that is off", format!("{split} after the longest hold")),
        ("error limit", health.max_error_rate.map_or("none".into(), |limit| format!("at most {limit}"))),
        ("slow from", listed(latency.collect())),
        ("alarms", listed(alarms.collect())),
        ("hooks", listed(hooks.collect())),
        ("routes", listed(plan.routes.iter().map(|route| route.arn.to_string()).collect())),
        ("rollback window", length(plan.retirement.window_seconds.into())),
    ];
    html! {
        dl class="facts" {
            @for (name, value) in facts { dt { (name) } dd { (value) } }
        }
    }
}

/// Hours as people say them.
#[allow(clippy::cast_possible_truncation, reason = "saturates")]
pub fn hours(hours: f64) -> String {
    length((hours * 3600.0).round() as i64)
}

/// Seconds as people say them of answers.
pub fn seconds(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{} ms", (seconds * 1e4).round() / 10.0)
    } else {
        format!("{} s", (seconds * 100.0).round() / 100.0)
    }
}

/// What the second slot has cost.
pub fn cost(record: &Record) -> Markup {
    let Some(cost) = record.cost else { return html! {} };
    html! {
        section {
            h2 { "Cost" }
            p {
                "Two slots ran side by side for " strong { (hours(cost.slot_hours)) } " (" (cost.slot_hours) " slot-hours)"
                @if let Some(amount) = cost.amount { ", which cost " strong { (amount) } " in the currency of the definition's price" }
                @else { "; the definition gives no price" }
                @if record.cost_is_final { ". That is all of it, retirement included." }
                @else { ". The slot without traffic had not been retired then: its rollback window adds to it." }
            }
        }
    }
}
