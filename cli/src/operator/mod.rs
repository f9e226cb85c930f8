//! The operator's commands: what they share is an installation on AWS, or in the lab.

pub mod command;
pub mod ending;
pub mod explain;
pub mod failure;
pub mod freeze;
pub mod history;
mod overview;
mod past;
mod preview;
pub mod release;
pub mod report;
pub mod rollback;
pub mod standing;
pub mod start;
pub mod status;
mod undos;
mod wait;
pub mod words;

use std::future::Future;
use std::process::ExitCode;

use aws_config::SdkConfig;
use clap::Args;
use spillway_aws::definitions::Definitions;
use spillway_aws::error::ApiError;
use spillway_aws::executions::StateMachines;
use spillway_aws::operator::OperatorTable;

use failure::Failure;

use crate::connection::Connection;
use crate::output;

/// The prefix unless another one is given.
const PREFIX: &str = "spillway";

/// Where definitions are in the parameter store, unless the engine says otherwise.
pub const PARAMETER_PREFIX: &str = "/spillway/services/";

/// Seconds that a wait may take: no release lasts longer than its state machine, 30 days.
const LONGEST_WAIT: u64 = 2_592_000;

/// What every command's `--help` ends with: its examples, and what all have in common.
macro_rules! with_exit_codes {
    ($($examples:literal),* $(,)?) => {
        concat!(
            $("Example: ", $examples, "\n",)*
            "
Exit codes:
  0    done; with --wait: promoted, or with rollback: rolled back
  1    refused, or it ended otherwise
  2    the command line is not right
  3    AWS cannot be reached, or failed
  4    --timeout is over; the release goes on
  130  interrupted; the release goes on

What is not given of AWS's region, credentials and endpoints comes from its environment variables and shared
configuration, as for the aws command line."
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
    /// Path of the definitions in the parameter store, where the engine's `parameter_prefix` says otherwise.
    #[arg(long, value_name = "PATH", env = "SPILLWAY_PARAMETER_PREFIX", hide_env_values = true, hide_short_help = true, default_value = PARAMETER_PREFIX, value_parser = path)]
    parameter_prefix: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Installation {
    /// The configuration that all clients share.
    pub async fn config(&self) -> SdkConfig {
        self.connection.config().await
    }

    /// Where its definitions are stored.
    pub fn definitions(&self, config: &SdkConfig) -> Definitions {
        Definitions::new(config, &*self.parameter_prefix)
    }

    /// The name of its lease table.
    fn table(&self) -> String {
        format!("{}-leases", self.prefix)
    }

    /// The prefix of its names.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether machines read what is printed.
    pub fn json(&self) -> bool {
        self.json
    }
}

fn path(text: &str) -> Result<String, String> {
    let levels = text.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
    let fits = levels.is_some_and(|levels| {
        levels
            .split('/')
            .all(|level| !level.is_empty() && level.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)))
    });
    if fits { Ok(text.to_owned()) } else { Err("allowed: a path that begins and ends with a slash".into()) }
}

fn prefix(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if fits { Ok(text.to_owned()) } else { Err("allowed: 1 to 64 letters, digits, hyphens and underscores".into()) }
}

/// An installation that can be spoken to.
pub struct World {
    installation: Installation,
    config: SdkConfig,
    /// Its state machines.
    pub machines: StateMachines,
    /// Its table of leases.
    pub leases: OperatorTable,
}

impl World {
    async fn new(installation: Installation) -> Self {
        let config = installation.connection.config().await;
        let leases = OperatorTable::new(&config, installation.table());
        Self { machines: StateMachines::new(&config), leases, config, installation }
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
        self.machine("release").await
    }

    /// The ARN of the machine that is called so after the installation's prefix.
    async fn machine(&self, which: &str) -> Result<String, Failure> {
        let name = format!("{}-{which}", self.prefix());
        let found = self.machines.find(&name).await?;
        found.ok_or_else(|| Failure::NotInstalled(format!("no state machine is named {name}")))
    }

    /// A command line of this program that speaks to the same installation.
    pub fn hint(&self, command: &str) -> String {
        let Installation { prefix, connection, .. } = &self.installation;
        let mut hint = format!("spillway {command}");
        if prefix != PREFIX {
            hint.extend([" --installation ", prefix]);
        }
        hint + &connection.hint()
    }
}

/// Runs a command against its installation; what stops it is told on standard error.
pub fn run<F: Future<Output = Result<ExitCode, Failure>>>(
    installation: &Installation,
    command: impl FnOnce(World) -> F,
) -> ExitCode {
    let installation = installation.clone();
    block_on(async { command(World::new(installation).await).await })
}

/// Runs what asks AWS; what stops it is told on standard error.
pub fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(command).unwrap_or_else(|failure| failure.report()),
        Err(error) => {
            output::say(&format!("spillway: {error}"));
            ExitCode::from(failure::UNREACHABLE)
        }
    }
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
