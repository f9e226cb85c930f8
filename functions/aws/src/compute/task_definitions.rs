//! ECS task definitions: finding a revision, and registering one for an image.

use aws_sdk_ecs::operation::register_task_definition::builders::RegisterTaskDefinitionInputBuilder;
use aws_sdk_ecs::types::{
    ContainerDefinition, SortOrder, Tag, TaskDefinition, TaskDefinitionField, TaskDefinitionStatus,
};
use spillway_core::version::{Image, TaskDefinition as Revision};
use thiserror::Error;

use super::Ecs;
use crate::client::{api_error, invalid_answer, unexpected};
use crate::error::ApiError;
use crate::ports::TaskDefinitions;

const DESCRIBE: &str = "DescribeTaskDefinition";
const LIST: &str = "ListTaskDefinitions";
const REGISTER: &str = "RegisterTaskDefinition";

/// The tag that names the release which registered a revision.
pub const RELEASE_TAG: &str = "spillway:release";

/// How many of the family's latest revisions may be the release's own. Others can be registered between the
/// first call of a release and its repetition, though hardly as many.
const LATEST: i32 = 20;

impl TaskDefinitions for Ecs {
    async fn resolve(&self, revision: &Revision) -> Result<String, ApiError> {
        let (definition, _) = self.task_definition(revision.as_str()).await?;
        // One that is not active takes no new tasks:
        // https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deregister-task-definition-v2.html
        if let Some(status) = definition.status()
            && *status != TaskDefinitionStatus::Active
        {
            let message = format!("its status is {}", status.as_str());
            return Err(unexpected(DESCRIBE, revision.as_str(), "TaskDefinitionNotActive", message));
        }
        arn(DESCRIBE, revision.as_str(), &definition)
    }

    async fn with_image(
        &self,
        release: &str,
        from: &str,
        container: Option<&str>,
        image: &Image,
    ) -> Result<String, ApiError> {
        let (definition, tags) = self.task_definition(from).await?;
        let index = choose_container(definition.container_definitions(), container)
            .map_err(|unclear| unexpected(REGISTER, from, "ContainerUnclear", unclear.to_string()))?;
        if let Some(registered) = self.registered(release, &definition, image).await? {
            return Ok(registered);
        }
        let input = registration(&definition, &tags, index, image, release);
        let answer = input.send_with(&self.client).await.map_err(|error| {
            let error = api_error(REGISTER, from, &error);
            // Not told apart by its code: https://github.com/hashicorp/terraform-provider-aws/issues/9777
            let concurrent = error.message.contains("Too many concurrent attempts to create a new revision");
            ApiError { transient: error.transient || concurrent, ..error }
        })?;
        let registered = answer
            .task_definition()
            .ok_or_else(|| invalid_answer(REGISTER, from, "there is no task definition in it"))?;
        arn(REGISTER, from, registered)
    }
}

impl Ecs {
    /// A revision and its tags.
    pub(super) async fn task_definition(&self, revision: &str) -> Result<(TaskDefinition, Vec<Tag>), ApiError> {
        let request = self.client.describe_task_definition().task_definition(revision);
        let answer = request.include(TaskDefinitionField::Tags).send().await;
        let answer = answer.map_err(|error| api_error(DESCRIBE, revision, &error))?;
        let definition = answer.task_definition;
        let definition =
            definition.ok_or_else(|| invalid_answer(DESCRIBE, revision, "there is no task definition in it"))?;
        Ok((definition, answer.tags.unwrap_or_default()))
    }

    /// The revision that this release has registered already.
    async fn registered(
        &self,
        release: &str,
        from: &TaskDefinition,
        image: &Image,
    ) -> Result<Option<String>, ApiError> {
        let family = from.family().unwrap_or_default();
        let request = self.client.list_task_definitions().family_prefix(family);
        let request = request.status(TaskDefinitionStatus::Active).sort(SortOrder::Desc).max_results(LATEST);
        let answer = request.send().await.map_err(|error| api_error(LIST, family, &error))?;
        for candidate in answer.task_definition_arns() {
            if !is_newer(candidate, family, from.revision()) {
                continue;
            }
            let (definition, tags) = self.task_definition(candidate).await?;
            let ours = tags.iter().any(|tag| tag.key() == Some(RELEASE_TAG) && tag.value() == Some(release));
            let has_image = |container: &ContainerDefinition| container.image() == Some(image.as_str());
            if ours && definition.container_definitions().iter().any(has_image) {
                return Ok(Some(candidate.clone()));
            }
        }
        Ok(None)
    }
}

fn arn(operation: &'static str, subject: &str, definition: &TaskDefinition) -> Result<String, ApiError> {
    let arn = definition.task_definition_arn();
    arn.map(Into::into).ok_or_else(|| invalid_answer(operation, subject, "the ARN is missing"))
}

/// Whether the ARN is of a revision of exactly this family, later than the given one.
fn is_newer(arn: &str, family: &str, revision: i32) -> bool {
    let name = arn.rsplit('/').next().unwrap_or_default();
    name.rsplit_once(':').is_some_and(|(its_family, its_revision)| {
        its_family == family && its_revision.parse::<i32>().is_ok_and(|its_revision| its_revision > revision)
    })
}

/// It is not clear which container gets the image.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum ContainerUnclear {
    /// None was named, and there is not just one.
    #[error("name the container that gets the image: the task definition has {}", list(.0))]
    NotNamed(Vec<String>),
    /// The one that was named does not exist.
    #[error("the task definition has no container {wanted}; it has {}", list(.names))]
    NotThere {
        /// The name.
        wanted: String,
        /// The names there are.
        names: Vec<String>,
    },
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

/// The place of the container that gets the image: the named one, or the only one.
///
/// # Errors
/// [`ContainerUnclear`], with the names there are.
pub fn choose_container(containers: &[ContainerDefinition], wanted: Option<&str>) -> Result<usize, ContainerUnclear> {
    let names = || containers.iter().map(|container| container.name().unwrap_or("(unnamed)").into()).collect();
    match wanted {
        Some(name) => containers
            .iter()
            .position(|container| container.name() == Some(name))
            .ok_or_else(|| ContainerUnclear::NotThere { wanted: name.into(), names: names() }),
        None if containers.len() == 1 => Ok(0),
        None => Err(ContainerUnclear::NotNamed(names())),
    }
}

/// A registration that copies all that can be registered, with another image in one container and the
/// release's name among the tags.
///
/// Tags that begin with `aws:` are AWS's own and refused:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html>.
#[must_use]
#[allow(deprecated, reason = "inference accelerators are copied as long as a revision can have them")]
pub fn registration(
    from: &TaskDefinition,
    tags: &[Tag],
    container: usize,
    image: &Image,
    release: &str,
) -> RegisterTaskDefinitionInputBuilder {
    let mut containers = from.container_definitions().to_vec();
    if let Some(container) = containers.get_mut(container) {
        container.image = Some(image.as_str().into());
    }
    let kept = tags.iter().filter(|tag| {
        let key = tag.key().unwrap_or_default();
        key != RELEASE_TAG && !key.to_ascii_lowercase().starts_with("aws:")
    });
    let tags = kept.cloned().chain([Tag::builder().key(RELEASE_TAG).value(release).build()]).collect();
    RegisterTaskDefinitionInputBuilder::default()
        .set_family(from.family.clone())
        .set_task_role_arn(from.task_role_arn.clone())
        .set_execution_role_arn(from.execution_role_arn.clone())
        .set_network_mode(from.network_mode.clone())
        .set_container_definitions(Some(containers))
        .set_volumes(from.volumes.clone())
        .set_placement_constraints(from.placement_constraints.clone())
        .set_requires_compatibilities(from.requires_compatibilities.clone())
        .set_cpu(from.cpu.clone())
        .set_memory(from.memory.clone())
        .set_tags(Some(tags))
        .set_pid_mode(from.pid_mode.clone())
        .set_ipc_mode(from.ipc_mode.clone())
        .set_proxy_configuration(from.proxy_configuration.clone())
        .set_inference_accelerators(from.inference_accelerators.clone())
        .set_ephemeral_storage(from.ephemeral_storage.clone())
        .set_runtime_platform(from.runtime_platform.clone())
        .set_enable_fault_injection(from.enable_fault_injection)
}
