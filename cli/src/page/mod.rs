//! A release's report: one page that needs nothing but itself. No script, no network; light, dark and print; every
//! picture with its numbers in a table.

mod chart;
mod figures;
mod plan;
mod series;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use spillway_core::figures::count;

use crate::operator::words::length;
use crate::record::Record;
use crate::record::timeline::{Tone, told};

/// Colours and sizes.
const STYLE: &str = include_str!("style.css");

/// The page.
pub fn html(record: &Record) -> String {
    let title = format!("{}: release {} {}", record.service, record.release, record.outcome());
    let groups = series::groups(record);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Nothing is loaded, whatever a name or a reason contains.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:";
                title { (title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (header(record))
                    (explanation(record))
                    (key_figures(record))
                    @if !groups.is_empty() || record.exposed() {
                        section { (figures::weights(record, &groups)) }
                    }
                    @if !groups.is_empty() {
                        section { (figures::errors(record, &groups)) }
                        section { (figures::latency(record, &groups)) }
                    }
                    @if !record.checks.is_empty() { section { (figures::evidence(record)) } }
                    (timeline(record))
                    (plan::section(record))
                    (plan::cost(record))
                }
                (footer(record))
            }
        }
    };
    page.into_string()
}

fn header(record: &Record) -> Markup {
    html! {
        header {
            p class="service" { (record.service) }
            h1 {
                span class="name" { (record.release) }
                " "
                span class=(format!("badge {}", class(record.tone()))) { (icon(record.tone())) " " (record.outcome()) }
            }
            @if let Some(version) = &record.version {
                p class="version" title=(version) { (spillway_core::version::short(&version.to_string())) }
            }
        }
    }
}

/// The five lines.
fn explanation(record: &Record) -> Markup {
    let explanation = record.explanation();
    html! {
        section class="lines" aria-label="In short" {
            @for line in explanation.lines() { p { (line) } }
        }
    }
}

fn key_figures(record: &Record) -> Markup {
    let check = record.last_check();
    let open = if record.cost_is_final { "" } else { " so far" };
    let figures: [(&str, String); 6] = [
        ("started (UTC)", record.started.strftime("%Y-%m-%d %H:%M:%S").to_string()),
        ("took", length(record.seconds())),
        ("highest weight", record.progress.highest.to_string()),
        ("answers of the new version", check.map_or("-".into(), |check| count(check.candidate().requests))),
        ("failed", check.map_or("-".into(), |check| count(check.candidate().errors))),
        ("second slot ran", record.cost.map_or("-".into(), |cost| format!("{}{open}", plan::hours(cost.slot_hours)))),
    ];
    html! {
        dl class="figures" {
            @for (name, value) in figures { div { dt { (name) } dd { (value) } } }
        }
    }
}

fn timeline(record: &Record) -> Markup {
    html! {
        section {
            h2 { "What happened" }
            p class="words" { "Times are UTC. Of checks in a row that decided the same, the first one is listed." }
            ol class="timeline" {
                @for (entry, why) in told(&record.timeline) {
                    li class=(class(entry.what.tone())) {
                        time datetime=(entry.at) { (figures::time(record, entry.at)) }
                        span class="what" { span class="icon" aria-hidden="true" { (icon(entry.what.tone())) } " " (entry.what) }
                        @if !why.is_empty() { span class="why" { (why) } }
                    }
                }
            }
            @if !record.checks.is_empty() { (figures::checks(record)) }
        }
    }
}

fn footer(record: &Record) -> Markup {
    html! {
        footer {
            @if !record.arn.is_empty() { p { "Execution: " code { (record.arn) } } }
            p { "Made by spillway " (env!("CARGO_PKG_VERSION")) " from the release's own record." }
        }
    }
}

/// The style's name of a tone.
fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "good",
        Tone::Plain => "plain",
        Tone::Wait => "waiting",
        Tone::Bad => "bad",
    }
}

/// A sign for a tone, so that colour is not all that tells it.
fn icon(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "✓",
        Tone::Plain => "•",
        Tone::Wait => "‖",
        Tone::Bad => "✕",
    }
}
