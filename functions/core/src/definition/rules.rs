//! What no single field can show to be wrong: ranges, order, pairs.

use std::collections::HashMap;

use serde_json::Value;

use super::length::{self, MAX_HISTORY_EVENTS};
use super::problems::{Problem, shown_at};
use super::{Compute, CustomSource, HealthPolicy, ServiceDefinition};
use crate::slot::Slot;
use crate::turn::LONGEST_QUEUE_SECONDS;
use crate::weight::Percent;

/// The most bytes of a definition:
/// <https://docs.aws.amazon.com/systems-manager/latest/userguide/parameter-store-advanced-parameters.html>.
const MOST_BYTES: usize = 8192;

/// Every broken rule.
pub(super) fn broken(definition: &ServiceDefinition, written: &Value) -> Vec<Problem> {
    let mut rules = Rules { written, problems: Vec::new() };
    rules.size();
    rules.count("routes", definition.routes.len(), 1, 10);
    rules.distinct("routes", definition.routes.iter().map(crate::arn::RouteArn::as_str));
    rules.test_routes(definition);
    rules.hooks(definition);
    rules.slots(definition);
    rules.strategy(definition);
    rules.seconds(definition);
    rules.health(definition);
    rules.length(definition);
    rules.problems
}

struct Rules<'a> {
    written: &'a Value,
    problems: Vec<Problem>,
}

impl Rules<'_> {
    fn note(&mut self, path: &str, message: impl Into<String>) {
        self.problems.push(Problem { path: path.into(), value: shown_at(self.written, path), message: message.into() });
    }

    fn size(&mut self) {
        let bytes = self.written.to_string().len();
        if bytes > MOST_BYTES {
            let message = format!(
                "{bytes} bytes without spaces; allowed: {MOST_BYTES}, which is what the parameter store holds in its advanced tier"
            );
            self.problems.push(Problem { path: "$".into(), value: String::new(), message });
        }
    }

    fn count(&mut self, path: &str, count: usize, least: usize, most: usize) {
        if !(least..=most).contains(&count) {
            self.note(path, format!("{count} entries; allowed: {least} to {most}"));
        }
    }

    fn range(&mut self, path: &str, value: u32, least: u32, most: u32) {
        if !(least..=most).contains(&value) {
            self.note(path, format!("out of range; allowed: {least} to {most}"));
        }
    }

    fn distinct<T: Eq + std::hash::Hash>(&mut self, path: &str, texts: impl Iterator<Item = T>) {
        let mut first = HashMap::new();
        for (index, text) in texts.enumerate() {
            if let Some(earlier) = first.insert(text, index) {
                self.note(
                    &format!("{path}[{index}]"),
                    format!("the same as {path}[{earlier}]; allowed: each only once"),
                );
            }
        }
    }

    fn test_routes(&mut self, definition: &ServiceDefinition) {
        self.count("test_routes", definition.test_routes.len(), 0, 10);
        self.distinct("test_routes", definition.test_routes.iter().map(crate::arn::RouteArn::as_str));
        for (index, route) in definition.test_routes.iter().enumerate() {
            if let Some(users) = definition.routes.iter().position(|users| users == route) {
                self.note(
                    &format!("test_routes[{index}]"),
                    format!("the same as routes[{users}]; allowed: a route of the testers' own"),
                );
            }
        }
    }

    fn hooks(&mut self, definition: &ServiceDefinition) {
        let external = Slot::BOTH.iter().any(|slot| definition.slots.get(*slot).compute == Compute::External);
        for (name, hook) in definition.hooks.named() {
            self.range(&format!("hooks.{name}.timeout_seconds"), hook.timeout_seconds, 1, 86_400);
            if matches!(name, "provision" | "retire") && !external {
                self.note(&format!("hooks.{name}"), "nothing would ask it; allowed: with external compute");
            }
        }
    }

    fn slots(&mut self, definition: &ServiceDefinition) {
        let mut seen: HashMap<&str, String> = HashMap::new();
        for slot in Slot::BOTH {
            let price = definition.slots.get(slot).price_per_hour;
            if price.is_some_and(|price| !(0.0..=1e6).contains(&price)) {
                self.note(&format!("slots.{slot}.price_per_hour"), "out of range; allowed: 0 to 1000000");
            }
            let groups = &definition.slots.get(slot).target_groups;
            let path = format!("slots.{slot}.target_groups");
            self.count(&path, groups.len(), 1, 10);
            for (index, group) in groups.iter().enumerate() {
                let place = format!("{path}[{index}]");
                if let Some(earlier) = seen.insert(group.as_str(), place.clone()) {
                    self.note(
                        &place,
                        format!(
                            "the same as {earlier}; allowed: a target group of its own for each slot and load balancer"
                        ),
                    );
                }
            }
        }
        let (blue, green) = (&definition.slots.blue, &definition.slots.green);
        if blue.target_groups.len() != green.target_groups.len() {
            self.note(
                "slots.green.target_groups",
                format!(
                    "{} entries while slots.blue.target_groups has {}; allowed: the same number, in the same order of load balancers",
                    green.target_groups.len(),
                    blue.target_groups.len()
                ),
            );
        }
        if std::mem::discriminant(&blue.compute) != std::mem::discriminant(&green.compute) {
            self.note(
                "slots.green.compute",
                format!("{} while blue has {}; allowed: the same kind in both slots", green.compute, blue.compute),
            );
        } else if blue.compute == green.compute && blue.compute != Compute::External {
            self.note(
                "slots.green.compute",
                "the same as slots.blue.compute; allowed: compute of its own for each slot",
            );
        }
    }

    fn strategy(&mut self, definition: &ServiceDefinition) {
        let strategy = &definition.strategy;
        self.count("strategy.canary.steps", strategy.canary.steps.len(), 1, 20);
        let mut before = Percent::ZERO;
        for (index, step) in strategy.canary.steps.iter().enumerate() {
            let path = format!("strategy.canary.steps[{index}]");
            if step.weight <= before {
                self.note(&path, format!("does not grow; allowed: more than {before}, up to 100 %"));
            }
            before = step.weight;
            let minimum = step.minimum_time_seconds.unwrap_or(strategy.minimum_time_seconds);
            let longest = step.max_step_seconds.unwrap_or(strategy.max_step_seconds);
            if step.minimum_time_seconds.is_some() {
                self.range(&format!("{path}.minimum_time_seconds"), minimum, 0, 86_400);
            }
            if step.max_step_seconds.is_some() {
                self.range(&format!("{path}.max_step_seconds"), longest, 1, 604_800);
            }
            if (step.minimum_time_seconds.is_some() || step.max_step_seconds.is_some()) && longest < minimum {
                self.note(&path, format!("max_step_seconds {longest} is shorter than minimum_time_seconds {minimum}; allowed: at least as long"));
            }
        }
        if !(Percent::whole(5)..=Percent::whole(95)).contains(&strategy.linear.increment) {
            self.note("strategy.linear.increment", "out of range; allowed: 5 to 95");
        }
        self.count("strategy.approval_at", strategy.approval_at.len(), 0, 20);
        self.distinct("strategy.approval_at", strategy.approval_at.iter().map(|weight| f64::from(*weight).to_bits()));
        for (index, weight) in strategy.approval_at.iter().enumerate() {
            if *weight == Percent::ALL {
                self.note(&format!("strategy.approval_at[{index}]"), "nothing comes after it; allowed: 0 to 99.9");
            }
        }
    }

    fn seconds(&mut self, definition: &ServiceDefinition) {
        let (strategy, readiness, retirement) = (&definition.strategy, definition.readiness, definition.retirement);
        self.range("strategy.minimum_time_seconds", strategy.minimum_time_seconds, 0, 86_400);
        self.range("strategy.max_step_seconds", strategy.max_step_seconds, 1, 604_800);
        if strategy.max_step_seconds < strategy.minimum_time_seconds {
            self.note(
                "strategy.max_step_seconds",
                format!("shorter than minimum_time_seconds; allowed: at least {}", strategy.minimum_time_seconds),
            );
        }
        self.range("readiness.timeout_seconds", readiness.timeout_seconds, 10, 86_400);
        self.range("readiness.poll_seconds", readiness.poll_seconds, 1, 300);
        self.range("readiness.minimum_healthy_percent", readiness.minimum_healthy_percent, 1, 100);
        self.range("readiness.warm_up_seconds", readiness.warm_up_seconds, 0, 3600);
        self.range("traffic.settle_seconds", definition.traffic.settle_seconds, 0, 3600);
        self.range("retirement.window_seconds", retirement.window_seconds, 0, 2_505_600);
        self.range("retirement.quiet_seconds", retirement.quiet_seconds, 1, 86_400);
    }

    fn health(&mut self, definition: &ServiceDefinition) {
        let health = &definition.health;
        let period = health.period_seconds;
        let is_period =
            matches!(period, 1 | 5 | 10 | 30) || (period.is_multiple_of(60) && (60..=3600).contains(&period));
        if !is_period {
            self.note(
                "health.period_seconds",
                "not a metric period; allowed: 1, 5, 10, 30 or a multiple of 60 up to 3600",
            );
        }
        self.range("health.check_seconds", health.check_seconds, 1, 3600);
        self.range("health.metric_lag_seconds", health.metric_lag_seconds, 0, 900);
        self.range("health.hold_seconds", health.hold_seconds, 0, 86_400);
        if health.max_error_rate.is_some_and(|limit| limit == Percent::ZERO) {
            self.note("health.max_error_rate", "no room for any error; allowed: above 0, up to 100");
        }
        self.latency(health);
        self.metrics(health);
        self.alarms(definition);
        self.distinct("health.dry_run", health.dry_run.iter());
    }

    fn latency(&mut self, health: &HealthPolicy) {
        let latency = &health.latency;
        self.distinct("health.latency.quantiles", latency.quantiles.iter());
        self.range("health.latency.margin_percent", latency.margin_percent, 0, 1000);
        self.range("health.latency.floor_milliseconds", latency.floor_milliseconds, 0, 3_600_000);
        for (quantile, seconds) in &latency.objectives {
            let path = format!("health.latency.objectives.{quantile}");
            if !(1e-6..=3600.0).contains(seconds) {
                self.note(&path, "out of range; allowed: seconds from 0.000001 to 3600");
            }
            if !latency.quantiles.contains(quantile) {
                self.note(&path, "not compared; allowed: the quantiles in health.latency.quantiles");
            }
        }
    }

    fn metrics(&mut self, health: &HealthPolicy) {
        self.count("health.metrics", health.metrics.len(), 0, 10);
        self.distinct("health.metrics", health.metrics.iter().map(|metric| &metric.name));
        for (index, metric) in health.metrics.iter().enumerate() {
            let path = format!("health.metrics[{index}]");
            if !(1.0..=100.0).contains(&metric.tolerance) {
                self.note(&format!("{path}.tolerance"), "out of range; allowed: 1 to 100");
            }
            for (field, source) in [("count", &metric.count), ("denominator", &metric.denominator)] {
                self.source(&format!("{path}.{field}"), source);
            }
        }
    }

    fn source(&mut self, path: &str, source: &CustomSource) {
        for (field, text) in [("namespace", &source.namespace), ("metric", &source.metric)] {
            if text.trim().is_empty() || text.len() > 255 {
                self.note(&format!("{path}.{field}"), "out of range; allowed: 1 to 255 characters");
            }
        }
        let path = format!("{path}.dimensions");
        self.count(&path, source.dimensions.len(), 1, 30);
        let by_slot = |value: &String| CustomSource::BY_SLOT.iter().any(|place| value.contains(place));
        if !source.dimensions.values().any(by_slot) {
            self.note(&path, "the same for both slots; allowed: a value with {slot} or {target_group} in it");
        }
    }

    fn alarms(&mut self, definition: &ServiceDefinition) {
        let alarms = &definition.health.alarms;
        self.count("health.alarms", alarms.len(), 0, 20);
        self.distinct("health.alarms", alarms.iter().map(|alarm| &alarm.arn));
        let Some(route) = definition.routes.first() else { return };
        for (index, alarm) in alarms.iter().enumerate().filter(|(_, alarm)| alarm.arn.home() != route.home()) {
            self.note(
                &format!("health.alarms[{index}].arn"),
                format!("of {}; allowed: alarms of {}, where the routes are", alarm.arn.home(), route.home()),
            );
        }
    }

    /// A release must fit into one execution.
    fn length(&mut self, definition: &ServiceDefinition) {
        if definition.health.check_seconds == 0 || definition.readiness.poll_seconds == 0 {
            return; // reported already
        }
        let ServiceDefinition { health, readiness, hooks, .. } = definition;
        let steps = definition.strategy.steps();
        let hooked = hooks.longest_seconds(steps.len());
        let before = hooks.longest_seconds_before();
        let looks = hooked / u64::from(health.check_seconds) + before / u64::from(readiness.poll_seconds);
        let events = length::worst_case_events(&steps, health, *readiness) + looks * length::EVENTS_PER_HOOK;
        let seconds = length::worst_case_seconds(&steps, health, *readiness) + hooked + before;
        if events > MAX_HISTORY_EVENTS {
            self.note(
                "strategy.max_step_seconds",
                format!(
                    "the release could take {seconds} s and {events} history events; allowed: {MAX_HISTORY_EVENTS} events, so shorten the steps, the hold or the hooks' time-outs, or check less often"
                ),
            );
        }
        let late = u64::from(readiness.warm_up_seconds) + u64::from(definition.traffic.settle_seconds);
        let exposed = length::longest_exposure_seconds(&steps, health) + hooked + late;
        let kept = length::retention_seconds(health.period_seconds);
        if exposed > kept {
            self.note(
                "health.period_seconds",
                format!("users could be exposed for {exposed} s; allowed: {kept} s, for which metrics of this period are kept"),
            );
        }
        let seconds = seconds + 2 * length::longest_wait_seconds(health) + LONGEST_QUEUE_SECONDS.unsigned_abs();
        if seconds > length::MAX_RELEASE_SECONDS {
            self.note(
                "strategy.max_step_seconds",
                format!(
                    "the release could take {seconds} s, waiting for people included; allowed: {} s",
                    length::MAX_RELEASE_SECONDS
                ),
            );
        }
    }
}
