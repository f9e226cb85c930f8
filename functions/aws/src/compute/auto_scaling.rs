//! EC2 Auto Scaling groups.

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, Instance as ApiInstance, LaunchTemplateSpecification, LifecycleState, MixedInstancesPolicy,
};
use spillway_core::compute::{GroupChange, GroupState, Instance};
use spillway_core::definition::AutoScalingGroupName;
use spillway_core::scaling::REBALANCING;
use thiserror::Error;

use super::{count, number};
use crate::client::{api_error, unexpected};
use crate::error::ApiError;
use crate::ports::{AutoScalingGroups, GroupInstances};
use crate::scale_in::NO_GROUP;

const DESCRIBE: &str = "DescribeAutoScalingGroups";
const UPDATE: &str = "UpdateAutoScalingGroup";
const SUSPEND: &str = "SuspendProcesses";
const RESUME: &str = "ResumeProcesses";
const PROTECT: &str = "SetInstanceProtection";
/// The most instances of one call:
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_SetInstanceProtection.html>.
const MOST_INSTANCES: usize = 50;

/// EC2 Auto Scaling, and Application Auto Scaling of ECS services.
#[derive(Clone, Debug)]
pub struct AutoScaling {
    pub(super) client: Client,
    pub(super) application: aws_sdk_applicationautoscaling::Client,
}

impl AutoScaling {
    /// The groups and scalable targets of the configuration's account and region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        let application = aws_sdk_applicationautoscaling::Client::new(config);
        Self { client: Client::new(config), application }
    }

    async fn group(&self, name: &AutoScalingGroupName) -> Result<AutoScalingGroup, ApiError> {
        let name = name.as_str();
        let answer = self.client.describe_auto_scaling_groups().auto_scaling_group_names(name).send().await;
        let answer = answer.map_err(|error| api_error(DESCRIBE, name, &error))?;
        let mut groups = answer.auto_scaling_groups.unwrap_or_default().into_iter();
        groups
            .find(|group| group.auto_scaling_group_name() == Some(name))
            .ok_or_else(|| unexpected(DESCRIBE, name, NO_GROUP, "there is no such group"))
    }
}

impl AutoScalingGroups for AutoScaling {
    async fn describe(&self, group: &AutoScalingGroupName) -> Result<GroupState, ApiError> {
        let found = self.group(group).await?;
        let size = |value: Option<i32>| count(value.unwrap_or_default());
        Ok(GroupState {
            version: template(&found).map(version),
            min: size(found.min_size),
            max: size(found.max_size),
            desired: size(found.desired_capacity),
            instances: found.instances().iter().map(instance).collect(),
            suspended: found.suspended_processes().iter().filter_map(|p| p.process_name.clone()).collect(),
            warm_pool: found.warm_pool_configuration().is_some(),
        })
    }

    async fn update(&self, group: &AutoScalingGroupName, change: &GroupChange) -> Result<(), ApiError> {
        let name = group.as_str();
        let request = self
            .client
            .update_auto_scaling_group()
            .auto_scaling_group_name(name)
            .set_min_size(change.min.map(number))
            .set_max_size(change.max.map(number))
            .set_desired_capacity(change.desired.map(number));
        let request = match &change.version {
            None => request,
            Some(version) => match launch(&self.group(group).await?, version) {
                Ok(Launch::Template(template)) => request.launch_template(template),
                Ok(Launch::Mixed(policy)) => request.mixed_instances_policy(policy),
                Err(problem) => return Err(unexpected(UPDATE, name, problem.code(), problem.to_string())),
            },
        };
        request.send().await.map(|_| ()).map_err(|error| api_error(UPDATE, name, &error))
    }
}

impl GroupInstances for AutoScaling {
    async fn rebalance(&self, group: &AutoScalingGroupName, on: bool) -> Result<(), ApiError> {
        let name = group.as_str();
        if on {
            let request = self.client.resume_processes().auto_scaling_group_name(name);
            let answer = request.scaling_processes(REBALANCING).send().await;
            answer.map(|_| ()).map_err(|error| api_error(RESUME, name, &error))
        } else {
            let request = self.client.suspend_processes().auto_scaling_group_name(name);
            let answer = request.scaling_processes(REBALANCING).send().await;
            answer.map(|_| ()).map_err(|error| api_error(SUSPEND, name, &error))
        }
    }

    async fn unprotect(&self, group: &AutoScalingGroupName, instances: &[String]) -> Result<(), ApiError> {
        let name = group.as_str();
        for some in instances.chunks(MOST_INSTANCES) {
            let request = self.client.set_instance_protection().auto_scaling_group_name(name);
            let request = request.set_instance_ids(Some(some.to_vec())).protected_from_scale_in(false);
            request.send().await.map_err(|error| api_error(PROTECT, name, &error))?;
        }
        Ok(())
    }
}

/// The launch template that new instances are started from.
fn template(group: &AutoScalingGroup) -> Option<&LaunchTemplateSpecification> {
    let mixed = || group.mixed_instances_policy()?.launch_template()?.launch_template_specification();
    group.launch_template().or_else(mixed)
}

/// The version as it is written there: a number, `$Latest` or `$Default`. Left out, it is `$Default`:
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateSpecification.html>.
fn version(template: &LaunchTemplateSpecification) -> String {
    template.version().unwrap_or("$Default").into()
}

fn instance(instance: &ApiInstance) -> Instance {
    let healthy = instance.health_status().is_some_and(|status| status.eq_ignore_ascii_case("healthy"));
    Instance {
        id: instance.instance_id().unwrap_or_default().into(),
        state: instance.lifecycle_state().map(|state| state.as_str().to_owned()).unwrap_or_default(),
        version: instance.launch_template().map(version),
        in_service: instance.lifecycle_state() == Some(&LifecycleState::InService) && healthy,
        protected: instance.protected_from_scale_in().unwrap_or(false),
    }
}

/// How a group starts its instances.
#[derive(Clone, Debug, PartialEq)]
pub enum Launch {
    /// From a launch template.
    Template(LaunchTemplateSpecification),
    /// From a launch template, with several instance types or purchase options.
    Mixed(MixedInstancesPolicy),
}

/// A group whose launch template version cannot be set.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NoVersion {
    /// It has a launch configuration, or takes its settings from an instance.
    #[error("the group has no launch template, so there is no version to set")]
    NoLaunchTemplate,
    /// Some of its instance types have launch templates of their own, whose versions count apart.
    #[error("an override uses another launch template ({0}), so one version does not say what to start")]
    SeveralLaunchTemplates(String),
}

impl NoVersion {
    fn code(&self) -> &'static str {
        match self {
            Self::NoLaunchTemplate => "NoLaunchTemplate",
            Self::SeveralLaunchTemplates(_) => "SeveralLaunchTemplates",
        }
    }
}

/// How the group starts its instances, with another version of its launch template and nothing else changed.
///
/// # Errors
/// [`NoVersion`] if the group has no launch template, or more than one.
pub fn launch(group: &AutoScalingGroup, version: &str) -> Result<Launch, NoVersion> {
    let template = template(group).ok_or(NoVersion::NoLaunchTemplate)?;
    let Some(policy) = group.mixed_instances_policy() else {
        return Ok(Launch::Template(with_version(template, version)));
    };
    let mut policy = policy.clone();
    if let Some(launch) = policy.launch_template.as_mut() {
        launch.launch_template_specification = Some(with_version(template, version));
        for own in launch.overrides.iter_mut().flatten().filter_map(|o| o.launch_template_specification.as_mut()) {
            if !same_template(own, template) {
                let name = own.launch_template_name().or(own.launch_template_id()).unwrap_or_default();
                return Err(NoVersion::SeveralLaunchTemplates(name.into()));
            }
            *own = with_version(own, version);
        }
    }
    Ok(Launch::Mixed(policy))
}

fn same_template(one: &LaunchTemplateSpecification, other: &LaunchTemplateSpecification) -> bool {
    match (one.launch_template_id(), other.launch_template_id()) {
        (Some(one), Some(other)) => one == other,
        _ => one.launch_template_name().is_some() && one.launch_template_name() == other.launch_template_name(),
    }
}

/// An answer names a template by id and by name; a request takes one of them:
/// <https://docs.aws.amazon.com/autoscaling/ec2/APIReference/API_LaunchTemplateSpecification.html>.
fn with_version(template: &LaunchTemplateSpecification, version: &str) -> LaunchTemplateSpecification {
    let id = template.launch_template_id.clone();
    let name = if id.is_some() { None } else { template.launch_template_name.clone() };
    LaunchTemplateSpecification::builder()
        .set_launch_template_id(id)
        .set_launch_template_name(name)
        .version(version)
        .build()
}
