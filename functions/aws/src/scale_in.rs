//! Keeps slots from scaling in, and lets them again.

use spillway_core::compute::GroupState;
use spillway_core::lease::Lease;
use spillway_core::plan::Plan;
use spillway_core::scaling::{REBALANCING, Scaling};

use crate::error::ApiError;
use crate::guard::{self, LeaseError};
use crate::ports::{AutoScalingGroups, GroupInstances, Leases, ScalableTargets};

/// The code of the error for a group that does not exist.
pub const NO_GROUP: &str = "AutoScalingGroupNotFound";

/// Keeps what the plan names from scaling in. What is so already is left, and what is gone. The candidate's group gets
/// its floor with its version, when its instances are asked for.
///
/// # Errors
/// [`LeaseError`]: the lease is lost, or a call failed; some of it may be done.
pub async fn hold(
    compute: &(impl AutoScalingGroups + GroupInstances + ScalableTargets),
    leases: &impl Leases,
    lease: &Lease,
    plan: &Plan,
) -> Result<(), LeaseError> {
    for scaling in &plan.scaling {
        match scaling {
            Scaling::EcsService(service) => {
                if compute.scale_in_suspended(service).await? == Some(false) {
                    guard::verify(leases, lease).await?;
                    compute.suspend_scale_in(service, true).await?;
                }
            }
            Scaling::AutoScalingGroup(own) => {
                let Some(state) = present(compute.describe(&own.name).await)? else { continue };
                if scaling.is_of(&plan.stable.compute)
                    && let Some(change) = own.raised(&state)
                {
                    guard::verify(leases, lease).await?;
                    compute.update(&own.name, &change).await?;
                }
                if own.rebalanced && !state.is_suspended(REBALANCING) {
                    guard::verify(leases, lease).await?;
                    compute.rebalance(&own.name, false).await?;
                }
            }
        }
    }
    Ok(())
}

/// Lets it scale in again, as it did before. What somebody has set otherwise since is left, and what is gone.
///
/// # Errors
/// [`LeaseError`]: the lease is lost, or a call failed; some of it may be done.
pub async fn release(
    compute: &(impl AutoScalingGroups + GroupInstances + ScalableTargets),
    leases: &impl Leases,
    lease: &Lease,
    own: &Scaling,
) -> Result<(), LeaseError> {
    match own {
        Scaling::EcsService(service) => {
            if compute.scale_in_suspended(service).await? == Some(true) {
                guard::verify(leases, lease).await?;
                compute.suspend_scale_in(service, false).await?;
            }
        }
        Scaling::AutoScalingGroup(own) => {
            let Some(state) = present(compute.describe(&own.name).await)? else { return Ok(()) };
            if let Some(change) = own.lowered(&state) {
                guard::verify(leases, lease).await?;
                compute.update(&own.name, &change).await?;
            }
            if own.rebalanced && state.is_suspended(REBALANCING) {
                guard::verify(leases, lease).await?;
                compute.rebalance(&own.name, true).await?;
            }
        }
    }
    Ok(())
}

/// Nothing where there is no such group any more.
fn present(described: Result<GroupState, ApiError>) -> Result<Option<GroupState>, ApiError> {
    match described {
        Ok(state) => Ok(Some(state)),
        Err(error) if error.code == NO_GROUP => Ok(None),
        Err(error) => Err(error),
    }
}
