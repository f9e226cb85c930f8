//! How things end, for comparison: what is left, and who says what about it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use spillway_asl::interpret::Status;
use spillway_core::slot::Slot;

use crate::cloud::index;
use crate::machines::{MachineName, Machines};
use crate::search::explore;
use crate::setting::Setting;
use crate::universe::{Process, Universe};

/// Every way in which a setting ends when nothing goes wrong in it but what always does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Endings(pub BTreeSet<String>);

impl Endings {
    /// Those of a setting, found by exploring it without adversities.
    #[must_use]
    pub fn of(setting: &Setting, machines: &Machines) -> Self {
        let calm = Setting { adversities: 0, ..setting.clone() };
        Self(explore(&calm, machines, None, usize::MAX).endings)
    }
}

/// How things have ended. Guards, which leave nothing behind, are left out, and so are the names of executions that guards
/// have started.
#[must_use]
pub fn ending(universe: &Universe) -> String {
    let mut text = String::new();
    let mut ends: Vec<String> = universe
        .executions
        .iter()
        .filter(|process| process.machine != MachineName::Guard)
        .map(|process| end(process))
        .collect();
    // A second recovery of the same release finds that out, and does nothing.
    ends.retain(|end| end != "rollback not_dead");
    ends.sort();
    text.push_str(&ends.join(", "));
    let weights: BTreeSet<String> = universe
        .cloud
        .users
        .iter()
        .filter(|route| universe.cloud.routes.contains_key(*route))
        .map(|route| match universe.cloud.weights(route) {
            [Some(blue), Some(green)] => format!("{blue}:{green}"),
            [blue, green] => format!("{}:{}", said(blue), said(green)),
        })
        .collect();
    let tasks = Slot::BOTH.map(|slot| universe.cloud.capacity[index(slot)].desired);
    let _ = write!(
        text,
        "; weights {}; tasks {}:{}",
        weights.into_iter().collect::<Vec<_>>().join(" "),
        tasks[0],
        tasks[1]
    );
    for slot in Slot::BOTH {
        if universe.cloud.scale_in_suspended[index(slot)] == Some(true) {
            let _ = write!(text, "; {slot} does not scale in");
        }
    }
    if let Some(owner) = universe.lease("owner") {
        let _ = write!(text, "; held by {owner}");
    }
    if !universe.pages.is_empty() {
        let pages: Vec<&str> = universe.pages.iter().map(String::as_str).collect();
        let _ = write!(text, "; pages by {}", pages.join(", "));
    }
    text
}

fn said(weight: Option<u16>) -> String {
    weight.map_or_else(|| "-".to_owned(), |weight| weight.to_string())
}

fn end(process: &Process) -> String {
    let name = match &*process.execution.name {
        name @ ("first" | "second" | "third") => format!(" {name}"),
        _ => String::new(),
    };
    let end = match &process.execution.status {
        Status::Running => "runs".to_owned(),
        Status::Succeeded { output } => output["outcome"].as_str().unwrap_or("succeeded").to_owned(),
        Status::Failed { error, .. } => error.clone(),
        Status::Aborted => "stopped".to_owned(),
        Status::TimedOut => "timed out".to_owned(),
    };
    format!("{}{name} {end}", process.machine.name())
}
