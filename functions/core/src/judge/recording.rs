//! Recorded minutes: JSON lines, one a minute, to be judged again.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::latency::Quantile;
use super::{Counts, Pair};
use crate::weight::Percent;

/// The largest count that is believed: up to it, whole numbers are exact.
const MOST: f64 = 9_007_199_254_740_992.0;

/// One recorded minute, or metric period of another length.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Minute {
    /// Its start.
    pub minute: Timestamp,
    /// The candidate's weight in percent; 0 before the release.
    pub weight: Percent,
    /// The candidate's traffic.
    #[serde(default)]
    pub candidate: Recorded,
    /// The stable slot's.
    #[serde(default)]
    pub stable: Recorded,
}

/// One slot's traffic in a minute. Counts may be fractional.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Recorded {
    /// Answers.
    #[serde(default)]
    pub requests: f64,
    /// Those of them that were errors.
    #[serde(default)]
    pub errors: f64,
    /// Answers whose time was taken; as many as there are requests where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timed: Option<f64>,
    /// Those of them that were slower than the threshold, by quantile.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub slow: BTreeMap<Quantile, f64>,
    /// Quantiles of the time that answers took, in seconds. Nothing is judged by them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub latency: BTreeMap<Quantile, f64>,
    /// The user's own metrics by name: count and denominator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, (f64, f64)>,
    /// Errors and requests by zone or host, for the dispersion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<(f64, f64)>,
}

impl Recorded {
    /// Errors among the answers.
    #[must_use]
    pub fn errors(&self) -> Counts {
        Counts { errors: self.errors, requests: self.requests }
    }

    /// Slow ones among the answers whose time was taken, where told.
    #[must_use]
    pub fn slow(&self, quantile: Quantile) -> Option<Counts> {
        let requests = self.timed.unwrap_or(self.requests);
        self.slow.get(&quantile).map(|&errors| Counts { errors, requests })
    }

    /// One of the user's metrics, where told.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<Counts> {
        self.metrics.get(name).map(|&(errors, requests)| Counts { errors, requests })
    }

    /// Errors and answers by zone, or of all zones together.
    #[must_use]
    pub fn by_zone(&self) -> Vec<Counts> {
        if self.zones.is_empty() {
            return vec![self.errors()];
        }
        self.zones.iter().map(|&(errors, requests)| Counts { errors, requests }).collect()
    }
}

/// A minute that tells something of one side only carries no evidence of it.
pub(super) fn both(candidate: Option<Counts>, stable: Option<Counts>) -> Pair {
    match (candidate, stable) {
        (Some(candidate), Some(stable)) => Pair { candidate, stable },
        _ => Pair::default(),
    }
}

/// A minute that cannot have been.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{field}: {value}: {allowed}")]
pub struct ImpossibleMinute {
    /// The field.
    pub field: String,
    /// Its value.
    pub value: String,
    /// What is allowed.
    pub allowed: &'static str,
}

impl Minute {
    /// Checks what the types alone do not: counts are finite and not negative, and parts are no more than their whole.
    ///
    /// # Errors
    /// [`ImpossibleMinute`] for the first that is not so.
    pub fn check(&self) -> Result<(), ImpossibleMinute> {
        self.candidate.check("candidate")?;
        self.stable.check("stable")
    }
}

impl Recorded {
    fn check(&self, side: &str) -> Result<(), ImpossibleMinute> {
        let require = |holds: bool, field: &str, value: f64, allowed| {
            let impossible =
                || ImpossibleMinute { field: format!("{side}.{field}"), value: value.to_string(), allowed };
            if holds { Ok(()) } else { Err(impossible()) }
        };
        let is_count = |count: f64| (0.0..=MOST).contains(&count);
        let part = |part: f64, whole: f64| is_count(part) && part <= whole;
        require(is_count(self.requests), "requests", self.requests, "allowed: a count, 0 to 2^53")?;
        let allowed = "allowed: a count, 0 or more and at most the requests";
        require(part(self.errors, self.requests), "errors", self.errors, allowed)?;
        let timed = self.timed.unwrap_or(self.requests);
        require(is_count(timed), "timed", timed, "allowed: a count, 0 to 2^53")?;
        for (quantile, slow) in &self.slow {
            // Trimmed counts are interpolated: their sum may be off by a rounding error.
            let holds = is_count(*slow) && *slow <= timed * (1.0 + 1e-9);
            require(holds, &format!("slow.{quantile}"), *slow, "allowed: counts, 0 or more and at most the requests")?;
        }
        for (quantile, seconds) in &self.latency {
            let field = format!("latency.{quantile}");
            require(is_count(*seconds), &field, *seconds, "allowed: seconds, 0 or more")?;
        }
        for (name, (count, whole)) in &self.metrics {
            let field = format!("metrics.{name}");
            require(is_count(*count), &field, *count, "allowed: a count and its denominator, 0 to 2^53")?;
            require(is_count(*whole), &field, *whole, "allowed: a count and its denominator, 0 to 2^53")?;
        }
        let allowed = "allowed: pairs of errors and requests, 0 or more, errors at most the requests";
        for (errors, requests) in &self.zones {
            require(is_count(*requests), "zones", *requests, allowed)?;
            require(part(*errors, *requests), "zones", *errors, allowed)?;
        }
        Ok(())
    }
}

/// A line that is no recorded minute.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("line {line}: {problem}")]
pub struct Malformed {
    /// Its number, counted from 1.
    pub line: usize,
    /// What is wrong with it, and what is allowed.
    pub problem: String,
}

/// Reads JSON lines, a minute each, in order of time. Empty lines count and say nothing.
///
/// # Errors
/// [`Malformed`] for every line that is wrong.
pub fn read(text: &str) -> Result<Vec<Minute>, Vec<Malformed>> {
    let (mut minutes, mut malformed): (Vec<Minute>, Vec<Malformed>) = (Vec::new(), Vec::new());
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match minute(line, minutes.last().map(|minute| minute.minute)) {
            Ok(minute) => minutes.push(minute),
            Err(problem) => malformed.push(Malformed { line: index + 1, problem }),
        }
    }
    if malformed.is_empty() { Ok(minutes) } else { Err(malformed) }
}

fn minute(line: &str, before: Option<Timestamp>) -> Result<Minute, String> {
    let minute: Minute = serde_json::from_str(line).map_err(|error| error.to_string())?;
    minute.check().map_err(|error| error.to_string())?;
    match before {
        Some(before) if minute.minute <= before => Err(format!(
            "minute: {}: not after the one before, {before}; allowed: minutes in order of time",
            minute.minute
        )),
        _ => Ok(minute),
    }
}
