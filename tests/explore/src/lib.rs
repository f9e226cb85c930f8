//! Explores what happens to a service when anything goes wrong: the state machines that ship, run with the handlers that
//! ship on a cloud in memory, through every fault at every call.

pub mod check;
pub mod cloud;
pub mod invocation;
pub mod machines;
pub mod mutants;
pub mod scenario;
pub mod script;
pub mod search;
pub mod steps;
pub mod universe;
