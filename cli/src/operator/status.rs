//! `spillway status`: who changes a service, how far it is, and how the latest release ended.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use futures_util::future::{join, join_all};
use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_aws::executions::{Execution, Status};
use spillway_aws::operator::{ALL, Freeze, Item};
use spillway_core::definition::ServiceName;
use spillway_core::figures;

use super::failure::Failure;
use super::freeze::shown;
use super::overview::{self, Row};
use super::release::{Kind, service_of};
use super::standing::{Standing, Verdict};
use super::{Installation, LONGEST_WAIT, World, ending, run as run_operator, wait, with_exit_codes, words};
use crate::output;

/// So many releases are looked at together.
const AT_ONCE: usize = 8;

/// Say how a service stands, or all of them.
///
/// All services are a line each: what goes on, the step, the weight that was written and the candidate's share of the
/// requests that was measured at it, the judge's verdict, and since when; `-` is what is not known. One service is told
/// in full: who holds the lease, since when, the phase, a command that was not read yet, what waits, a freeze; and when nobody
/// holds it, how the latest release ended. With --wait it waits for the release that holds the lease, or waits for it,
/// or else for the latest one.
#[derive(Args)]
#[command(after_long_help = with_exit_codes!("spillway status checkout", "spillway status --wait --execution ARN --json"))]
pub struct Arguments {
    /// The service; otherwise all services.
    #[arg(value_parser = |text: &str| ServiceName::parse(text))]
    service: Option<ServiceName>,
    /// A certain release, by its execution's ARN.
    #[arg(long, value_name = "ARN")]
    execution: Option<String>,
    /// Wait for the end, with a line whenever the phase changes; exit with 0 only if it is promoted.
    #[arg(long)]
    wait: bool,
    /// With --wait: give up waiting after so many seconds; the release goes on.
    #[arg(long, value_name = "SECONDS", requires = "wait", value_parser = clap::value_parser!(u64).range(1..=LONGEST_WAIT))]
    timeout: Option<u64>,
    #[command(flatten)]
    installation: Installation,
}

/// Says it.
pub fn run(arguments: &Arguments) -> ExitCode {
    run_operator(&arguments.installation, |world| async move { status(&world, arguments).await })
}

async fn status(world: &World, arguments: &Arguments) -> Result<ExitCode, Failure> {
    if let Some(arn) = &arguments.execution {
        return one(world, arguments, arn).await;
    }
    let Some(service) = &arguments.service else {
        if arguments.wait {
            let why = "--wait: for which release? allowed: with a SERVICE, or with --execution ARN";
            return Err(Failure::Usage(why.into()));
        }
        return all(world).await;
    };
    let service = service.as_str();
    let item = world.leases.read(service).await?;
    if !arguments.wait {
        return Ok(block(world, service, item).await?.print(world.json()));
    }
    match world.current(service, item.as_ref()).await? {
        Some(execution) => wait_for(world, service, &execution, arguments).await,
        None => Err(Failure::Refused(format!(
            "{service}: there is no release of it to wait for; allowed: start --wait, or --execution with the ARN of one"
        ))),
    }
}

async fn wait_for(world: &World, service: &str, execution: &str, arguments: &Arguments) -> Result<ExitCode, Failure> {
    wait::until_ended(world, service, execution, arguments.timeout.map(Duration::from_secs)).await
}

/// A certain release.
async fn one(world: &World, arguments: &Arguments, arn: &str) -> Result<ExitCode, Failure> {
    let execution = world.release_of(arn, arguments.service.as_ref()).await?;
    let service = service_of(&execution.input).unwrap_or_default();
    if arguments.wait {
        return wait_for(world, &service, arn, arguments).await;
    }
    let text = if world.json() {
        ending::json(&execution).to_string()
    } else {
        let kind = Kind::of(arn, world.prefix()).word();
        format!("{service}: {kind} {}: {}", words::name(arn), ending::text(&execution))
    };
    output::line(&text);
    Ok(ExitCode::SUCCESS)
}

/// All services, a line each.
async fn all(world: &World) -> Result<ExitCode, Failure> {
    let items = world.leases.all().await?;
    let (all, items): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| item.service == ALL);
    let all = all.first();
    let mut standings = Vec::with_capacity(items.len());
    for some in items.chunks(AT_ONCE) {
        standings.extend(join_all(some.iter().map(|item| standing(world, item))).await);
    }
    let now = Timestamp::now();
    if world.json() {
        let freeze = all.and_then(|item| item.freeze.as_ref());
        let blocks = std::iter::zip(items, standings).map(|(item, standing)| Block {
            service: item.service.clone(),
            item: Some(item),
            standing,
            dead: None,
            latest: None,
            all: freeze.cloned(),
            prefix: world.prefix().to_owned(),
        });
        let values: Vec<Value> = blocks.map(|block| block.json()).collect();
        output::line(&json!(values).to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Row> = std::iter::zip(&items, &standings)
        .map(|(item, standing)| Row::of(item, standing.as_ref(), overview::frozen(item, all, now), world.prefix(), now))
        .collect();
    let freeze = all.and_then(|item| item.freeze.as_ref()).filter(|freeze| freeze.is_on(now));
    let freeze = freeze.map(|freeze| words::frozen(ALL, freeze));
    if rows.is_empty() {
        let freeze = freeze.map_or_else(String::new, |freeze| format!("; {freeze}"));
        output::line(&format!("no release has ever started here{freeze}"));
        return Ok(ExitCode::SUCCESS);
    }
    overview::print(&rows);
    if let Some(freeze) = freeze {
        output::say(&freeze);
    }
    Ok(ExitCode::SUCCESS)
}

/// How far the release is that holds the lease, if one does.
async fn standing(world: &World, item: &Item) -> Option<Standing> {
    let owner = item.owner.as_deref()?;
    match Kind::of(owner, world.prefix()) {
        Kind::Release => Some(world.standing(item).await),
        _ => None,
    }
}

/// What there is to know about a service.
struct Block {
    service: String,
    item: Option<Item>,
    /// How far the release is that holds the lease.
    standing: Option<Standing>,
    /// How the holder's execution ended, if it did.
    dead: Option<Status>,
    /// The latest release, if it was looked for and found.
    latest: Option<Execution>,
    /// The freeze of all services.
    all: Option<Freeze>,
    prefix: String,
}

async fn block(world: &World, service: &str, item: Option<Item>) -> Result<Block, Failure> {
    let owner = item.as_ref().and_then(|item| item.owner.clone());
    let (standing, dead, latest) = if let (Some(item), Some(owner)) = (&item, &owner) {
        let (standing, dead) = join(standing(world, item), world.dead(owner)).await;
        (standing, dead, None)
    } else {
        let latest = world.latest(service).await.unwrap_or_else(|failure| {
            // The lease remembers some of it.
            output::say(&format!("spillway: {service}: the latest release cannot be looked up: {}", failure.text()));
            None
        });
        (None, None, latest)
    };
    let all = world.leases.read(ALL).await?.and_then(|item| item.freeze);
    Ok(Block { service: service.to_owned(), item, standing, dead, latest, all, prefix: world.prefix().to_owned() })
}

/// What was asked for and what was measured, each on a line.
fn measured(standing: &Standing) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    if let (Some(step), Some(weight)) = (standing.step(), standing.weight) {
        let steps: Vec<String> = standing.steps.iter().map(ToString::to_string).collect();
        let of = if steps.is_empty() { String::new() } else { format!(" ({} > 100 %)", steps.join(" > ")) };
        let observed = match (standing.observed, standing.requests) {
            (Some(observed), Some(requests)) => {
                format!("observed {observed:.1} % of {} requests", figures::count(requests))
            }
            _ => "nothing measured at it yet".to_owned(),
        };
        lines.push(("step", format!("{step}{of}")));
        lines.push(("weight", format!("requested {weight:.1} %, {observed}")));
    }
    if let Some(verdict) = standing.verdict.map(Verdict::word) {
        let reason = standing.reason.as_ref().map_or_else(String::new, |reason| format!("; {reason}"));
        lines.push(("verdict", format!("{verdict}{reason}")));
    }
    lines
}

impl Block {
    fn print(&self, json: bool) -> ExitCode {
        output::line(&if json { self.json().to_string() } else { self.text(Timestamp::now()) });
        ExitCode::SUCCESS
    }

    fn freezes(&self, now: Timestamp) -> impl Iterator<Item = (&str, &Freeze)> {
        let own =
            self.item.as_ref().and_then(|item| item.freeze.as_ref()).map(|freeze| (self.service.as_str(), freeze));
        own.into_iter()
            .chain(self.all.as_ref().map(|freeze| (ALL, freeze)))
            .filter(move |(_, freeze)| freeze.is_on(now))
    }

    fn text(&self, now: Timestamp) -> String {
        let mut lines = vec![self.service.clone()];
        let mut add =
            |what: &str, text: &str| lines.push(format!("  {what:<9}{}", text.replace('\n', "\n           ")));
        let frozen = self.freezes(now).next().is_some();
        match self.item.as_ref().and_then(|item| Some((item, item.owner.as_deref()?))) {
            Some((item, owner)) => {
                let since =
                    item.acquired_at.as_deref().map_or_else(String::new, |at| format!(", {}", words::since(at, now)));
                let kind = Kind::of(owner, &self.prefix);
                add("lease", &format!("{} {}{since}", kind.word(), words::name(owner)));
                if self.dead.is_some() {
                    add("", "its execution has ended without freeing it; the guard gives traffic back and frees it");
                }
                add("phase", &wait::doing(item, frozen));
                // The intent is the release's own; the plan is there from planning on.
                let version = item.intent.as_deref().or(item.plan.as_deref()).and_then(words::version);
                if let Some(version) = version.filter(|_| kind == Kind::Release) {
                    add("version", &version);
                }
                for (what, text) in self.standing.iter().flat_map(measured) {
                    add(what, &text);
                }
            }
            None => add("lease", "free"),
        }
        if let Some(latest) = &self.latest {
            let text = match latest.status {
                Status::Running => "started, and has not taken the lease yet".to_owned(),
                _ => ending::text(latest),
            };
            let then = latest.stopped.unwrap_or(latest.started);
            let ago = words::length(now.duration_since(then).as_secs());
            add("latest", &format!("release {}, {ago} ago: {text}", words::name(&latest.arn)));
        } else if let Some(item) = self.item.as_ref().filter(|item| item.owner.is_none()) {
            // Not among the latest of all: what the lease remembers.
            if let Some(phase) = &item.phase {
                add("latest", &format!("{}, as the lease has it", phase.replace('_', " ")));
            }
        } else if self.item.is_none() {
            add("latest", "no release of it has ever started here");
        }
        if let Some(item) = &self.item {
            if let Some(waiting) = &item.waiting {
                let version = waiting.intent.as_deref().and_then(words::version);
                let version = version.map_or_else(String::new, |version| format!(" of {version}"));
                let since =
                    waiting.since.as_deref().map_or_else(String::new, |at| format!(", {}", words::since(at, now)));
                add("waiting", &format!("release {}{version}{since}", words::name(&waiting.execution)));
            }
            let live = item.live_version.as_deref().and_then(|text| serde_json::from_str(text).ok());
            if let Some(live) = live.as_ref().and_then(words::version_of) {
                let slot = item.live_slot.as_deref().map_or_else(String::new, |slot| format!(" on {slot}"));
                add("live", &format!("{live}{slot}"));
            }
        }
        for (whose, freeze) in self.freezes(now) {
            add("freeze", &words::frozen(whose, freeze));
        }
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let now = Timestamp::now();
        let parsed = |text: &Option<String>| {
            text.as_ref().map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)))
        };
        let on = |freeze: Option<&Freeze>| freeze.filter(|freeze| freeze.is_on(now)).map(shown);
        let none = Item::default();
        let item = self.item.as_ref().unwrap_or(&none);
        json!({
            "service": self.service,
            "known": self.item.is_some(),
            "holder": item.owner.as_ref().map(|owner| json!({
                "kind": Kind::of(owner, &self.prefix).word(),
                "execution": owner,
                "name": words::name(owner),
                "since": item.acquired_at,
                "ended": self.dead.is_some(),
            })),
            "phase": item.phase,
            "command": item.wish(),
            "intent": parsed(&item.intent),
            "waiting": item.waiting.as_ref().map(|waiting| json!({
                "execution": waiting.execution,
                "name": words::name(&waiting.execution),
                "since": waiting.since,
                "intent": parsed(&waiting.intent),
            })),
            "freeze": on(item.freeze.as_ref()),
            "freeze_of_all": on(self.all.as_ref()),
            "live_version": parsed(&item.live_version),
            "live_slot": item.live_slot,
            "promoted_by": item.promoted_by,
            "latest": self.latest.as_ref().map(ending::json),
            "standing": self.standing.as_ref().map(Standing::json),
        })
    }
}
