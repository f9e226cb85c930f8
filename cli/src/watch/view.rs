//! Draws the model. Where there is too little room, the least important goes first.

use std::fmt::Write as _;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::Paragraph;
use spillway_core::decision::gates::Finding;
use spillway_core::figures::{count, percent, short};
use spillway_core::judge::Counts;
use spillway_core::version::short as short_version;
use spillway_core::weight::Percent;

use super::figures::{bar, sparkline, toward_proof};
use super::model::{Model, clock};
use crate::operator::standing::Standing;
use crate::operator::words::{length, name};
use crate::output::is_coloured;
use crate::record::check::{Checked, Hosts, suspicious_at};
use crate::record::timeline::{Tone, ladder, words};
use crate::record::{Record, timeline};

/// Fewer columns or rows hold nothing that helps.
const LEAST: (u16, u16) = (40, 8);
/// From so many rows on the timeline has more than its last line for sure, and why it stands so more than one.
const ROOMY: u16 = 30;
/// Cells of a bar where there is room, and where there is least.
const BAR: (usize, usize) = (24, 8);
/// Columns of a quantile with the share of slower answers, and of one without.
const QUANTILE: (usize, usize) = (18, 9);
/// Rows of a text that does not fit into one: the question, the answer, why it stands so.
const MOST_ROWS: usize = 3;
/// Cells of a line through the latest checks.
const SPARK: usize = 16;

fn style(tone: Tone) -> Style {
    match tone {
        _ if !is_coloured() => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Plain => Style::new(),
        Tone::Wait => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red),
    }
}

const DIM: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let text = format!("{}: {}\nThe terminal is too small.", model.service, model.standing().text);
        frame.render_widget(Paragraph::new(text), area);
        return;
    }
    let record = model.record();
    let width = usize::from(area.width);
    let roomy = area.height >= ROOMY;
    let header = header(model, width, if roomy { MOST_ROWS } else { 1 });
    let steps = record.map(|record| steps(record, width)).unwrap_or_default();
    let slots = record.map(|record| slots(record, width)).unwrap_or_default();
    let evidence = record.map(|record| evidence(record, width)).unwrap_or_default();
    let footer = footer(model, width);

    // The timeline gets what is left, and some of it always; the evidence gives way first, then the slots.
    let rows = |lines: &[Line<'_>]| u16::try_from(lines.len()).unwrap_or(u16::MAX);
    let timeline = if roomy { 3 } else { 1 };
    let mut left = area.height.saturating_sub(rows(&header) + rows(&footer) + timeline);
    let mut room = |lines: &[Line<'_>]| {
        let given = rows(lines).min(left);
        left -= given;
        given
    };
    let (steps_rows, slots_rows) = (room(&steps), room(&slots));
    let evidence_rows = room(&evidence);
    let parts = Layout::vertical([
        Constraint::Length(rows(&header)),
        Constraint::Length(steps_rows),
        Constraint::Length(slots_rows),
        Constraint::Length(evidence_rows),
        Constraint::Fill(1),
        Constraint::Length(rows(&footer)),
    ])
    .split(area);
    for (lines, part) in [header, steps, slots, evidence].into_iter().zip(parts.iter()) {
        frame.render_widget(Paragraph::new(Text::from(lines)), *part);
    }
    happened(frame, model, parts[4]);
    frame.render_widget(Paragraph::new(Text::from(footer)), parts[5]);
}

/// The service, the release, and how it stands.
fn header(model: &Model, width: usize, rows: usize) -> Vec<Line<'static>> {
    let standing = model.standing();
    let mut first = vec![Span::styled(model.service.to_string(), BOLD)];
    let mut lines = Vec::new();
    if let Some(record) = model.record() {
        let strategy = record.plan.as_ref().map(|plan| format!("  {}", words(plan.strategy)));
        first.push(Span::styled(strategy.unwrap_or_default(), DIM));
        first.push(Span::styled(format!("  {}", name(&record.arn)), DIM));
        let until = record.ended.unwrap_or(model.now);
        first.push(Span::styled(format!("  {}", length(until.duration_since(record.started).as_secs())), DIM));
        lines.extend(versions(model, record));
    }
    lines.insert(0, Line::from(first));
    let stands = format!("{} {}", standing.icon, standing.text);
    lines.push(Line::styled(stands, style(standing.tone).add_modifier(Modifier::BOLD)));
    let message = model.record().map(message).unwrap_or_default();
    lines.extend(wrapped(&message, width, rows).into_iter().map(Line::raw));
    lines.push(Line::default());
    lines
}

/// What is released where.
fn versions(model: &Model, record: &Record) -> Vec<Line<'static>> {
    let Some(version) = &record.version else { return Vec::new() };
    let slots = record.plan.as_ref().map(|plan| (plan.stable.slot, plan.candidate.slot));
    let on = |slot: Option<String>| slot.map(|slot| format!(" on {slot}")).unwrap_or_default();
    let new = format!(
        "{} (candidate){}",
        short_version(&version.to_string()),
        on(slots.map(|(_, candidate)| candidate.to_string()))
    );
    // The live version is the stable one until the promotion.
    let live =
        model.look.item.as_ref().and_then(|item| item.live_version.as_deref()).filter(|_| record.ended.is_none());
    let old = live.and_then(|text| crate::operator::words::version_of(&serde_json::from_str(text).ok()?));
    let old =
        old.map(|old| format!("{} (stable){}", short_version(&old), on(slots.map(|(stable, _)| stable.to_string()))));
    [Some(new), old].into_iter().flatten().map(Line::raw).collect()
}

/// The one line that tells why it is so.
fn message(record: &Record) -> String {
    if record.ended.is_some() {
        return one_line(&record.cause);
    }
    let last = record.timeline.iter().rev().find(|entry| !entry.why.is_empty());
    last.map(|entry| one_line(&entry.why)).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text in as many rows as it needs, broken between words; what is over the most ends in `…`.
fn wrapped(text: &str, width: usize, most: usize) -> Vec<String> {
    let mut rows = vec![String::new()];
    for word in text.split_whitespace() {
        let row = rows.last_mut().expect("there is one from the beginning");
        let (had, more) = (row.chars().count(), word.chars().count());
        if had == 0 {
            row.push_str(word);
        } else if had + 1 + more <= width {
            row.push(' ');
            row.push_str(word);
        } else {
            rows.push(word.to_owned());
        }
    }
    if rows.len() > most {
        rows.truncate(most);
        let last = rows.last_mut().expect("there are some");
        *last = last.chars().take(width.saturating_sub(2)).chain(" …".chars()).collect();
    }
    rows
}

/// Cells of a bar beside so many columns of text.
fn bar_cells(width: usize, text: usize) -> usize {
    width.saturating_sub(text).clamp(BAR.1, BAR.0)
}

/// The steps, and the weight that was asked for beside the share that was measured.
fn steps(record: &Record, width: usize) -> Vec<Line<'static>> {
    let Some(plan) = &record.plan else { return Vec::new() };
    let weights: Vec<Percent> = plan.steps.iter().map(|step| step.weight).collect();
    let step = match Standing::of_record(record).step() {
        Some(step) if step.contains('/') => format!("step {step}"),
        Some(promotion) => promotion,
        None => format!("{} steps", weights.len()),
    };
    // The number of requests stands behind the bar.
    let cells = bar_cells(width, 21 + 24);
    let share = record.last_check().and_then(Checked::share);
    let observed = match share.and_then(|share| Some((share, share.fraction()?))) {
        Some((share, fraction)) => vec![
            Span::raw(format!("  {:<10}{:>7}  ", "observed", percent(fraction))),
            Span::raw(bar(fraction, cells)),
            Span::styled(format!("  of {} requests", count(share.candidate + share.stable)), DIM),
        ],
        None => vec![Span::raw(format!("  {:<10}{:>7}", "observed", "-"))],
    };
    vec![
        Line::from(vec![Span::styled(step, BOLD), Span::raw(format!("  {}", ladder(&weights)))]),
        Line::from(vec![
            Span::raw(format!("  {:<10}{:>7}  ", "requested", record.weight.to_string())),
            Span::raw(bar(record.weight.fraction(), cells)),
        ]),
        Line::from(observed),
        Line::default(),
    ]
}

/// Both slots side by side. Where there is little room, quantiles stand alone, without the share of slower answers.
fn slots(record: &Record, width: usize) -> Vec<Line<'static>> {
    let (Some(plan), Some(check)) = (&record.plan, record.last_check()) else { return Vec::new() };
    let mut head = format!("{:<16}{:>11}{:>9}{:>8}{:>9}", "", "requests", "errors", "rate", "healthy");
    let wide = head.len() + QUANTILE.0 * plan.baseline.latency.len() <= width;
    let columns = if wide { QUANTILE.0 } else { QUANTILE.1 };
    for threshold in &plan.baseline.latency {
        let quantile = threshold.quantile;
        let name = if wide { format!("{quantile} (> {})", seconds(threshold.seconds)) } else { quantile.to_string() };
        let _ = write!(head, "{name:>columns$}");
    }
    let row = |role: &str, slot: String, counts: Counts, hosts: Option<Hosts>, candidate: bool| {
        let rate = counts.error_rate().map_or_else(|| "-".into(), percent);
        let hosts = hosts.map_or_else(|| "-".into(), |hosts| format!("{}/{}", hosts.healthy, hosts.registered));
        let mut row = format!(
            "{:<16}{:>11}{:>9}{rate:>8}{hosts:>9}",
            format!("{role} {slot}"),
            count(counts.requests),
            count(counts.errors),
        );
        for threshold in &plan.baseline.latency {
            let gate = check.gate(&format!("latency {}", threshold.quantile)).and_then(|gate| gate.counts);
            let slow = gate.map(|pair| if candidate { pair.candidate } else { pair.stable });
            let share = slow.and_then(Counts::error_rate).map_or_else(|| "-".into(), percent);
            let latest = record.latency(threshold.quantile, candidate).map_or_else(|| "-".into(), seconds);
            let text = if wide { format!("{latest} ({share})") } else { latest };
            let _ = write!(row, "{text:>columns$}");
        }
        Line::raw(row)
    };
    vec![
        Line::styled(head, DIM),
        row("stable", plan.stable.slot.to_string(), check.stable(), check.stable_hosts(), false),
        row("candidate", plan.candidate.slot.to_string(), check.candidate(), check.candidate_hosts(), true),
        Line::default(),
    ]
}

fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { format!("{seconds:.2} s") }
}

/// The gate whose e-value is evidence that the candidate is well enough for the next weight; all others' is against it.
const FOR_IT: &str = "health";

/// The e-values on their way to their limits, and the gates that say something else.
fn evidence(record: &Record, width: usize) -> Vec<Line<'static>> {
    let Some(check) = record.last_check() else { return Vec::new() };
    let cells = bar_cells(width, 20 + 9 + 24 + SPARK);
    let mut lines = Vec::new();
    for gate in check.judged() {
        let (Some(e), Some(proof)) = (gate.e_value, gate.proof_at) else { continue };
        let way: Vec<f64> = record
            .checks
            .iter()
            .filter_map(|check| check.gate(&gate.gate))
            .map(|gate| toward_proof(gate.e_value.unwrap_or(1.0), proof))
            .collect();
        let (name, limits, tone) = if gate.gate == FOR_IT {
            ("for it".to_owned(), format!("  proof {}", short(proof)), Tone::Good)
        } else {
            let tone = match e {
                e if e >= proof => Tone::Bad,
                e if e >= suspicious_at(proof) => Tone::Wait,
                _ => Tone::Plain,
            };
            let limits = format!("  wait {}  proof {}", short(suspicious_at(proof)), short(proof));
            (format!("against: {}", gate.gate), limits, tone)
        };
        let dry_run = if gate.dry_run { ", dry run" } else { "" };
        lines.push(Line::from(vec![
            Span::raw(format!("{name:<20}")),
            Span::styled(bar(toward_proof(e, proof), cells), style(tone)),
            Span::raw(format!(" {:>8}", short(e))),
            Span::styled(format!("{:<24}", format!("{limits}{dry_run}")), DIM),
            Span::styled(sparkline(&way, SPARK), style(tone)),
        ]));
    }
    if !lines.is_empty() {
        lines.insert(0, Line::styled(format!("{:<20}{:<cells$} {:>8}", "evidence", "", "e-value"), DIM));
    }
    let speaking = check.check.evidence.gates.iter().filter(|gate| gate.e_value.is_none());
    let speaking = speaking.filter(|gate| !matches!(gate.finding, Finding::Fine | Finding::Proven));
    lines.extend(speaking.map(|gate| Line::styled(one_line(&gate.line), style(Tone::Wait))));
    if !lines.is_empty() {
        lines.push(Line::default());
    }
    lines
}

/// What happened and why, the latest last.
fn happened(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let Some(record) = model.record() else { return };
    let entries = timeline::told(&record.timeline);
    let shown = entries.len().saturating_sub(model.scrolled).max(1).min(entries.len());
    let rows = usize::from(area.height);
    let lines: Vec<Line<'_>> = entries[shown.saturating_sub(rows)..shown]
        .iter()
        .map(|(entry, why)| {
            let mut spans = vec![
                Span::styled(format!("{}  ", clock(entry.at)), DIM),
                Span::styled(entry.what.to_string(), style(entry.what.tone())),
            ];
            if !why.is_empty() {
                spans.push(Span::styled(format!("  {}", one_line(why)), DIM));
            }
            Line::from(spans)
        })
        .collect();
    frame.render_widget(Paragraph::new(Text::from(lines)), area);
}

/// What comes next, what was asked or answered, and the keys.
fn footer(model: &Model, width: usize) -> Vec<Line<'static>> {
    let mut next = wrapped(&model.next(), width.saturating_sub(6), MOST_ROWS).into_iter();
    let first = Line::from(vec![Span::styled("next  ", BOLD), Span::raw(next.next().unwrap_or_default())]);
    let mut lines = vec![Line::default(), first];
    lines.extend(next.map(|row| Line::raw(format!("      {row}"))));
    if let Some((since, why)) = &model.look.trouble {
        let seen = model
            .look
            .at
            .map_or_else(|| "nothing was seen yet".into(), |at| format!("as it was {} ago", model.ago(at)));
        let text = format!("no answer for {}, {seen}; looking again: {}", model.ago(*since), one_line(why));
        lines.extend(wrapped(&text, width, MOST_ROWS).into_iter().map(|row| Line::styled(row, style(Tone::Bad))));
    }
    let (said, style) = match (&model.asked, &model.answer) {
        (Some(word), _) => (model.question(*word), style(Tone::Wait).add_modifier(Modifier::BOLD)),
        (None, Some(answer)) => (answer.clone(), Style::new()),
        (None, None) => (String::new(), Style::new()),
    };
    if !said.is_empty() {
        lines.extend(wrapped(&said, width, MOST_ROWS).into_iter().map(|row| Line::styled(row, style)));
    }
    let keys = if model.is_on() { "p pause  r resume  a approve  P promote  x abort  " } else { "" };
    lines.push(Line::styled(format!("{keys}\u{2191}\u{2193} timeline  q leave"), DIM));
    lines
}
