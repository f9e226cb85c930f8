//! What a command reads, and what is wrong with it.

use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

use crate::output;

/// Exit code for input with problems.
const INVALID: u8 = 1;
/// Exit code for a file that cannot be read.
const UNREADABLE: u8 = 2;

/// Why a command cannot do what it was asked for.
#[derive(Debug)]
pub enum Fault {
    /// A file that cannot be read.
    Unreadable {
        /// Its name as given.
        name: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A file with problems.
    Invalid {
        /// Its name as given.
        name: String,
        /// The problems, a line each.
        problem: String,
    },
}

impl Fault {
    /// Says it on standard error; the exit code tells the two kinds apart.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Unreadable { name, source } => {
                output::say(&format!("spillway: {name}: {source}"));
                ExitCode::from(UNREADABLE)
            }
            Self::Invalid { name, problem } => {
                let place = if problem.contains('\n') { "\n  " } else { " " };
                output::say(&format!("{name}:{place}{problem}"));
                ExitCode::from(INVALID)
            }
        }
    }
}

/// The whole text of a file; `-` is standard input.
pub fn read(file: &Path) -> Result<String, Fault> {
    let unreadable = |source| Fault::Unreadable { name: file.display().to_string(), source };
    if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(unreadable)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).map_err(unreadable)
}
