//! Why an operator's command did not do what it was asked for.

use std::process::ExitCode;

use spillway_aws::error::ApiError;

use crate::output;

/// Exit code: refused, or the release ended otherwise than promoted.
pub const REFUSED: u8 = 1;
/// Exit code: the command line is not right, as clap has it.
const USAGE: u8 = 2;
/// Exit code: AWS cannot be reached, or failed.
pub const UNREACHABLE: u8 = 3;
/// Exit code: the time-out is over.
pub const TIMED_OUT: u8 = 4;
/// Exit code: interrupted, as shells have it.
pub const INTERRUPTED: u8 = 130;

/// Why it did not.
#[derive(Debug)]
pub enum Failure {
    /// It makes no sense now: why, and what is allowed.
    Refused(String),
    /// The command line is not right.
    Usage(String),
    /// A call failed.
    Aws(ApiError),
    /// The same, with what it was asked for.
    Context(String, Box<Failure>),
    /// The installation is not there: what is missing.
    NotInstalled(String),
    /// It was waited for, and lost from sight: the release's name, and the last error.
    LostSight(String, ApiError),
    /// The time-out is over: what goes on.
    TimedOut(String),
    /// Somebody pressed Ctrl-C: what goes on.
    Interrupted(String),
}

impl Failure {
    /// Says it on standard error; the exit code tells the kinds apart.
    pub fn report(&self) -> ExitCode {
        output::say(&format!("spillway: {}", self.text()));
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Self::Context(_, failure) => failure.code(),
            Self::Refused(_) => REFUSED,
            Self::Usage(_) => USAGE,
            Self::Aws(_) | Self::NotInstalled(_) | Self::LostSight(..) => UNREACHABLE,
            Self::TimedOut(_) => TIMED_OUT,
            Self::Interrupted(_) => INTERRUPTED,
        }
    }

    /// What is wrong, and what may help.
    pub fn text(&self) -> String {
        match self {
            Self::Refused(text) | Self::Usage(text) | Self::TimedOut(text) | Self::Interrupted(text) => text.clone(),
            Self::Aws(error) => format!("{error}{}", advice(error)),
            Self::Context(what, failure) => format!("{what}: {}", failure.text()),
            Self::NotInstalled(text) => {
                format!("{text}; is this the account, the region and the --installation that you mean?")
            }
            Self::LostSight(what, error) => format!("{what}, and cannot be seen any more: {error}"),
        }
    }
}

/// What may help.
fn advice(error: &ApiError) -> String {
    let cause = match error.code.as_str() {
        "Timeout" | "Connection" => "; are region and credentials set, and is the endpoint right?",
        "InvalidRequest" => "; is the region set (AWS_REGION, or a profile's)?",
        "ExpiredToken" | "ExpiredTokenException" | "UnrecognizedClientException" => "; sign in again",
        _ if error.transient => "; try again",
        _ => "",
    };
    // The answer may be all that was lost.
    let effect = match error.operation {
        "StartExecution" if error.transient => {
            format!(" The release may have started all the same: with --name {} it starts only once.", error.subject)
        }
        "UpdateItem" if error.transient => {
            " It may have been done all the same; the same again does no harm.".to_owned()
        }
        _ => String::new(),
    };
    format!("{cause}{effect}")
}
