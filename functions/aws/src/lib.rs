//! What the functions need of AWS: [`ports`] (traits of one or two verbs) and their adapters, the lease
//! check that stands before every change, and the frame that every function runs in.

pub mod error;
pub mod function;
pub mod guard;
pub mod ports;
pub mod scale_in;

#[cfg(feature = "metrics")]
pub mod alarms;
#[cfg(feature = "scaling")]
pub mod compute;
#[cfg(feature = "definitions")]
pub mod definitions;
#[cfg(feature = "events")]
pub mod events;
#[cfg(feature = "executions")]
pub mod executions;
#[cfg(feature = "hooks")]
pub mod hooks;
#[cfg(feature = "lease")]
pub mod lease;
#[cfg(feature = "load-balancer")]
pub mod load_balancer;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(feature = "lease")]
pub mod operator;
#[cfg(feature = "permissions")]
pub mod permissions;

pub mod client;
mod roots;
