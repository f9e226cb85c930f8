//! Explores what happens to a service when anything goes wrong: the state machines that ship, run with the handlers that
//! ship on a cloud in memory, through every fault at every call.

pub mod beginning;
mod call;
pub mod check;
pub mod cloud;
mod edits;
pub mod ending;
pub mod errors;
pub mod event;
pub mod invocation;
pub mod largest;
pub mod machines;
pub mod mutants;
pub mod scenario;
pub mod script;
pub mod search;
mod services;
pub mod setting;
pub mod steps;
pub mod universe;
