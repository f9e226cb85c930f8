//! Keeps slots from scaling in, and lets them again.

use spillway_core::lease::Lease;
use spillway_core::plan::Plan;
use spillway_core::scaling::{REBALANCING, Scaling};

use crate::error::ApiError;
use crate::guard::{self, LeaseError};
use crate::ports::{AutoScalingGroups, GroupInstances, Leases, ScalableTargets};

/// The code of the error for a group that does not exist.
pub const NO_GROUP: &str = "AutoScalingGroupNotFound";
/// The codes of the errors for an ECS service that does not exist or is not active any more, and for its cluster:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html>.
const NO_SERVICE: [&str; 3] = ["ServiceNotFoundException", "ServiceNotActiveException", "ClusterNotFoundException"];

/// Keeps what the plan names from scaling in. What is so already is left, and what is gone or in no slot any more, to which
/// an earlier release owes something. The candidate's group gets its floor with its version, when its instances are
/// asked for.
///
/// # Errors
/// [`LeaseError`]: the lease is lost, or a call failed; some of it may be done.
pub async fn hold(
    compute: &(impl AutoScalingGroups + GroupInstances + ScalableTargets),
    leases: &impl Leases,
    lease: &Lease,
    plan: &Plan,
) -> Result<(), LeaseError> {
    let slots = [&plan.stable.compute, &plan.candidate.compute];
    for scaling in plan.scaling.iter().filter(|scaling| slots.iter().any(|compute| scaling.is_of(compute))) {
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

/// Nothing where there is no such group or service any more.
///
/// # Errors
/// [`ApiError`]: any other error of the answer.
pub fn present<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.code == NO_GROUP || NO_SERVICE.contains(&error.code.as_str()) => Ok(None),
        Err(error) => Err(error),
    }
}
