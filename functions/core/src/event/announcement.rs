//! What the beginnings, the ends and the pages of the state machines tell.

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::{Draft, Event, Kind, Severity};
use crate::cost::Cost;
use crate::ending::meaning;
use crate::execution::Status;
use crate::failure;
use crate::version::Version;
use crate::weight::Percent;

/// One of the state machines that have something to tell.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Machine {
    /// A release.
    Release,
    /// An undo, or a recovery.
    Rollback,
    /// The retirement of a slot.
    Retire,
}

impl Machine {
    /// The machine of an execution: the last word of its name in `arn:…:execution:PREFIX-MACHINE:NAME`.
    ///
    /// # Errors
    /// [`UnknownMachine`].
    pub fn of(execution: &str) -> Result<Self, UnknownMachine> {
        let unknown = || UnknownMachine(execution.to_owned());
        let mut parts = execution.splitn(8, ':').skip(5);
        let (Some("execution"), Some(machine), Some(_)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(unknown());
        };
        match machine.rsplit('-').next() {
            Some("release") => Ok(Self::Release),
            Some("rollback") => Ok(Self::Rollback),
            Some("retire") => Ok(Self::Retire),
            _ => Err(unknown()),
        }
    }
}

/// An execution that is none of a release, an undo or a retirement.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("execution {0:?} is of no machine that is told of; allowed: PREFIX-release, PREFIX-rollback, PREFIX-retire")]
pub struct UnknownMachine(pub String);

/// An execution that has begun or ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Execution {
    /// Its ARN.
    pub arn: String,
    /// How it stands.
    pub status: Status,
    /// When that came to be.
    pub time: Timestamp,
    /// Its input.
    pub input: Value,
    /// Its output, where it succeeded.
    pub output: Value,
    /// The name of its error, where it failed.
    pub error: String,
    /// What that says.
    pub cause: String,
}

/// A message to the topic for pages.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// Its subject.
    pub subject: String,
    /// The service.
    pub service: String,
    /// ARN of the execution that pages.
    pub execution: String,
    /// Why.
    pub failure: Value,
    /// When.
    pub time: Timestamp,
}

/// What there is to tell of an end or a beginning, but for what both have.
struct Told {
    kind: Kind,
    severity: Severity,
    mark: String,
    weight: Option<Percent>,
    reason: String,
}

impl Told {
    fn new(kind: Kind, severity: Severity, reason: impl Into<String>) -> Self {
        Self { kind, severity, mark: String::new(), weight: None, reason: reason.into() }
    }

    fn at(self, weight: Percent) -> Self {
        Self { weight: Some(weight), ..self }
    }

    /// A person is needed, for this.
    fn page(severity: Severity, why: &str, reason: impl Into<String>) -> Self {
        Self { mark: why.to_owned(), ..Self::new(Kind::Page, severity, reason) }
    }
}

/// What an execution has to tell; nothing where its beginning or end changes nothing for anybody.
///
/// # Errors
/// [`UnknownMachine`].
pub fn of(execution: &Execution) -> Result<Option<Event>, UnknownMachine> {
    let machine = Machine::of(&execution.arn)?;
    let Execution { arn, time, input, output, .. } = execution;
    let told = match machine {
        Machine::Release => of_release(execution),
        Machine::Rollback => of_undo(execution),
        Machine::Retire => of_retirement(execution),
    };
    let version = match machine {
        Machine::Release => input.get("version"),
        Machine::Retire => input.pointer("/plan/version"),
        Machine::Rollback => None,
    };
    let version = version.and_then(|version| serde_json::from_value::<Version>(version.clone()).ok());
    let service = input.get("service").or(output.get("service")).and_then(Value::as_str).unwrap_or_default();
    Ok(told.map(|Told { kind, severity, mark, weight, reason }| {
        Event::of(Draft {
            kind,
            severity,
            time: *time,
            service,
            execution: arn,
            version: version.map(|version| version.to_string()),
            mark,
            weight,
            observed: None,
            reason: &reason,
        })
    }))
}

fn of_release(execution: &Execution) -> Option<Told> {
    let reason = text(&execution.output, "reason");
    Some(match execution.status {
        Status::Running => Told::new(Kind::Started, Severity::Info, format!("started: {}", released(&execution.input))),
        Status::Succeeded if text(&execution.output, "outcome") == "already_stable" => {
            Told::new(Kind::Refused, Severity::Info, format!("refused: {}", failure::parts_of_cause(&reason).1))
        }
        // One that came for the same version has the other's reason, and shifted nothing itself.
        Status::Succeeded => {
            let reason = match reason.as_str() {
                "" => format!("promoted at {}: all traffic is on the new version", Percent::ALL),
                reason if reason.starts_with("promoted") => reason.to_owned(),
                reason => format!("promoted: {reason}"),
            };
            Told::new(Kind::Promoted, Severity::Info, reason).at(Percent::ALL)
        }
        Status::Failed => match execution.error.as_str() {
            "RolledBack" => rolled_back(&execution.cause, Severity::Warning),
            "Refused" | "LeaseHeld" | "Outrun" | "SameFailed" => refused(execution),
            _ => return Some(failed(execution, "a release")),
        },
        Status::TimedOut | Status::Stopped => died(execution, "a release"),
    })
}

fn of_undo(execution: &Execution) -> Option<Told> {
    match execution.status {
        Status::Succeeded if text(&execution.output, "outcome") == "rolled_back" => {
            Some(rolled_back(&text(&execution.output, "reason"), Severity::Warning))
        }
        // There was nothing to roll back, or somebody else has done it.
        Status::Running | Status::Succeeded => None,
        Status::Failed => Some(match execution.error.as_str() {
            "Refused" | "LeaseHeld" | "NothingToUndo" => refused(execution),
            _ => failed(execution, "an undo"),
        }),
        Status::TimedOut | Status::Stopped => Some(died(execution, "an undo")),
    }
}

fn of_retirement(execution: &Execution) -> Option<Told> {
    match execution.status {
        Status::Succeeded if text(&execution.output, "outcome") == "retired" => {
            let cost = execution.output.get("cost").and_then(|cost| serde_json::from_value::<Cost>(cost.clone()).ok());
            let cost = cost.map(|cost| format!("; {cost}")).unwrap_or_default();
            let slot = text(&execution.output, "slot");
            Some(Told::new(Kind::Retired, Severity::Info, format!("retired: slot {slot} scaled down{cost}")))
        }
        Status::Failed => {
            let why = failure::words(&named(execution));
            let reason = format!("paged after a retirement failed: {why}; it costs money, and harms no user");
            Some(Told::page(Severity::Warning, &execution.error, reason))
        }
        // A newer release decides about the slots now; and one that was stopped is started again.
        Status::Running | Status::Succeeded | Status::TimedOut | Status::Stopped => None,
    }
}

fn rolled_back(cause: &str, severity: Severity) -> Told {
    let reason = if cause.starts_with("rolled back") { cause.to_owned() } else { format!("rolled back: {cause}") };
    Told::new(Kind::RolledBack, severity, reason).at(Percent::ZERO)
}

fn refused(execution: &Execution) -> Told {
    let why = match (execution.error.as_str(), named(execution)) {
        ("NothingToUndo", _) => "no release was promoted since the last one that was planned".to_owned(),
        ("LeaseHeld", _) => held_by(&execution.cause),
        (error, (name, why)) if name.is_empty() && why.is_empty() => error.to_owned(),
        (_, (name, why)) if why.is_empty() => name,
        (_, (_, why)) => why,
    };
    Told::new(Kind::Refused, Severity::Warning, format!("refused: {why}"))
}

/// Who holds the lease: a release says so in words, an undo as JSON.
fn held_by(cause: &str) -> String {
    let Ok(holder @ Value::Object(_)) = serde_json::from_str::<Value>(cause) else { return cause.to_owned() };
    let [owner, phase, since] = ["owner", "phase", "since"].map(|field| text(&holder, field));
    let since = if since.is_empty() { since } else { format!(", since {since}") };
    format!("held by {owner}, {phase}{since}")
}

/// An end that a person should hear of.
fn failed(execution: &Execution, what: &str) -> Told {
    let why = failure::words(&named(execution));
    match execution.error.as_str() {
        // The machine has paged already: the same event.
        "RollBackFailed" => Told::page(Severity::Critical, "", format!("paged after a rollback failed: {why}")),
        // The cause is why it was to be rolled back.
        "StableDead" => {
            let cause = &execution.cause;
            let was_to_be = if cause.starts_with("rolled back") { "it was to be " } else { "" };
            let reason = format!(
                "paged after {what} found the stable slot dead: no healthy host to go back to, so the candidate keeps \
                 all traffic; {was_to_be}{cause}"
            );
            Told::page(Severity::Critical, "StableDead", reason)
        }
        // The cause is the ARN of a lease's owner.
        error @ ("LeaseLost" | "LeaseNotFreed") => {
            let reason = format!("paged after {what} ended with {error}: {}", meaning(error));
            Told::page(Severity::Warning, error, reason)
        }
        error => Told::page(Severity::Critical, error, format!("paged after {what} failed: {why}")),
    }
}

fn died(execution: &Execution, what: &str) -> Told {
    let (mark, how) =
        if execution.status == Status::TimedOut { ("TimedOut", "ran out of time") } else { ("Stopped", "was stopped") };
    let reason = format!(
        "paged after {what} {how}: the guard takes over, if it held the lease; a machine that is stopped gives nothing back"
    );
    Told::page(Severity::Critical, mark, reason)
}

/// What a page has to tell.
///
/// # Errors
/// [`UnknownMachine`].
pub fn of_page(page: &Page) -> Result<Event, UnknownMachine> {
    Machine::of(&page.execution)?;
    let why = failure::words(&failure::parts(&page.failure));
    let (severity, when) = match page.subject.as_str() {
        "Spillway: a rollback failed" => (Severity::Critical, " after a rollback failed".to_owned()),
        "Spillway: a rollback needs a person" => (Severity::Critical, " during a rollback".to_owned()),
        "Spillway: a release that died was rolled back" => (Severity::Warning, " after a release died".to_owned()),
        other => {
            let other = other.trim_start_matches("Spillway:").trim();
            (Severity::Critical, if other.is_empty() { other.to_owned() } else { format!(" for {other}") })
        }
    };
    let reason = format!("paged{when}: {why}");
    // An execution may page for several things, each once; that a rollback has failed, its end tells as well.
    let mark = if page.subject == "Spillway: a rollback failed" {
        String::new()
    } else {
        format!("{:08x}", digest(&format!("{}\n{why}", page.subject)))
    };
    Ok(Event::of(Draft {
        kind: Kind::Page,
        severity,
        time: page.time,
        service: &page.service,
        execution: &page.execution,
        version: None,
        mark,
        weight: None,
        observed: None,
        reason: &reason,
    }))
}

/// FNV-1a, 32 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
fn digest(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The error that an execution ended with: of the cause, where that is one itself.
fn named(execution: &Execution) -> (String, String) {
    let (error, why) = failure::parts_of_cause(&execution.cause);
    let own = matches!(execution.error.as_str(), "Refused" | "RollBackFailed");
    match (error.is_empty(), own) {
        (true, true) => (String::new(), why),
        (true, false) => (execution.error.clone(), why),
        (false, _) => (error, why),
    }
}

fn released(input: &Value) -> String {
    let version = input.get("version").cloned().unwrap_or_default();
    match serde_json::from_value::<Version>(version) {
        Ok(version) => version.to_string(),
        Err(_) => "a version that cannot be read".to_owned(),
    }
}

fn text(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
