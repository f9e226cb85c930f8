//! The adapters against real HTTP: what they send, and what they make of the answers.

mod double;

// Each theme on its own.
mod actions;
mod auto_scaling;
mod discovery;
mod ecs;
mod events;
mod executions;
mod failures;
mod lease;
mod metrics;
mod operator;
mod permissions;
mod routes;
mod scalable_targets;
