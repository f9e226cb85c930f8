//! Releases from end to end: shipped state machines, shipped functions, real processes, real traffic.

/// Releases that must not start.
mod refused;

/// Releases that go well.
mod promoted;

/// Releases that must be undone.
mod rolled_back;
