//! What runs behind the target groups: ECS services, their task definitions, Auto Scaling groups, and what scales them.

#[cfg(feature = "scaling")]
pub mod auto_scaling;
#[cfg(feature = "compute")]
pub mod discovery;
#[cfg(feature = "compute")]
pub mod ecs;
#[cfg(feature = "scaling")]
pub mod scalable_targets;
#[cfg(feature = "compute")]
pub mod task_definitions;

#[cfg(feature = "scaling")]
pub use auto_scaling::AutoScaling;
#[cfg(feature = "compute")]
pub use ecs::Ecs;

/// A count that the API gives as a signed number; it is never below zero.
fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// A count as the API takes it.
fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
