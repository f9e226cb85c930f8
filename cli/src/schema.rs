//! `spillway schema`: the JSON Schema of a service definition.

use std::process::ExitCode;

use spillway_core::definition::ServiceDefinition;

use crate::output;

/// Prints the schema.
pub fn run() -> ExitCode {
    output::line(&format!("{:#}", ServiceDefinition::json_schema()));
    ExitCode::SUCCESS
}
