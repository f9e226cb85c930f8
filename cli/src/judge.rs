//! `spillway judge`: what the judge says of recorded minutes.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Deserialize;
use spillway_core::definition::length::planned_periods;
use spillway_core::definition::{HealthPolicy, ServiceDefinition, Strategy, StrategyType};
use spillway_core::figures;
use spillway_core::judge::replay::{Judged, Minute, Opinion, Policy, replay};
use spillway_core::judge::sequential::{ADVANCE, ERRORS};

use crate::input::{Fault, read};

/// Periods that a release is planned for where no policy says so.
const PLANNED: usize = 80;
/// More malformed lines than this are not listed.
const MOST_FAULTS: usize = 20;

/// Replays recorded minutes under a policy, and says after each what the judge would have said then.
///
/// A line a minute, in order of time:
/// {"minute": "2026-11-22T18:00:00Z", "weight": 5.0, "candidate": {"requests": N, "errors": N,
/// "slow": {"p50": N, "p90": N, "p99": N}}, "stable": {…}}. Counts of slow requests may be left out.
/// Minutes with weight 0 at the beginning are the time before the release; the dispersion is estimated from their
/// stable side, by "zones": [[errors, requests], …] where given. An absolute limit on the error rate is not applied.
#[derive(Args)]
pub struct Arguments {
    /// The minutes, as JSON lines; `-` reads standard input.
    file: PathBuf,
    /// A service definition, or an object with its `strategy` and `health`; otherwise the defaults.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Dispersion of errors, at least 1; otherwise estimated from the minutes with weight 0.
    #[arg(long, value_name = "X", value_parser = at_least_one)]
    phi: Option<f64>,
    /// Dispersion of slow requests, at least 1.
    #[arg(long, value_name = "X", default_value_t = 1.0, value_parser = at_least_one)]
    latency_phi: f64,
    /// Periods that the release is planned for; otherwise what the policy says, or 80.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    planned: Option<u32>,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

fn at_least_one(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(phi) if phi >= 1.0 && phi.is_finite() => Ok(phi),
        _ => Err("allowed: a number, 1 or more".into()),
    }
}

/// The part of a definition that the judge reads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    strategy: Option<Strategy>,
    #[serde(default)]
    health: HealthPolicy,
}

/// Judges and prints.
pub fn run(arguments: &Arguments) -> ExitCode {
    match judge(arguments) {
        Ok(judged) => {
            print(&judged, arguments.json);
            ExitCode::SUCCESS
        }
        Err(fault) => fault.report(),
    }
}

fn judge(arguments: &Arguments) -> Result<Vec<Judged>, Fault> {
    let policy = policy(arguments)?;
    let minutes = minutes(&arguments.file)?;
    Ok(replay(&minutes, &policy))
}

fn policy(arguments: &Arguments) -> Result<Policy, Fault> {
    let (strategy, health) = match &arguments.policy {
        None => (default_strategy(), None),
        Some(path) => {
            let (strategy, health) = policy_file(path)?;
            (strategy, Some(health))
        }
    };
    let steps = strategy.steps();
    let planned = match (arguments.planned, health) {
        (Some(planned), _) => usize::try_from(planned).unwrap_or(usize::MAX),
        (None, Some(health)) => planned_periods(&steps, &health),
        (None, None) => PLANNED,
    };
    Ok(Policy {
        steps: steps.iter().map(|step| step.weight).collect(),
        planned,
        phi: arguments.phi,
        latency_phi: arguments.latency_phi,
    })
}

fn default_strategy() -> Strategy {
    Strategy::of(StrategyType::Canary)
}

fn policy_file(path: &Path) -> Result<(Strategy, HealthPolicy), Fault> {
    let text = read(path)?;
    let invalid = |problem: String| Fault::Invalid { name: path.display().to_string(), problem };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| invalid(format!("not JSON: {error}")))?;
    if value.get("service").is_some() {
        let definition = ServiceDefinition::from_json(&text).map_err(|error| invalid(error.to_string()))?;
        return Ok((definition.strategy, definition.health));
    }
    let policy: PolicyFile = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
    Ok((policy.strategy.unwrap_or_else(default_strategy), policy.health))
}

/// Every line, or every malformed one by its number.
fn minutes(path: &Path) -> Result<Vec<Minute>, Fault> {
    let text = read(path)?;
    let (mut minutes, mut faults): (Vec<Minute>, Vec<String>) = (Vec::new(), Vec::new());
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match parse(line, minutes.last().map(|minute| minute.minute)) {
            Ok(minute) => minutes.push(minute),
            Err(problem) => faults.push(format!("line {}: {problem}", index + 1)),
        }
    }
    if faults.is_empty() {
        return Ok(minutes);
    }
    let more = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    if more > 0 {
        faults.push(format!("and {more} more"));
    }
    Err(Fault::Invalid { name: path.display().to_string(), problem: faults.join("\n  ") })
}

fn parse(line: &str, before: Option<Timestamp>) -> Result<Minute, String> {
    let minute: Minute = serde_json::from_str(line).map_err(|error| error.to_string())?;
    minute.check().map_err(|error| error.to_string())?;
    match before {
        Some(before) if minute.minute <= before => Err(format!(
            "minute: {}: not after the one before, {before}; allowed: minutes in order of time",
            minute.minute
        )),
        _ => Ok(minute),
    }
}

fn print(judged: &[Judged], json: bool) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    for one in judged {
        let line = if json { serde_json::to_string(one).unwrap_or_default() } else { line(one) };
        // A reader that has seen enough, such as `head`, is no error.
        if writeln!(out, "{line}").is_err() {
            return;
        }
    }
}

fn line(one: &Judged) -> String {
    let weight = f64::from(one.weight);
    if one.verdict == Opinion::Before {
        return format!("{}  {weight:>5} %  {}", one.minute, one.verdict);
    }
    format!(
        "{}  {weight:>5} %  {:<9}  E {:>9} of {:.0}  E' {:>9} of {:.0}  phi {:.2}  candidate {}, stable {}{}",
        one.minute,
        one.verdict,
        figures::short(figures::e_value(one.log_e_unhealthy)),
        ERRORS.proof(),
        figures::short(figures::e_value(one.log_e_healthy)),
        ADVANCE.proof(),
        one.phi,
        figures::rate(one.candidate),
        figures::rate(one.stable),
        if one.hard_failure { ", broken" } else { "" },
    )
}
