//! The command line of Spillway.

mod history;
mod input;
mod judge;
mod live;
mod output;
mod plot;
mod policy;
mod schema;
mod simulate;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Progressive delivery for services behind AWS Application Load Balancers.
#[derive(Parser)]
#[command(name = "spillway", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a service definition, offline, and list every problem.
    Validate(validate::Arguments),
    Judge(judge::Arguments),
    Simulate(simulate::Arguments),
    /// Print the JSON Schema of a service definition, for editors.
    Schema,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Judge(arguments) => judge::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Schema => schema::run(),
    }
}
