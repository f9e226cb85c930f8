//! `spillway validate`: is a service definition one?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use spillway_core::definition::ServiceDefinition;

use crate::input::{Fault, read};
use crate::output;

#[derive(Args)]
pub struct Arguments {
    /// The definition, a JSON document; `-` reads standard input.
    file: PathBuf,
}

/// Prints what the definition says, or every problem with its place, its value and what is allowed.
pub fn run(arguments: &Arguments) -> ExitCode {
    match check(arguments) {
        Ok(summary) => {
            output::line(&summary);
            ExitCode::SUCCESS
        }
        Err(fault) => fault.report(),
    }
}

fn check(arguments: &Arguments) -> Result<String, Fault> {
    let name = arguments.file.display().to_string();
    let text = read(&arguments.file)?;
    let definition = ServiceDefinition::from_json(&text)
        .map_err(|invalid| Fault::Invalid { name: name.clone(), problem: invalid.to_string() })?;
    let steps: Vec<String> = definition.strategy.steps().iter().map(|step| step.weight.to_string()).collect();
    let routes = definition.routes.len();
    Ok(format!(
        "{name}: valid: service {}, {routes} {}, strategy {} ({})",
        definition.service,
        if routes == 1 { "route" } else { "routes" },
        definition.strategy.kind,
        steps.join(", "),
    ))
}
