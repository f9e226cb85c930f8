//! `spillway pause`, `resume`, `approve`, `promote`, `abort`: a word to the release that runs.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_aws::operator::{ALL, Freeze, Item};
use spillway_core::definition::ServiceName;

use super::failure::Failure;
use super::release::Kind;
use super::{Installation, World, run as run_operator, with_exit_codes, words};
use crate::output;

/// Lost races are run again so often; each loss means that somebody else has changed the lease just then.
const ATTEMPTS: usize = 5;
/// Seconds between checks, unless the release's plan says otherwise.
const CHECK_SECONDS: i64 = 60;
/// While a release waits for a person its checks are so many times rarer.
const RARER: i64 = 4;

/// A word to a release.
#[derive(Args)]
#[command(after_long_help = with_exit_codes!())]
pub struct Arguments {
    /// The service whose release is meant.
    #[arg(value_parser = |text: &str| ServiceName::parse(text))]
    service: ServiceName,
    #[command(flatten)]
    installation: Installation,
}

/// The word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Word {
    /// Stay at this weight.
    Pause,
    /// Go on after a pause.
    Resume,
    /// Go on to the next step without proof.
    Approve,
    /// Go on to 100 % at once.
    Promote,
    /// Roll back.
    Abort,
}

impl Word {
    /// As it stands in the lease.
    fn text(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Abort => "abort",
        }
    }

    /// What was done, and when it has its effect.
    fn done(self, item: &Item) -> String {
        let next = next_check(item);
        match self {
            Self::Pause => format!("paused {next}; it goes on being judged, and still rolls back by itself"),
            Self::Resume => format!("goes on {next}"),
            Self::Approve => {
                format!(
                    "approved: goes on to the next step without proof {next}, once this step's minimum time is over"
                )
            }
            Self::Promote => format!("goes on to 100 % {next}, skipping the steps that remain; no proof is waited for"),
            Self::Abort => format!("rolls back {next}"),
        }
    }

    /// What to run next, without `spillway`.
    fn next(self) -> &'static str {
        match self {
            Self::Pause => "resume",
            _ => "status",
        }
    }
}

/// What a word comes to, given the lease.
#[derive(Debug, Eq, PartialEq)]
enum Ruling {
    /// It is written.
    Write,
    /// It stands there already.
    Already,
    /// It makes no sense: why, and what is allowed.
    Refuse(String),
}

/// Whether the word makes sense for the release that holds the lease.
fn rule(word: Word, item: &Item, all: Option<&Freeze>, prefix: &str, now: Timestamp) -> Ruling {
    let service = &item.service;
    let refuse = |why: String| Ruling::Refuse(format!("{service}: {why}"));
    let Some(owner) = &item.owner else {
        return refuse(match &item.waiting {
            Some(waiting) => format!(
                "release {} waits for its turn and has not begun; allowed: the same again in a few seconds",
                words::name(&waiting.execution)
            ),
            None => "no release runs, the lease is free; allowed: start".to_owned(),
        });
    };
    let name = words::name(owner);
    let kind = Kind::of(owner, prefix);
    if kind != Kind::Release {
        let advice = match kind {
            Kind::Retirement => "a retirement holds the lease for seconds",
            Kind::Rollback | Kind::Guard => "traffic is being given back, which nothing should stop",
            Kind::Stranger | Kind::Release => "it is none of this installation's",
        };
        return refuse(format!("no release runs: {} {name} holds the lease; {advice}; allowed: status", kind.word()));
    }
    match item.phase.as_deref() {
        Some("rolling_back") => {
            return refuse(format!("release {name} is rolling back already; allowed: status --wait"));
        }
        // Of another machine that goes by the same name.
        Some("retiring") => return refuse(format!("{name} is retiring a slot; allowed: status")),
        _ => {}
    }
    if item.wish() == Some(word.text()) {
        return Ruling::Already;
    }
    if item.wish() == Some("abort") {
        return refuse(format!("release {name} was aborted and is about to roll back; allowed: status --wait"));
    }
    match word {
        Word::Resume if item.wish() != Some("pause") => {
            refuse(format!("release {name} is not paused; allowed: pause, approve, promote, abort"))
        }
        Word::Approve | Word::Promote => {
            let own = item.freeze.as_ref().map(|freeze| (service.as_str(), freeze));
            let all = all.map(|freeze| (ALL, freeze));
            match own.into_iter().chain(all).find(|(_, freeze)| freeze.is_on(now)) {
                Some((whose, freeze)) => {
                    let unfreeze = if whose == ALL { "--all" } else { whose };
                    refuse(format!(
                        "{}; the freeze holds the release, {} would not move it; allowed: pause, resume, abort, \
                         or first spillway unfreeze {unfreeze}",
                        words::frozen(whose, freeze),
                        word.text()
                    ))
                }
                None => Ruling::Write,
            }
        }
        _ => Ruling::Write,
    }
}

/// When a command is read.
fn next_check(item: &Item) -> String {
    if matches!(item.phase.as_deref(), Some("planning" | "planned" | "attaching" | "preparing" | "testing")) {
        return "at its next look at the candidate".to_owned();
    }
    let seconds = item
        .plan
        .as_deref()
        .and_then(|plan| serde_json::from_str::<Value>(plan).ok())
        .and_then(|plan| plan.pointer("/health/check_seconds").and_then(Value::as_i64))
        .unwrap_or(CHECK_SECONDS);
    // While it is paused, all checks are rarer; otherwise it may wait for approval by itself.
    let rarely = words::length(seconds * RARER);
    if item.wish() == Some("pause") {
        format!("at its next check, within {rarely}")
    } else {
        format!("at its next check, within {}, or {rarely} where it waits for somebody", words::length(seconds))
    }
}

/// Says the word.
pub fn run(arguments: &Arguments, word: Word) -> ExitCode {
    let service = arguments.service.clone();
    run_operator(&arguments.installation, |world| async move { say(&world, &service, word).await })
}

async fn say(world: &World, service: &ServiceName, word: Word) -> Result<ExitCode, Failure> {
    let (item, already) = write(world, service, word).await?;
    Ok(told(world, &item, word, already))
}

/// Says the word, and gives what was done and when it has its effect.
pub async fn speak(world: &World, service: &ServiceName, word: Word) -> Result<String, Failure> {
    let (item, already) = write(world, service, word).await?;
    Ok(sentence(&item, word, already))
}

/// Writes the word, if it makes sense; gives the lease as it was, and whether the word stood there already.
async fn write(world: &World, service: &ServiceName, word: Word) -> Result<(Item, bool), Failure> {
    let service = service.as_str();
    let all = match word {
        Word::Approve | Word::Promote => world.leases.read(ALL).await?.and_then(|item| item.freeze),
        _ => None,
    };
    for _ in 0..ATTEMPTS {
        let Some(item) = world.leases.read(service).await? else { return Err(unknown(world, service).await) };
        match rule(word, &item, all.as_ref(), world.prefix(), Timestamp::now()) {
            Ruling::Refuse(why) => return Err(Failure::Refused(why)),
            Ruling::Already => return Ok((item, true)),
            Ruling::Write => {}
        }
        if let Some(owner) = &item.owner
            && world.dead(owner).await.is_some()
        {
            return Err(Failure::Refused(format!(
                "{service}: release {} holds the lease, but its execution has ended, and nobody reads commands; the \
                 guard gives its traffic back and frees the lease; allowed: status",
                words::name(owner)
            )));
        }
        if world.leases.command(&item, word.text()).await? {
            return Ok((item, false));
        }
    }
    Err(Failure::Refused(format!(
        "{service}: the lease was changed by others {ATTEMPTS} times in a row, and nothing was written; allowed: the \
         same again"
    )))
}

/// A service without an item has never been released here.
async fn unknown(world: &World, service: &str) -> Failure {
    let known = world.leases.all().await.unwrap_or_default();
    let known: Vec<&str> = known.iter().map(|item| item.service.as_str()).filter(|name| *name != ALL).collect();
    let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
    Failure::Refused(format!("{service}: no release of it has ever started here; known: {known}; allowed: start"))
}

fn told(world: &World, item: &Item, word: Word, already: bool) -> ExitCode {
    let (service, owner) = (&item.service, item.owner.as_deref().unwrap_or_default());
    if world.json() {
        let told = json!({
            "service": service,
            "execution": owner,
            "phase": item.phase,
            "command": word.text(),
            "before": item.wish(),
        });
        output::line(&told.to_string());
        return ExitCode::SUCCESS;
    }
    let _ = output::line(&sentence(item, word, already))
        && output::line(&format!("Next: {}", world.hint(&format!("{} {service}", word.next()))));
    ExitCode::SUCCESS
}

fn sentence(item: &Item, word: Word, already: bool) -> String {
    let (service, owner) = (&item.service, item.owner.as_deref().unwrap_or_default());
    match (already, word) {
        // It stays in the lease; when it was read cannot be told.
        (true, Word::Resume) => {
            format!("{service}: release {} is not paused: resume was said already", words::name(owner))
        }
        (true, _) => format!("{service}: {} was said already, and is read {}", word.text(), next_check(item)),
        (false, _) => {
            let instead = match item.wish() {
                None | Some("resume") => String::new(),
                Some("pause") if word == Word::Resume => String::new(),
                Some(before) => format!(" (instead of {before})"),
            };
            format!("{service}: release {}: {}{instead}", words::name(owner), word.done(item))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spillway_aws::operator::Waiting;

    const NOW: &str = "2026-11-23T06:00:00Z";

    fn held(machine: &str, phase: &str, command: &str) -> Item {
        Item {
            service: "shop".into(),
            owner: Some(format!("arn:aws:states:eu-west-1:123456789012:execution:{machine}:r-1")),
            fence: Some("3".into()),
            phase: Some(phase.into()),
            command: Some(command.into()),
            ..Item::default()
        }
    }

    fn freeze(until: &str) -> Freeze {
        Freeze { reason: "sales".into(), owner: "ann".into(), until: until.into() }
    }

    fn ruled(word: Word, item: &Item, all: Option<&Freeze>) -> Ruling {
        rule(word, item, all, "spillway", NOW.parse().unwrap())
    }

    const WORDS: [Word; 5] = [Word::Pause, Word::Resume, Word::Approve, Word::Promote, Word::Abort];

    #[test]
    fn every_word_has_its_time() {
        for (item, allowed) in [
            (held("spillway-release", "baking", "none"), "pause approve promote abort"),
            (held("spillway-release", "preparing", "none"), "pause approve promote abort"),
            (held("spillway-release", "baking", "pause"), "resume approve promote abort"),
            (held("spillway-release", "baking", "approve"), "pause promote abort"),
            (held("spillway-release", "baking", "abort"), ""),
            (held("spillway-release", "rolling_back", "none"), ""),
            (held("spillway-retire", "retiring", "none"), ""),
            (held("spillway-rollback", "rolling_back", "none"), ""),
            (held("spillway-guard", "rolling_back", "none"), ""),
            (held("other-release", "baking", "none"), ""),
            (Item { owner: None, ..held("spillway-release", "promoted", "pause") }, ""),
        ] {
            let found: Vec<&str> =
                WORDS.into_iter().filter(|word| ruled(*word, &item, None) == Ruling::Write).map(Word::text).collect();
            assert_eq!(found.join(" "), allowed, "{item:?}");
        }
    }

    #[test]
    fn what_stands_there_already_is_not_written_again() {
        for word in WORDS {
            assert_eq!(ruled(word, &held("spillway-release", "baking", word.text()), None), Ruling::Already);
        }
    }

    #[test]
    fn a_freeze_holds_only_what_would_go_on() {
        let on = freeze("2026-11-23T07:00:00Z");
        let over = freeze("2026-11-23T05:00:00Z");
        let unreadable = freeze("tomorrow");
        for (own, all, frozen) in [
            (Some(&on), None, true),
            (None, Some(&on), true),
            (Some(&unreadable), None, true),
            (Some(&over), Some(&over), false),
        ] {
            let item = Item { freeze: own.cloned(), ..held("spillway-release", "baking", "none") };
            for (word, held_up) in
                [(Word::Approve, frozen), (Word::Promote, frozen), (Word::Pause, false), (Word::Abort, false)]
            {
                let ruling = ruled(word, &item, all);
                match &ruling {
                    Ruling::Refuse(why) => assert!(held_up && why.contains("frozen until"), "{word:?}: {why}"),
                    _ => assert!(!held_up && ruling == Ruling::Write, "{word:?}: {ruling:?}"),
                }
            }
        }
    }

    #[test]
    fn a_release_that_waits_is_told_from_none() {
        let free = Item { owner: None, ..held("spillway-release", "promoted", "none") };
        let waiting =
            Waiting { execution: "arn:aws:states:r:1:execution:spillway-release:r-2".into(), ..Waiting::default() };
        for (item, expected) in [
            (free.clone(), "shop: no release runs, the lease is free; allowed: start"),
            (
                Item { waiting: Some(waiting), ..free },
                "shop: release r-2 waits for its turn and has not begun; allowed: the same again in a few seconds",
            ),
        ] {
            assert_eq!(ruled(Word::Abort, &item, None), Ruling::Refuse(expected.into()));
        }
    }

    #[test]
    fn the_plan_says_how_soon_a_word_is_read() {
        let plan = Some(r#"{"health":{"check_seconds":30}}"#.to_owned());
        for (item, expected) in [
            (
                held("spillway-release", "baking", "none"),
                "at its next check, within 1 min, or 4 min where it waits for somebody",
            ),
            (
                Item { plan: plan.clone(), ..held("spillway-release", "shifting", "none") },
                "at its next check, within 30 s, or 2 min where it waits for somebody",
            ),
            (Item { plan, ..held("spillway-release", "baking", "pause") }, "at its next check, within 2 min"),
            (held("spillway-release", "preparing", "none"), "at its next look at the candidate"),
        ] {
            assert_eq!(next_check(&item), expected);
        }
    }
}
