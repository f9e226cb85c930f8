//! What it costs to run two slots.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::Side;

/// What a release's second slot has cost: the one that serves nobody in the end, from the plan to its retirement, or until
/// now. Before the plan and after the retirement there is one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cost {
    /// Hours that it ran beside the other, to four digits.
    pub slot_hours: f64,
    /// What they cost, to four digits, in whatever `price_per_hour` is; `None` where the definition gives no price.
    pub amount: Option<f64>,
}

impl Cost {
    /// Of this slot, for this time.
    #[must_use]
    pub fn of(slot: &Side, since: Timestamp, now: Timestamp) -> Self {
        let hours = now.duration_since(since).as_secs_f64().max(0.0) / 3600.0;
        Self { slot_hours: rounded(hours), amount: slot.price_per_hour.map(|price| rounded(hours * price)) }
    }
}

fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} slot-hours", self.slot_hours)?;
        match self.amount {
            Some(amount) => write!(f, ", which cost {amount}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Compute;
    use crate::slot::Slot;

    #[test]
    fn hours_and_what_they_cost() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (price, seconds, hours, amount, words) in [
            (None, 5400, 1.5, None, "1.5 slot-hours"),
            (Some(0.35), 5400, 1.5, Some(0.525), "1.5 slot-hours, which cost 0.525"),
            (Some(0.0), 3600, 1.0, Some(0.0), "1 slot-hours, which cost 0"),
            (Some(100.0), 1, 0.0003, Some(0.0278), "0.0003 slot-hours, which cost 0.0278"),
            // Clocks differ.
            (Some(1.0), -5, 0.0, Some(0.0), "0 slot-hours, which cost 0"),
        ] {
            let side = Side { slot: Slot::Blue, groups: Vec::new(), compute: Compute::External, price_per_hour: price };
            let cost = Cost::of(&side, at(1_000_000), at(1_000_000 + seconds));
            assert_eq!(cost, Cost { slot_hours: hours, amount });
            assert_eq!(cost.to_string(), words);
        }
    }
}
