//! Plans a release, and says whose turn it is when another one runs: reads, and changes nothing.
//!
//! Validates the definition and the version, resolves the roles from the live weights, snapshots the routes, looks at
//! the hours before, expands the steps, and refuses to start when it must, with every reason at once.

mod scaling;
pub mod survey;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use spillway_aws::error::{ApiError, Named};
use spillway_aws::ports::{Alarms, AutoScalingGroups, Leases, Metrics, Routes, ScalableTargets, Targets, Zones};
use spillway_core::arn::RouteArn;
use spillway_core::compute::Preparation;
use spillway_core::definition::{InvalidDefinition, ServiceDefinition, ServiceName};
use spillway_core::lease::{Lease, Notices};
use spillway_core::plan::{self, Draft, LiveRoute, Overrides, Plan, Refusal, Refused, Roles, Survey};
use spillway_core::progress::Progress;
use spillway_core::scaling::Scaling;
use spillway_core::slot::Slot;
use spillway_core::turn::{self, Asking, Turn};
use spillway_core::version::Version;
use thiserror::Error;

/// The most bytes of a plan as JSON. A state of the machine hands on 256 KiB at most, and this one the plan twice.
const MOST_BYTES: usize = 64 * 1024;
/// The largest input of a release: it stands in the lease, and in that of the release that it waits for.
const MOST_REQUEST_BYTES: usize = 8 * 1024;
/// The longest reason for doing without a stable slot: it stands in the plan.
const MOST_REASON_CHARACTERS: usize = 1024;

/// What is to be released.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease, taken before planning.
    pub lease: Lease,
    /// The service definition as it stands in the parameter store.
    pub definition: String,
    /// What the release was started with: service, version, and overrides if there are any.
    pub request: Value,
    /// What to find out. Without it, a plan is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
}

/// The lease was found held: whose turn is it?
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Conflict {
    /// When this release was started.
    pub since: Timestamp,
    /// What it was told before.
    pub before: Turn,
    /// Whether it has waited in the queue before.
    pub queued: bool,
    /// The status of the execution that it follows; empty where it follows none.
    pub followed: String,
}

/// What a release is started with. Parsed in two layers, so that every problem is told at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    #[serde(rename = "service")]
    _service: ServiceName,
    version: Value,
    #[serde(default)]
    overrides: Value,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Output {
    /// The plan.
    Planned(Box<Planned>),
    /// Whose turn it is.
    Turn(Turn),
}

/// The plan, and where everything else begins.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The plan as text, for the lease.
    pub record: String,
    /// What is to be given back to the slots' scaling, as text, for the lease.
    pub scaling: String,
    /// Progress before the first shift.
    pub progress: Progress,
    /// Preparation before the first look.
    pub preparation: Preparation,
}

/// Why there is no plan.
#[derive(Debug, Error)]
pub enum Error {
    /// The definition has problems.
    #[error(transparent)]
    Definition(#[from] InvalidDefinition),
    /// The definition is another service's.
    #[error("service: the definition of {expected} is for \"{found}\"; allowed: the name that it is stored under")]
    OtherService {
        /// The service to be released.
        expected: ServiceName,
        /// The service that the definition names.
        found: ServiceName,
    },
    /// The release must not start.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// There is nothing to do.
    #[error("{0} is what slot {1} serves already")]
    AlreadyStable(Version, Slot),
    /// A call failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The plan cannot be written as JSON.
    #[error("the plan cannot be recorded")]
    Record(#[from] serde_json::Error),
}

impl Named for Error {
    fn name(&self) -> &'static str {
        match self {
            Self::Definition(_) | Self::OtherService { .. } => "InvalidDefinition",
            Self::Refused(_) => "ReleaseRefused",
            Self::AlreadyStable(..) => "AlreadyStable",
            Self::Api(error) => error.name(),
            Self::Record(_) => "InvalidInput",
        }
    }
}

/// Plans, or says whose turn it is.
///
/// Whatever `homes` allows beside the function's own region and account is for definitions that reach further.
///
/// # Errors
/// [`Error`]; nothing has been changed.
pub async fn handle(
    load_balancers: &(impl Routes + Targets + Zones),
    cloudwatch: &(impl Metrics + Alarms),
    compute: &(impl AutoScalingGroups + ScalableTargets),
    leases: &impl Leases,
    homes: &[String],
    clock: impl Fn() -> Timestamp,
    event: Event,
) -> Result<Output, Error> {
    let mut definition = ServiceDefinition::from_json(&event.definition)?;
    if definition.service != event.lease.service {
        return Err(Error::OtherService { expected: event.lease.service, found: definition.service });
    }
    let mut refusals = Vec::new();
    let Wishes { version, overrides } = wishes(&event.request, &mut refusals);
    let changed = overrides.as_ref().filter(|overrides| !overrides.strategy.is_empty());
    match changed.map(|overrides| overrides.applied(&event.definition)) {
        Some(Ok(overridden)) => definition = overridden,
        Some(Err(message)) => refusals.push(Refusal::InvalidOverrides(message)),
        None => {}
    }
    let record = leases.read(&definition.service).await?.unwrap_or_default();
    refusals.extend(plan::strangers(&definition, version.as_ref(), event.lease.home(), homes));
    let freeze = Notices::of(&record, leases.freeze_of_all().await?, clock()).freeze;
    if let Some(Conflict { since, before, queued, followed }) = &event.conflict {
        // Nobody waits, or goes back, for what cannot start.
        if !refusals.is_empty() {
            return Err(Refused(refusals).into());
        }
        let asking = Asking {
            execution: &event.lease.owner,
            since: *since,
            version: version.as_ref(),
            policy: definition.on_conflict,
            queued: *queued,
            frozen: freeze.is_some(),
            following: &before.following,
            followed: Some(followed.as_str()).filter(|status| !status.is_empty()),
        };
        let turn = turn::turn(&asking, &record, clock());
        tracing::info!(next = ?turn.next, reason = turn.reason, "the lease is held");
        return Ok(Output::Turn(turn));
    }
    refusals.extend(freeze.map(Refusal::Frozen));
    let roles = roles(load_balancers, &definition, overrides.as_ref(), &mut refusals).await?;
    if let (Some(roles), Some(version), Some(live)) = (&roles, &version, &record.live) {
        // Who overrides something knows what is there; and what someone else has deployed may be anything.
        let named = !matches!(version, Version::Opaque(_));
        let slots = overrides.as_ref().is_none_or(Overrides::is_about_slots);
        if named && !slots && live.slot == roles.stable && live.version == *version {
            return Err(Error::AlreadyStable(version.clone(), live.slot));
        }
    }
    let found = (roles.as_ref(), version.as_ref(), record.scaling);
    let survey = examine(load_balancers, cloudwatch, compute, &definition, found, clock(), &mut refusals).await?;

    let overrides = overrides.unwrap_or_default();
    let plan = Draft { definition, version, overrides, roles, survey, refusals }.plan()?;
    let plan = Plan { planned_at: Some(clock()), ..plan };
    let record = serde_json::to_string(&plan)?;
    if record.len() > MOST_BYTES {
        return Err(Refused(vec![Refusal::TooLarge { bytes: record.len(), allowed: MOST_BYTES }]).into());
    }
    let scaling = serde_json::to_string(&plan.scaling)?;
    tracing::info!(stable = %plan.stable.slot, candidate = %plan.candidate.slot, version = %plan.version, "planned");
    for warning in &plan.warnings {
        tracing::warn!(warning);
    }
    let planned = Planned { plan, record, scaling, progress: Progress::default(), preparation: Preparation::default() };
    Ok(Output::Planned(Box::new(planned)))
}

/// Which slot is stable, read off the live routes, and what that makes of them; nothing where that is not clear. Every
/// reason not to start is noted.
///
/// # Errors
/// [`ApiError`] of a call that may succeed later.
pub async fn roles(
    load_balancers: &impl Routes,
    definition: &ServiceDefinition,
    overrides: Option<&Overrides>,
    refusals: &mut Vec<Refusal>,
) -> Result<Option<Roles>, ApiError> {
    let live = routes(load_balancers, &definition.routes, refusals).await?;
    let testers = routes(load_balancers, &definition.test_routes, refusals).await?;
    let (Some(live), Some(overrides)) = (live, overrides) else { return Ok(None) };
    let roles = plan::roles(definition, &live, overrides);
    let roles = roles.and_then(|roles| roles.with_test_routes(definition, &testers.unwrap_or_default()));
    Ok(roles.map_err(|refused| refusals.extend(refused.0)).ok())
}

/// Finds out what a plan is made of; given the roles and the version, as far as they are clear, and what earlier releases
/// owe to the slots' scaling. Every reason not to start is noted.
///
/// # Errors
/// [`ApiError`] of a call that may succeed later.
pub async fn examine(
    load_balancers: &(impl Targets + Zones),
    cloudwatch: &(impl Metrics + Alarms),
    compute: &(impl AutoScalingGroups + ScalableTargets),
    definition: &ServiceDefinition,
    (roles, version, owed): (Option<&Roles>, Option<&Version>, Vec<Scaling>),
    now: Timestamp,
    refusals: &mut Vec<Refusal>,
) -> Result<Survey, ApiError> {
    let mut survey = survey::survey(load_balancers, cloudwatch, definition, roles, now, refusals).await?;
    if let Some(roles) = roles {
        survey.scaling = scaling::survey(compute, definition, roles, version, owed, refusals).await?;
    }
    Ok(survey)
}

/// The routes as they stand, or nothing when one cannot be read.
async fn routes(
    source: &impl Routes,
    arns: &[RouteArn],
    refusals: &mut Vec<Refusal>,
) -> Result<Option<Vec<LiveRoute>>, ApiError> {
    let mut live = Vec::with_capacity(arns.len());
    for arn in arns {
        match source.read(arn).await {
            Ok(actions) => live.push(LiveRoute { arn: arn.clone(), actions }),
            // The next attempt may find it.
            Err(error) if error.transient => return Err(error),
            Err(error) => {
                refusals.push(Refusal::UnreadableRoute { route: arn.clone(), reason: error.to_string() });
            }
        }
    }
    Ok((live.len() == arns.len()).then_some(live))
}

/// What the one who started the release asked for, as far as it could be read.
struct Wishes {
    version: Option<Version>,
    overrides: Option<Overrides>,
}

fn wishes(request: &Value, refusals: &mut Vec<Refusal>) -> Wishes {
    let bytes = request.to_string().len();
    if bytes > MOST_REQUEST_BYTES {
        let message = format!("{bytes} bytes; allowed: {MOST_REQUEST_BYTES}");
        refusals.push(Refusal::InvalidRequest(message));
        return Wishes { version: None, overrides: None };
    }
    let Request { version, overrides, .. } = match read(request) {
        Ok(request) => request,
        Err(message) => {
            refusals.push(Refusal::InvalidRequest(message));
            return Wishes { version: None, overrides: None };
        }
    };
    let version = read(&version).map_err(|message| refusals.push(Refusal::InvalidVersion(message))).ok();
    let overrides = if overrides.is_null() { Ok(Overrides::default()) } else { read(&overrides) };
    let overrides =
        overrides.and_then(|overrides: Overrides| match overrides.without_stable.as_deref().map(str::trim) {
            Some("") => Err("without_stable: \"\": allowed: a reason in words".to_owned()),
            Some(reason) if reason.chars().count() > MOST_REASON_CHARACTERS => Err(format!(
                "without_stable: {} characters; allowed: a reason of at most {MOST_REASON_CHARACTERS}",
                reason.chars().count()
            )),
            _ => Ok(overrides),
        });
    let overrides = overrides.map_err(|message| refusals.push(Refusal::InvalidOverrides(message))).ok();
    Wishes { version, overrides }
}

/// Reads a value; the message names the place and shows what is there.
fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let shown: String = value.to_string().chars().take(200).collect();
        match error.path().to_string().as_str() {
            "." => format!("{shown}: {}", error.inner()),
            path => format!("{path}: {shown}: {}", error.inner()),
        }
    })
}
