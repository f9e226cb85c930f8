//! Simulated releases: how the judge decides next to the judges of other release tools.
//!
//! [`rivals`] holds those other judges, each after the tool's own source.

pub mod rivals;
