//! What the demo is asked to show.

use clap::{Parser, ValueEnum};

use crate::scenario::Chapter;

/// Watch Spillway release a healthy version, and catch a faulty one, on this machine.
///
/// Starts emulated AWS, a load balancer, an application and its users on loopback. Needs Python 3.10 or newer
/// for the emulator, which it installs into target/. Exits with 0 only if every release ended as it should.
#[derive(Parser)]
#[command(name = "cargo demo")]
pub struct Arguments {
    /// What to show.
    #[arg(long, value_name = "NAME", value_enum, default_value_t = ScenarioName::Both)]
    pub scenario: ScenarioName,
    /// Leave everything running afterwards, and print the endpoints, until Ctrl-C.
    #[arg(long)]
    pub keep: bool,
}

/// Scenarios by name.
#[derive(Clone, Copy, ValueEnum)]
pub enum ScenarioName {
    /// A healthy version, then a faulty one.
    Both,
    /// A healthy version: promoted, the old slot retired.
    Healthy,
    /// A version with 5 % errors: caught at a small weight, rolled back.
    Faulty,
    /// A version that never becomes healthy: no user ever gets it.
    Unready,
    /// A healthy version, all at once, with the old slot kept warm.
    BlueGreen,
}

impl ScenarioName {
    /// The releases of the scenario, in order.
    pub fn chapters(self) -> &'static [Chapter] {
        match self {
            Self::Both => &[Chapter::Healthy, Chapter::Faulty],
            Self::Healthy => &[Chapter::Healthy],
            Self::Faulty => &[Chapter::Faulty],
            Self::Unready => &[Chapter::Unready],
            Self::BlueGreen => &[Chapter::BlueGreen],
        }
    }
}

impl Arguments {
    /// Parses the command line, or ends with what is wrong with it.
    pub fn from_command_line() -> Self {
        Self::parse()
    }
}
