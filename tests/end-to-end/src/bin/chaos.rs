//! `cargo chaos`: random faults during real releases under real traffic, on the lab.

use std::process::ExitCode;

use clap::Parser;
use spillway_end_to_end::chaos::{Settings, run};

/// Random faults during real releases under real traffic, on this machine.
///
/// Prints what happens to each release, and a summary. Exits with 0 only if every service came to rest as it should,
/// and no user was harmed by a sound release.
#[derive(Parser)]
#[command(name = "cargo chaos")]
struct Arguments {
    /// How many releases.
    #[arg(long, value_name = "N", default_value_t = Settings::COUNT)]
    count: usize,
    /// Chooses the faults of the first release; the next one has the next number.
    #[arg(long, value_name = "SEED", default_value_t = Settings::SEED)]
    seed: u64,
    /// How many services are released at the same time.
    #[arg(long, value_name = "N", default_value_t = Settings::SERVICES)]
    services: usize,
    /// How many requests a service has had before its first release.
    #[arg(long, value_name = "N", default_value_t = Settings::HISTORY)]
    history: u64,
    /// Print the plans, and do nothing.
    #[arg(long)]
    plan: bool,
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let Arguments { count, seed, services, history, plan } = Arguments::parse();
    let settings = Settings { count, seed, services, history };
    if plan {
        settings.plans().iter().for_each(|plan| println!("{plan}"));
        return ExitCode::SUCCESS;
    }
    match run(settings, &|line| println!("{line}")).await {
        Ok(report) if report.problems().is_empty() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}
