//! `spillway simulate`: what a policy does to releases of good and bad candidates.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use spillway_core::definition::{HealthPolicy, Strategy, StrategyType};
use spillway_core::figures;
use spillway_core::plan::Plan;
use spillway_simulate::characteristics::{Characteristics, Experiment, Spread, characteristics, plans};
use spillway_simulate::scenario::{Candidate, Latency, Service};

use crate::input::Fault;
use crate::{live, output, plot, policy};

/// Simulates thousands of releases of good and bad candidates, through the code that plans, judges and decides real ones.
///
/// Prints, for candidates as good as the stable version, 2, 5 and 10 times as bad, and broken (half of the answers are
/// errors): the share that is rolled back, how long that takes, how many requests of users the candidate fails until
/// then, and how long it takes to promote it.
///
/// Requests arrive independently of each other and response times are log-normal. Alarms and metrics of the service's
/// own are not simulated.
#[derive(Args)]
pub struct Arguments {
    /// Requests of the whole service in a second.
    #[arg(long, value_name = "N", value_parser = requests, required_unless_present = "from_cloudwatch")]
    rps: Option<f64>,
    /// Error rate of the stable version in percent.
    #[arg(long, value_name = "PERCENT", value_parser = error_rate, required_unless_present = "from_cloudwatch")]
    error_rate: Option<f64>,
    /// Take both from the last hours of the service that --policy defines. Credentials, region and endpoints come from the
    /// environment or the shared configuration files (no single sign-on).
    #[arg(long, requires = "policy", conflicts_with_all = ["rps", "error_rate"])]
    from_cloudwatch: bool,
    /// A service definition, or an object with its `strategy` and `health`; otherwise the defaults.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Noise that the slots do not share: standard deviation of a slot's speed from minute to minute, 0 to 1.
    #[arg(long, value_name = "X", default_value_t = 0.0, value_parser = noise)]
    noise: f64,
    /// Releases of each kind.
    #[arg(long, value_name = "N", default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    releases: u32,
    /// The same seed gives the same releases.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Draw the share rolled back over time, as SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn within(text: &str, allowed: std::ops::RangeInclusive<f64>, words: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if allowed.contains(&number) => Ok(number),
        _ => Err(format!("allowed: {words}")),
    }
}

fn requests(text: &str) -> Result<f64, String> {
    within(text, 0.001..=10_000_000.0, "0.001 to 10 000 000")
}

fn error_rate(text: &str) -> Result<f64, String> {
    within(text, 0.0..=100.0, "0 to 100")
}

fn noise(text: &str) -> Result<f64, String> {
    within(text, 0.0..=1.0, "0 to 1")
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report<'a> {
    requests_per_second: f64,
    error_rate_percent: f64,
    strategy: StrategyType,
    steps: Vec<f64>,
    warnings: &'a [String],
    releases: u32,
    seed: u64,
    candidates: &'a [Characteristics],
}

/// Simulates and prints.
pub fn run(arguments: &Arguments) -> ExitCode {
    match simulate(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.report(),
    }
}

fn simulate(arguments: &Arguments) -> Result<(), Fault> {
    let (strategy, health) = match &arguments.policy {
        Some(path) => policy::read(path)?,
        None => (Strategy::of(StrategyType::Canary), HealthPolicy::default()),
    };
    let service = service(arguments)?;
    let candidates = Candidate::usual(&service);
    let experiment = Experiment {
        strategy: &strategy,
        health: &health,
        service: &service,
        candidates: &candidates,
        releases: usize::try_from(arguments.releases).unwrap_or(usize::MAX),
        seed: arguments.seed,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let invalid = |problem: String| Fault::Invalid { name: "simulate".into(), problem };
    let plans = plans(&experiment).map_err(|refused| invalid(refused.to_string()))?;
    let bar = progress_bar(experiment.releases * candidates.len());
    let found = characteristics(&experiment, &plans, &|done| bar.inc(done as u64));
    bar.finish_and_clear();

    let plan = plans.first().ok_or_else(|| invalid("there is no plan".into()))?;
    if let Some(path) = &arguments.plot {
        plot::write(path, &title(&service, plan), &found)?;
    }
    if arguments.json {
        output::line(&format!("{:#}", serde_json::json!(report(arguments, &service, plan, &found))));
    } else {
        table(arguments, &service, plan, &found).iter().all(|line| output::line(line));
    }
    Ok(())
}

fn service(arguments: &Arguments) -> Result<Service, Fault> {
    let latency = Latency { jitter: arguments.noise, ..Latency::default() };
    let service = |requests_per_second, error_rate| Service { requests_per_second, error_rate, latency };
    match (&arguments.policy, arguments.rps, arguments.error_rate) {
        (_, Some(rps), Some(percent)) => Ok(service(rps, percent / 100.0)),
        (Some(path), _, _) => {
            let forecast = live::forecast(path)?;
            Ok(service(forecast.requests_per_second, forecast.error_rate))
        }
        // The arguments' own rules leave nothing else.
        (None, _, _) => {
            Err(Fault::Invalid { name: "simulate".into(), problem: "--rps and --error-rate are missing".into() })
        }
    }
}

fn progress_bar(releases: usize) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(releases as u64);
    match ProgressStyle::with_template("{wide_bar} {pos}/{len} releases, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn report<'a>(arguments: &Arguments, service: &Service, plan: &'a Plan, found: &'a [Characteristics]) -> Report<'a> {
    Report {
        requests_per_second: service.requests_per_second,
        error_rate_percent: 100.0 * service.error_rate,
        strategy: plan.strategy,
        steps: plan.steps.iter().map(|step| step.weight.into()).collect(),
        warnings: &plan.warnings,
        releases: arguments.releases,
        seed: arguments.seed,
        candidates: found,
    }
}

fn title(service: &Service, plan: &Plan) -> String {
    let steps: Vec<String> = plan.steps.iter().map(|step| f64::from(step.weight).to_string()).collect();
    format!(
        "{} requests/s, {} errors; {} {} %",
        service.requests_per_second,
        figures::percent(service.error_rate),
        plan.strategy,
        steps.join(", ")
    )
}

fn table(arguments: &Arguments, service: &Service, plan: &Plan, found: &[Characteristics]) -> Vec<String> {
    let mut lines = vec![format!(
        "{}; {} releases of each kind, seed {}",
        title(service, plan),
        arguments.releases,
        arguments.seed
    )];
    lines.extend(plan.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.push(String::new());
    lines.push(row(
        "candidate",
        "rolled back",
        ["minutes to", "rollback"],
        ["requests", "it failed"],
        ["minutes to", "promotion"],
    ));
    lines.push(row("", "", ["median", "90 %"], ["median", "90 %"], ["median", "90 %"]));
    for one in found {
        let pair = |spread: Option<Spread>| {
            spread.map_or(["-".to_owned(), "-".to_owned()], |s| [figures::count(s.median), figures::count(s.p90)])
        };
        let [rollback, failed, promotion] =
            [one.minutes_to_rollback, Some(one.failed_requests), one.minutes_to_promotion].map(pair);
        let share = format!("{:.1} %", 100.0 * one.rolled_back);
        lines.push(row(&one.candidate, &share, texts(&rollback), texts(&failed), texts(&promotion)));
    }
    lines
}

fn texts(pair: &[String; 2]) -> [&str; 2] {
    pair.each_ref().map(String::as_str)
}

fn row(candidate: &str, share: &str, a: [&str; 2], b: [&str; 2], c: [&str; 2]) -> String {
    let [[a, a90], [b, b90], [c, c90]] = [a, b, c];
    format!("{candidate:<10} {share:>11}  {a:>10} {a90:>9}  {b:>10} {b90:>9}  {c:>10} {c90:>9}").trim_end().to_owned()
}
