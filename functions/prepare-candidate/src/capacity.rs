//! The compute of a slot: what is there, what is missing, and the one change that comes next.

use spillway_aws::error::ApiError;
use spillway_aws::guard;
use spillway_aws::ports::{AutoScalingGroups, EcsServices, GroupInstances, Leases, Targets, TaskDefinitions};
use spillway_core::compute::{
    self, EcsState, EcsStep, GroupChange, GroupState, GroupStep, Preparation, wanted_capacity,
};
use spillway_core::definition::{AutoScalingGroup, Compute, EcsName, EcsService};
use spillway_core::lease::Lease;
use spillway_core::plan::Plan;
use spillway_core::scaling::Scaling;
use spillway_core::targets::{self, TargetCounts};
use spillway_core::version::Version;

use crate::{Error, Output, Ports, waiting};

/// What one look at the compute found.
pub enum Capacity {
    /// So many targets are to be expected in every group; `None` where others decide.
    Complete(Option<u32>),
    /// Something is missing.
    Missing(String),
}

/// Asks for as much of the stable slot as there was when the release was planned, or as the candidate has by now.
pub async fn restore<S: EcsServices, R, G: AutoScalingGroups, T, L: Leases>(
    ports: Ports<'_, S, R, G, T, L>,
    lease: &Lease,
    plan: &Plan,
    preparation: Preparation,
) -> Result<Output, Error> {
    guard::verify(ports.leases, lease).await?;
    let wanted = plan.hosts_wanted();
    let reason = match &plan.stable.compute {
        Compute::EcsService(service) => {
            let state = ports.services.describe(service).await?;
            let wanted = match &plan.candidate.compute {
                Compute::EcsService(other) => wanted.max(ports.services.describe(other).await?.desired),
                _ => wanted,
            };
            guard::verify(ports.leases, lease).await?;
            if state.desired < wanted {
                ports.services.update(service, None, wanted, false).await?;
                format!("asked for {wanted} tasks of {}, which had {}", service.service, state.desired)
            } else {
                format!("{} has {} of {} tasks", service.service, state.running, state.desired)
            }
        }
        Compute::AutoScalingGroup(group) => {
            let state = ports.groups.describe(&group.name).await?;
            // Its retirement has set the least to 0: what serves until then knows better.
            let (wanted, min) = match &plan.candidate.compute {
                Compute::AutoScalingGroup(other) => {
                    let serving = ports.groups.describe(&other.name).await?;
                    let wanted = wanted.max(serving.desired);
                    (wanted, state.min.max(serving.min).min(wanted))
                }
                _ => (wanted, state.min),
            };
            guard::verify(ports.leases, lease).await?;
            if state.desired < wanted {
                let (min, max) = (Some(min), Some(state.max.max(wanted)));
                let change = GroupChange { min, max, desired: Some(wanted), version: None };
                ports.groups.update(&group.name, &change).await?;
                format!("asked for {wanted} instances of {}, which had {}", group.name, state.desired)
            } else {
                format!("{} has {} instances", group.name, state.desired)
            }
        }
        Compute::External => "others scale the stable slot".into(),
    };
    tracing::info!(reason, "the stable slot's capacity");
    Ok(waiting(reason, plan.readiness.poll_seconds, preparation))
}

/// The first group that lacks healthy targets.
pub async fn unhealthy(source: &impl Targets, plan: &Plan, expected: Option<u32>) -> Result<Option<String>, ApiError> {
    for group in &plan.candidate.groups {
        let states = source.states(&group.arn).await?;
        let counts = TargetCounts::of(&states);
        let percent = plan.readiness.minimum_healthy_percent;
        if !counts.enough(expected.unwrap_or(counts.registered), percent) {
            let share = if percent < 100 { format!("{percent} % of ") } else { String::new() };
            let of = expected.map(|expected| format!("; {share}{expected} must be healthy")).unwrap_or_default();
            return Ok(Some(format!("{}: {}{of}", group.arn.name(), targets::by_state(&states))));
        }
    }
    Ok(None)
}

pub async fn ecs<S: EcsServices, R: TaskDefinitions, G, T, L: Leases>(
    ports: Ports<'_, S, R, G, T, L>,
    lease: &Lease,
    version: &Version,
    stable: &EcsService,
    candidate: &EcsService,
    preparation: &mut Preparation,
) -> Result<Capacity, Error> {
    let (serving, state) = (ports.services.describe(stable).await?, ports.services.describe(candidate).await?);
    let desired = wanted_capacity(serving.desired, state.desired);
    let target = match &preparation.task_definition {
        Some(known) => known.clone(),
        None => revision(ports, lease, version, candidate, &serving, &state).await?,
    };
    preparation.task_definition = Some(target.clone());

    match compute::ecs_step(&state, &target, preparation, desired)? {
        EcsStep::Update { desired, anew } => {
            guard::verify(ports.leases, lease).await?;
            let task_definition = (state.task_definition != target).then_some(target.as_str());
            let after = ports.services.update(candidate, task_definition, desired, anew).await?;
            remember(&after, &target, preparation);
            Ok(Capacity::Missing(format!("asked for {desired} tasks of {target}")))
        }
        EcsStep::Wait(reason) => {
            remember(&state, &target, preparation);
            Ok(Capacity::Missing(reason))
        }
        EcsStep::Complete => {
            remember(&state, &target, preparation);
            Ok(Capacity::Complete(Some(state.desired)))
        }
    }
}

/// Notes which deployment is ours, once.
fn remember(state: &EcsState, target: &str, preparation: &mut Preparation) {
    if preparation.deployment.is_none() {
        let ours = state.deployments.iter().find(|d| d.primary && d.task_definition == target);
        preparation.deployment = ours.map(|deployment| deployment.id.clone());
    }
}

/// The task definition revision to run.
async fn revision<S, R: TaskDefinitions, G, T, L: Leases>(
    ports: Ports<'_, S, R, G, T, L>,
    lease: &Lease,
    version: &Version,
    candidate: &EcsService,
    serving: &EcsState,
    state: &EcsState,
) -> Result<String, Error> {
    Ok(match version {
        Version::Image(image) => {
            guard::verify(ports.leases, lease).await?;
            let container = candidate.container.as_ref().map(EcsName::as_str);
            ports.revisions.with_image(lease.release(), &serving.task_definition, container, image).await?
        }
        Version::TaskDefinition(revision) => ports.revisions.resolve(revision).await?,
        // Deployed by someone else: whatever the service runs.
        Version::LaunchTemplateVersion(_) | Version::Opaque(_) => state.task_definition.clone(),
    })
}

pub async fn auto_scaling<S, R, G: AutoScalingGroups + GroupInstances, T, L: Leases>(
    ports: Ports<'_, S, R, G, T, L>,
    lease: &Lease,
    plan: &Plan,
    stable: &AutoScalingGroup,
    candidate: &AutoScalingGroup,
) -> Result<Capacity, Error> {
    let serving: GroupState = ports.groups.describe(&stable.name).await?;
    let state = ports.groups.describe(&candidate.name).await?;
    let wanted = match &plan.version {
        Version::LaunchTemplateVersion(version) => Some(version.as_str()),
        _ => None,
    };
    let floor = plan.scaling.iter().find(|own| own.is_of(&plan.candidate.compute)).and_then(Scaling::floor);
    Ok(match compute::group_step(&state, &serving, wanted, floor) {
        GroupStep::Update(change) => {
            guard::verify(ports.leases, lease).await?;
            ports.groups.update(&candidate.name, &change).await?;
            Capacity::Missing(format!("asked for {} instances", change.desired.unwrap_or(state.desired)))
        }
        GroupStep::Unprotect(instances) => {
            guard::verify(ports.leases, lease).await?;
            ports.groups.unprotect(&candidate.name, &instances).await?;
            Capacity::Missing(format!("{} instances of another version were protected from scale-in", instances.len()))
        }
        GroupStep::Wait(reason) => Capacity::Missing(reason),
        GroupStep::Complete => Capacity::Complete(Some(state.desired)),
    })
}
