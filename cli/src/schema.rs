//! `spillway schema`: the JSON Schema of a service definition, or of an event.

use std::process::ExitCode;

use clap::Args;
use spillway_core::definition::ServiceDefinition;
use spillway_core::event::Event;

use crate::output;

/// Which schema.
#[derive(Args, Debug)]
pub struct Arguments {
    /// That of the events that releases put on EventBridge: of their `detail`.
    #[arg(long)]
    event: bool,
}

/// Prints the schema.
pub fn run(Arguments { event }: &Arguments) -> ExitCode {
    let schema = if *event { Event::json_schema() } else { ServiceDefinition::json_schema() };
    output::line(&format!("{schema:#}"));
    ExitCode::SUCCESS
}
