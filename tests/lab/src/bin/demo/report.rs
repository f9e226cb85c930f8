//! What each release leaves behind, on a page: written by the command line, as for any release.

use std::path::PathBuf;
use std::process::Command;

use spillway_lab::functions::{FunctionError, command_line};
use spillway_lab::{Execution, Lab};

/// Writes reports.
pub struct Reports {
    program: PathBuf,
    directory: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Reports {
    /// Builds the command line, which takes minutes the first time.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn prepare(lab: &Lab) -> Result<Self, FunctionError> {
        let program = tokio::task::block_in_place(command_line)?;
        Ok(Self { program, directory: lab.run_dir().to_owned(), environment: lab.environment() })
    }

    /// Writes the report of a release, and says where.
    ///
    /// # Errors
    /// What the command line says.
    pub fn write(&self, release: &Execution, name: &str) -> Result<String, String> {
        let page = self.directory.join(format!("{name}.html"));
        let mut command = Command::new(&self.program);
        command.args(["report", release.arn(), "--html"]).arg(&page).envs(self.environment.iter().cloned());
        let output = tokio::task::block_in_place(|| command.output()).map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
        let here = std::env::current_dir().unwrap_or_default();
        Ok(page.strip_prefix(&here).unwrap_or(&page).display().to_string())
    }
}
