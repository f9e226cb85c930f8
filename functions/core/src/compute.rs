//! Bringing the candidate's capacity up: what is missing, and when it is ours that is ready.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::event::news::Told;
use crate::hook::Pending;

/// What preparation has done so far; carried from call to call by the state machine.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Preparation {
    /// When preparation began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// The task definition revision asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_definition: Option<String>,
    /// The ECS deployment that brings it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Whether both slots have been kept from scaling in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// Whether the hook that provisions external compute has said ok.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub provisioned: bool,
    /// Whether testers have been led to the candidate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test_routes_opened: bool,
    /// The hook that is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Pending>,
    /// Since when people are waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Timestamp>,
    /// What has been told of it.
    #[serde(default)]
    pub told: Told,
}

/// An ECS service as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EcsState {
    /// ARN of the task definition revision asked for last.
    pub task_definition: String,
    /// Tasks wanted.
    pub desired: u32,
    /// Tasks running.
    pub running: u32,
    /// Tasks being started.
    pub pending: u32,
    /// Deployments, the primary one among them.
    pub deployments: Vec<EcsDeployment>,
}

/// One deployment of an ECS service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EcsDeployment {
    /// Its id.
    pub id: String,
    /// Whether it is the one that the service is moving to.
    pub primary: bool,
    /// ARN of its task definition revision.
    pub task_definition: String,
    /// Its state, where ECS tells it.
    pub rollout: Option<Rollout>,
    /// ECS's words for that state.
    pub reason: String,
}

/// State of an ECS deployment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rollout {
    /// Going on.
    InProgress,
    /// Done.
    Completed,
    /// Given up by the circuit breaker.
    Failed,
}

/// What to do next about an ECS service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum EcsStep {
    /// Ask for this revision and this many tasks.
    Update {
        /// Tasks to ask for.
        desired: u32,
        /// Whether to deploy the same revision anew, because an earlier deployment of it has failed.
        anew: bool,
    },
    /// Nothing; not there yet, with the reason.
    Wait(String),
    /// The deployment that is complete is ours.
    Complete,
}

/// The candidate cannot become ready.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{0}")]
pub struct CandidateFailed(pub String);

/// How many tasks or instances the candidate needs: as many as the stable slot has, or, where that has none
/// (a first deployment), what the candidate asks for itself, at least one.
#[must_use]
pub fn wanted_capacity(stable: u32, candidate: u32) -> u32 {
    if stable > 0 { stable } else { candidate.max(1) }
}

/// Decides on an ECS service.
///
/// "Complete" is not enough: the circuit breaker goes back to the older revision and reports that as
/// complete, so deployment and revision must be the ones asked for
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html>).
///
/// # Errors
/// [`CandidateFailed`] once our deployment is gone, replaced or given up.
pub fn ecs_step(
    state: &EcsState,
    target: &str,
    preparation: &Preparation,
    desired: u32,
) -> Result<EcsStep, CandidateFailed> {
    let primary = state.deployments.iter().find(|d| d.primary);
    if let Some(asked) = &preparation.deployment {
        let Some(ours) = state.deployments.iter().find(|d| d.id == *asked) else {
            return Err(CandidateFailed(format!(
                "deployment {asked} of {target} is gone; the service now asks for {}",
                state.task_definition
            )));
        };
        if ours.rollout == Some(Rollout::Failed) {
            return Err(CandidateFailed(format!("deployment {asked} of {target} failed: {}", ours.reason)));
        }
        if !ours.primary {
            return Err(CandidateFailed(format!(
                "deployment {asked} of {target} was replaced by one of {}",
                state.task_definition
            )));
        }
    } else if primary.is_some_and(|p| p.task_definition == target && p.rollout == Some(Rollout::Failed)) {
        // An earlier release's: what it failed of may be over.
        return Ok(EcsStep::Update { desired, anew: true });
    }
    if primary.is_none_or(|p| p.task_definition != target) || state.desired < desired {
        return Ok(EcsStep::Update { desired, anew: false });
    }
    let wait = |reason: String| Ok(EcsStep::Wait(reason));
    if state.deployments.len() != 1 {
        return wait(format!("{} deployments are active", state.deployments.len()));
    }
    if primary.and_then(|p| p.rollout).is_some_and(|rollout| rollout != Rollout::Completed) {
        return wait("the deployment is in progress".into());
    }
    if state.desired == 0 || state.running != state.desired || state.pending != 0 {
        return wait(format!("{} of {} tasks run, {} are pending", state.running, state.desired, state.pending));
    }
    Ok(EcsStep::Complete)
}

/// The state of an instance that serves, or that its group takes for one that does.
const IN_SERVICE: &str = "InService";

/// An Auto Scaling group as it stands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupState {
    /// Launch template version that new instances get.
    pub version: Option<String>,
    /// Least instances.
    pub min: u32,
    /// Most instances.
    pub max: u32,
    /// Instances wanted.
    pub desired: u32,
    /// The instances.
    pub instances: Vec<Instance>,
    /// Processes that are suspended, by people or, after a day of failed launches, by AWS.
    pub suspended: Vec<String>,
    /// Whether it takes new instances from a warm pool.
    pub warm_pool: bool,
}

impl GroupState {
    /// Whether a process is suspended.
    #[must_use]
    pub fn is_suspended(&self, process: &str) -> bool {
        self.suspended.iter().any(|suspended| suspended == process)
    }

    /// The instances that would stay when the group is scaled in: they are in service, and protected.
    #[must_use]
    pub fn protected(&self) -> Vec<String> {
        let protected = self.instances.iter().filter(|instance| instance.protected && instance.state == IN_SERVICE);
        protected.map(|instance| instance.id.clone()).collect()
    }
}

/// One instance of an Auto Scaling group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Instance {
    /// Its id.
    pub id: String,
    /// Where it is in its life: `Pending`, `Pending:Wait` (for a lifecycle hook), `InService`, `Terminating:Wait`, …
    pub state: String,
    /// Launch template version that it was started from.
    pub version: Option<String>,
    /// Whether it is in service and healthy in the group's eyes.
    pub in_service: bool,
    /// Whether it is protected from scale-in: then nothing but its replacement ends it.
    pub protected: bool,
}

/// What to change about an Auto Scaling group; what is not named stays.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupChange {
    /// Launch template version.
    pub version: Option<String>,
    /// Least instances.
    pub min: Option<u32>,
    /// Most instances.
    pub max: Option<u32>,
    /// Instances wanted.
    pub desired: Option<u32>,
}

/// What to do next about an Auto Scaling group.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GroupStep {
    /// Set these.
    Update(GroupChange),
    /// Take scale-in protection from these instances, which would not go otherwise.
    Unprotect(Vec<String>),
    /// Nothing; not there yet, with the reason.
    Wait(String),
    /// Every instance is of the version asked for.
    Complete,
}

/// Decides on the candidate's Auto Scaling group.
///
/// The slot has no traffic, so instances of another version are removed all at once before new ones are
/// started: simpler, and quicker, than an instance refresh. `version` is `None` for an opaque version.
///
/// An instance that waits for a lifecycle hook, to begin or to end, is there and does not count as ready
/// (<https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-lifecycle.html>).
///
/// It takes the stable group's sizes, or, where that has nothing (a first deployment), keeps its own: `floor` is the least
/// size that it is planned to have during the release, and what it grows to again after it was emptied.
#[must_use]
pub fn group_step(state: &GroupState, stable: &GroupState, version: Option<&str>, floor: Option<u32>) -> GroupStep {
    let first = stable.desired == 0;
    let own = floor.unwrap_or(state.min);
    let desired = wanted_capacity(stable.desired, if first { state.desired.max(own) } else { state.desired });
    let (min, max) = if first { (own, state.max) } else { (stable.min, stable.max) };
    let (min, max) = (min.min(desired), max.max(desired));
    let version_wrong = version.is_some_and(|wanted| state.version.as_deref() != Some(wanted));
    let stale =
        state.instances.iter().filter(|i| version.is_some_and(|wanted| i.version.as_deref() != Some(wanted))).count();
    if stale > 0 {
        if state.desired > 0 || version_wrong {
            let version = version.map(Into::into);
            return GroupStep::Update(GroupChange { version, min: Some(0), max: None, desired: Some(0) });
        }
        // None but theirs are left.
        let protected = state.protected();
        if !protected.is_empty() {
            return GroupStep::Unprotect(protected);
        }
        return GroupStep::Wait(format!("{stale} instances of another version are going{}", states(&state.instances)));
    }
    if version_wrong || state.desired < desired || state.max < max || state.min != min {
        let version = version.map(Into::into);
        return GroupStep::Update(GroupChange { version, min: Some(min), max: Some(max), desired: Some(desired) });
    }
    let in_service = state.instances.iter().filter(|i| i.in_service).count();
    if in_service < desired as usize {
        let states = states(&state.instances);
        return GroupStep::Wait(format!("{in_service} of {desired} instances are in service{states}"));
    }
    GroupStep::Complete
}

/// How many instances are in which state, in brackets; nothing without any.
fn states(instances: &[Instance]) -> String {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    for instance in instances {
        let unhealthy = instance.state == IN_SERVICE && !instance.in_service;
        *counts.entry(if unhealthy { "InService and unhealthy" } else { &instance.state }).or_default() += 1;
    }
    let texts: Vec<String> = counts.into_iter().map(|(state, count)| format!("{count} {state}")).collect();
    if texts.is_empty() { String::new() } else { format!(" ({})", texts.join(", ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(id: &str, primary: bool, revision: &str, rollout: Rollout) -> EcsDeployment {
        EcsDeployment {
            id: id.into(),
            primary,
            task_definition: revision.into(),
            rollout: Some(rollout),
            reason: String::new(),
        }
    }

    fn service(revision: &str, desired: u32, running: u32, deployments: Vec<EcsDeployment>) -> EcsState {
        EcsState { task_definition: revision.into(), desired, running, pending: 0, deployments }
    }

    #[test]
    fn only_our_own_complete_deployment_is_complete() {
        use Rollout::{Completed, Failed, InProgress};
        let none = Preparation::default();
        let ours = Preparation { deployment: Some("d2".into()), ..Preparation::default() };
        let cases = [
            (
                "old revision",
                service("td:1", 2, 2, vec![deployment("d1", true, "td:1", Completed)]),
                &none,
                Ok(EcsStep::Update { desired: 2, anew: false }),
            ),
            (
                "too few tasks",
                service("td:2", 0, 0, vec![deployment("d2", true, "td:2", Completed)]),
                &none,
                Ok(EcsStep::Update { desired: 2, anew: false }),
            ),
            (
                "rolling",
                service("td:2", 2, 2, vec![deployment("d2", true, "td:2", InProgress)]),
                &ours,
                Ok(EcsStep::Wait("the deployment is in progress".into())),
            ),
            (
                "draining",
                service(
                    "td:2",
                    2,
                    2,
                    vec![deployment("d2", true, "td:2", Completed), deployment("d1", false, "td:1", Completed)],
                ),
                &ours,
                Ok(EcsStep::Wait("2 deployments are active".into())),
            ),
            (
                "starting",
                service("td:2", 2, 1, vec![deployment("d2", true, "td:2", Completed)]),
                &ours,
                Ok(EcsStep::Wait("1 of 2 tasks run, 0 are pending".into())),
            ),
            (
                "complete",
                service("td:2", 2, 2, vec![deployment("d2", true, "td:2", Completed)]),
                &ours,
                Ok(EcsStep::Complete),
            ),
        ];
        for (name, state, preparation, expected) in cases {
            assert_eq!(ecs_step(&state, "td:2", preparation, 2), expected, "{name}");
        }
        for (name, state) in [
            (
                "circuit breaker went back",
                service(
                    "td:1",
                    2,
                    2,
                    vec![deployment("d1", true, "td:1", Completed), deployment("d2", false, "td:2", Failed)],
                ),
            ),
            ("failed in place", service("td:2", 2, 0, vec![deployment("d2", true, "td:2", Failed)])),
            ("gone", service("td:1", 2, 2, vec![deployment("d3", true, "td:1", Completed)])),
            (
                "replaced",
                service(
                    "td:3",
                    2,
                    2,
                    vec![deployment("d3", true, "td:3", InProgress), deployment("d2", false, "td:2", InProgress)],
                ),
            ),
        ] {
            assert!(ecs_step(&state, "td:2", &ours, 2).is_err(), "{name}");
        }
    }

    #[test]
    fn a_group_is_emptied_of_other_versions_before_it_grows() {
        let of = |min, desired| GroupState { version: Some("1".into()), min, max: 4, desired, ..GroupState::default() };
        let stable = of(1, 2);
        let instance =
            |version: &str, in_service| Instance { version: Some(version.into()), in_service, ..Instance::default() };
        let mut group = GroupState { instances: vec![instance("1", true)], ..of(0, 1) };
        let change = |min, max, desired| {
            let version = Some("2".into());
            GroupStep::Update(GroupChange { version, min: Some(min), max, desired: Some(desired) })
        };
        assert_eq!(group_step(&group, &stable, Some("2"), None), change(0, None, 0));
        (group.version, group.desired) = (Some("2".into()), 0);
        assert!(matches!(group_step(&group, &stable, Some("2"), None), GroupStep::Wait(_)));
        group.instances.clear();
        assert_eq!(group_step(&group, &stable, Some("2"), None), change(1, Some(4), 2));
        (group.min, group.desired) = (1, 2);
        group.instances = vec![instance("2", true), instance("2", false)];
        assert!(matches!(group_step(&group, &stable, Some("2"), None), GroupStep::Wait(_)));
        group.instances[1].in_service = true;
        assert_eq!(group_step(&group, &stable, Some("2"), None), GroupStep::Complete);
    }

    #[test]
    fn a_first_candidate_keeps_its_own_sizes() {
        let of = |version: &str, min, max, desired| GroupState {
            version: Some(version.into()),
            min,
            max,
            desired,
            ..GroupState::default()
        };
        let sizes = |state: &GroupState, floor| match group_step(state, &of("1", 0, 0, 0), Some("2"), floor) {
            GroupStep::Update(change) => (change.min, change.max, change.desired),
            step => panic!("{step:?}"),
        };
        for (state, floor, expected) in [
            (of("1", 2, 4, 3), Some(3), (Some(3), Some(4), Some(3))),
            (of("1", 2, 4, 3), None, (Some(2), Some(4), Some(3))),
            // Emptied of another version since it was planned.
            (of("2", 0, 4, 0), Some(3), (Some(3), Some(4), Some(3))),
            (of("2", 0, 0, 0), None, (Some(0), Some(1), Some(1))),
        ] {
            assert_eq!(sizes(&state, floor), expected, "{state:?}");
        }
        let complete = GroupState {
            instances: vec![Instance { version: Some("2".into()), in_service: true, ..Instance::default() }; 3],
            ..of("2", 3, 4, 3)
        };
        assert_eq!(group_step(&complete, &of("1", 0, 0, 0), Some("2"), Some(3)), GroupStep::Complete);
    }

    #[test]
    fn an_instance_counts_after_its_lifecycle_hooks() {
        let of = |states: &[(&str, bool, bool)]| GroupState {
            version: Some("2".into()),
            desired: 2,
            max: 4,
            instances: std::iter::zip(1.., states)
                .map(|(number, (state, in_service, protected))| Instance {
                    id: format!("i-{number}"),
                    state: (*state).into(),
                    version: Some("2".into()),
                    in_service: *in_service,
                    protected: *protected,
                })
                .collect(),
            ..GroupState::default()
        };
        let stable = of(&[]);
        let waits = |words: &str| GroupStep::Wait(words.into());
        for (states, expected) in [
            (vec![], waits("0 of 2 instances are in service")),
            (
                vec![("InService", true, false), ("Pending:Wait", false, false)],
                waits("1 of 2 instances are in service (1 InService, 1 Pending:Wait)"),
            ),
            (
                vec![("InService", false, false), ("Pending", false, false)],
                waits("0 of 2 instances are in service (1 InService and unhealthy, 1 Pending)"),
            ),
            // Protected from now on, as the group wants it.
            (vec![("InService", true, true), ("InService", true, true)], GroupStep::Complete),
        ] {
            assert_eq!(group_step(&of(&states), &stable, Some("2"), None), expected);
        }

        let going = |states: &[(&str, bool, bool)]| GroupState { version: Some("3".into()), desired: 0, ..of(states) };
        let old = [("InService", true, true), ("Terminating:Wait", false, true), ("InService", true, false)];
        assert_eq!(group_step(&going(&old), &stable, Some("3"), None), GroupStep::Unprotect(vec!["i-1".into()]));
        assert_eq!(
            group_step(&going(&old[1..2]), &stable, Some("3"), None),
            waits("1 instances of another version are going (1 Terminating:Wait)")
        );
    }
}
