//! `spillway validate`: is a service definition one?

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use spillway_core::definition::ServiceDefinition;

/// Exit code for a definition with problems.
const INVALID: u8 = 1;
/// Exit code for a file that cannot be read.
const UNREADABLE: u8 = 2;

#[derive(Args)]
pub struct Arguments {
    /// The definition, a JSON document; `-` reads standard input.
    file: PathBuf,
}

/// Prints what the definition says, or every problem with its place, its value and what is allowed.
pub fn run(arguments: &Arguments) -> ExitCode {
    let name = arguments.file.display();
    let text = match read(&arguments.file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("spillway: {name}: {error}");
            return ExitCode::from(UNREADABLE);
        }
    };
    match ServiceDefinition::from_json(&text) {
        Ok(definition) => {
            let steps: Vec<String> = definition.strategy.steps().iter().map(|step| step.weight.to_string()).collect();
            println!(
                "{name}: valid: service {}, {} {}, strategy {} ({})",
                definition.service,
                definition.routes.len(),
                if definition.routes.len() == 1 { "route" } else { "routes" },
                definition.strategy.kind,
                steps.join(", "),
            );
            ExitCode::SUCCESS
        }
        Err(invalid) => {
            eprintln!("{name}: {invalid}");
            ExitCode::from(INVALID)
        }
    }
}

fn read(file: &Path) -> std::io::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file)
}
