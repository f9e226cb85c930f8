//! What is found out about the slots' scaling before the plan.

use spillway_aws::error::ApiError;
use spillway_aws::ports::{AutoScalingGroups, ScalableTargets};
use spillway_core::compute::GroupState;
use spillway_core::definition::{AutoScalingGroup, Compute, ServiceDefinition};
use spillway_core::plan::{Refusal, Roles};
use spillway_core::scaling::Scaling;
use spillway_core::version::Version;

use crate::survey::known;

/// Without these a candidate's group does not come to its instances, its version or its target groups.
const NEEDED: [&str; 3] = ["Launch", "Terminate", "AddToLoadBalancer"];

/// What a release will take from the slots' scaling, and what earlier ones still owe; and what keeps a group from being a
/// candidate. What cannot be read for good is a reason not to start.
pub(crate) async fn survey(
    compute: &(impl AutoScalingGroups + ScalableTargets),
    definition: &ServiceDefinition,
    roles: &Roles,
    version: Option<&Version>,
    owed: Vec<Scaling>,
    refusals: &mut Vec<Refusal>,
) -> Result<Vec<Scaling>, ApiError> {
    let slots = [roles.stable, roles.stable.other()];
    let computes = slots.map(|slot| &definition.slots.get(slot).compute);
    let mut found = Vec::new();
    match computes {
        [Compute::AutoScalingGroup(stable), Compute::AutoScalingGroup(candidate)] => {
            let serving = group(compute, stable, refusals).await?;
            let state = group(compute, candidate, refusals).await?;
            if let (Some(serving), Some(state)) = (serving, state) {
                let named = matches!(version, Some(Version::LaunchTemplateVersion(_)));
                refusals.extend(unfit(roles, candidate, &state, named));
                found.extend(Scaling::of_groups([(&stable.name, &serving), (&candidate.name, &state)], &owed));
            }
        }
        computes => {
            for own in computes {
                if let Compute::EcsService(service) = own {
                    let suspended = known(compute.scale_in_suspended(service).await, refusals)?;
                    found.extend(Scaling::of_service(service, suspended, &owed));
                }
            }
        }
    }
    // Of slots as they were defined before.
    found.extend(owed.into_iter().filter(|owed| !computes.iter().any(|own| owed.is_of(own))));
    Ok(found)
}

async fn group(
    compute: &impl AutoScalingGroups,
    group: &AutoScalingGroup,
    refusals: &mut Vec<Refusal>,
) -> Result<Option<GroupState>, ApiError> {
    known(compute.describe(&group.name).await.map(Some), refusals)
}

/// Why the group cannot become the candidate.
fn unfit(roles: &Roles, group: &AutoScalingGroup, state: &GroupState, named: bool) -> Vec<Refusal> {
    let (slot, group) = (roles.stable.other(), &group.name);
    let suspended = NEEDED.into_iter().filter(|process| state.is_suspended(process));
    let suspended = suspended.map(|process| Refusal::ProcessSuspended { slot, group: group.clone(), process });
    let pool = (named && state.warm_pool).then(|| Refusal::WarmPool { slot, group: group.clone() });
    suspended.chain(pool).collect()
}
