//! What runs behind the target groups: ECS services, their task definitions, and Auto Scaling groups.

pub mod auto_scaling;
pub mod ecs;
pub mod task_definitions;

pub use auto_scaling::AutoScaling;
pub use ecs::Ecs;

/// A count that the API gives as a signed number; it is never below zero.
fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

/// A count as the API takes it.
fn number(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
