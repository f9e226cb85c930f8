//! The domain of Spillway, without I/O.
//!
//! Everything that is decided is decided here, from values: what a service definition means
//! ([`definition`]), how a release will go ([`plan`]), what a route looks like after a shift ([`route`]),
//! what the metrics say ([`judge`]), what to do about it ([`decision`]), and how to get back ([`rollback`]).
//!
//! **Architecture invariant:** nothing in this crate reads a clock, a file, the environment or the
//! network, and no type of an AWS SDK appears in it. Time arrives as a value.

pub mod arn;
pub mod compute;
pub mod cost;
pub mod decision;
pub mod definition;
pub mod drift;
pub mod ending;
pub mod event;
pub mod execution;
pub mod failure;
pub mod figures;
pub mod hook;
pub mod judge;
pub mod lease;
pub mod metrics;
pub mod plan;
pub mod progress;
pub mod rollback;
pub mod route;
pub mod scaling;
pub mod slot;
pub mod targets;
pub mod text;
pub mod turn;
pub mod version;
pub mod weight;
