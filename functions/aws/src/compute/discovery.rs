//! What runs behind target groups. For the command line; no function asks for it.

use aws_sdk_autoscaling::types::AutoScalingGroup;
use aws_sdk_ecs::types::{Service, ServiceField};

use super::auto_scaling::AutoScaling;
use super::ecs::Ecs;
use super::task_definitions::{ContainerUnclear, choose_container};
use crate::client::api_error;
use crate::error::ApiError;

const DESCRIBE_GROUPS: &str = "DescribeAutoScalingGroups";
const DESCRIBE_SERVICES: &str = "DescribeServices";
const LIST_CLUSTERS: &str = "ListClusters";
const LIST_SERVICES: &str = "ListServices";
/// The most services of one call: <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html>.
const MOST_SERVICES: usize = 10;

/// An ECS service and what it registers its tasks in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct EcsWorkload {
    /// The service's ARN.
    pub arn: String,
    /// Its cluster's name.
    pub cluster: String,
    /// Its name.
    pub service: String,
    /// Target groups' ARNs, each with the container that is registered.
    pub behind: Vec<(String, String)>,
    /// The value of its tag `spillway:managed`.
    pub managed: Option<String>,
    /// The ARN of the task definition that it runs.
    pub task_definition: String,
}

/// An Auto Scaling group and what it registers its instances in.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct GroupWorkload {
    /// The group's ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Target groups' ARNs.
    pub behind: Vec<String>,
    /// The value of its tag `spillway:managed`.
    pub managed: Option<String>,
}

/// The tag of what an installation may change.
pub const MANAGED: &str = "spillway:managed";

impl Ecs {
    /// All active services of all clusters.
    ///
    /// # Errors
    /// The call's.
    pub async fn all(&self) -> Result<Vec<EcsWorkload>, ApiError> {
        let mut pages = self.client.list_clusters().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(LIST_CLUSTERS, "", &error))?;
            for cluster in page.cluster_arns() {
                found.extend(self.of_cluster(cluster).await?);
            }
        }
        Ok(found)
    }

    async fn of_cluster(&self, cluster: &str) -> Result<Vec<EcsWorkload>, ApiError> {
        let mut pages = self.client.list_services().cluster(cluster).into_paginator().send();
        let mut arns = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(LIST_SERVICES, cluster, &error))?;
            arns.extend(page.service_arns.unwrap_or_default());
        }
        let mut found = Vec::with_capacity(arns.len());
        for some in arns.chunks(MOST_SERVICES) {
            found.extend(self.workloads(cluster, some).await?);
        }
        Ok(found)
    }

    /// Some services of a cluster, by name or ARN; one that does not exist, or not any more, is left out.
    ///
    /// # Errors
    /// The call's.
    pub async fn workloads(&self, cluster: &str, services: &[String]) -> Result<Vec<EcsWorkload>, ApiError> {
        let call = self.client.describe_services().cluster(cluster).set_services(Some(services.to_vec()));
        let answer = call.include(ServiceField::Tags).send().await;
        let answer = answer.map_err(|error| api_error(DESCRIBE_SERVICES, services.join(", "), &error))?;
        Ok(answer.services().iter().filter(|service| service.status() == Some("ACTIVE")).map(ecs_workload).collect())
    }

    /// Whether it is clear which container of a task definition an image would go to: the wanted one, or the only one.
    ///
    /// # Errors
    /// The call's.
    pub async fn takes_image(
        &self,
        task_definition: &str,
        wanted: Option<&str>,
    ) -> Result<Result<(), ContainerUnclear>, ApiError> {
        let (definition, _) = self.task_definition(task_definition).await?;
        Ok(choose_container(definition.container_definitions(), wanted).map(drop))
    }

    /// The roles that a revision hands on, by their ARNs: its tasks' and the one that starts them.
    ///
    /// # Errors
    /// The call's.
    pub async fn roles(&self, task_definition: &str) -> Result<Vec<String>, ApiError> {
        let (definition, _) = self.task_definition(task_definition).await?;
        let roles = [definition.task_role_arn, definition.execution_role_arn];
        Ok(roles.into_iter().flatten().filter(|role| role.starts_with("arn:")).collect())
    }
}

impl AutoScaling {
    /// All groups.
    ///
    /// # Errors
    /// The call's.
    pub async fn all(&self) -> Result<Vec<GroupWorkload>, ApiError> {
        let mut pages = self.client.describe_auto_scaling_groups().into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| api_error(DESCRIBE_GROUPS, "", &error))?;
            found.extend(page.auto_scaling_groups().iter().map(group_workload));
        }
        Ok(found)
    }
}

fn ecs_workload(service: &Service) -> EcsWorkload {
    let name = |arn: Option<&str>| arn.unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned();
    let behind = service.load_balancers().iter().filter_map(|one| {
        Some((one.target_group_arn()?.to_owned(), one.container_name().unwrap_or_default().to_owned()))
    });
    let managed = service.tags().iter().find(|tag| tag.key() == Some(MANAGED));
    EcsWorkload {
        arn: service.service_arn().unwrap_or_default().to_owned(),
        cluster: name(service.cluster_arn()),
        service: service.service_name().unwrap_or_default().to_owned(),
        behind: behind.collect(),
        managed: managed.map(|tag| tag.value().unwrap_or_default().to_owned()),
        task_definition: service.task_definition().unwrap_or_default().to_owned(),
    }
}

fn group_workload(group: &AutoScalingGroup) -> GroupWorkload {
    // A target group that is attached as a traffic source is told of there only.
    let sources = group.traffic_sources().iter().filter_map(|source| source.identifier());
    let mut behind: Vec<String> =
        group.target_group_arns().iter().map(String::as_str).chain(sources).map(Into::into).collect();
    behind.sort();
    behind.dedup();
    let managed = group.tags().iter().find(|tag| tag.key() == Some(MANAGED));
    GroupWorkload {
        arn: group.auto_scaling_group_arn().unwrap_or_default().to_owned(),
        name: group.auto_scaling_group_name().unwrap_or_default().to_owned(),
        behind,
        managed: managed.map(|tag| tag.value().unwrap_or_default().to_owned()),
    }
}
