//! `spillway explain`: why a release ended as it did, for somebody who is tired.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use spillway_core::definition::ServiceName;

use super::failure::Failure;
use super::{Installation, World, reading, run as run_operator};
use crate::input::{Fault, read};
use crate::output;
use crate::record::Record;

/// Say why a release ended as it did, in at most five lines.
///
/// What happened; the number that decided, against its limit; how many requests failed; where traffic is; and what to do
/// next. All of it is from the evidence that the release has recorded. A release that still runs is told as it stands.
#[derive(Args)]
#[command(after_long_help = reading!("spillway explain checkout", "spillway explain build-1234", "spillway explain --from history.json"))]
pub struct Arguments {
    #[command(flatten)]
    release: Release,
    #[command(flatten)]
    installation: Installation,
}

/// Which release is meant.
#[derive(Args, Debug)]
pub struct Release {
    /// The release: its name, its execution's ARN, or a service, whose current or latest release is meant.
    #[arg(value_name = "RELEASE", required_unless_present = "from", conflicts_with = "from", value_parser = named)]
    name: Option<String>,
    /// A history in a file instead, as `aws stepfunctions get-execution-history --include-execution-data` prints it; `-`
    /// reads standard input. Nothing is asked of AWS.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
}

/// What Step Functions allows of names, and ARNs of executions.
fn named(text: &str) -> Result<String, String> {
    let name = |text: &str| {
        (1..=80).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let arn = text.starts_with("arn:") && text.contains(":states:") && !text.contains(char::is_whitespace);
    if arn || name(text) || ServiceName::parse(text).is_ok() {
        return Ok(text.to_owned());
    }
    Err("allowed: a release's name (1 to 80 letters, digits, hyphens and underscores), the ARN of its execution, or a service".into())
}

impl Release {
    /// Runs a command that needs its record.
    pub fn with_record(
        &self,
        installation: &Installation,
        command: impl Fn(&Record) -> Result<ExitCode, Fault>,
    ) -> ExitCode {
        let done = |record: &Record| command(record).unwrap_or_else(|fault| fault.report());
        if let Some(file) = &self.from {
            let invalid = |problem| Fault::Invalid { name: file.display().to_string(), problem };
            let record = read(file).and_then(|text| Record::from_file(&text).map_err(invalid));
            return record.map_or_else(|fault| fault.report(), |record| done(&record));
        }
        let name = self.name.clone().unwrap_or_default();
        run_operator(installation, |world: World| async move {
            let record = world.record(&name).await?;
            Ok::<_, Failure>(done(&record))
        })
    }
}

/// Explains.
pub fn run(arguments: &Arguments) -> ExitCode {
    let json = arguments.installation.json;
    arguments.release.with_record(&arguments.installation, |record| {
        if json {
            output::line(
                &json!({"record": record, "outcome": record.outcome(), "explanation": record.explanation()})
                    .to_string(),
            );
        } else {
            let explanation = record.explanation();
            let _ = explanation.lines().all(output::line);
        }
        Ok(ExitCode::SUCCESS)
    })
}
