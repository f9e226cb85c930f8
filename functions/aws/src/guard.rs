//! The lease check that stands before every change.

use spillway_core::lease::{Lease, LeaseRecord, NotHeld};
use thiserror::Error;

use crate::error::{ApiError, Named};
use crate::ports::Leases;

/// Why nothing may be changed.
#[derive(Debug, Error)]
pub enum LeaseError {
    /// It is no longer ours, or not for long enough.
    #[error(transparent)]
    NotHeld(#[from] NotHeld),
    /// Whose it is could not be read.
    #[error("cannot tell whether the lease is still ours")]
    Unread(#[from] ApiError),
}

impl Named for LeaseError {
    fn name(&self) -> &'static str {
        match self {
            Self::NotHeld(NotHeld::Lost(_)) => "LeaseLost",
            Self::NotHeld(NotHeld::TooShort { .. }) => "LeaseTooShort",
            Self::Unread(error) => error.name(),
        }
    }
}

/// Checks that the lease is still ours, and gives it as it stands. An invocation can outlive its task and its
/// execution, and a redriven execution comes late, so every function asks before every change.
///
/// # Errors
/// [`LeaseError`]; then nothing may be changed.
pub async fn verify(leases: &impl Leases, lease: &Lease) -> Result<LeaseRecord, LeaseError> {
    let record = leases.read(&lease.service).await?;
    lease.verify(record.as_ref())?;
    Ok(record.unwrap_or_default())
}
