//! Tests of the domain through its public face.

/// Reading definitions.
mod definition;
/// Lifecycle events.
mod event;
/// The judge against its reference.
mod judge;
/// What the crate must not depend on.
mod layering;
/// Planning.
mod plan;
/// The reference of the definition's fields.
#[cfg(feature = "schema")]
mod reference;
mod release;
/// Editing routes.
mod route;
