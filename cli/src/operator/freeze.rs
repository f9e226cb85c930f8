//! `spillway freeze` and `spillway unfreeze`: a time in which nothing starts or advances.

use std::process::ExitCode;

use clap::{ArgGroup, Args};
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};
use serde_json::json;
use spillway_aws::operator::{ALL, Freeze};
use spillway_core::definition::ServiceName;

use super::failure::Failure;
use super::{Installation, World, run as run_operator, with_exit_codes, words};
use crate::output;

/// The longest freeze.
const LONGEST: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Characters of a reason or an owner.
const LONGEST_TEXT: usize = 200;

/// Freeze a service, or all: until then nothing starts and nothing advances.
///
/// A release that runs holds at its weight and goes on being judged; `approve` and `promote` do not move it. One that has been held
/// for 1600 checks rolls back, since an execution's history has an end: 26 h 40 min where there is a check a minute. Rollbacks
/// go on, and so does `abort`. A freeze takes the place of an earlier one of the same service; one of all services
/// stands beside those of single ones.
#[derive(Args)]
#[command(
    after_long_help = with_exit_codes!("spillway freeze checkout --for 3d --reason \"end of the quarter\"", "spillway freeze --all --until 2026-11-30T08:00:00+01:00 --reason \"sale\""),
    group(ArgGroup::new("what").required(true).args(["service", "all"])),
    group(ArgGroup::new("end").required(true).args(["until", "duration"])),
)]
pub struct Arguments {
    /// The service.
    #[arg(value_parser = |text: &str| ServiceName::parse(text))]
    service: Option<ServiceName>,
    /// All services.
    #[arg(long)]
    all: bool,
    /// Why, for those who find it.
    #[arg(long, value_name = "TEXT", value_parser = words_of_its_own)]
    reason: String,
    /// When it ends: a time such as 2026-11-30T08:00:00Z or 2026-11-30T09:00:00+01:00, at most 90 days from now.
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<Timestamp>,
    /// How long it lasts: 90m, 2h, 3d, "1d 12h", at most 90 days.
    #[arg(long = "for", id = "duration", value_name = "DURATION", value_parser = duration)]
    duration: Option<SignedDuration>,
    /// Who says so.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, value_parser = words_of_its_own)]
    owner: String,
    #[command(flatten)]
    installation: Installation,
}

/// End the freeze of a service, or the one of all.
///
/// Releases that were held go on at their next check. The freeze of all services is ended with --all only; a single
/// service stays frozen by it.
#[derive(Args)]
#[command(after_long_help = with_exit_codes!("spillway unfreeze checkout"), group(ArgGroup::new("what").required(true).args(["service", "all"])))]
pub struct EndArguments {
    /// The service.
    #[arg(value_parser = |text: &str| ServiceName::parse(text))]
    service: Option<ServiceName>,
    /// The freeze of all services.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    installation: Installation,
}

fn words_of_its_own(text: &str) -> Result<String, String> {
    let text = text.trim();
    let fits = (1..=LONGEST_TEXT).contains(&text.chars().count()) && !text.contains(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(format!("allowed: 1 to {LONGEST_TEXT} characters on one line")) }
}

fn time(text: &str) -> Result<Timestamp, String> {
    let until: Timestamp =
        text.parse().map_err(|_| "allowed: a time with its offset, such as 2026-11-30T08:00:00Z".to_owned())?;
    bounded(until, Timestamp::now())
}

fn duration(text: &str) -> Result<SignedDuration, String> {
    let allowed = || "allowed: more than nothing and at most 90 days, such as 90m, 2h, 3d".to_owned();
    let span: Span = text.parse().map_err(|_| allowed())?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| allowed())?;
    if duration.is_positive() && duration <= LONGEST { Ok(duration) } else { Err(allowed()) }
}

fn bounded(until: Timestamp, now: Timestamp) -> Result<Timestamp, String> {
    let ahead = until.duration_since(now);
    if ahead.is_positive() && ahead <= LONGEST {
        Ok(until)
    } else {
        Err(format!("allowed: after now, {now:.0}, and at most 90 days from now"))
    }
}

/// Freezes.
pub fn run(arguments: &Arguments) -> ExitCode {
    let now = Timestamp::now();
    let until = arguments.until.or_else(|| now.checked_add(arguments.duration?).ok()).unwrap_or(now);
    let freeze = Freeze {
        reason: arguments.reason.clone(),
        owner: arguments.owner.clone(),
        // As the state machines write times, so that they can be compared as text.
        until: format!("{until:.3}"),
    };
    let service = key(arguments.service.as_ref());
    run_operator(&arguments.installation, |world| async move { begin(&world, &service, &freeze).await })
}

/// Unfreezes.
pub fn end(arguments: &EndArguments) -> ExitCode {
    let service = key(arguments.service.as_ref());
    run_operator(&arguments.installation, |world| async move { finish(&world, &service).await })
}

fn key(service: Option<&ServiceName>) -> String {
    service.map_or(ALL, ServiceName::as_str).to_owned()
}

async fn begin(world: &World, service: &str, freeze: &Freeze) -> Result<ExitCode, Failure> {
    let known = service == ALL || world.leases.read(service).await?.is_some();
    let before = world.leases.freeze(service, freeze).await?;
    if world.json() {
        output::line(
            &json!({"service": service, "freeze": shown(freeze), "before": before.as_ref().map(shown)}).to_string(),
        );
        return Ok(ExitCode::SUCCESS);
    }
    if !known {
        output::say(&format!(
            "spillway: {service}: no release of it has ever started here; is that its name? It is frozen all the same"
        ));
    }
    let before = before.map_or_else(String::new, |before| {
        format!("\nBefore, it was frozen until {} by {}: {}", before.until, before.owner, before.reason)
    });
    let end = world.hint(&format!("unfreeze {}", if service == ALL { "--all" } else { service }));
    output::line(&format!(
        "{}\nFrom their next check on releases that run hold at their weight, nothing starts, and rollbacks go on.{before}\nNext: {end}",
        words::frozen(service, freeze)
    ));
    Ok(ExitCode::SUCCESS)
}

async fn finish(world: &World, service: &str) -> Result<ExitCode, Failure> {
    let ended = world.leases.unfreeze(service).await?;
    let now = Timestamp::now();
    let all = if service == ALL { None } else { world.leases.read(ALL).await?.and_then(|item| item.freeze) };
    let all = all.filter(|freeze| freeze.is_on(now));
    let still = all.as_ref().map_or_else(String::new, |freeze| {
        format!("\nStill, {}; {} ends that", words::frozen(ALL, freeze), world.hint("unfreeze --all"))
    });
    let Some(ended) = ended else {
        let what =
            if service == ALL { "all services: there is no freeze of all" } else { &format!("{service}: not frozen") };
        return Err(Failure::Refused(format!("{what}; allowed: freeze, status{still}")));
    };
    if world.json() {
        let told = json!({"service": service, "ended": shown(&ended), "all": all.as_ref().map(shown)});
        output::line(&told.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    let what = if service == ALL { "all services" } else { service };
    let goes_on = if all.is_none() { "; releases that were held go on at their next check" } else { "" };
    output::line(&format!(
        "{what}: not frozen any more ({} by {}, until {}){goes_on}{still}",
        ended.reason, ended.owner, ended.until
    ));
    Ok(ExitCode::SUCCESS)
}

/// A freeze in JSON.
pub fn shown(freeze: &Freeze) -> serde_json::Value {
    json!({"reason": freeze.reason, "owner": freeze.owner, "until": freeze.until})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_bounded() {
        for (text, hours) in [("90m", 1.5), ("2h", 2.0), ("3d", 72.0), ("1d 12h", 36.0), ("2w", 336.0), ("90d", 2160.0)]
        {
            assert_eq!(duration(text).unwrap().as_secs_f64() / 3600.0, hours, "{text}");
        }
        for text in ["", "soon", "0s", "-1h", "91d", "2160h 1s", "1month", "5"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ends_are_in_the_future_and_not_too_far() {
        let now: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
        for (until, fits) in [
            ("2026-11-23T06:00:00Z", false),
            ("2026-11-23T05:00:00Z", false),
            ("2026-11-23T06:00:01Z", true),
            ("2027-02-21T06:00:00Z", true),
            ("2027-02-21T06:00:01Z", false),
        ] {
            assert_eq!(bounded(until.parse().unwrap(), now).is_ok(), fits, "{until}");
        }
        assert!(time("tomorrow").is_err() && time("2026-11-30T08:00:00").is_err());
    }
}
