//! A service in the lab: load balancers, routes, target groups, compute in two slots, and its definition.

mod builder;
mod weights;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::agent::{ELBV2, TaskView, describe_ecs};
use crate::application::Dials;
use crate::auto_scaling::image;
use crate::aws::{AwsError, plain};
use crate::dependency::Dependency;
use crate::eventually::eventually;
use crate::execution::Execution;
use crate::lab::{Lab, LabError};
use crate::ministack::hex;
use crate::process;
use crate::run_dir::tail;
use crate::state_machines::{LEASE_TABLE, PARAMETER_PREFIX};

pub use builder::ServiceBuilder;
pub use weights::RouteWeights;

/// The ECS cluster of all services.
pub const CLUSTER: &str = "lab";
/// The container of all task definitions.
pub const CONTAINER: &str = "app";

/// One of the two slots.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Slot {
    /// The one that is stable at the start.
    Blue,
    /// The other.
    Green,
}

impl Slot {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Blue, Self::Green];
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Blue { "blue" } else { "green" })
    }
}

/// What runs the slots.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Compute {
    /// Two ECS services.
    Ecs,
    /// Two Auto Scaling groups, with launch template versions.
    AutoScaling,
    /// Processes set by [`Service::run_external`].
    External,
}

fn borrowed(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

async fn ecs(lab: &Lab, action: &str, body: &Value) -> Result<Value, AwsError> {
    lab.aws().call_json(&format!("AmazonEC2ContainerServiceV20141113.{action}"), body).await
}

/// A running service.
#[derive(Debug)]
pub struct Service<'a> {
    lab: &'a Lab,
    name: String,
    compute: Compute,
    urls: Vec<String>,
    load_balancers: Vec<String>,
    listeners: Vec<String>,
    routes: Vec<String>,
    test_routes: Vec<String>,
    target_groups: BTreeMap<Slot, Vec<String>>,
}

impl Service<'_> {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where users reach it: `http://127.0.0.1:PORT/`, at the first load balancer.
    #[must_use]
    pub fn url(&self) -> String {
        self.urls.first().cloned().unwrap_or_default()
    }

    /// The same at each load balancer.
    #[must_use]
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// ARNs of the load balancers.
    #[must_use]
    pub fn load_balancers(&self) -> &[String] {
        &self.load_balancers
    }

    /// ARNs of the listeners, one for each load balancer.
    #[must_use]
    pub fn listeners(&self) -> &[String] {
        &self.listeners
    }

    /// ARNs of the routes: rules, or listeners for default actions.
    #[must_use]
    pub fn routes(&self) -> &[String] {
        &self.routes
    }

    /// ARNs of the testers' routes.
    #[must_use]
    pub fn test_routes(&self) -> &[String] {
        &self.test_routes
    }

    /// ARNs of a slot's target groups, one for each load balancer.
    #[must_use]
    pub fn target_groups(&self, slot: Slot) -> &[String] {
        self.target_groups.get(&slot).map_or(&[], Vec::as_slice)
    }

    /// The dimensions of a slot's metrics, as CloudWatch's API takes them: a list for each load balancer.
    #[must_use]
    pub fn target_group_dimensions(&self, slot: Slot) -> Vec<Value> {
        let lists = self.load_balancers.iter().zip(self.target_groups(slot));
        lists
            .map(|(load_balancer, group)| {
                json!([load_balancer_dimension(load_balancer), target_group_dimension(group)])
            })
            .collect()
    }

    /// The dimensions of the load balancers' own metrics: a list for each.
    #[must_use]
    pub fn load_balancer_dimensions(&self) -> Vec<Value> {
        self.load_balancers.iter().map(|arn| json!([load_balancer_dimension(arn)])).collect()
    }

    /// Name of a slot's ECS service, Auto Scaling group or external workload.
    #[must_use]
    pub fn workload(&self, slot: Slot) -> String {
        format!("{}-{slot}", self.name)
    }

    /// A definition that releases this service in seconds: change it, and [`Service::put_definition`] it.
    #[must_use]
    pub fn definition(&self) -> Value {
        let slot = |slot: Slot| {
            let compute = match self.compute {
                Compute::Ecs => {
                    json!({"ecs_service": {"cluster": CLUSTER, "service": self.workload(slot), "container": CONTAINER}})
                }
                Compute::AutoScaling => json!({"auto_scaling_group": {"name": self.workload(slot)}}),
                Compute::External => json!("external"),
            };
            json!({"target_groups": self.target_groups(slot), "compute": compute})
        };
        json!({
            "service": self.name,
            "routes": self.routes,
            "test_routes": self.test_routes,
            "slots": {"blue": slot(Slot::Blue), "green": slot(Slot::Green)},
            "strategy": {
                "type": "canary",
                "canary": {"steps": [5, 25, 50, 95]},
                "linear": {"increment": 20},
                "minimum_time_seconds": 3,
                "max_step_seconds": 20,
                "adapt": "as_written",
            },
            "readiness": {"timeout_seconds": 20, "poll_seconds": 1, "minimum_healthy_percent": 100},
            "health": {
                "period_seconds": 1,
                "check_seconds": 1,
                "metric_lag_seconds": 2,
                "hold_seconds": 10,
                "on_inconclusive": "advance",
            },
            "traffic": {"settle_seconds": 1},
            "retirement": {"window_seconds": 2, "quiet_seconds": 2},
        })
    }

    /// Puts a definition where releases read it; the service's own is there from the start.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn put_definition(&self, definition: &Value) -> Result<(), AwsError> {
        let body = json!({
            "Name": format!("{PARAMETER_PREFIX}{}", self.name),
            "Value": definition.to_string(),
            "Type": "String",
            "Tier": "Advanced",
            "Overwrite": true,
        });
        self.lab.aws().call_json("AmazonSSM.PutParameter", &body).await.map(drop)
    }

    /// Makes an image known and gives its name, by digest: equal names and dials are the same image. One that
    /// was never published cannot start.
    #[must_use = "the image is named by its digest"]
    pub fn publish_image(&self, name: &str, dials: Dials) -> String {
        let image = unpublished_image(&self.name, name, &dials);
        self.lab.agent().publish(image.clone(), dials);
        image
    }

    /// Makes a version of the launch template of the service's Auto Scaling groups known.
    pub fn publish_launch_template_version(&self, version: &str, dials: Dials) {
        self.lab.agent().publish(image(&self.name, version), dials);
    }

    /// Registers a revision of the service's task definition and gives its ARN.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn register_task_definition(&self, image: &str) -> Result<String, AwsError> {
        let body = json!({
            "family": self.name,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": "256",
            "memory": "512",
            "containerDefinitions":
                [{"name": CONTAINER, "image": image, "essential": true, "portMappings": [{"containerPort": 80}]}],
        });
        let answer = ecs(self.lab, "RegisterTaskDefinition", &body).await?;
        Ok(answer["taskDefinition"]["taskDefinitionArn"].as_str().unwrap_or_default().to_owned())
    }

    /// Changes a slot's ECS service, as an operator would: desired count, task definition or both.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn update_ecs(
        &self,
        slot: Slot,
        desired: Option<usize>,
        task_definition: Option<&str>,
    ) -> Result<(), AwsError> {
        let mut body = json!({"cluster": CLUSTER, "service": self.workload(slot)});
        if let Some(desired) = desired {
            body["desiredCount"] = desired.into();
        }
        if let Some(definition) = task_definition {
            body["taskDefinition"] = definition.into();
        }
        ecs(self.lab, "UpdateService", &body).await.map(drop)
    }

    /// A slot's ECS service as the emulator tells it.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn describe_ecs(&self, slot: Slot) -> Result<Value, AwsError> {
        describe_ecs(self.lab.aws(), CLUSTER, &self.workload(slot)).await
    }

    /// Lets a slot's ECS service be scaled automatically, as far as that shows: nothing in the lab scales by itself.
    pub fn scale_automatically(&self, slot: Slot) {
        self.lab.auto_scaling.targets.register(&self.scalable_target(slot));
    }

    /// Whether dynamic scale-in of a slot's ECS service is suspended; `None` where it is not scaled automatically.
    #[must_use]
    pub fn scale_in_suspended(&self, slot: Slot) -> Option<bool> {
        self.lab.auto_scaling.targets.scale_in_suspended(&self.scalable_target(slot))
    }

    fn scalable_target(&self, slot: Slot) -> String {
        format!("service/{CLUSTER}/{}", self.workload(slot))
    }

    /// Sets what an external slot runs.
    pub fn run_external(&self, slot: Slot, image: &str, count: usize) {
        self.lab.agent().run_external(&self.workload(slot), image, count);
    }

    /// The processes of a slot, oldest first.
    #[must_use]
    pub fn tasks(&self, slot: Slot) -> Vec<TaskView> {
        self.lab.agent().tasks(&self.workload(slot))
    }

    /// Kills the oldest process of a slot, and gives its id; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be killed.
    pub fn kill_task(&self, slot: Slot) -> io::Result<Option<u32>> {
        let Some(task) = self.tasks(slot).into_iter().next() else { return Ok(None) };
        process::kill(task.pid)?;
        Ok(Some(task.pid))
    }

    /// Kills every process of a slot.
    ///
    /// # Errors
    /// If one cannot be killed.
    pub fn kill_tasks(&self, slot: Slot) -> io::Result<()> {
        self.tasks(slot).into_iter().try_for_each(|task| process::kill(task.pid))
    }

    /// Makes the dependency that all of the service's processes share fail for this share of requests, 0 to 1, in
    /// both slots from the next request on; health checks are not touched.
    ///
    /// # Errors
    /// For any other share, or if the file that tells the processes cannot be written.
    pub fn fail_dependency(&self, share: f64) -> io::Result<()> {
        Dependency::of_service(self.lab.run_dir(), &self.name).fail(share)
    }

    /// Lets the dependency work again.
    ///
    /// # Errors
    /// If the file that tells the processes cannot be removed.
    pub fn restore_dependency(&self) -> io::Result<()> {
        Dependency::of_service(self.lab.run_dir(), &self.name).restore()
    }

    /// Healthy targets of a slot, in the target group that has the fewest.
    ///
    /// # Errors
    /// The load balancer's.
    pub async fn healthy(&self, slot: Slot) -> Result<usize, AwsError> {
        let mut least = usize::MAX;
        for group in self.target_groups(slot) {
            let answer = self.elbv2("DescribeTargetHealth", &[("TargetGroupArn", group)]).await?;
            let members = answer.members("TargetHealthDescriptions");
            least = least.min(members.iter().filter(|member| member.text_of("State") == "healthy").count());
        }
        Ok(if least == usize::MAX { 0 } else { least })
    }

    /// Waits until a slot has exactly this many healthy targets in every target group.
    ///
    /// # Errors
    /// [`LabError::NotServing`] with the end of the application's log.
    pub async fn wait_healthy(&self, slot: Slot, count: usize, timeout: Duration) -> Result<(), LabError> {
        let look = || async {
            match self.healthy(slot).await {
                Ok(healthy) if healthy == count => Ok(()),
                Ok(healthy) => Err(format!("{healthy} of {count} targets of {slot} are healthy")),
                Err(error) => Err(error.to_string()),
            }
        };
        let waited = eventually(timeout, look).await;
        waited.map_err(|late| {
            let log = self.lab.run_dir().join(format!("application-{}.log", self.workload(slot)));
            LabError::NotServing { service: self.name.clone(), reason: late.to_string(), tail: tail(&log), log }
        })
    }

    /// Starts a release of this version.
    ///
    /// # Errors
    /// [`LabError::Bare`], or the emulator's.
    pub async fn release(&self, version: &Value) -> Result<Execution, LabError> {
        self.release_with(version, &Value::Null, None).await
    }

    /// Starts a release with overrides (or null) and a name.
    ///
    /// # Errors
    /// [`LabError::Bare`], or the emulator's.
    pub async fn release_with(
        &self,
        version: &Value,
        overrides: &Value,
        name: Option<&str>,
    ) -> Result<Execution, LabError> {
        let mut input = json!({"service": self.name, "version": version});
        if !overrides.is_null() {
            input["overrides"] = overrides.clone();
        }
        self.lab.start_execution("release", name, &input).await
    }

    /// Undoes the latest promoted release.
    ///
    /// # Errors
    /// [`LabError::Bare`], or the emulator's.
    pub async fn undo(&self) -> Result<Execution, LabError> {
        self.lab.start_execution("rollback", None, &json!({"service": self.name})).await
    }

    /// Deletes a route, as a stranger would.
    ///
    /// # Errors
    /// The load balancer's.
    pub async fn delete_route(&self, rule: &str) -> Result<(), AwsError> {
        self.elbv2("DeleteRule", &[("RuleArn", rule)]).await.map(drop)
    }

    /// The lease, as plain JSON; `None` if the service never had one.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn lease(&self) -> Result<Option<Value>, AwsError> {
        let key = json!({"service": {"S": self.name}});
        let body = json!({"TableName": LEASE_TABLE, "Key": key, "ConsistentRead": true});
        let answer = self.lab.aws().call_json("DynamoDB_20120810.GetItem", &body).await?;
        Ok(answer.get("Item").map(plain))
    }

    /// Changes attributes of the lease, as an operator's command or a stranger would; `values` are in
    /// DynamoDB's own form, `{"command": {"S": "pause"}}`.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn update_lease(&self, values: &Value) -> Result<(), AwsError> {
        let fields: Vec<(&String, &Value)> = values.as_object().into_iter().flatten().collect();
        let sets: Vec<String> = (0..fields.len()).map(|index| format!("#n{index} = :v{index}")).collect();
        let names = fields.iter().enumerate().map(|(index, (name, _))| (format!("#n{index}"), json!(name)));
        let filled = fields.iter().enumerate().map(|(index, (_, value))| (format!(":v{index}"), (*value).clone()));
        let body = json!({
            "TableName": LEASE_TABLE,
            "Key": {"service": {"S": self.name}},
            "UpdateExpression": format!("SET {}", sets.join(", ")),
            "ExpressionAttributeNames": names.collect::<serde_json::Map<_, _>>(),
            "ExpressionAttributeValues": filled.collect::<serde_json::Map<_, _>>(),
        });
        self.lab.aws().call_json("DynamoDB_20120810.UpdateItem", &body).await.map(drop)
    }

    /// Takes an attribute out of the lease, as nobody but a stranger would.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn forget_in_lease(&self, attribute: &str) -> Result<(), AwsError> {
        let body = json!({
            "TableName": LEASE_TABLE,
            "Key": {"service": {"S": self.name}},
            "UpdateExpression": "REMOVE #name",
            "ExpressionAttributeNames": {"#name": attribute},
        });
        self.lab.aws().call_json("DynamoDB_20120810.UpdateItem", &body).await.map(drop)
    }

    /// Gives the running release an operator's command: `pause`, `resume`, `approve`, `promote` or `abort`.
    ///
    /// # Errors
    /// The emulator's.
    pub async fn command(&self, command: &str) -> Result<(), AwsError> {
        self.update_lease(&json!({"command": {"S": command}})).await
    }

    async fn elbv2(&self, action: &str, parameters: &[(&str, &str)]) -> Result<crate::xml::Xml, AwsError> {
        self.lab.elbv2().call_query("elasticloadbalancing", ELBV2, action, parameters).await
    }
}

fn load_balancer_dimension(arn: &str) -> Value {
    json!({"Name": "LoadBalancer", "Value": arn.split_once("loadbalancer/").map(|(_, value)| value)})
}

fn target_group_dimension(arn: &str) -> Value {
    json!({"Name": "TargetGroup", "Value": arn.rsplit(':').next()})
}

/// The name of an image by digest, whether or not it was published.
#[must_use]
pub fn unpublished_image(service: &str, name: &str, dials: &Dials) -> String {
    let text = format!("{name}\n{}", json!(dials));
    format!("{service}@sha256:{}", hex(&Sha256::digest(text.as_bytes())))
}
