//! `cargo demo`: releases on one machine, with live traffic, as a person would watch them.

mod arguments;
mod follow;
mod report;
mod scenario;
mod screen;
mod summary;

use std::process::ExitCode;

use spillway_lab::{Lab, LabError};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Arguments;
use crate::report::Reports;
use crate::scenario::Scenario;
use crate::screen::Screen;

/// Exit code when it was interrupted: 128 and the number of SIGINT.
const INTERRUPTED: u8 = 130;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::from_command_line();
    let mut terminated = match signal(SignalKind::terminate()) {
        Ok(terminated) => terminated,
        Err(error) => {
            eprintln!("demo: cannot wait for signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    // Whichever ends first; dropping the demo stops everything that it started.
    tokio::select! {
        outcome = demo(&arguments) => outcome.unwrap_or_else(|error| {
            eprintln!("demo: {error}");
            ExitCode::FAILURE
        }),
        _ = tokio::signal::ctrl_c() => stopped(),
        _ = terminated.recv() => stopped(),
    }
}

fn stopped() -> ExitCode {
    eprintln!("\ndemo: interrupted; everything is being stopped");
    ExitCode::from(INTERRUPTED)
}

async fn demo(arguments: &Arguments) -> Result<ExitCode, LabError> {
    let mut screen = Screen::new();
    screen.line("Starting the lab: building the functions (minutes the first time), emulated AWS, a load balancer, an application ...");
    let lab = Lab::builder().start().await?;
    let reports = Reports::prepare(&lab)?;
    let scenario = Scenario::start(&lab, reports).await?;
    let here = std::env::current_dir().unwrap_or_default();
    let logs = lab.run_dir().strip_prefix(&here).unwrap_or(lab.run_dir());
    screen.line(&format!(
        "Users call {} {} times a second. Logs are in {}.",
        scenario.url(),
        scenario::RATE,
        logs.display()
    ));

    let mut endings = Vec::new();
    for chapter in arguments.scenario.chapters() {
        endings.push(scenario.play(*chapter, &mut screen).await?);
    }
    let as_expected = summary::print(&endings, &mut screen);
    if arguments.keep {
        keep(&lab, &scenario, &mut screen).await;
    }
    scenario.stop().await;
    lab.stop().await;
    Ok(if as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Leaves everything running, and says where it is, until it is interrupted.
async fn keep(lab: &Lab, scenario: &Scenario<'_>, screen: &mut Screen) {
    screen.line("");
    screen.line(&format!("Everything goes on running. The application: {}", scenario.url()));
    screen.line("For the aws command line tool, boto3 or any SDK:");
    for (name, value) in lab.environment() {
        screen.line(&format!("  export {name}={value}"));
    }
    screen.line("Ctrl-C stops everything.");
    std::future::pending::<()>().await;
}
