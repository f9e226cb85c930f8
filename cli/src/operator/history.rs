//! `spillway history`: past releases, and what they have cost.

use std::collections::BTreeMap;
use std::process::ExitCode;

use clap::Args;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use spillway_aws::executions::{Execution, Listed};
use spillway_core::definition::ServiceName;
use spillway_core::figures::count;

use super::failure::Failure;
use super::release::service_of;
use super::undos::Undos;
use super::words::length;
use super::{Installation, World, past, reading, run as run_operator};
use crate::output;
use crate::record::Record;
use crate::record::check::Checked;

/// Releases are looked at so many at a time: Step Functions lets 15 a second be described for long.
const AT_ONCE: usize = 8;
/// Step Functions keeps executions for 90 days, which touch so many months at most.
const MOST_MONTHS: u8 = 4;

/// List the past releases of a service, or sum up what releases have cost.
///
/// With a SERVICE, its releases are listed, the latest first. FAILED is the number of the new version's answers that were
/// errors (5XX, and connections that failed) of all its answers, in the complete metric periods from the first exposure to
/// the latest check; what failed after those is not in it. BEYOND are those of them that the old version's error rate in the
/// same periods does not account for. SLOT-HOURS and COST are of the slot that served nobody in the end, until its
/// retirement; with a + until the release's own end, since the retirement is not over, was superseded or has failed. COST is
/// in the currency of the definition's `price_per_hour`.
///
/// Without one, or with --months, releases are summed up by service and month (UTC), by when they were started.
#[derive(Args)]
#[command(after_long_help = reading!("spillway history checkout --limit 5", "spillway history --months 3"))]
pub struct Arguments {
    /// The service; otherwise all services, summed up.
    #[arg(value_parser = |text: &str| ServiceName::parse(text))]
    service: Option<ServiceName>,
    /// List so many releases at most, 1 to 1000.
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "months", requires = "service", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Sum up so many months, the current one included: 1 to 4, which is as far back as Step Functions remembers.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=i64::from(MOST_MONTHS)))]
    months: Option<u8>,
    #[command(flatten)]
    installation: Installation,
}

/// Tells it.
pub fn run(arguments: &Arguments) -> ExitCode {
    run_operator(&arguments.installation, |world| async move {
        let service = arguments.service.as_ref().map(ServiceName::as_str);
        match (service, arguments.months) {
            (Some(service), None) => list(&world, service, usize::from(arguments.limit)).await,
            (service, months) => sum(&world, service, months.unwrap_or(MOST_MONTHS)).await,
        }
    })
}

async fn list(world: &World, service: &str, limit: usize) -> Result<ExitCode, Failure> {
    let found = executions(world, Some(service), limit, None).await?;
    let mut records = Vec::with_capacity(found.len());
    let undos = undos(world, &found, Some(service)).await;
    let mut reading = stream::iter(found).map(|execution| whole(world, execution, &undos)).buffered(AT_ONCE);
    while let Some(record) = reading.next().await {
        records.push(record?);
    }
    if world.json() {
        let releases: Vec<Value> = records.iter().map(listed).collect();
        output::line(&json!({"service": service, "releases": releases}).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    if records.is_empty() {
        output::line(&format!("{service}: no release of it in the last 90 days; {}", past::KEPT));
        return Ok(ExitCode::SUCCESS);
    }
    let rows = records.iter().map(row);
    table(&["RELEASE", "STARTED", "OUTCOME", "TOOK", "FAILED", "BEYOND", "SLOT-HOURS", "COST", "VERSION"], rows);
    Ok(ExitCode::SUCCESS)
}

/// What was undone since the oldest of these releases.
async fn undos(world: &World, releases: &[Execution], service: Option<&str>) -> Undos {
    match releases.iter().min_by_key(|release| release.started) {
        Some(oldest) => world.undos(&oldest.arn, service, oldest.started).await,
        None => Undos::default(),
    }
}

/// A release with its end, its retirement and its undo. Of one whose history cannot be made sense of, such as a newer
/// installation's, there is how it ended, and no more.
async fn whole(world: &World, execution: Execution, undos: &Undos) -> Result<Record, Failure> {
    let mut record = match world.read_end(&execution).await {
        Err(Failure::Refused(why)) => {
            output::say(&format!("spillway: {why}"));
            Record::standing(&execution)
        }
        read => read?,
    };
    record.service = service_of(&execution.input).unwrap_or_default();
    record.version = spillway_version(&execution);
    world.add_aftermath(&mut record, undos).await;
    Ok(record)
}

fn spillway_version(execution: &Execution) -> Option<spillway_core::version::Version> {
    let input: Value = serde_json::from_str(&execution.input).ok()?;
    serde_json::from_value(input.get("version")?.clone()).ok()
}

/// The latest releases, of a service or of all, that were started since then: so many at most.
async fn executions(
    world: &World,
    service: Option<&str>,
    limit: usize,
    since: Option<Timestamp>,
) -> Result<Vec<Execution>, Failure> {
    let machine = world.release_machine().await?;
    let (mut found, mut token) = (Vec::new(), None);
    loop {
        let (page, next): (Vec<Listed>, _) = world.machines.list(&machine, token).await?;
        let old = page.last().is_some_and(|last| since.is_some_and(|since| last.started < since));
        let young = page.into_iter().filter(|listed| since.is_none_or(|since| listed.started >= since));
        let described = stream::iter(young).map(|listed| async move { world.machines.describe(&listed.arn).await });
        let mut described = described.buffered(AT_ONCE);
        while let Some(execution) = described.next().await {
            let execution = execution?;
            if service.is_none_or(|service| service_of(&execution.input).as_deref() == Some(service)) {
                found.push(execution);
            }
            if found.len() == limit {
                return Ok(found);
            }
        }
        token = next;
        if old || token.is_none() {
            return Ok(found);
        }
    }
}

fn row(record: &Record) -> Vec<String> {
    let check = record.last_check();
    let failed = check.map_or("-".to_owned(), |check| {
        format!("{} of {}", count(check.candidate().errors), count(check.candidate().requests))
    });
    let open = if record.cost_is_final { "" } else { "+" };
    vec![
        record.release.clone(),
        format!("{:.0}", record.started),
        record.outcome().to_owned(),
        length(record.seconds()),
        failed,
        record.excess_errors().map_or("-".to_owned(), count),
        record.cost.map_or("-".to_owned(), |cost| format!("{}{open}", cost.slot_hours)),
        record.cost.and_then(|cost| cost.amount).map_or("-".to_owned(), |amount| format!("{amount}{open}")),
        record.version.as_ref().map_or("-".to_owned(), |version| spillway_core::version::short(&version.to_string())),
    ]
}

fn listed(record: &Record) -> Value {
    let check = record.last_check();
    json!({
        "release": record.release,
        "execution": record.arn,
        "version": record.version,
        "ending": record.ending,
        "outcome": record.outcome(),
        "undone": record.undone,
        "cause": record.cause,
        "started": record.started,
        "ended": record.ended,
        "seconds": record.seconds(),
        "candidate": check.map(Checked::candidate),
        "stable": check.map(Checked::stable),
        "errors_beyond_stable": record.excess_errors(),
        "cost": record.cost,
        "cost_is_final": record.cost_is_final,
        "retired": record.retired(),
    })
}

/// What the releases of a service have come to in a month.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Sum {
    releases: u32,
    promoted: u32,
    rolled_back: u32,
    other: u32,
    running: u32,
    slot_hours: f64,
    /// Of those releases whose definition gave a price.
    amount: Option<f64>,
    /// Releases whose cost is not final.
    open: u32,
}

impl Sum {
    fn add(&mut self, record: &Record) {
        self.releases += 1;
        match record.ending.as_deref() {
            None => self.running += 1,
            Some("RolledBack") => self.rolled_back += 1,
            Some("Promoted") if record.undone => self.rolled_back += 1,
            Some("Promoted") => self.promoted += 1,
            Some(_) => self.other += 1,
        }
        let Some(cost) = record.cost else { return };
        self.slot_hours += cost.slot_hours;
        self.open += u32::from(!record.cost_is_final);
        if let Some(amount) = cost.amount {
            self.amount = Some(self.amount.unwrap_or(0.0) + amount);
        }
    }
}

async fn sum(world: &World, service: Option<&str>, months: u8) -> Result<ExitCode, Failure> {
    let since = beginning(Timestamp::now(), months);
    let found = executions(world, service, usize::MAX, Some(since)).await?;
    let mut sums: BTreeMap<(String, String), Sum> = BTreeMap::new();
    let undos = undos(world, &found, service).await;
    let mut reading = stream::iter(found).map(|execution| whole(world, execution, &undos)).buffered(AT_ONCE);
    while let Some(record) = reading.next().await {
        let record = record?;
        let month = record.started.strftime("%Y-%m").to_string();
        sums.entry((record.service.clone(), month)).or_default().add(&record);
    }
    if world.json() {
        let told = sums.iter().map(|((service, month), sum)| {
            let mut told = json!(sum);
            (told["service"], told["month"]) = (json!(service), json!(month));
            told
        });
        output::line(&json!({"since": since, "months": told.collect::<Vec<Value>>()}).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    if sums.is_empty() {
        output::line(&format!("no release since {since:.0}; {}", past::KEPT));
        return Ok(ExitCode::SUCCESS);
    }
    let rows = sums.iter().map(|((service, month), sum)| {
        let open = if sum.open > 0 { "+" } else { "" };
        vec![
            service.clone(),
            month.clone(),
            sum.releases.to_string(),
            sum.promoted.to_string(),
            sum.rolled_back.to_string(),
            (sum.other + sum.running).to_string(),
            format!("{}{open}", rounded(sum.slot_hours)),
            sum.amount.map_or("-".to_owned(), |amount| format!("{}{open}", rounded(amount))),
        ]
    });
    table(&["SERVICE", "MONTH", "RELEASES", "PROMOTED", "ROLLED BACK", "OTHER", "SLOT-HOURS", "COST"], rows);
    Ok(ExitCode::SUCCESS)
}

/// The first of so many months, the current one included, in UTC.
fn beginning(now: Timestamp, months: u8) -> Timestamp {
    let today = now.to_zoned(jiff::tz::TimeZone::UTC);
    let first = today.first_of_month().and_then(|day| day.start_of_day());
    let first = first.and_then(|day| day.checked_sub(jiff::Span::new().months(i64::from(months) - 1)));
    first.map_or(now, |day| day.timestamp())
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Columns as wide as their widest cell, the last one as it is.
fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let rows: Vec<Vec<String>> =
        std::iter::once(header.iter().map(|&cell| cell.to_owned()).collect()).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    for row in &rows {
        let cells: Vec<String> = std::iter::zip(row, &widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        if !output::line(cells.join("  ").trim_end()) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spillway_core::cost::Cost;

    #[test]
    fn months_begin_on_their_first_day_and_the_current_one_counts() {
        let now: Timestamp = "2026-01-31T23:30:00Z".parse().unwrap();
        for (months, expected) in
            [(1, "2026-01-01T00:00:00Z"), (2, "2025-12-01T00:00:00Z"), (4, "2025-10-01T00:00:00Z")]
        {
            assert_eq!(beginning(now, months).to_string(), expected);
        }
    }

    #[test]
    fn sums_tell_what_is_priced_and_what_is_open() {
        let promoted = Record {
            ending: Some("Promoted".into()),
            cost: Some(Cost { slot_hours: 1.5, amount: Some(0.75) }),
            cost_is_final: true,
            ..Record::begun("", Timestamp::UNIX_EPOCH)
        };
        let rolled_back = Record {
            ending: Some("RolledBack".into()),
            cost: Some(Cost { slot_hours: 0.5, amount: None }),
            cost_is_final: false,
            ..promoted.clone()
        };
        let undone = Record { undone: true, ..promoted.clone() };
        let refused = Record { ending: Some("Refused".into()), cost: None, ..promoted.clone() };
        let running = Record { ending: None, ..refused.clone() };
        let mut sum = Sum::default();
        for record in [&promoted, &rolled_back, &undone, &refused, &running] {
            sum.add(record);
        }
        let expected = Sum {
            releases: 5,
            promoted: 1,
            rolled_back: 2,
            other: 1,
            running: 1,
            slot_hours: 3.5,
            amount: Some(1.5),
            open: 1,
        };
        assert_eq!(sum, expected);
    }
}
