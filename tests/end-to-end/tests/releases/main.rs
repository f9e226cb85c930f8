//! Releases from end to end: shipped state machines, shipped functions, real processes, real traffic.

/// Releases that must not start.
mod refused;

/// Releases that go well.
mod promoted;

/// Retirement of the slot without traffic.
mod retired;

/// Releases that must be undone.
mod rolled_back;

/// Operators' wishes.
mod commands;

/// What the judge sees: latency, alarms, the service's own metrics, and metrics that are late, revised or gone.
mod judged;

/// Where traffic really goes: sticky clients, strangers, slow load balancers, dead slots, testers, and the way back.
mod traffic;

/// What others hear of it all.
mod told;

/// What becomes of executions that die, come too late, or come twice.
mod guarded;
