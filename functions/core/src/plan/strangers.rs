//! What a definition, or a release, names that is not the installation's.

use super::Refusal;
use crate::arn;
use crate::definition::{Compute, ServiceDefinition};
use crate::slot::Slot;
use crate::version::Version;

/// Refusals for what a definition, or the version to be released, names outside of the installation's own region and account (`REGION:ACCOUNT`), and of
/// those allowed beside it. A home that is not known refuses nothing.
#[must_use]
pub fn strangers(
    definition: &ServiceDefinition,
    version: Option<&Version>,
    home: &str,
    allowed: &[String],
) -> Vec<Refusal> {
    if home.split(':').any(str::is_empty) {
        return Vec::new();
    }
    let foreign = |arn: &str| {
        let at = arn::home(arn);
        // A name without an ARN is looked up where the function runs.
        arn.starts_with("arn:") && at != home && !allowed.iter().any(|allowed| allowed == at)
    };
    let revision = match version {
        Some(Version::TaskDefinition(revision)) => Some(("version.task_definition".to_owned(), revision.as_str())),
        _ => None,
    };
    named(definition)
        .into_iter()
        .chain(revision)
        .filter(|(_, arn)| foreign(arn))
        .map(|(path, arn)| Refusal::Stranger { path, arn: arn.to_owned(), home: home.to_owned() })
        .collect()
}

/// Everything that a definition names, and where.
fn named(definition: &ServiceDefinition) -> Vec<(String, &str)> {
    let mut named = Vec::new();
    for (field, routes) in [("routes", &definition.routes), ("test_routes", &definition.test_routes)] {
        named.extend(routes.iter().enumerate().map(|(index, arn)| (format!("{field}[{index}]"), arn.as_str())));
    }
    for slot in Slot::BOTH {
        let chosen = definition.slots.get(slot);
        let groups = chosen.target_groups.iter().enumerate();
        named.extend(groups.map(|(index, arn)| (format!("slots.{slot}.target_groups[{index}]"), arn.as_str())));
        if let Compute::EcsService(ecs) = &chosen.compute {
            named.push((format!("slots.{slot}.compute.ecs_service.cluster"), ecs.cluster.as_str()));
            named.push((format!("slots.{slot}.compute.ecs_service.service"), ecs.service.as_str()));
        }
    }
    let alarms = definition.health.alarms.iter().enumerate();
    named.extend(alarms.map(|(index, alarm)| (format!("health.alarms[{index}].arn"), alarm.arn.as_str())));
    let hooks = definition.hooks.named();
    named.extend(hooks.map(|(name, hook)| (format!("hooks.{name}.function"), hook.function.as_str())));
    named
}
