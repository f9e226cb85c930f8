//! The state machines as data, and the rules that they keep.
//!
//! [`machine`] reads the part of the Amazon States Language that Spillway uses, and refuses the rest.
//! [`expression`] reads the part of JSONata that it allows itself, and [`lint`] holds the rules.

pub mod expression;
pub mod lint;
pub mod machine;
