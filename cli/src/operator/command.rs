//! `spillway pause`, `resume`, `approve`, `promote`, `abort`: a word to the release that runs.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use spillway_aws::operator::{ALL, Freeze, Item};
use spillway_core::definition::ServiceName;

use super::failure::Failure;
use super::release::Kind;
use super::standing::Standing;
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
    pub fn text(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Abort => "abort",
        }
    }

    /// What was done, what comes of it, and when.
    fn done(self, item: &Item, standing: &Standing) -> String {
        let next = next_check(item);
        let at = standing.weight.map_or_else(String::new, |weight| format!(" at {weight} %"));
        match self {
            Self::Pause => format!(
                "paused {next}; it goes on being judged{at}, and still rolls back by itself; resume, approve and promote \
                 end the pause"
            ),
            Self::Resume => format!("goes on {next}, as if there had been no pause"),
            Self::Approve => format!(
                "approved: goes on to {} without proof {next}, once this step's minimum time is over; what proves the \
                 version bad still rolls it back",
                standing.next_weight().map_or_else(|| "the next step".to_owned(), |weight| format!("{weight} %"))
            ),
            Self::Promote => format!(
                "goes on to 100 % {next}, without proof, skipping {}; there it is promoted once the old slot is measured \
                 quiet, and what proves the version bad still rolls it back",
                skipped(item, standing)
            ),
            Self::Abort => format!(
                "rolls back {next}: all traffic goes back to {} within seconds, and then the slot of the new version is \
                 retired",
                stable(item).unwrap_or_else(|| "the old version".to_owned())
            ),
        }
    }

    /// What to run next, without `spillway`.
    fn next(self) -> &'static str {
        match self {
            Self::Pause => "resume",
            Self::Abort | Self::Promote => "status --wait",
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

/// What a promotion does not wait for: steps, a hold, people and hooks.
pub fn skipped(item: &Item, standing: &Standing) -> String {
    let plan: Value = item.plan.as_deref().and_then(|plan| serde_json::from_str(plan).ok()).unwrap_or_default();
    let percent = |weights: &[f64]| weights.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut skipped = match (standing.position.and_then(|position| standing.steps.get(position..)), &*standing.steps) {
        (Some([]), _) => vec!["what is left of the promotion's own waiting".to_owned()],
        (Some([on]), _) => vec![format!("the rest of the step at {on} %")],
        (Some([on, rest @ ..]), _) => {
            vec![format!("the rest of the step at {on} % and {} %", percent(rest))]
        }
        (None, []) => vec!["the steps that remain".to_owned()],
        (None, all) => vec![format!("the steps that remain of {} %", percent(all))],
    };
    if let Some(reason) = standing.reason.as_ref().filter(|_| standing.held) {
        skipped.push(format!("the hold ({reason})"));
    }
    // Before the first traffic, that beyond 0 % is to come.
    let from = standing.weight.unwrap_or(0.0);
    let approvals: Vec<f64> = plan["approval_at"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let approvals: Vec<f64> = approvals.into_iter().filter(|weight| *weight >= from).collect();
    if !approvals.is_empty() {
        skipped.push(format!("the approval beyond {} %", percent(&approvals)));
    }
    let hooks = ["after_step", "before_promotion"].into_iter().filter(|hook| plan["hooks"][hook].is_object());
    let hooks: Vec<&str> = hooks.collect();
    if !hooks.is_empty() {
        skipped.push(format!("the hook {}", hooks.join(" and the hook ")));
    }
    skipped.join(", ")
}

/// The slot that all traffic goes back to.
fn stable(item: &Item) -> Option<String> {
    let plan: Value = serde_json::from_str(item.plan.as_deref()?).ok()?;
    Some(plan["stable"]["slot"].as_str()?.to_owned())
}

/// Says the word.
pub fn run(arguments: &Arguments, word: Word) -> ExitCode {
    let service = arguments.service.clone();
    run_operator(&arguments.installation, |world| async move { say(&world, &service, word).await })
}

async fn say(world: &World, service: &ServiceName, word: Word) -> Result<ExitCode, Failure> {
    let (item, standing) = write(world, service, None, word).await?;
    Ok(told(world, &item, word, standing.as_ref()))
}

/// Says the word to this release and no other, and gives what was done and when it has its effect.
pub async fn speak(world: &World, service: &ServiceName, release: &str, word: Word) -> Result<String, Failure> {
    let (item, standing) = write(world, service, Some(release), word).await?;
    Ok(sentence(&item, word, standing.as_ref()))
}

/// Writes the word, if it makes sense; gives the lease as it was, and how far the release is, unless the word stood there
/// already. Where a release is named, it is the one that must hold the lease.
async fn write(
    world: &World,
    service: &ServiceName,
    release: Option<&str>,
    word: Word,
) -> Result<(Item, Option<Standing>), Failure> {
    let service = service.as_str();
    let all = match word {
        Word::Approve | Word::Promote => world.leases.read(ALL).await?.and_then(|item| item.freeze),
        _ => None,
    };
    for _ in 0..ATTEMPTS {
        let Some(item) = world.leases.read(service).await? else { return Err(unknown(world, service).await) };
        if let (Some(release), Some(owner)) = (release, item.owner.as_deref())
            && release != owner
        {
            return Err(Failure::Refused(another(service, release, owner, word)));
        }
        match rule(word, &item, all.as_ref(), world.prefix(), Timestamp::now()) {
            Ruling::Refuse(why) => return Err(Failure::Refused(why)),
            Ruling::Already => return Ok((item, None)),
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
        let standing = world.standing(&item).await;
        if world.leases.command(&item, word.text()).await? {
            return Ok((item, Some(standing)));
        }
    }
    Err(Failure::Refused(format!(
        "{service}: the lease was changed by others {ATTEMPTS} times in a row, and nothing was written; allowed: the \
         same again"
    )))
}

/// Why a release does not hear a word: somebody else would.
fn another(service: &str, release: &str, owner: &str, word: Word) -> String {
    format!(
        "{service}: release {} does not hold the lease, {} does; {} was said to neither; allowed: the same once it does, or \
         spillway {} {service}, which {} hears",
        words::name(release),
        words::name(owner),
        word.text(),
        word.text(),
        words::name(owner)
    )
}

/// A service without an item has never been released here.
pub(super) async fn unknown(world: &World, service: &str) -> Failure {
    let known = world.leases.all().await.unwrap_or_default();
    let known: Vec<&str> = known.iter().map(|item| item.service.as_str()).filter(|name| *name != ALL).collect();
    let known = if known.is_empty() { "none yet".to_owned() } else { known.join(", ") };
    Failure::Refused(format!("{service}: no release of it has ever started here; known: {known}; allowed: start"))
}

/// Tells what was done; without a standing it was said already.
fn told(world: &World, item: &Item, word: Word, standing: Option<&Standing>) -> ExitCode {
    let (service, owner) = (&item.service, item.owner.as_deref().unwrap_or_default());
    if world.json() {
        let mut told = json!({
            "service": service,
            "execution": owner,
            "phase": item.phase,
            "command": word.text(),
            "before": item.wish(),
            "standing": standing.map(Standing::json),
        });
        if let (Word::Promote, Some(standing)) = (word, standing) {
            told["skips"] = skipped(item, standing).into();
        }
        output::line(&told.to_string());
        return ExitCode::SUCCESS;
    }
    let _ = output::line(&sentence(item, word, standing))
        && output::line(&format!("Next: {}", world.hint(&format!("{} {service}", word.next()))));
    ExitCode::SUCCESS
}

fn sentence(item: &Item, word: Word, standing: Option<&Standing>) -> String {
    let (service, owner) = (&item.service, item.owner.as_deref().unwrap_or_default());
    match (standing, word) {
        // It stays in the lease; when it was read cannot be told.
        (None, Word::Resume) => {
            format!("{service}: release {} is not paused: resume was said already", words::name(owner))
        }
        (None, _) => format!("{service}: {} was said already, and is read {}", word.text(), next_check(item)),
        (Some(standing), _) => {
            let instead = match item.wish() {
                None | Some("resume") => String::new(),
                Some("pause") if word == Word::Resume => String::new(),
                Some(before) => format!(" (instead of {before})"),
            };
            format!("{service}: release {}: {}{instead}", words::name(owner), word.done(item, standing))
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

    #[test]
    fn a_promotion_names_what_it_skips() {
        let plan =
            r#"{"approval_at":[0.0,5.0,50.0],"hooks":{"before_promotion":{"function":"f"}},"stable":{"slot":"blue"}}"#;
        let item = Item { plan: Some(plan.into()), ..held("spillway-release", "baking", "none") };
        let bare = held("spillway-release", "baking", "none");
        let steps = vec![5.0, 25.0, 95.0];
        let weight = |position: Option<usize>| position.map(|position| steps.get(position).copied().unwrap_or(100.0));
        let at =
            |position| Standing { steps: steps.clone(), position, weight: weight(position), ..Standing::default() };
        let on_hold = Standing { held: true, reason: Some("held at 25 %: why".into()), ..at(Some(1)) };
        let exposed = Item { plan: Some(r#"{"approval_at":[0.0]}"#.into()), ..bare.clone() };
        for (item, standing, expected) in [
            (&bare, at(Some(0)), "the rest of the step at 5 % and 25, 95 %"),
            (&bare, at(Some(2)), "the rest of the step at 95 %"),
            (&bare, at(Some(3)), "what is left of the promotion's own waiting"),
            (&bare, at(None), "the steps that remain of 5, 25, 95 %"),
            (&bare, Standing::default(), "the steps that remain"),
            // That beyond 0 % was given.
            (&exposed, at(Some(0)), "the rest of the step at 5 % and 25, 95 %"),
            (
                &item,
                on_hold,
                "the rest of the step at 25 % and 95 %, the hold (held at 25 %: why), the approval beyond 50 %, the hook \
                 before_promotion",
            ),
        ] {
            assert_eq!(skipped(item, &standing), expected);
        }
        assert!(Word::Abort.done(&item, &at(Some(1))).contains("all traffic goes back to blue"));
        assert!(Word::Approve.done(&item, &at(Some(0))).contains("goes on to 25 % without proof"));
        assert!(Word::Approve.done(&item, &at(Some(2))).contains("goes on to 100 % without proof"));
    }
}
