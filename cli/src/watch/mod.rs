//! `spillway watch`: a live view of a service's release, with keys to act on it.
//!
//! [`feed`] looks at the lease and at what is new in the execution's history, [`model`] holds what was seen and what the
//! keys mean, and [`view`] draws it. Nothing here decides: a key says the same word as the command of that name.

mod feed;
mod figures;
mod model;
mod terminal;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::Args;
use crossterm::event::{Event, KeyEventKind};
use jiff::Timestamp;
use spillway_core::definition::ServiceName;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::LocalSet;

use crate::operator::command::{self, Word};
use crate::operator::failure::Failure;
use crate::operator::{Installation, World, run as run_operator, with_exit_codes};
use feed::Feed;
use model::{Act, Model};
use terminal::Screen;

/// Ages and what comes next are told to the second.
const TICK: Duration = Duration::from_secs(1);

/// Watch a service's release, and act on it.
///
/// A full-screen view of the release that holds the lease, waits for it, or was the latest: its step, the weight that was
/// asked for beside the share that was measured, both slots' requests, errors, slow answers and hosts, the evidence of each
/// gate beside its limit, what happened and why, and what comes next. The next release of the service takes its place.
///
/// Keys: p pauses, r resumes, a approves, P promotes, x aborts, each after a question; the arrows move through the
/// timeline; q leaves. The release goes on without being watched, and so it does when the connection is lost: what was seen
/// last stays, with its age, until there is an answer again.
#[derive(Args)]
#[command(after_long_help = with_exit_codes!("spillway watch checkout", "spillway watch checkout --execution ARN"))]
pub struct Arguments {
    /// The service.
    #[arg(value_parser = |text: &str| ServiceName::parse(text))]
    service: ServiceName,
    /// A certain release, by its execution's ARN, and no other.
    #[arg(long, value_name = "ARN")]
    execution: Option<String>,
    #[command(flatten)]
    installation: Installation,
}

/// Watches until somebody leaves.
pub fn run(arguments: &Arguments) -> ExitCode {
    run_operator(&arguments.installation, |world| async move { watch(world, arguments).await })
}

async fn watch(world: World, arguments: &Arguments) -> Result<ExitCode, Failure> {
    on_terminal(&world, &arguments.service)?;
    if let Some(arn) = &arguments.execution {
        world.release_of(arn, Some(&arguments.service)).await?;
    }
    follow(world, &arguments.service, arguments.execution.clone()).await
}

/// Whether there is a terminal to draw on.
pub(crate) fn on_terminal(world: &World, service: &ServiceName) -> Result<(), Failure> {
    if world.json() || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        let instead = world.hint(&format!("status {service} --wait --json"));
        return Err(Failure::Usage(format!("watch: it draws on a terminal, and this is none; allowed: {instead}")));
    }
    Ok(())
}

/// Shows a certain release, or whichever is the service's, until somebody leaves.
pub(crate) async fn follow(
    world: World,
    service: &ServiceName,
    execution: Option<String>,
) -> Result<ExitCode, Failure> {
    let world = Rc::new(world);
    let feed = Feed::new(Rc::clone(&world), service.clone(), execution);
    // Before the screen is taken: what is wrong for good is told as by every other command.
    let first = feed.first().await?;
    let local = LocalSet::new();
    local.run_until(on_screen(world, feed, first, service)).await
}

async fn on_screen(
    world: Rc<World>,
    feed: Feed,
    first: feed::Look,
    service: &ServiceName,
) -> Result<ExitCode, Failure> {
    let unusable = |error: std::io::Error| Failure::Refused(format!("watch: the terminal cannot be used: {error}"));
    let (looks, mut seen) = watch::channel(first.clone());
    let wake = Rc::new(Notify::new());
    tokio::task::spawn_local(feed.run(looks, Rc::clone(&wake)));
    let (said, mut answers) = mpsc::unbounded_channel();
    let mut ends = signal(SignalKind::terminate()).map_err(unusable)?;
    let mut hangs_up = signal(SignalKind::hangup()).map_err(unusable)?;
    let mut screen = Screen::open().map_err(unusable)?;
    let mut model = Model::new(service.clone(), first);
    let mut tick = tokio::time::interval(TICK);
    loop {
        model.now = Timestamp::now();
        screen.draw(|frame| view::draw(frame, &model)).map_err(unusable)?;
        tokio::select! {
            event = screen.event() => match event {
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => match model.key(key) {
                    Act::Nothing => {}
                    Act::Leave => break,
                    Act::Suspend => screen.suspend().map_err(unusable)?,
                    Act::Say(word, release) => {
                        let (world, service) = (Rc::clone(&world), service.clone());
                        let (said, wake) = (said.clone(), Rc::clone(&wake));
                        tokio::task::spawn_local(async move {
                            // Nobody hears it only once the view is left.
                            let _ = said.send(say(&world, &service, &release, word).await);
                            wake.notify_one();
                        });
                    }
                },
                Some(_) => {}
                // The terminal is gone.
                None => break,
            },
            Ok(()) = seen.changed() => model.see(seen.borrow_and_update().clone()),
            Some(answer) = answers.recv() => model.answer = Some(answer),
            _ = tick.tick() => {}
            _ = ends.recv() => break,
            _ = hangs_up.recv() => break,
        }
    }
    drop(screen);
    crate::output::line(&model.farewell(&world.hint(&format!("watch {service}"))));
    Ok(ExitCode::SUCCESS)
}

/// Says a word to the release, and gives what was answered.
async fn say(world: &World, service: &ServiceName, release: &str, word: Word) -> String {
    match command::speak(world, service, release, word).await {
        Ok(said) => said,
        Err(failure) => failure.text(),
    }
}
