//! Makes the candidate's capacity exist and healthy. Called until it says ready. In a rollback it asks for the stable
//! slot's capacity, where that has been scaled in.
//!
//! The first call keeps both slots from scaling in. Each call looks at what is there, makes at most one change to the
//! candidate's capacity, and says what is missing. All calls together do what one would: a repeated or doubled call finds
//! its work done.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use spillway_aws::error::{ApiError, Named};
use spillway_aws::guard::{self, LeaseError};
use spillway_aws::ports::{
    AutoScalingGroups, EcsServices, GroupInstances, Leases, ScalableTargets, Targets, TaskDefinitions,
};
use spillway_aws::scale_in;
use spillway_core::compute::{
    self, CandidateFailed, EcsState, EcsStep, GroupChange, GroupState, GroupStep, Preparation, wanted_capacity,
};
use spillway_core::decision::Command;
use spillway_core::definition::length::EARLY_WAITING_FACTOR;
use spillway_core::definition::{AutoScalingGroup, Compute, EcsService};
use spillway_core::event::news::{News, Report, Wait};
use spillway_core::hook::{self, Call, Point, Reply, Standing};
use spillway_core::lease::{Freeze, Lease, Notices};
use spillway_core::plan::Plan;
use spillway_core::scaling::Scaling;
use spillway_core::targets::{self, TargetCounts};
use spillway_core::version::Version;
use spillway_core::weight::Percent;
use thiserror::Error;

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

/// What one look at the compute found.
enum Capacity {
    /// So many targets are to be expected in every group; `None` where others decide.
    Complete(Option<u32>),
    /// Something is missing.
    Missing(String),
}

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

/// Asks the hook that provisions external compute, until it has said ok; then the targets have all of their time.
fn provision(
    lease: &Lease,
    plan: &Plan,
    preparation: &mut Preparation,
    reply: &Reply,
    now: Timestamp,
) -> Result<Option<Output>, String> {
    let point = Point::Provision;
    let Some(asked) = plan.hooks.at(point).filter(|_| !preparation.provisioned) else { return Ok(None) };
    match hook::standing(asked, point, preparation.pending, reply, now) {
        Standing::Passed => {
            (preparation.provisioned, preparation.started_at) = (true, Some(now));
            Ok(None)
        }
        Standing::Failed(words) => Err(words),
        Standing::Ask(pending, reason) => {
            preparation.pending = Some(pending);
            let hook = Call::scaling(plan, lease.release(), point, plan.candidate.slot, plan.hosts_wanted());
            let output = waiting(reason, plan.readiness.poll_seconds, preparation.clone());
            Ok(Some(Output { next: Next::Hook, hook, ..output }))
        }
    }
}

fn waiting(reason: String, wait_seconds: u32, preparation: Preparation) -> Output {
    Output { next: Next::Wait, reason, wait_seconds, preparation, hook: None, news: None, command: Command::None }
}

/// What comes before the first users: people who may ask the release to stay, and whose approval it may need.
fn permitted(
    lease: &Lease,
    plan: &Plan,
    mut output: Output,
    command: Command,
    freeze: Option<&Freeze>,
    now: Timestamp,
) -> Result<Output, Error> {
    if output.next != Next::Shift {
        return Ok(output);
    }
    let asks = plan.needs_approval(Percent::ZERO, plan.weight_at(0));
    let (wait, reason) = match (command, freeze) {
        (Command::Pause, _) => (Wait::Operator, "paused by an operator".to_owned()),
        (_, Some(freeze)) => (Wait::Freeze, freeze.to_string()),
        // It would be taken for a word about the first step otherwise.
        (Command::Approve, None) if asks => return Ok(Output { next: Next::ConsumeCommand, command, ..output }),
        (Command::Promote, None) => return Ok(output),
        (_, None) if asks => (Wait::Approval, "ready, waiting for approval".to_owned()),
        _ => {
            output.preparation.told.wait(None);
            return Ok(output);
        }
    };
    let Output { mut preparation, .. } = output;
    let since = *preparation.waiting_since.get_or_insert(now);
    let (waited, patience) = (now.duration_since(since).as_secs().unsigned_abs(), plan.longest_wait_seconds());
    if waited > patience {
        return Err(Error::WaitedTooLong { waited, patience, reason });
    }
    tracing::info!(reason, "the candidate is ready, and stays without traffic");
    let news = preparation.told.wait(Some(&wait)).map(|number| {
        let (weight, reason) = (Percent::ZERO, format!("held at {}: {reason}", Percent::ZERO));
        let report = Report { plan, execution: &lease.owner, time: now, weight, observed: None, reason: &reason };
        report.news(wait.kind(), number)
    });
    let output = waiting(reason, plan.health.check_seconds.saturating_mul(EARLY_WAITING_FACTOR), preparation);
    Ok(if news.is_some() { Output { next: Next::Tell, news, ..output } } else { output })
}

/// What comes between a candidate that is ready and its first users: testers, and the hook, which may fail.
fn tested(
    lease: &Lease,
    plan: &Plan,
    mut preparation: Preparation,
    reply: &Reply,
    now: Timestamp,
) -> Result<Output, String> {
    let point = Point::BeforeTraffic;
    // One that is not ready any more, while testers and the hook are at it, has all of its time again.
    preparation.started_at = Some(now);
    let (next, reason, hook) = if !plan.test_routes.is_empty() && !preparation.test_routes_opened {
        // The next look comes after it was done, or not at all.
        preparation.test_routes_opened = true;
        (Next::OpenTestRoutes, "ready; testers come first".into(), None)
    } else if let Some(asked) = plan.hooks.at(point) {
        match hook::standing(asked, point, preparation.pending, reply, now) {
            Standing::Passed => (Next::Shift, "ready".into(), None),
            Standing::Failed(words) => return Err(words),
            Standing::Ask(pending, words) => {
                preparation.pending = Some(pending);
                (Next::Hook, words, Call::of(plan, lease.release(), point, Percent::ZERO))
            }
        }
    } else {
        (Next::Shift, "ready".into(), None)
    };
    tracing::info!(reason, "the candidate is ready");
    let wait_seconds = plan.readiness.poll_seconds;
    Ok(Output { next, reason, wait_seconds, preparation, hook, news: None, command: Command::None })
}

/// Asks for as much of the stable slot as there was when the release was planned, or as the candidate has by now.
async fn restore<S: EcsServices, R, G: AutoScalingGroups, T, L: Leases>(
    ports: Ports<'_, S, R, G, T, L>,
    lease: &Lease,
    plan: &Plan,
    preparation: Preparation,
) -> Result<Output, Error> {
    guard::verify(ports.leases, lease).await?;
    let wanted = plan.hosts_wanted();
    let reason = match &plan.stable.compute {
        Compute::EcsService(service) => {
            let state = ports.services.describe(service).await?;
            let wanted = match &plan.candidate.compute {
                Compute::EcsService(other) => wanted.max(ports.services.describe(other).await?.desired),
                _ => wanted,
            };
            guard::verify(ports.leases, lease).await?;
            if state.desired < wanted {
                ports.services.update(service, None, wanted, false).await?;
                format!("asked for {wanted} tasks of {}, which had {}", service.service, state.desired)
            } else {
                format!("{} has {} of {} tasks", service.service, state.running, state.desired)
            }
        }
        Compute::AutoScalingGroup(group) => {
            let state = ports.groups.describe(&group.name).await?;
            // Its retirement has set the least to 0: what serves until then knows better.
            let (wanted, min) = match &plan.candidate.compute {
                Compute::AutoScalingGroup(other) => {
                    let serving = ports.groups.describe(&other.name).await?;
                    let wanted = wanted.max(serving.desired);
                    (wanted, state.min.max(serving.min).min(wanted))
                }
                _ => (wanted, state.min),
            };
            guard::verify(ports.leases, lease).await?;
            if state.desired < wanted {
                let (min, max) = (Some(min), Some(state.max.max(wanted)));
                let change = GroupChange { min, max, desired: Some(wanted), version: None };
                ports.groups.update(&group.name, &change).await?;
                format!("asked for {wanted} instances of {}, which had {}", group.name, state.desired)
            } else {
                format!("{} has {} instances", group.name, state.desired)
            }
        }
        Compute::External => "others scale the stable slot".into(),
    };
    tracing::info!(reason, "the stable slot's capacity");
    Ok(waiting(reason, plan.readiness.poll_seconds, preparation))
}

/// The first group that lacks healthy targets.
async fn unhealthy(source: &impl Targets, plan: &Plan, expected: Option<u32>) -> Result<Option<String>, ApiError> {
    for group in &plan.candidate.groups {
        let states = source.states(&group.arn).await?;
        let counts = TargetCounts::of(&states);
        let percent = plan.readiness.minimum_healthy_percent;
        if !counts.enough(expected.unwrap_or(counts.registered), percent) {
            let share = if percent < 100 { format!("{percent} % of ") } else { String::new() };
            let of = expected.map(|expected| format!("; {share}{expected} must be healthy")).unwrap_or_default();
            return Ok(Some(format!("{}: {}{of}", group.arn.name(), targets::by_state(&states))));
        }
    }
    Ok(None)
}

async fn ecs<S: EcsServices, R: TaskDefinitions, G, T, L: Leases>(
    ports: Ports<'_, S, R, G, T, L>,
    lease: &Lease,
    version: &Version,
    stable: &EcsService,
    candidate: &EcsService,
    preparation: &mut Preparation,
) -> Result<Capacity, Error> {
    let (serving, state) = (ports.services.describe(stable).await?, ports.services.describe(candidate).await?);
    let desired = wanted_capacity(serving.desired, state.desired);
    let target = match &preparation.task_definition {
        Some(known) => known.clone(),
        None => revision(ports, lease, version, candidate, &serving, &state).await?,
    };
    preparation.task_definition = Some(target.clone());

    match compute::ecs_step(&state, &target, preparation, desired)? {
        EcsStep::Update { desired, anew } => {
            guard::verify(ports.leases, lease).await?;
            let task_definition = (state.task_definition != target).then_some(target.as_str());
            let after = ports.services.update(candidate, task_definition, desired, anew).await?;
            remember(&after, &target, preparation);
            Ok(Capacity::Missing(format!("asked for {desired} tasks of {target}")))
        }
        EcsStep::Wait(reason) => {
            remember(&state, &target, preparation);
            Ok(Capacity::Missing(reason))
        }
        EcsStep::Complete => {
            remember(&state, &target, preparation);
            Ok(Capacity::Complete(Some(state.desired)))
        }
    }
}

/// Notes which deployment is ours, once.
fn remember(state: &EcsState, target: &str, preparation: &mut Preparation) {
    if preparation.deployment.is_none() {
        let ours = state.deployments.iter().find(|d| d.primary && d.task_definition == target);
        preparation.deployment = ours.map(|deployment| deployment.id.clone());
    }
}

/// The task definition revision to run.
async fn revision<S, R: TaskDefinitions, G, T, L: Leases>(
    ports: Ports<'_, S, R, G, T, L>,
    lease: &Lease,
    version: &Version,
    candidate: &EcsService,
    serving: &EcsState,
    state: &EcsState,
) -> Result<String, Error> {
    Ok(match version {
        Version::Image(image) => {
            guard::verify(ports.leases, lease).await?;
            let container = candidate.container.as_ref().map(spillway_core::definition::EcsName::as_str);
            ports.revisions.with_image(lease.release(), &serving.task_definition, container, image).await?
        }
        Version::TaskDefinition(revision) => ports.revisions.resolve(revision).await?,
        // Deployed by someone else: whatever the service runs.
        Version::LaunchTemplateVersion(_) | Version::Opaque(_) => state.task_definition.clone(),
    })
}

async fn auto_scaling<S, R, G: AutoScalingGroups + GroupInstances, T, L: Leases>(
    ports: Ports<'_, S, R, G, T, L>,
    lease: &Lease,
    plan: &Plan,
    stable: &AutoScalingGroup,
    candidate: &AutoScalingGroup,
) -> Result<Capacity, Error> {
    let serving: GroupState = ports.groups.describe(&stable.name).await?;
    let state = ports.groups.describe(&candidate.name).await?;
    let wanted = match &plan.version {
        Version::LaunchTemplateVersion(version) => Some(version.as_str()),
        _ => None,
    };
    let floor = plan.scaling.iter().find(|own| own.is_of(&plan.candidate.compute)).and_then(Scaling::floor);
    Ok(match compute::group_step(&state, &serving, wanted, floor) {
        GroupStep::Update(change) => {
            guard::verify(ports.leases, lease).await?;
            ports.groups.update(&candidate.name, &change).await?;
            Capacity::Missing(format!("asked for {} instances", change.desired.unwrap_or(state.desired)))
        }
        GroupStep::Unprotect(instances) => {
            guard::verify(ports.leases, lease).await?;
            ports.groups.unprotect(&candidate.name, &instances).await?;
            Capacity::Missing(format!("{} instances of another version were protected from scale-in", instances.len()))
        }
        GroupStep::Wait(reason) => Capacity::Missing(reason),
        GroupStep::Complete => Capacity::Complete(Some(state.desired)),
    })
}
