//! The agent: turns desired state into processes, and registers them in the load balancer.
//!
//! Ten times a second it reads what ECS services, Auto Scaling groups and external slots want, and brings
//! about what an AWS scheduler would: starts tasks, registers them once they have a port, replaces the
//! crashed ones with a growing delay, rolls to a new version by starting the new tasks first, and
//! deregisters a task before it stops it.

mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::application::Dials;
use crate::auto_scaling::Groups;
use crate::aws::{Aws, AwsError};
use tasks::{Call, Launch, Tasks, Wanted};

pub use tasks::{TaskState, TaskView};

const TICK: Duration = Duration::from_millis(100);

/// Something that wants processes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Workload {
    /// Its name, unique in the lab: the name of the ECS service, of the Auto Scaling group or of the slot.
    pub name: String,
    /// The service that it is a slot of: all its slots share one dependency.
    pub service: String,
    /// Where its desired state is.
    pub source: Source,
}

/// Where desired state is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Source {
    /// In an ECS service of the emulator, its target groups included.
    Ecs {
        /// The cluster.
        cluster: String,
    },
    /// In an Auto Scaling group of the lab, its target groups included; its instances are registered by id.
    AutoScaling,
    /// Set by [`Agent::run_external`].
    External {
        /// ARNs.
        target_groups: Vec<String>,
    },
}

/// The running agent; dropping it ends every process it started.
#[derive(Debug)]
pub struct Agent {
    shared: Arc<Shared>,
    work: JoinHandle<()>,
}

/// What the agent is given.
pub(crate) struct Surroundings {
    /// The emulator.
    pub(crate) aws: Aws,
    /// The load balancer's API.
    pub(crate) elbv2: Aws,
    /// The lab's Auto Scaling groups.
    pub(crate) groups: Groups,
    /// The program `lab-application`.
    pub(crate) application: PathBuf,
    /// For logs.
    pub(crate) run_dir: PathBuf,
    /// How long the load balancer lets a deregistered target finish.
    pub(crate) deregistration_delay: Duration,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    tasks: Mutex<BTreeMap<String, Tasks>>,
}

#[derive(Debug, Default)]
struct Table {
    images: BTreeMap<String, Dials>,
    workloads: Vec<Workload>,
    external: BTreeMap<String, (String, usize)>,
    paused: bool,
}

impl Agent {
    pub(crate) fn start(surroundings: Surroundings) -> Self {
        let shared = Arc::new(Shared::default());
        let worker = Worker { shared: Arc::clone(&shared), surroundings, images: BTreeMap::new() };
        Self { shared, work: tokio::spawn(worker.run()) }
    }

    /// Makes an image, or a launch template version, known: processes of it behave like this.
    pub fn publish(&self, image: impl Into<String>, dials: Dials) {
        lock(&self.shared.table).images.insert(image.into(), dials);
    }

    /// Looks after one more workload.
    pub fn look_after(&self, workload: Workload) {
        lock(&self.shared.table).workloads.push(workload);
    }

    /// Sets the desired state of an external workload.
    pub fn run_external(&self, workload: &str, image: &str, count: usize) {
        lock(&self.shared.table).external.insert(workload.to_owned(), (image.to_owned(), count));
    }

    /// The tasks of a workload, oldest first.
    #[must_use]
    pub fn tasks(&self, workload: &str) -> Vec<TaskView> {
        lock(&self.shared.tasks).get(workload).map(Tasks::view).unwrap_or_default()
    }

    /// Stops doing anything, as a scheduler with an outage, or goes on. Running tasks go on running.
    pub fn pause(&self, paused: bool) {
        lock(&self.shared.table).paused = paused;
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.work.abort();
        // First this: a round that is under way starts nothing after it, and what it has started before is cleared.
        lock(&self.shared.table).paused = true;
        lock(&self.shared.tasks).clear();
    }
}

struct Worker {
    shared: Arc<Shared>,
    surroundings: Surroundings,
    /// Images of task definitions, which never change.
    images: BTreeMap<String, String>,
}

impl Worker {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (workloads, paused) = {
                let table = lock(&self.shared.table);
                (table.workloads.clone(), table.paused)
            };
            if paused {
                continue;
            }
            for workload in workloads {
                match self.wanted(&workload).await {
                    Ok(wanted) => self.bring_about(&workload, &wanted).await,
                    // As a real scheduler: leave things as they are and look again.
                    Err(error) => tracing::warn!(workload = workload.name, %error, "desired state is unknown"),
                }
            }
        }
    }

    async fn wanted(&mut self, workload: &Workload) -> Result<Wanted, AwsError> {
        let name = &workload.name;
        let (version, image, count, target_groups, roll) = match &workload.source {
            Source::Ecs { cluster } => {
                let service = describe_ecs(&self.surroundings.aws, cluster, name).await?;
                let groups = service["loadBalancers"].as_array().into_iter().flatten();
                let groups = groups.filter_map(|entry| entry["targetGroupArn"].as_str().map(ToOwned::to_owned));
                let definition = service["taskDefinition"].as_str().unwrap_or_default().to_owned();
                let image = self.image_of(&definition).await?;
                let count = service["desiredCount"].as_u64().unwrap_or(0);
                (definition, image, usize::try_from(count).unwrap_or(0), groups.collect(), true)
            }
            Source::AutoScaling => {
                let group = self.surroundings.groups.get(name).unwrap_or_default();
                let image = group.image();
                (group.version, image, group.desired, group.target_groups, false)
            }
            Source::External { target_groups } => {
                let desired = lock(&self.shared.table).external.get(name).cloned();
                let (image, count) = desired.unwrap_or_default();
                (image.clone(), image, count, target_groups.clone(), true)
            }
        };
        let by_instance = workload.source == Source::AutoScaling;
        let dials = lock(&self.shared.table).images.get(&image).cloned();
        Ok(Wanted { launch: Launch { version, image, dials, by_instance }, count, target_groups, roll })
    }

    async fn image_of(&mut self, definition: &str) -> Result<String, AwsError> {
        if let Some(image) = self.images.get(definition) {
            return Ok(image.clone());
        }
        let body = json!({ "taskDefinition": definition });
        let action = "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition";
        let answer = self.surroundings.aws.call_json(action, &body).await?;
        let container = &answer["taskDefinition"]["containerDefinitions"][0];
        let image = container["image"].as_str().unwrap_or_default().to_owned();
        self.images.insert(definition.to_owned(), image.clone());
        Ok(image)
    }

    async fn bring_about(&self, workload: &Workload, wanted: &Wanted) {
        let Surroundings { application, run_dir, deregistration_delay, .. } = &self.surroundings;
        let calls = {
            // The lock keeps the dropping of the agent and the starting of processes apart.
            let mut all = lock(&self.shared.tasks);
            if lock(&self.shared.table).paused {
                return;
            }
            let tasks = all.entry(workload.name.clone()).or_default();
            tasks.plan(wanted, Instant::now(), *deregistration_delay, |launch, id| {
                tasks::Task::start(application, run_dir, workload, launch, id)
            })
        };
        for call in calls {
            if let Err(error) = self.carry_out(workload, wanted, &call).await {
                // It is planned again at the next tick.
                tracing::warn!(workload = workload.name, %error, "the load balancer refused");
            }
        }
        if workload.source == Source::AutoScaling {
            let view = lock(&self.shared.tasks).get(&workload.name).map(Tasks::view).unwrap_or_default();
            self.surroundings.groups.report(&workload.name, view);
        }
    }

    async fn carry_out(&self, workload: &Workload, wanted: &Wanted, call: &Call) -> Result<(), AwsError> {
        let elbv2 = &self.surroundings.elbv2;
        let change = |action: &'static str, target: &tasks::Target| {
            let (id, port) = (target.id.clone(), target.port.to_string());
            async move {
                for group in &wanted.target_groups {
                    let parameters = [
                        ("TargetGroupArn", group.as_str()),
                        ("Targets.member.1.Id", &id),
                        ("Targets.member.1.Port", &port),
                    ];
                    elbv2.call_query("elasticloadbalancing", ELBV2, action, &parameters).await?;
                }
                Ok::<_, AwsError>(())
            }
        };
        let with_task = |id: &str, then: &dyn Fn(&mut tasks::Task)| {
            if let Some(tasks) = lock(&self.shared.tasks).get_mut(&workload.name) {
                tasks.with(id, then);
            }
        };
        match call {
            Call::Register { task, target } => {
                change("RegisterTargets", target).await?;
                with_task(task, &|task| task.registered());
            }
            Call::Deregister { task, target } => {
                change("DeregisterTargets", target).await?;
                with_task(task, &|task| task.deregistered(Instant::now()));
            }
            Call::Forget { target } => {
                if let Err(error) = change("DeregisterTargets", target).await {
                    // Nobody else remembers this one.
                    lock(&self.shared.tasks).entry(workload.name.clone()).or_default().forget_later(target.clone());
                    return Err(error);
                }
            }
            Call::AskHealth => {
                let mut healthy: Option<BTreeSet<tasks::Target>> = None;
                for group in &wanted.target_groups {
                    let parameters = [("TargetGroupArn", group.as_str())];
                    let action = "DescribeTargetHealth";
                    let answer = elbv2.call_query("elasticloadbalancing", ELBV2, action, &parameters).await?;
                    let here: BTreeSet<tasks::Target> = healthy_targets(&answer);
                    healthy = Some(match healthy {
                        Some(before) => before.intersection(&here).cloned().collect(),
                        None => here,
                    });
                }
                if let Some(tasks) = lock(&self.shared.tasks).get_mut(&workload.name) {
                    tasks.set_healthy(healthy.unwrap_or_default());
                }
            }
        }
        Ok(())
    }
}

/// Version of the ELBv2 API.
pub(crate) const ELBV2: &str = "2015-12-01";

/// Targets that need not be waited for: healthy ones, and those of a group that no route uses.
fn healthy_targets(answer: &crate::xml::Xml) -> BTreeSet<tasks::Target> {
    let members = answer.members("TargetHealthDescriptions");
    let good = members.into_iter().filter(|member| matches!(member.text_of("State"), "healthy" | "unused"));
    good.map(|member| tasks::Target {
        id: member.text_of("Id").to_owned(),
        port: member.text_of("Port").parse().unwrap_or(0),
    })
    .collect()
}

/// An ECS service as the emulator tells it.
pub(crate) async fn describe_ecs(aws: &Aws, cluster: &str, service: &str) -> Result<Value, AwsError> {
    let action = "AmazonEC2ContainerServiceV20141113.DescribeServices";
    let mut answer = aws.call_json(action, &json!({"cluster": cluster, "services": [service]})).await?;
    let found = answer["services"][0].take();
    if found.is_object() {
        return Ok(found);
    }
    Err(AwsError {
        call: format!("{action} {service}"),
        code: "ServiceNotFoundException".to_owned(),
        message: answer["failures"].to_string(),
        status: None,
    })
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The log of a workload's tasks.
fn log_of(run_dir: &Path, workload: &str) -> PathBuf {
    run_dir.join(format!("application-{workload}.log"))
}
