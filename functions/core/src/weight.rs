//! Percentages as people set them, and the integer weights that a load balancer takes.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A share of traffic in steps of 0.1 %, from 0 to 100 %.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Percent(u16);

/// A number that is not a percentage in steps of 0.1.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
#[error("not a percentage; allowed: 0 to 100 in steps of 0.1")]
pub struct InvalidPercent;

impl Percent {
    /// No traffic.
    pub const ZERO: Self = Self(0);
    /// Half of the traffic.
    pub const HALF: Self = Self(500);
    /// All traffic.
    pub const ALL: Self = Self(1000);

    /// A whole number of percent; more than 100 counts as 100.
    #[must_use]
    pub const fn whole(percent: u16) -> Self {
        if percent >= 100 { Self::ALL } else { Self(percent * 10) }
    }

    /// The largest whole number of percent that is not above this fraction.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within 0 and 100")]
    pub fn at_most(fraction: f64) -> Self {
        Self::whole((fraction.clamp(0.0, 1.0) * 100.0 + 1e-9).floor() as u16)
    }

    /// The share as a fraction between 0 and 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    /// Whether 100 % is hardly more than this: by a tenth at most.
    #[must_use]
    pub fn is_nearly_all(self) -> bool {
        u32::from(self.0) * 11 >= u32::from(Self::ALL.0) * 10
    }

    /// The weights that make a load balancer send this share to the candidate.
    ///
    /// Whole percentages become weights that add up to 100, others to 1000: both are within the
    /// 0–999 that a forward action takes, and both read well in the console.
    #[must_use]
    pub fn split(self) -> Split {
        if self.0.is_multiple_of(10) {
            Split { stable: 100 - self.0 / 10, candidate: self.0 / 10 }
        } else {
            Split { stable: 1000 - self.0, candidate: self.0 }
        }
    }

    /// This share of so much weight, at most 999 for each side, rounded against the candidate.
    #[must_use]
    pub fn split_of(self, weight: u16) -> Split {
        let candidate = (u32::from(weight) * u32::from(self.0) / 1000).min(999);
        let stable = (u32::from(weight) - candidate).min(999);
        let whole = |weight: u32| u16::try_from(weight).unwrap_or(999);
        Split { stable: whole(stable), candidate: whole(candidate) }
    }
}

impl TryFrom<f64> for Percent {
    type Error = InvalidPercent;

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
    fn try_from(percent: f64) -> Result<Self, InvalidPercent> {
        let tenths = (percent * 10.0).round();
        // 0.3 * 10 is not 3: accept what a person means by a tenth.
        if !(0.0..=1000.0).contains(&tenths) || (percent * 10.0 - tenths).abs() > 1e-6 {
            return Err(InvalidPercent);
        }
        Ok(Self(tenths as u16))
    }
}

impl From<Percent> for f64 {
    fn from(percent: Percent) -> Self {
        Self::from(percent.0) / 10.0
    }
}

impl std::fmt::Display for Percent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} %", f64::from(*self))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Percent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Percent".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "number",
            "description": "A share in percent, in steps of 0.1.",
            "minimum": 0,
            "maximum": 100,
        })
    }
}

/// The weights of the two slots' target groups in one forward action, each 0–999.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Split {
    /// Weight of the stable slot's group.
    pub stable: u16,
    /// Weight of the candidate slot's group.
    pub candidate: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_is_split_exactly_and_within_the_limits() {
        for tenths in 0..=1000_u16 {
            let Split { stable, candidate } = Percent(tenths).split();
            assert!(stable <= 999 && candidate <= 999 && stable + candidate > 0);
            assert_eq!(u32::from(candidate) * 1000, u32::from(tenths) * u32::from(stable + candidate));
        }
    }

    #[test]
    fn takes_tenths_and_nothing_finer() {
        for ok in [0.0, 0.1, 0.3, 2.7, 99.9, 100.0] {
            assert_eq!(f64::from(Percent::try_from(ok).unwrap()), ok);
        }
        for bad in [-0.1, 0.05, 100.1, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Percent::try_from(bad), Err(InvalidPercent), "{bad}");
        }
    }
}
