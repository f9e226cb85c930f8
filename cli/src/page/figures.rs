//! The page's charts, each with a caption that says what it shows, and its numbers in a table.

use jiff::Timestamp;
use maud::{Markup, html};
use spillway_core::figures::{count, percent, short};
use spillway_core::judge::Counts;
use spillway_core::plan::Threshold;

use super::chart::{Chart, Mark, Scale, nice};
use super::plan;
use super::series::{self, Evidence, Group, interval};
use crate::record::Record;
use crate::record::check::{Hosts, Share, suspicious_at};
use crate::record::timeline::{What, decided};

/// A table lists so many rows at most.
const MOST_ROWS: usize = 60;
/// So many checks are listed at most: a day of them would be a megabyte.
const MOST_CHECKS: usize = 300;

/// The weights, and where the requests were.
pub fn weights(record: &Record, groups: &[Group<'_>]) -> Markup {
    let observed: Vec<(f64, f64)> = groups.iter().filter_map(|group| Some((group.middle, group.share()?))).collect();
    let mut marks = background(record);
    marks.push(Mark::Line("requested", series::requested(record)));
    marks.push(Mark::Line("candidate thin", observed.clone()));
    marks.push(Mark::Dots("candidate", observed));
    let reached = record.progress.highest;
    let label =
        format!("The candidate's weight as it was asked for, up to {reached}, and its measured share of all answers");
    let chart = chart(record, "weights", label, Scale::Share(1.0), marks);
    let rows = groups.iter().map(|group| {
        let [candidate, stable] = group.errors();
        vec![
            time(record, group.began),
            group.weight().to_string(),
            group.share().map_or("-".into(), percent),
            count(candidate.requests),
            count(stable.requests),
        ]
    });
    html! {
        (head("Weight and observed share", "What was asked for, and where the requests were measured."))
        figure {
            (legend(&[("line requested", "weight asked for"), ("dot candidate", "measured share of the new version")], record))
            (chart.pictures(false))
            (table("Weights and shares by metric period", &["from (UTC)", "weight", "observed share", "answers, new", "answers, old"], rows))
        }
    }
}

/// Error rates of both slots, with how sure they are.
pub fn errors(record: &Record, groups: &[Group<'_>]) -> Markup {
    let (phi, limit) = record.plan.as_ref().map_or((1.0, None), |plan| (plan.baseline.phi, plan.health.max_error_rate));
    let counts: Vec<(f64, [Counts; 2])> = groups.iter().map(|group| (group.middle, group.errors())).collect();
    let mut marks = background(record);
    let most = rates(&mut marks, &counts, phi, limit.map_or(0.0, |limit| limit.fraction() * 1.2));
    if let Some(limit) = limit {
        marks.push(Mark::Level("limit", limit.fraction(), format!("at most {limit}")));
    }
    let label = format!("Error rates of both versions over time: {}", both(record));
    let chart = chart(record, "errors", label, Scale::Share(most), marks);
    html! {
        (head("Error rate", &format!("Errors among the answers of each metric period. The bands hold the true rate with 95 % confidence (Wilson's interval, at a dispersion of {}).", short(phi))))
        figure {
            (legend(VERSIONS, record))
            (chart.pictures(false))
            (rate_table(record, "Errors by metric period", groups, &counts, phi))
        }
    }
}

/// Shares of slow answers, by threshold.
pub fn latency(record: &Record, groups: &[Group<'_>]) -> Markup {
    let thresholds = series::thresholds(record);
    if thresholds.is_empty() || groups.is_empty() {
        return html! {
            (head("Latency", "Latency was not compared: the definition has no quantiles, or there were no answers in the hours before."))
        };
    }
    let phi_of = |quantile| {
        let all = record.plan.iter().flat_map(|plan| &plan.baseline.latency);
        all.filter(|threshold| threshold.quantile == quantile).map(|threshold| threshold.phi).fold(1.0, f64::max)
    };
    html! {
        (head("Latency", "Quantiles of the time that answers took, and the share of answers that were slower than the threshold that was frozen when the release was planned, by which it is judged. Bands as above."))
        (legend(VERSIONS, record))
        div class="small" {
            @for threshold in record.plan.iter().flat_map(|plan| &plan.baseline.latency) {
                (quantile(record, groups, threshold))
            }
        }
        div class="small" {
            @for (index, (seconds, quantiles)) in thresholds.iter().enumerate() {
                @let names = quantiles.iter().map(|quantile| quantile.name()).collect::<Vec<_>>().join(", ");
                @let phi = phi_of(quantiles[0]);
                @let counts = groups.iter().map(|group| (group.middle, group.slow(quantiles[0]))).collect::<Vec<_>>();
                @let mut_marks = with_rates(background(record), &counts, phi);
                @let label = format!("Share of answers slower than {}, which stands for {names}, of both versions over time", plan::seconds(*seconds));
                @let drawn = chart(record, &format!("latency{index}"), label, Scale::Share(mut_marks.1), mut_marks.0);
                figure {
                    figcaption { "Slower than " (plan::seconds(*seconds)) " (" (names) ")" }
                    (drawn.pictures(true))
                    (rate_table(record, &format!("Answers slower than {}", plan::seconds(*seconds)), groups, &counts, phi))
                }
            }
        }
    }
}

/// One quantile of the response times; nothing where no check has told it.
fn quantile(record: &Record, groups: &[Group<'_>], threshold: &Threshold) -> Markup {
    let Threshold { quantile, seconds, .. } = threshold;
    let told: Vec<(&Group<'_>, [Option<f64>; 2])> =
        groups.iter().map(|group| (group, group.latency(*quantile))).collect();
    let most = told.iter().flat_map(|(_, both)| both).flatten().copied().fold(0.0, f64::max);
    if most == 0.0 {
        return html! {};
    }
    let mut marks = background(record);
    marks.push(Mark::Level("limit", *seconds, format!("slow from {}", plan::seconds(*seconds))));
    for (side, class) in [(1, "stable"), (0, "candidate")] {
        let points: Vec<(f64, f64)> =
            told.iter().filter_map(|(group, both)| Some((group.middle, both[side]?))).collect();
        marks.extend([Mark::Line(class, points.clone()), Mark::Dots(class, points)]);
    }
    let name = quantile.name();
    let label = format!("{name} of the response time of both versions over time, up to {}", plan::seconds(most));
    let drawn = chart(record, &format!("quantile-{quantile}"), label, Scale::Seconds(most.max(*seconds) * 1.25), marks);
    let rows = told.iter().map(|(group, both)| {
        let [candidate, stable] = both.map(|value| value.map_or_else(|| "-".into(), plan::seconds));
        vec![time(record, group.began), candidate, stable]
    });
    html! {
        figure {
            figcaption { (name) " of the response time" }
            (drawn.pictures(true))
            (table(&format!("{name} of the response time by metric period"), &["from (UTC)", "new version", "old version"], rows))
        }
    }
}

/// E-values, gate by gate, against their limits.
pub fn evidence(record: &Record) -> Markup {
    let all = series::evidence(record);
    html! {
        (head("Evidence", "An e-value of 1 is no evidence, and from its limit on it is proof, on a logarithmic scale. All but the last are evidence against the new version; health is evidence for it since the last shift. Together is what all of them come to."))
        @if all.is_empty() { p { "There was no check." } }
        div class="small" {
            @for (index, evidence) in all.iter().enumerate() { (one_gate(record, index, evidence)) }
        }
    }
}

fn one_gate(record: &Record, index: usize, evidence: &Evidence) -> Markup {
    let Evidence { gate, proof_at, values } = evidence;
    let good = gate == "health";
    let last = values.last().map_or(1.0, |value| value.1);
    let most = values.iter().map(|value| value.1).fold(*proof_at, f64::max) * 4.0;
    let least = values.iter().map(|value| value.1).fold(0.1, f64::min).max(1e-4) / 1.5;
    let mut marks = background(record);
    if !good {
        marks.push(Mark::Level("suspicion", suspicious_at(*proof_at), String::new()));
    }
    let level = if good { "enough" } else { "limit" };
    marks.push(Mark::Level(level, *proof_at, format!("proof at {}", count(*proof_at))));
    marks.push(Mark::Line("evidence", values.clone()));
    if values.len() <= MOST_ROWS {
        marks.push(Mark::Dots("evidence", values.clone()));
    }
    let proven = last >= *proof_at;
    let verdict = if proven { ">=" } else { "<" };
    let label =
        format!("e-value of {gate} over the checks: {} at the last one, {verdict} {}", short(last), count(*proof_at));
    let drawn = chart(record, &format!("evidence{index}"), label, Scale::Log(least, most), marks);
    let rows = thinned(values).into_iter().map(|(at, value)| {
        let began = series::beginning(record);
        let at = began.checked_add(jiff::SignedDuration::from_secs_f64(at)).unwrap_or(began);
        vec![
            time(record, at),
            short(value),
            format!("{} {}", if value >= *proof_at { ">=" } else { "<" }, count(*proof_at)),
        ]
    });
    html! {
        figure {
            figcaption {
                (gate) ": " strong class=(if proven && !good { "proof" } else { "" }) { (short(last)) }
                " " (verdict) " " (count(*proof_at))
            }
            (drawn.pictures(true))
            (table(&format!("E-values of {gate}"), &["check (UTC)", "e-value", "limit"], rows))
        }
    }
}

const VERSIONS: &[(&str, &str)] = &[("line candidate", "new version"), ("line stable", "old version")];

/// The checks, the latest of them if they are many.
pub fn checks(record: &Record) -> Markup {
    let hosts = |hosts: Option<Hosts>| {
        hosts.map_or("-".to_owned(), |hosts| format!("{} of {}", hosts.healthy, hosts.registered))
    };
    let skipped = record.checks.len().saturating_sub(MOST_CHECKS);
    let caption = match skipped {
        0 => format!("All {} checks", record.checks.len()),
        _ => format!("The latest {MOST_CHECKS} of {} checks", record.checks.len()),
    };
    let rows = record.checks[skipped..].iter().map(|check| {
        vec![
            time(record, check.at),
            check.weight().to_string(),
            check.share().and_then(Share::fraction).map_or("-".into(), percent),
            decided(check.check.decision).to_owned(),
            hosts(check.candidate_hosts()),
            hosts(check.stable_hosts()),
            short(check.check.evidence.e_unhealthy),
            check.check.reason.clone(),
        ]
    });
    let header = ["time (UTC)", "weight", "observed share", "decision", "healthy, new", "healthy, old", "E", "reason"];
    table(&caption, &header, rows)
}

/// Holds, waits and the rollback, behind everything else.
fn background(record: &Record) -> Vec<Mark> {
    let spans = series::waits(record).into_iter().map(|(class, from, to)| Mark::Span(class, from, to));
    let rollback = record.timeline.iter().find(|entry| entry.what == What::RollingBack);
    let rollback = rollback.map(|entry| Mark::Moment("rollback", series::since(record, entry.at)));
    spans.chain(rollback).collect()
}

fn chart(record: &Record, id: &str, label: String, scale: Scale, marks: Vec<Mark>) -> Chart {
    Chart { id: id.to_owned(), label, began: series::beginning(record), seconds: series::seconds(record), scale, marks }
}

/// Adds both versions' rates with their bands; gives the top of the axis, which is at least this.
fn rates(marks: &mut Vec<Mark>, counts: &[(f64, [Counts; 2])], phi: f64, least: f64) -> f64 {
    let (mut highest, mut uppers) = (0.0f64, Vec::new());
    let mut lines = Vec::new();
    for (side, class) in [(1, "stable"), (0, "candidate")] {
        let told = |(at, counts): &(f64, [Counts; 2])| {
            let (lower, upper) = interval(counts[side], phi)?;
            Some((*at, counts[side].error_rate()?, lower, upper))
        };
        let told: Vec<(f64, f64, f64, f64)> = counts.iter().filter_map(told).collect();
        highest = told.iter().map(|told| told.1).fold(highest, f64::max);
        uppers.extend(told.iter().map(|told| told.3));
        marks.push(Mark::Band(class, told.iter().map(|told| (told.0, told.2, told.3)).collect()));
        let line: Vec<(f64, f64)> = told.iter().map(|told| (told.0, told.1)).collect();
        lines.extend([Mark::Line(class, line.clone()), Mark::Dots(class, line)]);
    }
    marks.extend(lines);
    // A period with few answers says next to nothing: its band may leave the plot.
    uppers.sort_by(f64::total_cmp);
    let usual = uppers.get(uppers.len() / 2).copied().unwrap_or(0.0);
    let most = (highest * 1.25).max(usual * 1.1).max(least).max(0.001);
    let step = nice(100.0 * most / 5.0) / 100.0;
    ((most / step).ceil() * step).min(1.0)
}

fn with_rates(mut marks: Vec<Mark>, counts: &[(f64, [Counts; 2])], phi: f64) -> (Vec<Mark>, f64) {
    let most = rates(&mut marks, counts, phi, 0.0);
    (marks, most)
}

fn rate_table(record: &Record, caption: &str, groups: &[Group<'_>], counts: &[(f64, [Counts; 2])], phi: f64) -> Markup {
    let rate = |counts: Counts| match (counts.error_rate(), interval(counts, phi)) {
        (Some(rate), Some((lower, upper))) => format!("{} ({} to {})", percent(rate), percent(lower), percent(upper)),
        _ => "-".into(),
    };
    let of = |counts: Counts| format!("{} of {}", count(counts.errors), count(counts.requests));
    let rows = std::iter::zip(groups, counts).map(|(group, (_, [candidate, stable]))| {
        vec![time(record, group.began), of(*candidate), rate(*candidate), of(*stable), rate(*stable)]
    });
    table(caption, &["from (UTC)", "new version", "rate (95 %)", "old version", "rate (95 %)"], rows)
}

/// What both versions came to, in words.
fn both(record: &Record) -> String {
    record.last_check().map_or_else(
        || "nothing was measured".into(),
        |check| {
            let rate = spillway_core::figures::rate;
            format!("new version {}, old version {}", rate(check.candidate()), rate(check.stable()))
        },
    )
}

fn head(title: &str, words: &str) -> Markup {
    html! {
        h2 { (title) }
        p class="words" { (words) }
    }
}

/// What the lines mean, and the shades behind them where there are any.
fn legend(lines: &[(&str, &str)], record: &Record) -> Markup {
    let waits = series::waits(record);
    let any = |class: &str| waits.iter().any(|wait| wait.0 == class);
    let rolled_back = record.timeline.iter().any(|entry| entry.what == What::RollingBack);
    let shades = [
        ("hold", any("hold"), "held"),
        ("wait", any("wait"), "waits for a person"),
        ("rollback", rolled_back, "rollback"),
    ];
    html! {
        p class="legend" aria-hidden="true" {
            @for (class, text) in lines { span class="key" { span class=(format!("swatch {class}")) {} (text) } }
            @for (class, _, text) in shades.into_iter().filter(|shade| shade.1) {
                span class="key" { span class=(format!("swatch {class}")) {} (text) }
            }
        }
    }
}

/// A table that is there for those who cannot see the picture, and for those who want its numbers.
fn table(caption: &str, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Markup {
    html! {
        details {
            summary { (caption) }
            div class="scroll" tabindex="0" role="region" aria-label=(caption) {
                table {
                    thead { tr { @for cell in header { th scope="col" { (cell) } } } }
                    tbody { @for row in rows { tr { @for cell in row { td { (cell) } } } } }
                }
            }
        }
    }
}

/// Not too many of them, the first and the last among them.
fn thinned(values: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let every = values.len().div_ceil(MOST_ROWS).max(1);
    let last = values.len().saturating_sub(1);
    values
        .iter()
        .enumerate()
        .filter(|(index, _)| index % every == 0 || *index == last)
        .map(|(_, value)| *value)
        .collect()
}

/// A time of day, in UTC; with its day where the release lasted into another one.
pub fn time(record: &Record, at: Timestamp) -> String {
    let day = |at: Timestamp| at.strftime("%F").to_string();
    let last = record.timeline.last().map_or(record.started, |entry| entry.at);
    let form = if day(record.started) == day(last) { "%T" } else { "%b %d %T" };
    at.strftime(form).to_string()
}
