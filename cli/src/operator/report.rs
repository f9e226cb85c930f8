//! `spillway report`: a release on one page, to be read, sent and kept.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::explain::Release;
use super::{Installation, reading};
use crate::input::Fault;
use crate::{output, page};

/// Write a release's report: one page that needs nothing but itself.
///
/// Weights and measured shares, error rates of both versions with how sure they are, latency, the judge's e-values against
/// their limits, what happened and why, the plan, and the cost. It loads nothing and runs no script, can be read on a phone,
/// in the dark and on paper, and has the numbers of every picture in a table. Keep it: Step Functions forgets a release 90
/// days after its end.
#[derive(Args)]
#[command(after_long_help = reading!("spillway report checkout --html checkout.html", "spillway report --from history.json --html -"))]
pub struct Arguments {
    #[command(flatten)]
    release: Release,
    /// Where the page is written; an older file there is replaced. `-` is standard output.
    #[arg(long, value_name = "FILE")]
    html: PathBuf,
    #[command(flatten)]
    installation: Installation,
}

/// Writes it.
pub fn run(arguments: &Arguments) -> ExitCode {
    let json = arguments.installation.json;
    arguments.release.with_record(&arguments.installation, |record| {
        let page = page::html(record);
        if arguments.html.as_os_str() == "-" {
            output::line(&page);
            return Ok(ExitCode::SUCCESS);
        }
        let name = arguments.html.display().to_string();
        std::fs::write(&arguments.html, page).map_err(|source| Fault::Unreadable { name: name.clone(), source })?;
        let told = if json {
            json!({"service": record.service, "release": record.release, "outcome": record.outcome(), "html": name})
                .to_string()
        } else {
            format!("{}: release {}, {}: written to {name}", record.service, record.release, record.outcome())
        };
        output::line(&told);
        Ok(ExitCode::SUCCESS)
    })
}
