//! Simulated releases: what a policy does to thousands of releases of good and bad candidates.
//!
//! A simulated release runs through the code that plans, judges and decides real ones, with a virtual clock and made-up
//! traffic ([`release`], [`planning`], [`traffic`]). [`characteristics`] puts many together, and [`rivals`] holds the
//! judges of other release tools, each after the tool's own source, to be compared with.

pub mod characteristics;
pub mod planning;
pub mod release;
pub mod rivals;
pub mod scenario;
pub mod traffic;
