//! Makes the candidate's capacity exist and healthy. Called until it says ready. In a rollback it asks for the stable
//! slot's capacity, where that has been scaled in.
//!
//! The first call keeps both slots from scaling in. Each call looks at what is there, makes at most one change to the
//! candidate's capacity, and says what is missing. All calls together do what one would: a repeated or doubled call finds
//! its work done.

mod before_traffic;
mod capacity;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spillway_aws::error::{ApiError, Named};
use spillway_aws::guard::{self, LeaseError};
use spillway_aws::ports::{
    AutoScalingGroups, EcsServices, GroupInstances, Leases, ScalableTargets, Targets, TaskDefinitions,
};
use spillway_aws::scale_in;
use spillway_core::compute::{CandidateFailed, Preparation};
use spillway_core::decision::Command;
use spillway_core::definition::Compute;
use spillway_core::event::news::News;
use spillway_core::hook::{Call, Reply};
use spillway_core::lease::{Lease, Notices};
use spillway_core::plan::Plan;
use thiserror::Error;

use before_traffic::{permitted, provision, tested};
use capacity::{Capacity, auto_scaling, ecs, restore, unhealthy};

/// What to prepare, for which release.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease that changes are made under.
    pub lease: Lease,
    /// The plan.
    pub plan: Plan,
    /// What earlier calls have done.
    pub preparation: Preparation,
    /// Whose capacity.
    #[serde(default)]
    pub role: Role,
    /// What the hook that was asked last has said.
    #[serde(default)]
    pub hook: Reply,
}

/// Whose capacity is to be there.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The candidate's, with the version to be released.
    #[default]
    Candidate,
    /// The stable slot's, as it was when the release was planned. Asked for, not waited for.
    Stable,
}

/// Where the state machine goes from here.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// Wait, then look again.
    Wait,
    /// The same, once others have been told that the release waits, and for what.
    Tell,
    /// Lead testers to the candidate, then look again.
    OpenTestRoutes,
    /// Ask the hook, wait, then look again.
    Hook,
    /// The candidate can take traffic, on an operator's word, which is taken out of the lease first.
    ConsumeCommand,
    /// The candidate can take traffic.
    Shift,
}

/// How far preparation is.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Output {
    /// What comes next.
    pub next: Next,
    /// What is missing, or that nothing is.
    pub reason: String,
    /// Seconds to wait before the next call.
    pub wait_seconds: u32,
    /// What has been done so far.
    pub preparation: Preparation,
    /// The hook to ask, where that is next.
    pub hook: Option<Call>,
    /// What to tell, where that is next.
    #[serde(default)]
    pub news: Option<News>,
    /// The word to take out of the lease, where that is next.
    pub command: Command,
}

/// Why the candidate will not become ready.
#[derive(Debug, Error)]
pub enum Error {
    /// The lease is lost or cannot be read.
    #[error(transparent)]
    Lease(#[from] LeaseError),
    /// A call to AWS failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The candidate's deployment failed.
    #[error(transparent)]
    Failed(#[from] CandidateFailed),
    /// The candidate's compute and the stable slot's are of different kinds.
    #[error("the slots' compute is of different kinds: {stable} and {candidate}")]
    MixedCompute {
        /// The stable slot's.
        stable: Box<Compute>,
        /// The candidate's.
        candidate: Box<Compute>,
    },
    /// A hook before the first traffic does not say ok.
    #[error("{0}")]
    HookFailed(String),
    /// An operator's word.
    #[error("aborted by an operator before the first traffic")]
    Aborted,
    /// A newer release.
    #[error("{0} is newer, and takes its place")]
    Superseded(String),
    /// The time for it is over.
    #[error("waited for people for {waited} s before the first traffic, at most {patience} s: {reason}")]
    WaitedTooLong {
        /// How long it was waited, in seconds.
        waited: u64,
        /// The time for it, in seconds.
        patience: u64,
        /// What for.
        reason: String,
    },
    /// The time for it is over.
    #[error("the candidate was not ready within {seconds} s: {reason}")]
    NotReady {
        /// The time it had.
        seconds: u32,
        /// What was missing.
        reason: String,
    },
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Lease(error) => error.name(),
            Self::Api(error) => error.name(),
            Self::Failed(_) => "CandidateFailed",
            Self::MixedCompute { .. } => "InvalidInput",
            Self::HookFailed(_) => "HookFailed",
            Self::Aborted => "Aborted",
            Self::Superseded(_) => "Superseded",
            Self::WaitedTooLong { .. } => "WaitedTooLong",
            Self::NotReady { .. } => "CandidateNotReady",
        }
    }
}

/// What preparation needs of the world.
#[derive(Debug)]
pub struct Ports<'a, S, R, G, T, L> {
    /// ECS services.
    pub services: &'a S,
    /// ECS task definitions.
    pub revisions: &'a R,
    /// Auto Scaling groups, and what scales slots.
    pub groups: &'a G,
    /// Target health.
    pub targets: &'a T,
    /// The lease table.
    pub leases: &'a L,
}

impl<S, R, G, T, L> Clone for Ports<'_, S, R, G, T, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, R, G, T, L> Copy for Ports<'_, S, R, G, T, L> {}

/// Prepares, one call at a time.
///
/// # Errors
/// [`Error`]; what was done so far stays, and takes no traffic.
pub async fn handle<S, R, G, T, L>(
    ports: Ports<'_, S, R, G, T, L>,
    clock: impl Fn() -> Timestamp,
    event: Event,
) -> Result<Output, Error>
where
    S: EcsServices,
    R: TaskDefinitions,
    G: AutoScalingGroups + GroupInstances + ScalableTargets,
    T: Targets,
    L: Leases,
{
    let Event { lease, plan, mut preparation, role, hook } = event;
    if role == Role::Stable {
        return restore(ports, &lease, &plan, preparation).await;
    }
    let now = clock();
    preparation.started_at.get_or_insert(now);
    let record = guard::verify(ports.leases, &lease).await?;
    let notices = Notices::of(&record, ports.leases.freeze_of_all().await?, now);
    if record.command == Command::Abort {
        return Err(Error::Aborted);
    }
    if let Some(newer) = notices.superseded_by {
        return Err(Error::Superseded(newer));
    }
    if !preparation.held {
        scale_in::hold(ports.groups, ports.leases, &lease, &plan).await?;
        // Once: whoever sets it otherwise later means it.
        preparation.held = true;
    }

    let capacity = match (&plan.stable.compute, &plan.candidate.compute) {
        (Compute::EcsService(stable), Compute::EcsService(candidate)) => {
            ecs(ports, &lease, &plan.version, stable, candidate, &mut preparation).await?
        }
        (Compute::AutoScalingGroup(stable), Compute::AutoScalingGroup(candidate)) => {
            auto_scaling(ports, &lease, &plan, stable, candidate).await?
        }
        (Compute::External, Compute::External) => {
            if let Some(asking) = provision(&lease, &plan, &mut preparation, &hook, now).map_err(Error::HookFailed)? {
                return Ok(asking);
            }
            Capacity::Complete(None)
        }
        (stable, candidate) => {
            return Err(Error::MixedCompute { stable: stable.clone().into(), candidate: candidate.clone().into() });
        }
    };
    let missing = match capacity {
        Capacity::Complete(expected) => unhealthy(ports.targets, &plan, expected).await?,
        Capacity::Missing(reason) => Some(reason),
    };

    let wait_seconds = plan.readiness.poll_seconds;
    let Some(reason) = missing else {
        let output = tested(&lease, &plan, preparation, &hook, now).map_err(Error::HookFailed)?;
        return permitted(&lease, &plan, output, record.command, notices.freeze.as_ref(), now);
    };
    let seconds = plan.readiness.timeout_seconds;
    let started = preparation.started_at.unwrap_or(now);
    if now.duration_since(started).as_secs() >= i64::from(seconds) {
        return Err(Error::NotReady { seconds, reason });
    }
    tracing::info!(reason, "the candidate is not ready yet");
    Ok(waiting(reason, wait_seconds, preparation))
}

fn waiting(reason: String, wait_seconds: u32, preparation: Preparation) -> Output {
    Output { next: Next::Wait, reason, wait_seconds, preparation, hook: None, news: None, command: Command::None }
}
