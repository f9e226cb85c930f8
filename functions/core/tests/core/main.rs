//! Tests of the domain through its public face.

/// Reading definitions.
mod definition;
/// The judge against its reference.
mod judge;
/// What the crate must not depend on.
mod layering;
/// Planning.
mod plan;
mod release;
/// Editing routes.
mod route;
