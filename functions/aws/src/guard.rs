//! The lease check that stands before every change.

use spillway_core::lease::{Lease, LeaseLost};
use thiserror::Error;

use crate::error::{ApiError, Named};
use crate::ports::Leases;

/// Why nothing may be changed.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// It is no longer ours.
    #[error(transparent)]
    Lost(#[from] LeaseLost),
    /// Whose it is could not be read.
    #[error("cannot tell whether the lease is still ours")]
    Unread(#[from] ApiError),
}

impl Named for LeaseError {
    fn name(&self) -> &'static str {
        match self {
            Self::Lost(_) => "LeaseLost",
            Self::Unread(error) => error.name(),
        }
    }
}

/// Checks that the lease is still ours. An invocation can outlive its task and its execution, and a redriven
/// execution comes late, so every function asks before every change.
///
/// # Errors
/// [`LeaseError`]; then nothing may be changed.
pub async fn verify(leases: &impl Leases, lease: &Lease) -> Result<(), LeaseError> {
    let record = leases.read(&lease.service).await?;
    Ok(lease.verify(record.as_ref())?)
}
