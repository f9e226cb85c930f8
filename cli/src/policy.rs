//! The part of a definition that judging and simulating read.

use std::path::Path;

use serde::Deserialize;
use spillway_core::definition::{HealthPolicy, ServiceDefinition, Strategy, StrategyType};

use crate::input::{self, Fault};

/// An object with some of a definition.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    strategy: Option<Strategy>,
    #[serde(default)]
    health: HealthPolicy,
}

/// Strategy and health policy of a definition, or of an object with these two, whose rules are the same.
pub fn read(path: &Path) -> Result<(Strategy, HealthPolicy), Fault> {
    let text = input::read(path)?;
    let invalid = |problem: String| Fault::Invalid { name: path.display().to_string(), problem };
    let value: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| invalid(format!("not JSON: {error}")))?;
    if value.get("service").is_some() {
        let definition = ServiceDefinition::from_json(&text).map_err(|error| invalid(error.to_string()))?;
        return Ok((definition.strategy, definition.health));
    }
    if !value.is_object() {
        return Err(invalid("not an object; allowed: a definition, or an object with its strategy and health".into()));
    }
    let policy: PolicyFile = serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
    let (strategy, health) = (policy.strategy.unwrap_or_else(|| Strategy::of(StrategyType::Canary)), policy.health);
    ServiceDefinition::check_policy(&strategy, &health).map_err(|error| invalid(error.to_string()))?;
    Ok((strategy, health))
}
