//! ECS services.

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    DeploymentController, DeploymentControllerType, DeploymentRolloutState, DeploymentStrategy, SchedulingStrategy,
    Service,
};
use spillway_core::compute::{EcsDeployment, EcsState, Rollout};
use spillway_core::definition::EcsService;

use super::{count, number};
use crate::client::{api_error, invalid_answer, unexpected};
use crate::error::ApiError;
use crate::ports::EcsServices;

const DESCRIBE: &str = "DescribeServices";
const UPDATE: &str = "UpdateService";

/// Amazon ECS: services and task definitions.
#[derive(Clone, Debug)]
pub struct Ecs {
    pub(super) client: Client,
}

impl Ecs {
    /// The services and task definitions of the configuration's account and region.
    #[must_use]
    pub fn new(config: &SdkConfig) -> Self {
        Self { client: Client::new(config) }
    }
}

impl EcsServices for Ecs {
    async fn describe(&self, service: &EcsService) -> Result<EcsState, ApiError> {
        let name = service.service.as_str();
        let request = self.client.describe_services().cluster(service.cluster.as_str()).services(name);
        let answer = request.send().await.map_err(|error| api_error(DESCRIBE, name, &error))?;
        let missing = |why: &str| {
            let message = format!("cluster {} has no such active service: {why}", service.cluster);
            unexpected(DESCRIBE, name, "ServiceNotFoundException", message)
        };
        // A service that does not exist is no error of the call, but a failure in its answer:
        // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
        let Some(found) = answer.services().first() else {
            return Err(missing(answer.failures().first().and_then(|failure| failure.reason()).unwrap_or("no answer")));
        };
        match found.status() {
            Some("ACTIVE") => state(DESCRIBE, name, found),
            status => Err(missing(&format!("its status is {}", status.unwrap_or("missing")))),
        }
    }

    async fn update(
        &self,
        service: &EcsService,
        task_definition: Option<&str>,
        desired: u32,
        anew: bool,
    ) -> Result<EcsState, ApiError> {
        let name = service.service.as_str();
        let request = self
            .client
            .update_service()
            .cluster(service.cluster.as_str())
            .service(name)
            .set_task_definition(task_definition.map(Into::into))
            .set_force_new_deployment(anew.then_some(true))
            .desired_count(number(desired));
        let answer = request.send().await.map_err(|error| api_error(UPDATE, name, &error))?;
        let updated = answer.service().ok_or_else(|| invalid_answer(UPDATE, name, "there is no service in it"))?;
        state(UPDATE, name, updated)
    }
}

/// Reads a service.
fn state(operation: &'static str, name: &str, service: &Service) -> Result<EcsState, ApiError> {
    rolling(operation, name, service)?;
    let missing = |what: &str| invalid_answer(operation, name, format!("{what} is missing"));
    let deployments = service.deployments().iter().map(|deployment| {
        let rollout = match deployment.rollout_state() {
            None => None,
            Some(DeploymentRolloutState::InProgress) => Some(Rollout::InProgress),
            Some(DeploymentRolloutState::Completed) => Some(Rollout::Completed),
            Some(DeploymentRolloutState::Failed) => Some(Rollout::Failed),
            Some(other) => {
                return Err(invalid_answer(operation, name, format!("a deployment's state is {}", other.as_str())));
            }
        };
        Ok(EcsDeployment {
            id: deployment.id().ok_or_else(|| missing("a deployment's id"))?.into(),
            primary: deployment.status() == Some("PRIMARY"),
            task_definition: deployment
                .task_definition()
                .ok_or_else(|| missing("a deployment's task definition"))?
                .into(),
            rollout,
            reason: deployment.rollout_state_reason().unwrap_or_default().into(),
        })
    });
    Ok(EcsState {
        deployments: deployments.collect::<Result<_, _>>()?,
        task_definition: service.task_definition().ok_or_else(|| missing("the task definition"))?.into(),
        desired: count(service.desired_count()),
        running: count(service.running_count()),
        pending: count(service.pending_count()),
    })
}

/// Refuses services that others move traffic for.
///
/// With `CodeDeploy` or an external controller the service has task sets, not deployments
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentController.html>), and with a
/// strategy other than rolling ECS itself changes the weights of the very rules that a release changes
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html>).
///
/// A daemon has a task on each instance and no desired count, so that nothing could scale a slot
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-options.html>).
fn rolling(operation: &'static str, name: &str, service: &Service) -> Result<(), ApiError> {
    let unsupported = |what: String| {
        let message = format!("{what}; Spillway works with rolling updates by the ECS deployment controller only");
        Err(unexpected(operation, name, "UnsupportedDeploymentController", message))
    };
    if let Some(controller) = service.deployment_controller().map(DeploymentController::r#type)
        && *controller != DeploymentControllerType::Ecs
    {
        return unsupported(format!("its deployment controller is {}", controller.as_str()));
    }
    let strategy = service.deployment_configuration().and_then(|configuration| configuration.strategy());
    if let Some(strategy) = strategy
        && *strategy != DeploymentStrategy::Rolling
    {
        return unsupported(format!("its deployment strategy is {}", strategy.as_str()));
    }
    if let Some(strategy) = service.scheduling_strategy()
        && *strategy != SchedulingStrategy::Replica
    {
        let message = format!("its scheduling strategy is {}; Spillway works with replicas only", strategy.as_str());
        return Err(unexpected(operation, name, "UnsupportedSchedulingStrategy", message));
    }
    Ok(())
}
