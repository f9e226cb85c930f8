//! Explores what happens to a service when anything goes wrong: the state machines that ship, run with the handlers that
//! ship on a cloud in memory, through every fault at every call.

mod call;
pub mod check;
pub mod cloud;
pub mod ending;
pub mod event;
pub mod invocation;
pub mod machines;
pub mod mutants;
pub mod scenario;
pub mod script;
pub mod search;
mod services;
pub mod steps;
pub mod universe;
