//! `spillway judge`: what the judge says of recorded minutes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use spillway_core::definition::{Strategy, StrategyType};
use spillway_core::figures;
use spillway_core::judge::recording::{self, Malformed};
use spillway_core::judge::replay::{Judged, Opinion, Policy, replay};
use spillway_core::judge::sequential::{ADVANCE, ERRORS, Horizon};

use crate::input::{Fault, read};
use crate::record::Record;
use crate::{output, policy};

/// Periods that a release is planned for where no policy says so.
const PLANNED: usize = 80;
/// Of a release that was turned away.
const NO_PLAN: &str = "there is no plan in it; allowed: the history of a release that got as far as planning";
/// More malformed lines than this are not listed.
const MOST_FAULTS: usize = 20;

/// Replays recorded minutes under a policy, and says after each what the judge would have said then.
///
/// A line a minute, in order of time:
/// {"minute": "2026-11-22T18:00:00Z", "weight": 5.0, "candidate": {"requests": N, "errors": N,
/// "slow": {"p50": N, "p90": N, "p99": N}}, "stable": {…}}. Counts of slow requests may be left out, and so may
/// "metrics": {"name": [count, denominator]} and "timed" (answers whose time was taken, if not all were).
/// Minutes with weight 0 at the beginning are the time before the release; dispersions are estimated from their
/// stable side, that of errors by "zones": [[errors, requests], …] where given.
///
/// With --from-release the file is a finished execution's history, as
/// `aws stepfunctions get-execution-history --include-execution-data --execution-arn ARN` prints it: its minutes are
/// judged under its own plan, or under --policy.
#[derive(Args)]
pub struct Arguments {
    /// The minutes, as JSON lines; `-` reads standard input.
    file: PathBuf,
    /// The file is the history of a release's execution.
    #[arg(long)]
    from_release: bool,
    /// A service definition, or an object with its `strategy` and `health`; otherwise the defaults.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Dispersion of errors, at least 1 (10 where clients stick to a slot); otherwise estimated from the minutes with weight 0.
    #[arg(long, value_name = "X", value_parser = at_least_one)]
    phi: Option<f64>,
    /// Dispersion of slow requests, at least 1; otherwise 1 with --phi, and estimated without.
    #[arg(long, value_name = "X", value_parser = at_least_one)]
    latency_phi: Option<f64>,
    /// Periods that the release is planned for; otherwise what the policy says, or 80.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..))]
    planned: Option<u32>,
    /// Print JSON lines.
    #[arg(long)]
    json: bool,
}

fn at_least_one(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(phi) if (1.0..=1e6).contains(&phi) => Ok(phi),
        _ => Err("allowed: a number, 1 to 1 000 000".into()),
    }
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
    if arguments.file.as_os_str() == "-" && arguments.policy.as_deref().is_some_and(|path| path.as_os_str() == "-") {
        let problem = "standard input can be read once only; allowed: a file for one of them".to_owned();
        return Err(Fault::Invalid { name: "--policy -".into(), problem });
    }
    let text = read(&arguments.file)?;
    let invalid = |problem: String| Fault::Invalid { name: arguments.file.display().to_string(), problem };
    let (minutes, recorded) = if arguments.from_release {
        let record = Record::from_file(&text).map_err(invalid)?;
        let policy = record.policy();
        (record.minutes, Some(policy.ok_or_else(|| invalid(NO_PLAN.into()))?))
    } else {
        (recording::read(&text).map_err(|malformed| invalid(listed(&malformed)))?, None)
    };
    if minutes.is_empty() {
        return Err(invalid("there is no minute in it; allowed: one or more".into()));
    }
    Ok(replay(&minutes, &chosen(arguments, recorded)?))
}

/// What is asked for, or else what the release was planned with, or else the defaults.
fn chosen(arguments: &Arguments, recorded: Option<Policy>) -> Result<Policy, Fault> {
    let mut policy = match (&arguments.policy, recorded) {
        (Some(path), recorded) => {
            let (strategy, health) = policy::read(path)?;
            let asked = Policy::under(&health, &strategy.steps());
            // What was frozen for the release stays frozen.
            let frozen = recorded.unwrap_or_else(|| asked.clone());
            let Policy { phi, latency_phis, metric_phis, before, .. } = frozen;
            Policy { phi, latency_phis, metric_phis, before, ..asked }
        }
        (None, Some(recorded)) => recorded,
        (None, None) => {
            let steps = Strategy::of(StrategyType::Canary).steps();
            Policy::new(steps.iter().map(|step| step.weight).collect(), Horizon::planned(PLANNED))
        }
    };
    if let Some(planned) = arguments.planned {
        policy.horizon = Horizon::planned(usize::try_from(planned).unwrap_or(usize::MAX));
    }
    if arguments.phi.is_some() {
        policy.phi = arguments.phi;
        policy.metric_phis.clear();
        policy.latency_phis.clear();
        policy.latency_phi = Some(1.0);
    }
    if arguments.latency_phi.is_some() {
        policy.latency_phis.clear();
        policy.latency_phi = arguments.latency_phi;
    }
    Ok(policy)
}

/// The malformed lines, a line each, and not too many of them.
fn listed(malformed: &[Malformed]) -> String {
    let mut lines: Vec<String> = malformed.iter().take(MOST_FAULTS).map(ToString::to_string).collect();
    if malformed.len() > MOST_FAULTS {
        lines.push(format!("and {} more", malformed.len() - MOST_FAULTS));
    }
    lines.join("\n  ")
}

fn print(judged: &[Judged], json: bool) {
    for one in judged {
        let line = if json { serde_json::to_string(one).unwrap_or_default() } else { line(one) };
        if !output::line(&line) {
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
