//! `spillway completions`: what a shell needs to complete this command line.

use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use crate::output;

/// Print a shell's completions of this command line
///
/// For bash: spillway completions bash > ~/.local/share/bash-completion/completions/spillway
/// For zsh, in a directory of $fpath: spillway completions zsh > _spillway
/// For fish: spillway completions fish > ~/.config/fish/completions/spillway.fish
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints them.
pub fn run(arguments: &Arguments, mut command: Command) -> ExitCode {
    let mut text = Vec::new();
    generate(arguments.shell, &mut command, "spillway", &mut text);
    output::line(String::from_utf8_lossy(&text).trim_end());
    ExitCode::SUCCESS
}
