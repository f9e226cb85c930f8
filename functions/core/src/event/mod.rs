//! Lifecycle events: what others hear of a service's releases.
//!
//! An event is a promise to whoever listens. Its format has a [`VERSION`], its JSON Schema and a sample of each kind are in
//! `functions/core/event`, and a test holds that older samples stay valid. What a release that runs has to tell is [`news`];
//! what its executions' beginnings and ends tell is in [`announcement`].

pub mod announcement;
mod links;
pub mod news;
mod text;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::definition::ServiceName;
use crate::weight::Percent;

pub use links::Links;
pub use text::one_line;

/// The version of the format. Fields may be added to it; one that changes its meaning, or goes, makes a new version.
pub const VERSION: u32 = 1;
/// The source of all events, as EventBridge has it.
pub const SOURCE: &str = "spillway";

/// What has happened.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Kind {
    /// A release runs. It may still be refused.
    Started,
    /// Nothing was changed.
    Refused,
    /// The candidate's weight was changed, and read back.
    Shifted,
    /// The release stays at its weight, for a reason of its own or of an operator's.
    Held,
    /// The release stays at its weight until a person approves.
    ApprovalNeeded,
    /// All traffic is on the new version.
    Promoted,
    /// All traffic is back on the old version.
    RolledBack,
    /// A person is needed.
    Page,
    /// The slot without traffic was scaled down.
    Retired,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Started,
        Self::Refused,
        Self::Shifted,
        Self::Held,
        Self::ApprovalNeeded,
        Self::Promoted,
        Self::RolledBack,
        Self::Page,
        Self::Retired,
    ];

    /// Its name: `rolled-back`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Refused => "refused",
            Self::Shifted => "shifted",
            Self::Held => "held",
            Self::ApprovalNeeded => "approval-needed",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled-back",
            Self::Page => "page",
            Self::Retired => "retired",
        }
    }

    /// Its `detail-type`: `Spillway release rolled-back`.
    #[must_use]
    pub fn detail_type(self) -> String {
        format!("Spillway release {}", self.name())
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Severity {
    /// As it should be.
    Info,
    /// Somebody should look at it today.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

/// An event: the `detail` of what EventBridge delivers.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// The version of this format. Whoever reads it ignores fields that it does not know.
    pub version: u32,
    /// The same for the same event, which may be delivered more than once.
    pub id: String,
    /// What has happened.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// When it happened.
    #[cfg_attr(feature = "schema", schemars(with = "String", extend("format" = "date-time")))]
    pub time: Timestamp,
    /// The service; empty where the release did not name one.
    pub service: String,
    /// The release, undo or retirement.
    pub release: Release,
    /// The candidate's weight from now on, in percent, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<Percent>,
    /// What was measured at this weight, where something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<Observed>,
    /// Why, in one line.
    pub reason: String,
    /// Where there is more.
    pub links: Links,
    /// The same for people, in at most four lines: what happened, why, which release, where there is more.
    pub text: String,
}

/// The release, undo or retirement.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Release {
    /// Its name. A retirement has that of what it comes after.
    pub name: String,
    /// ARN of its execution.
    pub execution: String,
    /// What is released, as `image REPOSITORY@sha256:DIGEST`, `task definition FAMILY:REVISION`, `launch template version N`
    /// or a label, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What was measured.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Observed {
    /// The candidate's part of the requests, in percent.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 100)))]
    pub candidate_share: f64,
    /// Requests to both slots since the last shift.
    #[cfg_attr(feature = "schema", schemars(range(min = 0)))]
    pub requests: f64,
}

/// Everything about an event that is not worked out of the rest.
#[derive(Clone, Debug)]
pub struct Draft<'a> {
    /// What has happened.
    pub kind: Kind,
    /// How much it matters.
    pub severity: Severity,
    /// When.
    pub time: Timestamp,
    /// The service.
    pub service: &'a str,
    /// ARN of the execution.
    pub execution: &'a str,
    /// What is released.
    pub version: Option<String>,
    /// Tells it from others of its kind in the same execution; may be empty.
    pub mark: String,
    /// The candidate's weight.
    pub weight: Option<Percent>,
    /// What was measured.
    pub observed: Option<Observed>,
    /// Why.
    pub reason: &'a str,
}

impl Event {
    /// Fills in the rest.
    #[must_use]
    pub fn of(draft: Draft<'_>) -> Self {
        let Draft { kind, severity, time, service, execution, version, mark, weight, observed, reason } = draft;
        let release = Release { name: name(execution).to_owned(), execution: execution.to_owned(), version };
        // What is no service's name is told in the reason for which its release was refused.
        let service = ServiceName::parse(service).ok();
        let links = Links::of(execution, service.as_ref());
        let service = service.map(|service| service.to_string()).unwrap_or_default();
        let reason = one_line(reason);
        let text = text::text(&service, &release, &reason, &links);
        let mark = if mark.is_empty() { mark } else { format!("-{mark}") };
        Self {
            version: VERSION,
            id: format!("{execution}#{}{mark}", kind.name()),
            kind,
            severity,
            time,
            service,
            release,
            weight,
            observed,
            reason,
            links,
            text,
        }
    }

    /// The JSON Schema.
    #[cfg(feature = "schema")]
    #[must_use]
    pub fn json_schema() -> serde_json::Value {
        let mut schema = schemars::schema_for!(Self).to_value();
        schema["title"] = "Spillway release event".into();
        schema["properties"]["version"] = serde_json::json!({
            "description": "The version of this format. Whoever reads it ignores fields that it does not know.",
            "const": VERSION,
        });
        schema
    }
}

/// The name in an execution's ARN: its last part.
#[must_use]
pub fn name(execution: &str) -> &str {
    execution.rsplit(':').next().unwrap_or_default()
}
