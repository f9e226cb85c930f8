//! Application Auto Scaling of ECS services.

use aws_sdk_applicationautoscaling::types::{ScalableDimension, ScalableTarget, ServiceNamespace, SuspendedState};
use spillway_core::definition::EcsService;

use super::AutoScaling;
use crate::client::api_error;
use crate::error::ApiError;
use crate::ports::ScalableTargets;

const DESCRIBE: &str = "DescribeScalableTargets";
const REGISTER: &str = "RegisterScalableTarget";

/// The id of the service's scalable target: `service/CLUSTER/SERVICE`, with names, and not ARNs
/// (<https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html>).
#[must_use]
pub fn resource_id(service: &EcsService) -> String {
    let name = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
    format!("service/{}/{}", name(service.cluster.as_str()), name(service.service.as_str()))
}

impl AutoScaling {
    async fn scalable_target(&self, id: &str) -> Result<Option<ScalableTarget>, ApiError> {
        let request = self.application.describe_scalable_targets().service_namespace(ServiceNamespace::Ecs);
        let request = request.scalable_dimension(ScalableDimension::EcsServiceDesiredCount).resource_ids(id);
        let answer = request.send().await.map_err(|error| api_error(DESCRIBE, id, &error))?;
        let mut targets = answer.scalable_targets.unwrap_or_default().into_iter();
        Ok(targets.find(|target| target.resource_id() == id))
    }
}

impl ScalableTargets for AutoScaling {
    async fn scale_in_suspended(&self, service: &EcsService) -> Result<Option<bool>, ApiError> {
        let target = self.scalable_target(&resource_id(service)).await?;
        let suspended = |target: ScalableTarget| target.suspended_state?.dynamic_scaling_in_suspended;
        Ok(target.map(|target| suspended(target).unwrap_or(false)))
    }

    async fn suspend_scale_in(&self, service: &EcsService, suspended: bool) -> Result<(), ApiError> {
        let id = resource_id(service);
        let Some(target) = self.scalable_target(&id).await? else { return Ok(()) };
        // Whether a field that is left out keeps its value is documented for the request, and not for this part of it.
        let state = target.suspended_state.as_ref();
        let state = SuspendedState::builder()
            .dynamic_scaling_in_suspended(suspended)
            .dynamic_scaling_out_suspended(state.and_then(|s| s.dynamic_scaling_out_suspended).unwrap_or(false))
            .scheduled_scaling_suspended(state.and_then(|s| s.scheduled_scaling_suspended).unwrap_or(false));
        let request = self
            .application
            .register_scalable_target()
            .service_namespace(ServiceNamespace::Ecs)
            .scalable_dimension(ScalableDimension::EcsServiceDesiredCount)
            .resource_id(&id)
            .suspended_state(state.build());
        request.send().await.map(|_| ()).map_err(|error| api_error(REGISTER, &id, &error))
    }
}
