//! What the one who starts a release may say beside the version.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::definition::ServiceDefinition;
use crate::slot::Slot;

/// Fields of a definition's `strategy` that one release may have otherwise. `approval_at` is none of them: who starts a
/// release does not approve it by that.
pub const OVERRIDABLE: [&str; 6] = ["type", "canary", "linear", "minimum_time_seconds", "max_step_seconds", "adapt"];

/// What the one who starts a release may say beside the version.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Overrides {
    /// Names the stable slot when both carry traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stable: Option<Slot>,
    /// Why the release may start without a healthy stable slot: a first deployment, or a dead one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without_stable: Option<String>,
    /// Fields of the definition's `strategy` for this release alone, of those in [`OVERRIDABLE`], each as a whole.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub strategy: Map<String, Value>,
}

impl Overrides {
    /// Whether it says something about which slot is stable, or that none is.
    #[must_use]
    pub fn is_about_slots(&self) -> bool {
        self.stable.is_some() || self.without_stable.is_some()
    }

    /// The definition as it is for this release.
    ///
    /// # Errors
    /// In words: a field that may not be overridden, or every problem of the definition with the others.
    pub fn applied(&self, definition: &str) -> Result<ServiceDefinition, String> {
        if let Some(field) = self.strategy.keys().find(|field| !OVERRIDABLE.contains(&field.as_str())) {
            return Err(format!("strategy.{field}: not for one release alone; allowed: {}", OVERRIDABLE.join(", ")));
        }
        let mut document: Value =
            serde_json::from_str(definition).map_err(|error| format!("the definition: {error}"))?;
        if let Some(strategy) = document.get_mut("strategy").and_then(Value::as_object_mut) {
            strategy.extend(self.strategy.clone());
        }
        ServiceDefinition::from_json(&document.to_string()).map_err(|invalid| format!("strategy: with it {invalid}"))
    }

    /// What is overridden, in words; nothing where nothing is.
    pub(super) fn warning(&self) -> Option<String> {
        let fields: Vec<String> = self.strategy.iter().map(|(field, value)| format!("{field} {value}")).collect();
        (!fields.is_empty()).then(|| format!("strategy: {} for this release only, by its overrides", fields.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const DEFINITION: &str = include_str!("../../definition/example.json");

    fn applied(strategy: &Value) -> Result<ServiceDefinition, String> {
        let overrides: Overrides = serde_json::from_value(json!({ "strategy": strategy })).unwrap();
        overrides.applied(DEFINITION)
    }

    #[test]
    fn a_field_is_overridden_as_a_whole_and_the_others_stay() {
        let before = ServiceDefinition::from_json(DEFINITION).unwrap();
        let after = applied(&json!({"canary": {"steps": [10, 50]}, "minimum_time_seconds": 60})).unwrap();
        let weights: Vec<f64> = after.strategy.steps().iter().map(|step| step.weight.into()).collect();
        assert_eq!((weights, after.strategy.minimum_time_seconds), (vec![10.0, 50.0], 60));
        assert_eq!(after.strategy.max_step_seconds, before.strategy.max_step_seconds);
        assert_eq!((after.health, after.slots), (before.health.clone(), before.slots.clone()));
        assert_eq!(applied(&json!({})).unwrap(), ServiceDefinition::from_json(DEFINITION).unwrap());
    }

    #[test]
    fn what_may_not_be_overridden_or_makes_no_sense_is_said() {
        for (strategy, expected) in [
            (json!({"approval_at": []}), "strategy.approval_at: not for one release alone; allowed: type, canary"),
            (json!({"tpye": "linear"}), "strategy.tpye: not for one release alone"),
            (json!({"type": "yolo"}), "unknown variant `yolo`"),
            (json!({"max_step_seconds": 0}), "strategy.max_step_seconds: 0: "),
        ] {
            let why = applied(&strategy).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
