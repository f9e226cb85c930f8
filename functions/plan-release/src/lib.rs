//! Plans a release: reads, and changes nothing.
//!
//! Validates the definition and the version, resolves the roles from the live weights, snapshots the routes,
//! expands the steps, and refuses to start when it must, with every reason at once.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use spillway_aws::error::{ApiError, Named};
use spillway_aws::ports::{Routes, Targets};
use spillway_core::compute::Preparation;
use spillway_core::definition::{InvalidDefinition, ServiceDefinition, ServiceName};
use spillway_core::lease::Lease;
use spillway_core::plan::{self, LiveRoute, Overrides, Plan, Refusal, Refused};
use spillway_core::progress::Progress;
use spillway_core::targets::TargetCounts;
use spillway_core::version::Version;
use thiserror::Error;

/// What is to be released.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Event {
    /// The lease, taken before planning.
    pub lease: Lease,
    /// The service definition as it stands in the parameter store.
    pub definition: String,
    /// What the release was started with: service, version, and overrides if there are any.
    pub request: Value,
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

/// The plan, and where everything else begins.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Output {
    /// The plan.
    pub plan: Plan,
    /// The plan as text, for the lease.
    pub record: String,
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
    /// A call to the load balancer failed.
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
            Self::Api(error) => error.name(),
            Self::Record(_) => "InvalidInput",
        }
    }
}

/// Plans.
///
/// # Errors
/// [`Error`]; nothing has been changed.
pub async fn handle(routes: &impl Routes, targets: &impl Targets, event: Event) -> Result<Output, Error> {
    let definition = ServiceDefinition::from_json(&event.definition)?;
    if definition.service != event.lease.service {
        return Err(Error::OtherService { expected: event.lease.service, found: definition.service });
    }
    let (version, overrides) = wishes(&event.request)?;

    let mut live = Vec::with_capacity(definition.routes.len());
    for arn in &definition.routes {
        live.push(LiveRoute { arn: arn.clone(), actions: routes.read(arn).await? });
    }
    let roles = plan::roles(&definition, &live, &overrides)?;
    let mut stable_targets = Vec::new();
    for group in &definition.slots.get(roles.stable).target_groups {
        stable_targets.push(TargetCounts::of(&targets.states(group).await?));
    }

    let plan = Plan::new(definition, version, overrides, roles, &stable_targets)?;
    let record = serde_json::to_string(&plan)?;
    tracing::info!(stable = %plan.stable.slot, candidate = %plan.candidate.slot, version = %plan.version, "planned");
    Ok(Output { plan, record, progress: Progress::default(), preparation: Preparation::default() })
}

/// What the one who started the release asked for.
fn wishes(request: &Value) -> Result<(Version, Overrides), Refused> {
    let Request { version, overrides, .. } =
        read(request).map_err(|message| Refused(vec![Refusal::InvalidRequest(message)]))?;
    let version: Result<Version, _> = read(&version);
    let overrides: Result<Overrides, _> = if overrides.is_null() { Ok(Overrides::default()) } else { read(&overrides) };
    match (version, overrides) {
        (Ok(version), Ok(overrides)) => match overrides.without_stable.as_deref().map(str::trim) {
            Some("") => {
                Err(Refused(vec![Refusal::InvalidOverrides("without_stable: \"\": allowed: a reason in words".into())]))
            }
            _ => Ok((version, overrides)),
        },
        (version, overrides) => Err(Refused(
            version
                .err()
                .map(Refusal::InvalidVersion)
                .into_iter()
                .chain(overrides.err().map(Refusal::InvalidOverrides))
                .collect(),
        )),
    }
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
