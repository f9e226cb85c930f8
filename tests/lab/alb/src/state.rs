//! Everything that the API sets and the data plane goes by.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::AbortHandle;

use crate::action::{self, Action};
use crate::arn::Prefix;
use crate::condition::Condition;
use crate::settings::Settings;
use crate::target_group::TargetGroup;

/// The whole configuration, each resource under its ARN.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) prefix: Prefix,
    pub(crate) region: String,
    pub(crate) rng: fastrand::Rng,
    pub(crate) load_balancers: BTreeMap<String, LoadBalancer>,
    pub(crate) target_groups: BTreeMap<String, TargetGroup>,
    pub(crate) listeners: BTreeMap<String, Listener>,
    pub(crate) rules: BTreeMap<String, Rule>,
    pub(crate) tags: BTreeMap<String, BTreeMap<String, String>>,
    registrations: u64,
}

#[derive(Debug)]
pub(crate) struct LoadBalancer {
    pub(crate) arn: String,
    pub(crate) created: Timestamp,
    pub(crate) spec: LoadBalancerSpec,
}

/// What a load balancer was asked to be; the same again is the same load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadBalancerSpec {
    pub(crate) name: String,
    pub(crate) scheme: String,
    pub(crate) ip_address_type: String,
    pub(crate) subnets: Vec<String>,
    pub(crate) security_groups: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) arn: String,
    pub(crate) load_balancer: String,
    pub(crate) port: u16,
    /// The rule that holds the default actions; it has an ARN of its own.
    pub(crate) default_rule: String,
    /// Stops accepting connections.
    pub(crate) accepting: AbortHandle,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) arn: String,
    pub(crate) listener: String,
    /// None for the default rule.
    pub(crate) priority: Option<u32>,
    pub(crate) current: Config,
    /// Earlier configurations, each with the end of its use by the data plane.
    earlier: Vec<(Instant, Config)>,
}

/// What a change of a rule replaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) conditions: Vec<Condition>,
    pub(crate) actions: Vec<Action>,
}

impl Rule {
    pub(crate) fn new(arn: String, listener: String, priority: Option<u32>, config: Config) -> Self {
        Self { arn, listener, priority, current: config, earlier: Vec::new() }
    }

    /// Changes the rule; the data plane follows after `delay`.
    pub(crate) fn change(&mut self, config: Config, now: Instant, delay: Duration) {
        let old = std::mem::replace(&mut self.current, config);
        self.earlier.retain(|(until, _)| *until > now);
        if !delay.is_zero() {
            self.earlier.push((now + delay, old));
        }
    }

    /// What the data plane goes by now.
    pub(crate) fn effective(&self, now: Instant) -> &Config {
        self.earlier.iter().find(|(until, _)| *until > now).map_or(&self.current, |(_, config)| config)
    }
}

impl State {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            prefix: Prefix::new(&settings.region, &settings.account),
            region: settings.region.clone(),
            rng: fastrand::Rng::with_seed(settings.seed),
            load_balancers: BTreeMap::new(),
            target_groups: BTreeMap::new(),
            listeners: BTreeMap::new(),
            rules: BTreeMap::new(),
            tags: BTreeMap::new(),
            registrations: 0,
        }
    }

    /// Sixteen hexadecimal digits, as at the end of every ARN.
    pub(crate) fn new_id(&mut self) -> String {
        format!("{:016x}", self.rng.u64(..))
    }

    pub(crate) fn new_registration(&mut self) -> u64 {
        self.registrations += 1;
        self.registrations
    }

    /// The rules of a listener by priority, the default rule last.
    pub(crate) fn rules_of(&self, listener: &str) -> Vec<&Rule> {
        let mut rules: Vec<&Rule> = self.rules.values().filter(|rule| rule.listener == listener).collect();
        rules.sort_by_key(|rule| rule.priority.unwrap_or(u32::MAX));
        rules
    }

    /// The load balancer that a listener belongs to.
    pub(crate) fn load_balancer_of(&self, listener: &str) -> Option<&str> {
        self.listeners.get(listener).map(|listener| listener.load_balancer.as_str())
    }

    /// Works out anew which target groups are in use, weight 0 included.
    pub(crate) fn refresh_use(&mut self) {
        let mut users: BTreeMap<String, String> = BTreeMap::new();
        for rule in self.rules.values() {
            let Some(load_balancer) = self.load_balancer_of(&rule.listener) else { continue };
            for (group, _) in action::forward(&rule.current.actions).map_or(&[][..], |forward| &forward.groups) {
                users.insert(group.clone(), load_balancer.to_owned());
            }
        }
        for (arn, group) in &mut self.target_groups {
            group.set_used_by(users.remove(arn));
        }
    }

    /// Removes the targets that have drained.
    pub(crate) fn prune(&mut self, now: Instant) {
        for group in self.target_groups.values_mut() {
            group.prune(now);
        }
    }

    /// The groups and weights of a rule's, or a listener's default, forward action.
    pub(crate) fn weights(&self, route: &str) -> Option<Vec<(String, u32)>> {
        let rule = self.listeners.get(route).map_or(route, |listener| &listener.default_rule);
        action::forward(&self.rules.get(rule)?.current.actions).map(|forward| forward.groups.clone())
    }
}
