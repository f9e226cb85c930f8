//! The stack as a whole.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use spillway_lab_alb::{Alb, Faults, Settings, StartError};

use crate::agent::{Agent, Surroundings};
use crate::auto_scaling::AutoScaling;
use crate::aws::{Aws, AwsError};
use crate::execution::Execution;
use crate::front::Front;
use crate::functions::{APPLICATION, Endpoints, FunctionError, Functions, programs};
use crate::ministack::{Ministack, MinistackError, install};
use crate::paths;
use crate::run_dir::RunDir;
use crate::service::ServiceBuilder;
use crate::state_machines::{StateMachineError, StateMachines};

/// Why the lab did not start.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The emulator.
    #[error(transparent)]
    Ministack(#[from] MinistackError),
    /// The load balancer.
    #[error("the load balancer did not start")]
    LoadBalancer(#[from] StartError),
    /// The functions.
    #[error(transparent)]
    Functions(#[from] FunctionError),
    /// The state machines.
    #[error(transparent)]
    StateMachines(#[from] StateMachineError),
    /// A call.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A service that did not become healthy; the end of its log.
    #[error("service {service} is not serving: {reason}; the end of {}:\n{tail}", log.display())]
    NotServing {
        /// The service.
        service: String,
        /// What is wrong.
        reason: String,
        /// The log of its application.
        log: PathBuf,
        /// The end of that.
        tail: String,
    },
    /// Without the release machinery there are no releases.
    #[error("this lab was started without functions and state machines")]
    Bare,
    /// Files, sockets, tasks.
    #[error("cannot {0}")]
    Io(String, #[source] io::Error),
}

/// What a lab is started with.
#[derive(Clone, Debug)]
#[must_use]
pub struct Builder {
    machinery: bool,
    function_timeout: Duration,
    lease: Option<Duration>,
    python: Option<PathBuf>,
    alb: Settings,
}

impl Builder {
    /// Without functions and state machines: load balancer, emulator and agent only.
    pub fn bare(mut self) -> Self {
        self.machinery = false;
        self
    }

    /// The functions' own time-out, whole seconds. Default 10 s.
    pub fn function_timeout(mut self, timeout: Duration) -> Self {
        self.function_timeout = timeout;
        self
    }

    /// How long a lease lasts. Default: 5 s longer than two invocations.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = Some(lease);
        self
    }

    /// The Python to install the emulator with. Default: that named by SPILLWAY_PYTHON, else `python3`.
    pub fn python(mut self, python: impl Into<PathBuf>) -> Self {
        self.python = Some(python.into());
        self
    }

    /// How the load balancer is set up. Where other CloudWatch calls go is the lab's business.
    pub fn alb(mut self, settings: Settings) -> Self {
        self.alb = settings;
        self
    }

    /// Builds what is missing and starts everything.
    ///
    /// # Errors
    /// [`LabError`]; what had been started is ended.
    pub async fn start(self) -> Result<Lab, LabError> {
        let Self { machinery, function_timeout, lease, python, alb } = self;
        let lab = paths::lab();
        let dir = lab.clone();
        let blocking = tokio::task::spawn_blocking(move || {
            let interpreter = install(&dir, python.as_deref())?;
            let programs = programs(&dir, machinery)?;
            Ok::<_, LabError>((interpreter, programs))
        });
        let (interpreter, programs) =
            blocking.await.map_err(|error| LabError::Io("prepare the lab".to_owned(), error.into()))??;
        let run = RunDir::create(&lab).map_err(|error| LabError::Io(format!("use {}", lab.display()), error))?;

        let ministack = Ministack::start(&interpreter, &run).await?;
        let alb = Settings { cloudwatch_upstream: Some(ministack.url().to_owned()), ..alb };
        let deregistration_delay = alb.deregistration_delay;
        let alb = Alb::start(alb).await?;
        let auto_scaling =
            AutoScaling::start().await.map_err(|error| LabError::Io("serve Auto Scaling".to_owned(), error))?;
        let front = Front::start(ministack.url())
            .await
            .map_err(|error| LabError::Io("serve the functions".to_owned(), error))?;
        let aws = ministack.client();
        let elbv2 = Aws::new(alb.elbv2_url());
        let endpoints = Endpoints {
            aws: front.url().to_owned(),
            elbv2: alb.elbv2_url(),
            cloudwatch: alb.cloudwatch_url(),
            auto_scaling: auto_scaling.url().to_owned(),
        };
        let links = run.tmp().join("programs");
        let functions = Functions::new(aws.clone(), &programs, &links, &endpoints, function_timeout)?;
        let application = functions.program(APPLICATION)?.to_owned();
        let machines = if machinery {
            functions.create_all().await?;
            let lease = lease.unwrap_or(function_timeout * 2 + Duration::from_secs(5));
            Some(StateMachines::create(&aws, &functions, lease).await?)
        } else {
            None
        };
        let agent = Agent::start(Surroundings {
            aws: aws.clone(),
            elbv2: elbv2.clone(),
            groups: auto_scaling.groups.clone(),
            application,
            run_dir: run.path().to_owned(),
            deregistration_delay,
        });
        Ok(Lab { agent, machines, functions, elbv2, aws, auto_scaling, alb, front, ministack, run })
    }
}

/// A running stack. Dropping it stops everything; whatever kills the process that holds it, nothing it
/// started stays.
#[derive(Debug)]
pub struct Lab {
    // In the order in which they are to be dropped.
    agent: Agent,
    machines: Option<StateMachines>,
    functions: Functions,
    elbv2: Aws,
    aws: Aws,
    pub(crate) auto_scaling: AutoScaling,
    alb: Alb,
    front: Front,
    ministack: Ministack,
    run: RunDir,
}

impl Lab {
    /// How to start one.
    pub fn builder() -> Builder {
        Builder {
            machinery: true,
            function_timeout: Duration::from_secs(10),
            lease: None,
            python: None,
            alb: Settings::default(),
        }
    }

    /// A new service behind a load balancer of its own.
    pub fn service(&self, name: &str) -> ServiceBuilder<'_> {
        ServiceBuilder::new(self, name)
    }

    /// The load balancer stand-in: its faults, counts and log of calls.
    #[must_use]
    pub fn alb(&self) -> &Alb {
        &self.alb
    }

    /// The faults of the functions' own calls to the emulator: by the names of their actions, for example `GetItem` (of the
    /// lease) or `UpdateService`.
    #[must_use]
    pub fn call_faults(&self) -> &Faults {
        self.front.faults()
    }

    /// The emulator.
    #[must_use]
    pub fn ministack(&self) -> &Ministack {
        &self.ministack
    }

    /// A client of the emulator.
    #[must_use]
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// A client of the load balancer's API.
    #[must_use]
    pub fn elbv2(&self) -> &Aws {
        &self.elbv2
    }

    /// Where Auto Scaling is.
    #[must_use]
    pub fn auto_scaling_url(&self) -> &str {
        self.auto_scaling.url()
    }

    /// The agent: its tasks, and what it knows of images.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The functions.
    #[must_use]
    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// The state machines; `None` in a bare lab.
    #[must_use]
    pub fn state_machines(&self) -> Option<&StateMachines> {
        self.machines.as_ref()
    }

    /// Starts an execution of `release`, `retire` or `guard`.
    ///
    /// # Errors
    /// [`LabError::Bare`] if there is no such machine, or the emulator's.
    pub async fn start_execution(
        &self,
        machine: &str,
        name: Option<&str>,
        input: &Value,
    ) -> Result<Execution, LabError> {
        let arn = self.machines.as_ref().and_then(|machines| machines.arn(machine)).ok_or(LabError::Bare)?;
        Ok(Execution::start(&self.aws, arn, name, input).await?)
    }

    /// The executions of a machine that run now, the newest first, at most 1000.
    ///
    /// # Errors
    /// [`LabError::Bare`] if there is no such machine, or the emulator's.
    pub async fn running_executions(&self, machine: &str) -> Result<Vec<Execution>, LabError> {
        let arn = self.machines.as_ref().and_then(|machines| machines.arn(machine)).ok_or(LabError::Bare)?;
        let body = serde_json::json!({"stateMachineArn": arn, "statusFilter": "RUNNING", "maxResults": 1000});
        let answer = self.aws.call_json("AWSStepFunctions.ListExecutions", &body).await?;
        let arns = answer["executions"].as_array().into_iter().flatten();
        Ok(arns.filter_map(|one| Some(Execution::of(&self.aws, one["executionArn"].as_str()?))).collect())
    }

    /// The directory of logs.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        self.run.path()
    }

    /// The variables with which the command line tool, and any SDK, speaks to this lab.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let text = ToOwned::to_owned;
        vec![
            ("AWS_ENDPOINT_URL", text(self.ministack.url())),
            ("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", self.alb.elbv2_url()),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", self.alb.cloudwatch_url()),
            ("AWS_ENDPOINT_URL_AUTO_SCALING", text(self.auto_scaling.url())),
            ("AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING", text(self.auto_scaling.url())),
            ("AWS_REGION", text(crate::aws::REGION)),
            // What boto3 and version 1 of the command line tool read.
            ("AWS_DEFAULT_REGION", text(crate::aws::REGION)),
            ("AWS_ACCESS_KEY_ID", text("test")),
            ("AWS_SECRET_ACCESS_KEY", text("test")),
        ]
    }

    /// Stops everything, and waits until it has stopped.
    pub async fn stop(self) {
        // Killing and reaping takes milliseconds; it must not hold up the runtime's other tasks.
        if let Err(error) = tokio::task::spawn_blocking(move || drop(self)).await {
            tracing::warn!(%error, "stopping the lab failed");
        }
    }
}
