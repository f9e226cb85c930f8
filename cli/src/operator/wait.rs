//! Waiting for the end of a release.

use std::process::ExitCode;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use spillway_aws::error::ApiError;
use spillway_aws::executions::{Execution, Status, UNKNOWN_EXECUTION};
use spillway_aws::operator::{ALL, Item};
use tokio::time::Instant;

use super::failure::{Failure, REFUSED};
use super::release::Kind;
use super::{World, ending, words};
use crate::output;

/// Between two looks.
const POLL: Duration = Duration::from_secs(2);
/// The longest pause after failed looks.
const RARELY: Duration = Duration::from_secs(30);
/// So long the looks may fail.
const PATIENCE: Duration = Duration::from_mins(10);
/// So long an execution that was just started may be unknown: `DescribeExecution` is eventually consistent.
const UNKNOWN_AT_FIRST: Duration = Duration::from_secs(30);

/// Waits until the execution has ended, with a line for every change of its phase. 0 only if it succeeded.
pub async fn until_ended(
    world: &World,
    service: &str,
    execution: &str,
    timeout: Option<Duration>,
) -> Result<ExitCode, Failure> {
    let (kind, name) = (Kind::of(execution, world.prefix()), words::name(execution));
    let goes_on = || {
        let again = world.hint(&format!("status {service} --wait --execution {execution}"));
        let stops = match kind {
            Kind::Release => format!(", {} stops it", world.hint(&format!("abort {service}"))),
            _ => String::new(),
        };
        format!("{service}: {} {name} goes on; {again} waits for it{stops}", kind.word())
    };
    let time_is_up = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = look_until_ended(world, service, execution) => {
            let ended = ended?;
            tell(world, service, &ended);
            Ok(if ended.status == Status::Succeeded { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) })
        }
        // Without a handler for Ctrl-C it ends the program by itself.
        Ok(()) = tokio::signal::ctrl_c() => Err(Failure::Interrupted(goes_on())),
        () = time_is_up => {
            Err(Failure::TimedOut(format!("waited for {} s; {}", timeout.unwrap_or_default().as_secs(), goes_on())))
        }
    }
}

async fn look_until_ended(world: &World, service: &str, execution: &str) -> Result<Execution, Failure> {
    let (began, mut seen) = (Instant::now(), false);
    let (mut told, mut failing, mut pause): (Option<String>, Option<Instant>, _) = (None, None, POLL);
    let mut incomplete = false;
    loop {
        match world.machines.describe(execution).await {
            // What the answer says may be some moments old, and its parts of different age.
            Ok(found) if found.status == Status::Succeeded && found.output.is_none() && !incomplete => {
                incomplete = true;
            }
            Ok(found) if found.status != Status::Running => return Ok(found),
            Ok(_) => {
                (seen, failing, pause) = (true, None, POLL);
                let phase = phase(world, service, execution).await;
                if phase.is_some() && phase != told {
                    told = phase;
                    progress(world, service, execution, told.as_deref().unwrap_or_default());
                }
            }
            Err(error) if !seen && error.code == UNKNOWN_EXECUTION && began.elapsed() < UNKNOWN_AT_FIRST => {}
            Err(error) if error.transient => {
                let since = *failing.get_or_insert_with(|| {
                    output::say(&format!("spillway: {error}; looking again"));
                    Instant::now()
                });
                if since.elapsed() > PATIENCE {
                    return Err(lost(service, execution, error));
                }
                // Others may be throttled by the same limit, and look again at the same time.
                pause = (pause * 2).min(RARELY).mul_f64(0.75 + fastrand::f64() / 4.0);
            }
            Err(error) => return Err(lost(service, execution, error)),
        }
        tokio::time::sleep(pause).await;
    }
}

fn lost(service: &str, execution: &str, error: ApiError) -> Failure {
    Failure::LostSight(format!("{service}: {} may go on", words::name(execution)), error)
}

/// What the release does, as far as the lease tells; `None` where that is not its own, or cannot be read.
async fn phase(world: &World, service: &str, execution: &str) -> Option<String> {
    let item = world.leases.read(service).await.ok()??;
    let waits = item.waiting.as_ref().is_some_and(|waiting| waiting.execution == execution);
    if item.owner.as_deref() != Some(execution) {
        return waits.then(|| "waiting for its turn".to_owned());
    }
    let all = world.leases.read(ALL).await.ok()?.and_then(|item| item.freeze);
    let frozen = item.freeze.iter().chain(&all).any(|freeze| freeze.is_on(Timestamp::now()));
    Some(doing(&item, frozen))
}

/// The phase in words, with what holds it.
pub fn doing(item: &Item, frozen: bool) -> String {
    let mut text = item.phase.as_deref().unwrap_or("unknown phase").replace('_', " ");
    match item.wish() {
        Some("pause") => text.push_str(", paused"),
        // It stays in the lease, and means what its absence means.
        Some("resume") | None => {}
        Some(command) => text.extend([", ", command, " is read at the next check"]),
    }
    if frozen {
        text.push_str(", frozen");
    }
    text
}

fn progress(world: &World, service: &str, execution: &str, phase: &str) {
    let now = Timestamp::now();
    if world.json() {
        let told = json!({"time": format!("{now:.0}"), "service": service, "execution": execution, "phase": phase});
        output::line(&told.to_string());
    } else {
        output::line(&format!("{now:.0}  {service}: {phase}"));
    }
}

fn tell(world: &World, service: &str, ended: &Execution) {
    if world.json() {
        output::line(&ending::json(ended).to_string());
        return;
    }
    let kind = Kind::of(&ended.arn, world.prefix()).word();
    let text = format!("{service}: {kind} {}: {}", words::name(&ended.arn), ending::text(ended));
    if ended.status == Status::Succeeded {
        output::line(&text);
    } else {
        output::say(&text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_told_with_what_holds_it() {
        for (command, frozen, expected) in [
            (None, false, "rolling back"),
            (Some("none"), true, "rolling back, frozen"),
            (Some("pause"), false, "rolling back, paused"),
            (Some("resume"), false, "rolling back"),
            (Some("approve"), false, "rolling back, approve is read at the next check"),
        ] {
            let item = Item {
                owner: Some("me".into()),
                phase: Some("rolling_back".into()),
                command: command.map(Into::into),
                ..Item::default()
            };
            assert_eq!(doing(&item, frozen), expected);
        }
    }
}
