//! Waiting for a condition instead of sleeping.

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

/// What was waited for did not happen.
#[derive(Debug, thiserror::Error)]
#[error("not within {} s; last seen: {last}", timeout.as_secs_f64())]
pub struct TooLate {
    /// How long it was waited for.
    pub timeout: Duration,
    /// What the last look saw.
    pub last: String,
}

/// Looks every 25 ms until the look gives `Ok`, and gives that; its `Err` says what it sees instead.
///
/// # Errors
/// [`TooLate`] with what was seen last.
pub async fn eventually<T, E, F>(timeout: Duration, mut look: impl FnMut() -> F) -> Result<T, TooLate>
where
    F: Future<Output = Result<T, E>>,
    E: Debug,
{
    let started = Instant::now();
    loop {
        match look().await {
            Ok(found) => return Ok(found),
            Err(seen) if started.elapsed() >= timeout => return Err(TooLate { timeout, last: format!("{seen:?}") }),
            Err(_) => tokio::time::sleep(Duration::from_millis(25)).await,
        }
    }
}
