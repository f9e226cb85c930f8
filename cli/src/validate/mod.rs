//! `spillway validate`: is a service definition one, and is what it names there?

mod hooks;
mod live;
mod named;
mod permitted;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use spillway_core::definition::ServiceDefinition;

use crate::input::{Fault, read};
use crate::operator::Installation;
use crate::output;

pub use report::is_denied;

/// Check a service definition, offline or against AWS, and list every problem.
///
/// Offline it is the definition alone. With --live it is also whether a release could start now, by the rules that
/// planning has: routes, target groups and their load balancers, what runs the slots, alarms, metrics; and whether the
/// installation may change what it would have to: by the tag spillway:managed = true, or, where you may ask IAM's policy
/// simulator, by its roles' policies. Hooks must be there, and the installation be allowed to invoke them; an image must have
/// a container to go to. Nothing is changed and no hook is asked.
#[derive(Args)]
#[command(after_long_help = "Examples:
  spillway validate checkout.json
  spillway validate --live checkout.json --profile shop --json

Exit codes:
  0    valid; with --live: a release could start
  1    there are problems
  2    the command line is not right, or the file cannot be read
  3    with --live: AWS cannot be reached, or failed, or did not let you look")]
pub struct Arguments {
    /// The definition, a JSON document; `-` reads standard input.
    file: PathBuf,
    /// Look at AWS as well.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    installation: Installation,
}

/// Prints what the definition says, or every problem with its place, its value and what is allowed.
pub fn run(arguments: &Arguments) -> ExitCode {
    let name = arguments.file.display().to_string();
    let text = match read(&arguments.file) {
        Ok(text) => text,
        Err(fault) => return fault.report(),
    };
    let json = arguments.installation.json();
    match ServiceDefinition::from_json(&text) {
        Ok(definition) if arguments.live => live::run(&arguments.installation, &name, &definition),
        Ok(definition) => {
            let told = if json {
                report::summary(&name, &definition).to_string()
            } else {
                format!("{name}: valid: {}", report::words(&definition))
            };
            output::line(&told);
            ExitCode::SUCCESS
        }
        Err(invalid) => {
            if json {
                let problems: Vec<_> = invalid
                    .problems
                    .iter()
                    .map(|problem| json!({"path": problem.path, "value": problem.value, "message": problem.message}))
                    .collect();
                output::line(&json!({"file": name, "valid": false, "problems": problems}).to_string());
            }
            Fault::Invalid { name, problem: invalid.to_string() }.report()
        }
    }
}
