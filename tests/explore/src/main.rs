//! `explore`: every fault at every call, printed.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Parser;
use spillway_explore::machines::{Machines, shipped};
use spillway_explore::scenario;
use spillway_explore::search::{explore, uncovered};

/// Explores the shipped state machines and handlers under every fault.
#[derive(Parser)]
struct Arguments {
    /// One more thing goes wrong on each way. Takes long.
    #[arg(long)]
    deep: bool,
    /// Only settings whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Stop a setting after so many states.
    #[arg(long, value_name = "N", default_value_t = usize::MAX)]
    most_states: usize,
}

fn main() -> ExitCode {
    let Arguments { deep, only, most_states } = Arguments::parse();
    let machines = match Machines::of(&shipped()) {
        Ok(machines) => machines,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let mut covered = BTreeSet::new();
    let mut failed = false;
    for setting in scenario::all(deep).into_iter().filter(|setting| setting.name.contains(&only)) {
        let found = explore(&setting, &machines, most_states);
        println!("{}: {found}", setting.name);
        if let Some(counterexample) = found.counterexample {
            println!("{counterexample}");
            failed = true;
        }
        covered.extend(found.covered);
    }
    for missing in machines.uncaught() {
        println!("nothing was caught by {missing}");
    }
    for (machine, states) in uncovered(&covered, &machines) {
        println!("{}: nothing has come to {}", machine.name(), states.join(", "));
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
