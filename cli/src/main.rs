//! The command line of Spillway.

mod ask;
mod completions;
mod connection;
#[cfg(test)]
mod documented;
mod init;
mod input;
mod judge;
mod live;
mod operator;
mod output;
mod page;
mod plot;
mod policy;
mod record;
mod schema;
mod simulate;
mod validate;
mod watch;

use std::process::ExitCode;

use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};
use operator::command::Word;

/// Progressive delivery for services behind AWS Application Load Balancers.
#[derive(Parser)]
#[command(name = "spillway", version)]
struct Arguments {
    /// No colours; `NO_COLOR` means the same, and where standard output is no terminal there are none.
    #[arg(long, global = true, display_order = 900)]
    no_color: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Arguments),
    Validate(validate::Arguments),
    Judge(judge::Arguments),
    Start(operator::start::Arguments),
    Status(operator::status::Arguments),
    Watch(watch::Arguments),
    /// Hold the release that runs at its weight; it goes on being judged.
    ///
    /// A paused release still rolls back by itself, and after 1600 checks' time. `resume` ends the pause; so do `approve`
    /// and `promote`.
    Pause(operator::command::Arguments),
    /// End a pause: the release that runs goes on as if there had been none.
    ///
    /// A release that waits for approval by itself, without proof at the end of a step, is not paused: it needs `approve`.
    Resume(operator::command::Arguments),
    /// Let the release that runs go on to its next step without proof.
    ///
    /// For one step: this step's minimum time is still waited for, and proof that the version is bad still rolls back.
    Approve(operator::command::Arguments),
    /// Let the release that runs go on to 100 % at once, skipping its remaining steps.
    ///
    /// Proof that the version is bad still rolls back, before and at 100 %.
    Promote(operator::command::Arguments),
    /// Let the release that runs roll back: all traffic goes back to the old version.
    ///
    /// A release that has ended does not listen any more. `status --wait` waits for the end of the rollback.
    Abort(operator::command::Arguments),
    Rollback(operator::rollback::Arguments),
    Freeze(operator::freeze::Arguments),
    Unfreeze(operator::freeze::EndArguments),
    History(operator::history::Arguments),
    Explain(operator::explain::Arguments),
    Report(operator::report::Arguments),
    Simulate(simulate::Arguments),
    /// Print the JSON Schema of a service definition, for editors, or of the events of releases.
    Schema(schema::Arguments),
    Completions(completions::Arguments),
}

fn main() -> ExitCode {
    // Help and usage errors are printed before anything is parsed. Left to itself, clap colours a dumb terminal where `CI` is set.
    let wanted = output::settle(std::env::args_os().any(|argument| argument == "--no-color"));
    let command = Arguments::command().color(if wanted { ColorChoice::Auto } else { ColorChoice::Never });
    let matches = command.clone().get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match arguments.command {
        Command::Init(arguments) => init::run(&arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Judge(arguments) => judge::run(&arguments),
        Command::Start(arguments) => operator::start::run(&arguments),
        Command::Status(arguments) => operator::status::run(&arguments),
        Command::Watch(arguments) => watch::run(&arguments),
        Command::Pause(arguments) => operator::command::run(&arguments, Word::Pause),
        Command::Resume(arguments) => operator::command::run(&arguments, Word::Resume),
        Command::Approve(arguments) => operator::command::run(&arguments, Word::Approve),
        Command::Promote(arguments) => operator::command::run(&arguments, Word::Promote),
        Command::Abort(arguments) => operator::command::run(&arguments, Word::Abort),
        Command::Rollback(arguments) => operator::rollback::run(&arguments),
        Command::Freeze(arguments) => operator::freeze::run(&arguments),
        Command::Unfreeze(arguments) => operator::freeze::end(&arguments),
        Command::History(arguments) => operator::history::run(&arguments),
        Command::Explain(arguments) => operator::explain::run(&arguments),
        Command::Report(arguments) => operator::report::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments, command),
    }
}
