//! `explore`: every fault at every call, printed.

use std::collections::BTreeSet;
use std::process::ExitCode;

use clap::Parser;
use spillway_explore::ending::Endings;
use spillway_explore::machines::{Machines, shipped};
use spillway_explore::mutants;
use spillway_explore::scenario;
use spillway_explore::search::{explore, uncovered};

/// Explores the shipped state machines and handlers under every fault.
#[derive(Parser)]
struct Arguments {
    /// One more thing goes wrong on each way. Takes long.
    #[arg(long)]
    deep: bool,
    /// Only the settings in which one thing goes wrong.
    #[arg(long)]
    small: bool,
    /// Take each part out of the machines, one at a time, and tell which the small settings do not miss. Takes long.
    #[arg(long)]
    mutants: bool,
    /// Only settings, or mutants, whose name contains this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
    /// Stop a setting after so many states.
    #[arg(long, value_name = "N", default_value_t = usize::MAX)]
    most_states: usize,
}

fn main() -> ExitCode {
    let Arguments { deep, small, mutants, only, most_states } = Arguments::parse();
    let machines = match Machines::of(&shipped()) {
        Ok(machines) => machines,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if mutants {
        let mut all = mutants::all(&shipped());
        all.retain(|mutant| mutant.to_string().contains(&only));
        let count = all.len();
        let unnoticed = mutants::unnoticed(&shipped(), all);
        println!("{} of {count} are not missed", unnoticed.len());
        println!("{}", unnoticed.join("\n"));
        return ExitCode::SUCCESS;
    }
    let mut covered = BTreeSet::new();
    let mut failed = false;
    let settings = if small { scenario::small() } else { scenario::all(deep) };
    for setting in settings.into_iter().filter(|setting| setting.name.contains(&only)) {
        let endings = Endings::of(&setting, &machines);
        let found = explore(&setting, &machines, Some(&endings), most_states);
        println!("{}: {found}", setting.name);
        for ending in endings.0 {
            println!("  {ending}");
        }
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
