//! `spillway rollback`: undoes the latest promoted release.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use spillway_aws::operator::Item;
use spillway_core::definition::ServiceName;
use spillway_core::plan::Plan;

use super::failure::Failure;
use super::release::Kind;
use super::{Installation, LONGEST_WAIT, World, run as run_operator, wait, with_exit_codes, words};
use crate::output;

/// Undo the latest promoted release: all traffic goes back to the version before.
///
/// It works until the next release is planned. Within the rollback window the old slot is warm, and gets everything at once;
/// afterwards its capacity is asked for, and awaited, first. Nothing is judged on the way. A release that runs is not
/// promoted yet: `abort` rolls it back.
#[derive(Args)]
#[command(after_long_help = with_exit_codes!("spillway rollback checkout --wait"))]
pub struct Arguments {
    /// The service.
    #[arg(value_parser = |text: &str| ServiceName::parse(text))]
    service: ServiceName,
    /// Wait for the end, with a line whenever the phase changes; exit with 0 only if all traffic is back.
    #[arg(long)]
    wait: bool,
    /// With --wait: give up waiting after so many seconds; the rollback goes on.
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..=LONGEST_WAIT))]
    timeout: Option<u64>,
    #[command(flatten)]
    installation: Installation,
}

/// Starts it.
pub fn run(arguments: &Arguments) -> ExitCode {
    run_operator(&arguments.installation, |world| async move { rollback(&world, arguments).await })
}

async fn rollback(world: &World, arguments: &Arguments) -> Result<ExitCode, Failure> {
    let service = arguments.service.as_str();
    let Some(item) = world.leases.read(service).await? else {
        return Err(super::command::unknown(world, service).await);
    };
    let plan = undoable(&item, world.prefix()).map_err(Failure::Refused)?;
    let machine = world.machine("rollback").await?;
    let ended = match &item.promoted_by {
        Some(release) => world.machines.describe(release).await.ok().and_then(|execution| execution.stopped),
        None => None,
    };
    let name = format!("{service}-{}-{:06x}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"), fastrand::u32(..1 << 24));
    let input = json!({"service": service}).to_string();
    let execution = world.machines.start(&machine, &name, &input).await?;
    let warm_until = ended.and_then(|ended| warm_until(&plan, ended));
    if world.json() {
        let told = json!({
            "service": service,
            "execution": execution,
            "name": name,
            "undoes": item.promoted_by,
            "from": plan.candidate.slot,
            "to": plan.stable.slot,
            "version": plan.version,
            "warm_until": warm_until.map(|until| format!("{until:.0}")),
        });
        output::line(&told.to_string());
    } else {
        told(&item, &plan, &name, &execution, warm_until);
    }
    if arguments.wait {
        return wait::until_ended(world, service, &execution, arguments.timeout.map(Duration::from_secs)).await;
    }
    if !world.json() {
        let wait = world.hint(&format!("status {service} --wait --execution {execution}"));
        output::line(&format!("Next: {wait}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn told(item: &Item, plan: &Plan, name: &str, execution: &str, warm_until: Option<Timestamp>) {
    let (service, from, to) = (&item.service, plan.candidate.slot, plan.stable.slot);
    let release = item.promoted_by.as_deref().map_or("the latest release", words::name);
    let now = Timestamp::now();
    let warm = match warm_until {
        Some(until) if until > now => format!("{to} is warm until {until:.0}: it gets everything at once"),
        Some(until) => format!(
            "the rollback window ended {} ago: the capacity of {to} is asked for, and awaited, first",
            words::length(now.duration_since(until).as_secs())
        ),
        None => format!("{to} gets everything as soon as it has the hosts for it"),
    };
    output::line(&format!(
        "{service}: rollback {name} has started: it undoes {release}; all traffic goes from {from} ({}) back to {to}\n  \
         {execution}\n  {warm}; then the slot {from} is retired",
        plan.version
    ));
}

/// What there is to undo; or why there is nothing, and what is allowed.
fn undoable(item: &Item, prefix: &str) -> Result<Plan, String> {
    let service = &item.service;
    if let Some(owner) = &item.owner {
        let (kind, name) = (Kind::of(owner, prefix), words::name(owner));
        match kind {
            Kind::Release => {
                return Err(format!(
                    "{service}: release {name} runs and is not promoted yet; allowed: abort, which rolls it back"
                ));
            }
            Kind::Rollback | Kind::Guard => {
                return Err(format!(
                    "{service}: {} {name} is giving traffic back already; allowed: status --wait",
                    kind.word()
                ));
            }
            // A retirement gives the lease back in moments; the machine waits for that.
            Kind::Retirement => {}
            Kind::Stranger => {
                return Err(format!(
                    "{service}: {name} holds the lease, and is none of this installation's; allowed: status"
                ));
            }
        }
    }
    let Some(plan) = &item.promoted_plan else {
        return Err(format!(
            "{service}: there is nothing to undo: no release was promoted since the last one that was planned, or it is \
             undone already; allowed: start with the version that you want"
        ));
    };
    serde_json::from_str::<Value>(plan).and_then(serde_json::from_value).map_err(|error| {
        format!("{service}: the plan of the latest promoted release cannot be read: {error}; allowed: start")
    })
}

/// Until when the old slot stays warm after a release that ended then.
fn warm_until(plan: &Plan, ended: Timestamp) -> Option<Timestamp> {
    ended.checked_add(SignedDuration::from_secs(plan.retirement.window_seconds.into())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_promoted_is_undone() {
        let held = |machine: &str| Item {
            service: "shop".into(),
            owner: Some(format!("arn:aws:states:eu-west-1:123456789012:execution:{machine}:r-1")),
            ..Item::default()
        };
        for (item, expected) in [
            (held("spillway-release"), "shop: release r-1 runs and is not promoted yet; allowed: abort"),
            (held("spillway-rollback"), "shop: rollback r-1 is giving traffic back already; allowed: status --wait"),
            (held("spillway-guard"), "shop: guard r-1 is giving traffic back already"),
            (held("other-release"), "shop: r-1 holds the lease, and is none of this installation's"),
            (held("spillway-retire"), "shop: there is nothing to undo"),
            (Item { owner: None, ..held("") }, "shop: there is nothing to undo"),
            (
                Item { owner: None, promoted_plan: Some("{}".into()), ..held("") },
                "shop: the plan of the latest promoted release cannot be read: missing field",
            ),
        ] {
            let why = undoable(&item, "spillway").unwrap_err();
            assert!(why.starts_with(expected) && why.contains("allowed: "), "{why}");
        }
    }
}
