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
pub mod side_by_side;
pub mod traffic;

/// Where the tables begin on the page.
pub const BEGIN: &str = "<!-- printed by cargo bench -p spillway-simulate --bench side_by_side -- --write -->";
/// Where they end.
pub const END: &str = "<!-- end -->";
