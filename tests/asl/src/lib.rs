//! The state machines as data, the rules that they keep, and what they do.
//!
//! [`machine`] reads the part of the Amazon States Language that Spillway uses, and refuses the rest.
//! [`expression`] reads the part of JSONata that it allows itself, and [`lint`] holds the rules. [`interpret`] runs a
//! machine step by step with [`eval`], without a clock and without doing anything: its caller is the world. [`items`] is a
//! table for such a world.

pub mod eval;
pub mod execution;
pub mod expression;
pub mod interpret;
pub mod items;
pub mod lint;
pub mod machine;
mod step;
