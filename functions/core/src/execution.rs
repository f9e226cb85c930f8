//! Executions of the state machines.

/// How an execution stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// It runs, or waits to be redriven.
    Running,
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed,
    /// Its time was up.
    TimedOut,
    /// It was stopped by hand.
    Stopped,
}
