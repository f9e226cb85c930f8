//! How traffic moves: strategies and the steps they expand to.

use serde::{Deserialize, Deserializer, Serialize};

use super::length::Step;
use crate::weight::Percent;

/// How traffic moves to the candidate. `type` alone switches; the other fields have good defaults and may
/// stay when the type changes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Strategy {
    /// Which strategy.
    #[serde(rename = "type")]
    pub kind: StrategyType,
    /// Settings of `canary`.
    #[serde(default)]
    pub canary: Canary,
    /// Settings of `linear`.
    #[serde(default)]
    pub linear: Linear,
    /// Seconds that a step lasts at least, 0 to 86 400; the bake of `blue_green` and `all_at_once`. Default 180.
    #[serde(default = "default_minimum_time")]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 86_400)))]
    pub minimum_time_seconds: u32,
    /// Seconds after which a step without proof is decided by `health.on_inconclusive`, at least
    /// `minimum_time_seconds` and at most 604 800. Default 600.
    #[serde(default = "default_max_step")]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 604_800)))]
    pub max_step_seconds: u32,
    /// Whether planning may fit the steps to the expected traffic. Default `auto`.
    #[serde(default)]
    pub adapt: Adapt,
    /// Weights in percent beyond which a release goes only with a person's approval, below 100; 0 is before the first
    /// users. Up to 20. While it waits it goes on being judged. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "schema", schemars(length(max = 20)))]
    pub approval_at: Vec<Percent>,
}

/// Whether planning may fit the steps to the expected traffic. It says what it did.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Adapt {
    /// It may: steps above 50 % are left out, and 50 % gets their time, where the stable version's traffic there would be
    /// too little to compare with; steps below 20 % in which proof is out of reach last no longer than it takes to
    /// measure their minimum time.
    #[default]
    Auto,
    /// It may not.
    AsWritten,
}

fn default_minimum_time() -> u32 {
    180
}

fn default_max_step() -> u32 {
    600
}

/// Which strategy.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum StrategyType {
    /// A few steps of growing weight.
    Canary,
    /// Equal increments, ending in 95 %.
    Linear,
    /// All traffic in one step, the old slot kept warm.
    BlueGreen,
    /// All traffic in one step.
    AllAtOnce,
}

impl std::fmt::Display for StrategyType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Canary => "canary",
            Self::Linear => "linear",
            Self::BlueGreen => "blue_green",
            Self::AllAtOnce => "all_at_once",
        })
    }
}

/// Settings of the canary strategy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Canary {
    /// Growing weights, 1 to 20 of them: numbers of percent, or objects that set a step's times as well.
    /// Default 1, 5, 25, 50, 95.
    #[cfg_attr(feature = "schema", schemars(length(min = 1, max = 20)))]
    pub steps: Vec<StepSetting>,
}

impl Default for Canary {
    fn default() -> Self {
        Self { steps: [1, 5, 25, 50, 95].map(|w| StepSetting::at(Percent::whole(w))).into() }
    }
}

/// Settings of the linear strategy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Percent added by each step, 5 to 95. Default 20: 20, 40, 60, 80, 95.
    #[cfg_attr(feature = "schema", schemars(extend("minimum" = 5, "maximum" = 95)))]
    pub increment: Percent,
}

impl Default for Linear {
    fn default() -> Self {
        Self { increment: Percent::whole(20) }
    }
}

/// One step of a canary: `5`, or `{"weight": 5, "minimum_time_seconds": 600}`.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct StepSetting {
    /// The candidate's weight.
    pub weight: Percent,
    /// Overrides the strategy's `minimum_time_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_time_seconds: Option<u32>,
    /// Overrides the strategy's `max_step_seconds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_step_seconds: Option<u32>,
}

impl StepSetting {
    fn at(weight: Percent) -> Self {
        Self { weight, minimum_time_seconds: None, max_step_seconds: None }
    }
}

/// The object form of a step.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
struct StepObject {
    /// The candidate's weight.
    weight: Percent,
    /// In place of the strategy's `minimum_time_seconds`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 86_400)))]
    minimum_time_seconds: Option<u32>,
    /// In place of the strategy's `max_step_seconds`.
    #[serde(default)]
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 604_800)))]
    max_step_seconds: Option<u32>,
}

// By hand and not `untagged`, which would swallow the reason and the place of an error.
impl<'de> Deserialize<'de> for StepSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NumberOrObject;
        impl<'de> serde::de::Visitor<'de> for NumberOrObject {
            type Value = StepSetting;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a percentage, or an object with a weight")
            }

            fn visit_f64<E: serde::de::Error>(self, percent: f64) -> Result<StepSetting, E> {
                Percent::try_from(percent).map(StepSetting::at).map_err(E::custom)
            }

            #[allow(clippy::cast_precision_loss, reason = "numbers that large are refused anyway")]
            fn visit_u64<E: serde::de::Error>(self, percent: u64) -> Result<StepSetting, E> {
                self.visit_f64(percent as f64)
            }

            #[allow(clippy::cast_precision_loss, reason = "numbers that large are refused anyway")]
            fn visit_i64<E: serde::de::Error>(self, percent: i64) -> Result<StepSetting, E> {
                self.visit_f64(percent as f64)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<StepSetting, A::Error> {
                let step = StepObject::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(StepSetting {
                    weight: step.weight,
                    minimum_time_seconds: step.minimum_time_seconds,
                    max_step_seconds: step.max_step_seconds,
                })
            }
        }
        deserializer.deserialize_any(NumberOrObject)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for StepSetting {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "StepSetting".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let number = generator.subschema_for::<Percent>();
        let object = generator.subschema_for::<StepObject>();
        schemars::json_schema!({
            "description": "A percentage, or an object with a weight and a step's own times in seconds.",
            "anyOf": [number, object],
        })
    }
}

impl Strategy {
    /// The last weight that leaves the stable version enough traffic to be compared with.
    const LAST_COMPARED: Percent = Percent::whole(95);

    /// A strategy with all of its defaults.
    #[must_use]
    pub fn of(kind: StrategyType) -> Self {
        Self {
            kind,
            canary: Canary::default(),
            linear: Linear::default(),
            minimum_time_seconds: default_minimum_time(),
            max_step_seconds: default_max_step(),
            adapt: Adapt::default(),
            approval_at: Vec::new(),
        }
    }

    /// The steps that the strategy expands to, in order. Promotion to 100 % follows the last of them.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let settings = match self.kind {
            StrategyType::Canary => self.canary.steps.clone(),
            StrategyType::Linear => self.linear_weights().into_iter().map(StepSetting::at).collect(),
            StrategyType::BlueGreen | StrategyType::AllAtOnce => vec![StepSetting::at(Percent::ALL)],
        };
        settings
            .into_iter()
            .map(|step| Step {
                weight: step.weight,
                minimum_time_seconds: step.minimum_time_seconds.unwrap_or(self.minimum_time_seconds),
                max_step_seconds: step.max_step_seconds.unwrap_or(self.max_step_seconds),
            })
            .collect()
    }

    fn linear_weights(&self) -> Vec<Percent> {
        let increment = f64::from(self.linear.increment);
        (1..=20u8)
            .map(|n| increment * f64::from(n))
            .take_while(|weight| *weight < f64::from(Self::LAST_COMPARED) - 1e-9)
            .filter_map(|weight| Percent::try_from(weight).ok())
            .chain([Self::LAST_COMPARED])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(json: &str) -> Vec<f64> {
        let strategy: Strategy = serde_json::from_str(json).unwrap();
        strategy.steps().iter().map(|s| s.weight.into()).collect()
    }

    #[test]
    fn one_field_switches_between_strategies() {
        for (kind, expected) in [
            ("canary", vec![1.0, 5.0, 25.0, 50.0, 95.0]),
            ("linear", vec![20.0, 40.0, 60.0, 80.0, 95.0]),
            ("blue_green", vec![100.0]),
            ("all_at_once", vec![100.0]),
        ] {
            assert_eq!(weights(&format!(r#"{{"type":"{kind}"}}"#)), expected);
        }
    }

    #[test]
    fn linear_ends_in_95_whatever_the_increment() {
        for (increment, expected) in
            [("95", vec![95.0]), ("47.5", vec![47.5, 95.0]), ("50", vec![50.0, 95.0]), ("33.3", vec![33.3, 66.6, 95.0])]
        {
            assert_eq!(weights(&format!(r#"{{"type":"linear","linear":{{"increment":{increment}}}}}"#)), expected);
        }
        assert_eq!(weights(r#"{"type":"linear","linear":{"increment":5}}"#).len(), 19);
    }

    #[test]
    fn a_step_may_have_times_of_its_own() {
        let strategy: Strategy = serde_json::from_str(
            r#"{"type":"canary","canary":{"steps":[2.5,{"weight":50,"minimum_time_seconds":7}]},"max_step_seconds":70}"#,
        )
        .unwrap();
        let steps = strategy.steps();
        assert_eq!((steps[0].minimum_time_seconds, steps[0].max_step_seconds), (180, 70));
        assert_eq!((steps[1].minimum_time_seconds, steps[1].max_step_seconds), (7, 70));
    }
}
