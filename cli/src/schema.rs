//! `spillway schema`: the JSON Schema of a service definition.

use std::process::ExitCode;

use spillway_core::definition::ServiceDefinition;

/// Prints the schema.
pub fn run() -> ExitCode {
    println!("{:#}", ServiceDefinition::json_schema());
    ExitCode::SUCCESS
}
