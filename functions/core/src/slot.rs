//! The two slots of a service.

use serde::{Deserialize, Serialize};

/// One of the two slots. Which is stable is read from the live weights, never from the name.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Slot {
    /// The slot named blue.
    Blue,
    /// The slot named green.
    Green,
}

impl Slot {
    /// Both, in the order in which they are written.
    pub const BOTH: [Self; 2] = [Self::Blue, Self::Green];

    /// The other slot.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Blue => Self::Green,
            Self::Green => Self::Blue,
        }
    }
}

impl std::fmt::Display for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Blue => "blue",
            Self::Green => "green",
        })
    }
}

/// One value for each slot.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PerSlot<T> {
    /// The blue slot's.
    pub blue: T,
    /// The green slot's.
    pub green: T,
}

impl<T> PerSlot<T> {
    /// The slot's value.
    pub fn get(&self, slot: Slot) -> &T {
        match slot {
            Slot::Blue => &self.blue,
            Slot::Green => &self.green,
        }
    }
}
