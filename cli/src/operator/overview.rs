//! All services, a line each.

use jiff::Timestamp;
use spillway_aws::operator::{ALL, Item};

use super::release::Kind;
use super::standing::{Standing, Verdict};
use super::words;
use crate::output::{self, Paint, painted};

const COLUMNS: [&str; 7] = ["SERVICE", "STATUS", "STEP", "WEIGHT", "OBSERVED", "VERDICT", "SINCE"];

/// Where there is nothing to tell.
const UNKNOWN: &str = "-";

/// One service's line.
pub struct Row([(String, Paint); 7]);

impl Row {
    /// What the lease and the latest check of its release tell.
    pub fn of(item: &Item, standing: Option<&Standing>, frozen: bool, prefix: &str, now: Timestamp) -> Self {
        let percent = |value: Option<f64>| value.map(|value| format!("{value:.1} %"));
        let since = item.acquired_at.as_deref().filter(|_| item.owner.is_some());
        let since = since.and_then(|at| at.parse::<Timestamp>().ok());
        let verdict = standing.and_then(|standing| standing.verdict);
        let plain = |text: Option<String>| (text.unwrap_or_else(|| UNKNOWN.into()), Paint::Plain);
        Self([
            (item.service.clone(), Paint::Plain),
            status(item, standing, frozen, prefix),
            plain(standing.and_then(Standing::step)),
            plain(percent(standing.and_then(|standing| standing.weight))),
            plain(percent(standing.and_then(|standing| standing.observed))),
            match verdict {
                Some(Verdict::Healthy) => ("healthy".into(), Paint::Good),
                Some(Verdict::Unhealthy) => ("unhealthy".into(), Paint::Bad),
                Some(Verdict::Inconclusive) => ("inconclusive".into(), Paint::Plain),
                None => plain(None),
            },
            plain(since.map(|then| words::length(now.duration_since(then).as_secs()))),
        ])
    }
}

/// What is going on, in a word or two.
fn status(item: &Item, standing: Option<&Standing>, frozen: bool, prefix: &str) -> (String, Paint) {
    let phase = item.phase.as_deref().map(|phase| phase.replace('_', " "));
    let Some(owner) = item.owner.as_deref() else {
        let status = match (&item.waiting, frozen, phase) {
            (Some(_), ..) => ("waiting".into(), Paint::Plain),
            (None, true, _) => ("frozen".into(), Paint::Warn),
            (None, false, Some(phase)) => {
                let paint = if phase == "promoted" { Paint::Good } else { Paint::Plain };
                (phase, paint)
            }
            (None, false, None) => (UNKNOWN.into(), Paint::Plain),
        };
        return status;
    };
    match Kind::of(owner, prefix) {
        Kind::Release => {}
        Kind::Retirement => return ("retiring".into(), Paint::Faint),
        Kind::Rollback | Kind::Guard => return ("rolling back".into(), Paint::Warn),
        Kind::Stranger => return ("held by a stranger".into(), Paint::Warn),
    }
    match item.wish() {
        Some("abort") => ("aborting".into(), Paint::Warn),
        Some("pause") => ("paused".into(), Paint::Warn),
        _ if frozen => ("frozen".into(), Paint::Warn),
        _ if standing.is_some_and(|standing| standing.held) => ("held".into(), Paint::Warn),
        _ => {
            let phase = phase.unwrap_or_else(|| UNKNOWN.into());
            let paint = if phase == "rolling back" { Paint::Warn } else { Paint::Plain };
            (phase, paint)
        }
    }
}

/// Whether the service, or every one, is frozen now.
pub fn frozen(item: &Item, all: Option<&Item>, now: Timestamp) -> bool {
    let all = all.filter(|all| all.service == ALL).and_then(|all| all.freeze.as_ref());
    item.freeze.as_ref().into_iter().chain(all).any(|freeze| freeze.is_on(now))
}

/// Prints the lines below their headings.
pub fn print(rows: &[Row]) {
    lines(rows).iter().all(|line| output::line(line));
}

fn lines(rows: &[Row]) -> Vec<String> {
    let head = Row(COLUMNS.map(|name| (name.to_owned(), Paint::Strong)));
    let all: Vec<&Row> = std::iter::once(&head).chain(rows).collect();
    let width = |column: usize| all.iter().map(|row| row.0[column].0.chars().count()).max().unwrap_or(0);
    let widths: [usize; 7] = std::array::from_fn(width);
    let line = |row: &&Row| {
        let last = row.0.len() - 1;
        let cells = row.0.iter().enumerate().map(|(column, (text, paint))| {
            let gap = if column == last { 0 } else { widths[column] - text.chars().count() + 2 };
            painted(text, *paint) + &" ".repeat(gap)
        });
        cells.collect()
    };
    all.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use spillway_aws::operator::{Freeze, Waiting};

    fn held(machine: &str, phase: &str) -> Item {
        Item {
            service: "checkout".into(),
            owner: Some(format!("arn:aws:states:eu-west-1:123456789012:execution:{machine}:r-1")),
            phase: Some(phase.into()),
            acquired_at: Some("2026-11-23T05:57:00.000Z".into()),
            ..Item::default()
        }
    }

    #[test]
    fn a_service_is_a_line() {
        let now: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
        let standing = Standing {
            steps: vec![5.0, 25.0, 50.0],
            position: Some(1),
            weight: Some(25.0),
            observed: Some(24.12),
            verdict: Some(Verdict::Healthy),
            ..Standing::default()
        };
        let free = Item { service: "s".into(), phase: Some("rolled_back".into()), ..Item::default() };
        let rows = [
            Row::of(&held("spillway-release", "baking"), Some(&standing), false, "spillway", now),
            Row::of(&held("spillway-retire", "retiring"), None, false, "spillway", now),
            Row::of(&free, None, false, "spillway", now),
        ];
        assert_eq!(
            lines(&rows),
            [
                "SERVICE   STATUS       STEP  WEIGHT  OBSERVED  VERDICT  SINCE",
                "checkout  baking       2/3   25.0 %  24.1 %    healthy  3 min",
                "checkout  retiring     -     -       -         -        3 min",
                "s         rolled back  -     -       -         -        -",
            ]
        );
    }

    #[test]
    fn what_holds_a_release_is_its_status() {
        let with = |command: &str| Item { command: Some(command.into()), ..held("spillway-release", "baking") };
        let on_hold = Standing { held: true, ..Standing::default() };
        let free = Item { owner: None, ..held("", "promoted") };
        let waiting = Item { waiting: Some(Waiting::default()), ..free.clone() };
        for (item, standing, frozen, expected) in [
            (with("none"), None, false, "baking"),
            (with("none"), Some(&on_hold), false, "held"),
            (with("none"), Some(&on_hold), true, "frozen"),
            (with("pause"), Some(&on_hold), true, "paused"),
            (with("abort"), None, true, "aborting"),
            (held("spillway-guard", "rolling_back"), None, false, "rolling back"),
            (held("other-release", "baking"), None, false, "held by a stranger"),
            (free.clone(), None, false, "promoted"),
            (free, None, true, "frozen"),
            (waiting, None, true, "waiting"),
            (Item::default(), None, false, "-"),
        ] {
            assert_eq!(status(&item, standing, frozen, "spillway").0, expected, "{item:?}");
        }
    }

    #[test]
    fn a_freeze_of_all_is_one_of_each() {
        let now: Timestamp = "2026-11-23T06:00:00Z".parse().unwrap();
        let freeze = |until: &str| Some(Freeze { until: until.into(), ..Freeze::default() });
        let on = Item { freeze: freeze("2026-11-23T07:00:00Z"), service: ALL.into(), ..Item::default() };
        let over = Item { freeze: freeze("2026-11-23T05:00:00Z"), service: ALL.into(), ..Item::default() };
        assert!(frozen(&Item::default(), Some(&on), now));
        assert!(!frozen(&Item::default(), Some(&over), now));
        assert!(!frozen(&over, None, now));
        assert!(frozen(&on, None, now));
    }
}
