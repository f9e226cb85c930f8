//! The operator's commands: what they share is an installation on AWS, or in the lab.

pub mod command;
pub mod ending;
pub mod explain;
pub mod failure;
pub mod freeze;
pub mod history;
mod past;
pub mod release;
pub mod report;
pub mod start;
pub mod status;
mod wait;
pub mod words;

use std::future::Future;
use std::process::ExitCode;

use clap::Args;
use spillway_aws::client;
use spillway_aws::error::ApiError;
use spillway_aws::executions::StateMachines;
use spillway_aws::operator::OperatorTable;

use failure::Failure;

/// The prefix unless another one is given.
const PREFIX: &str = "spillway";

/// Seconds that a wait may take: no release lasts longer than its state machine, 30 days.
const LONGEST_WAIT: u64 = 2_592_000;

/// What every command's `--help` ends with: its examples, and what all have in common.
macro_rules! with_exit_codes {
    ($($examples:literal),* $(,)?) => {
        concat!(
            $("Example: ", $examples, "\n",)*
            "
Exit codes:
  0    done; with --wait: promoted
  1    refused, or the release ended otherwise
  2    the command line is not right
  3    AWS cannot be reached, or failed
  4    --timeout is over; the release goes on
  130  interrupted; the release goes on

Region and credentials come from AWS's environment variables and shared configuration."
        )
    };
}
pub(crate) use with_exit_codes;

/// The same for commands that read what has been, and change nothing.
macro_rules! reading {
    ($($examples:literal),* $(,)?) => {
        concat!(
            $("Example: ", $examples, "\n",)*
            "
Exit codes:
  0  done, however the release ended
  1  there is no such release, or it cannot be read
  2  the command line is not right, or a file cannot be read
  3  AWS cannot be reached, or failed

Region and credentials come from AWS's environment variables and shared configuration. Step Functions forgets
executions 90 days after their end."
        )
    };
}
use reading;

/// Where Spillway is installed.
#[derive(Args, Clone, Debug)]
pub struct Installation {
    /// Prefix of the installation's names: its state machine is PREFIX-release, its table PREFIX-leases.
    #[arg(long = "installation", value_name = "PREFIX", env = "SPILLWAY_INSTALLATION", hide_env_values = true, default_value = PREFIX, value_parser = prefix)]
    prefix: String,
    /// Endpoint of all AWS services, for the lab; otherwise `AWS_ENDPOINT_URL`, or AWS itself.
    #[arg(long, value_name = "URL", value_parser = url)]
    endpoint_url: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fits { Ok(text.to_owned()) } else { Err("allowed: 1 to 64 letters, digits, hyphens and underscores".into()) }
}

fn url(text: &str) -> Result<String, String> {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match host {
        Some(host) if !host.is_empty() && !host.contains(char::is_whitespace) => Ok(text.to_owned()),
        _ => Err("allowed: http://HOST:PORT or https://HOST".into()),
    }
}

/// An installation that can be spoken to.
pub struct World {
    installation: Installation,
    /// Its state machines.
    pub machines: StateMachines,
    /// Its table of leases.
    pub leases: OperatorTable,
}

impl World {
    async fn new(installation: Installation) -> Self {
        let config = match &installation.endpoint_url {
            Some(url) => client::config_loader().endpoint_url(url).load().await,
            None => client::sdk_config().await,
        };
        let table = format!("{}-leases", installation.prefix);
        Self { machines: StateMachines::new(&config), leases: OperatorTable::new(&config, table), installation }
    }

    /// Whether machines read what is printed.
    pub fn json(&self) -> bool {
        self.installation.json
    }

    /// What its names begin with.
    pub fn prefix(&self) -> &str {
        &self.installation.prefix
    }

    /// The ARN of the release machine.
    async fn release_machine(&self) -> Result<String, Failure> {
        let name = format!("{}-release", self.prefix());
        let found = self.machines.find(&name).await?;
        found.ok_or_else(|| Failure::NotInstalled(format!("no state machine is named {name}")))
    }

    /// A command line of this program that speaks to the same installation.
    pub fn hint(&self, command: &str) -> String {
        let Installation { prefix, endpoint_url, .. } = &self.installation;
        let mut hint = format!("spillway {command}");
        if prefix != PREFIX {
            hint.extend([" --installation ", prefix]);
        }
        if let Some(url) = endpoint_url {
            hint.extend([" --endpoint-url ", url]);
        }
        hint
    }
}

/// Runs a command against its installation; what stops it is told on standard error.
pub fn run<F: Future<Output = Result<ExitCode, Failure>>>(
    installation: &Installation,
    command: impl FnOnce(World) -> F,
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("spillway: {error}");
            return ExitCode::from(failure::UNREACHABLE);
        }
    };
    let installation = installation.clone();
    runtime.block_on(async { command(World::new(installation).await).await }).unwrap_or_else(|failure| failure.report())
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        // The operation's subject is a service; what does not exist is the table.
        if error.code == "ResourceNotFoundException" {
            return Self::NotInstalled(error.to_string());
        }
        Self::Aws(error)
    }
}
