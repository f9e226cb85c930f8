//! Everything that the API sets and the data plane goes by.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::AbortHandle;

use crate::action::{self, Action};
use crate::arn::Prefix;
use crate::condition::Condition;
use crate::faults::Lag;
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
    /// Configurations that were replaced and may still count, oldest first.
    earlier: Vec<Replaced>,
}

/// An earlier configuration of a rule.
#[derive(Debug)]
struct Replaced {
    config: Config,
    at: Instant,
    lag: Lag,
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

    /// Changes the rule; the data plane and what the API tells follow after `lag`.
    pub(crate) fn change(&mut self, config: Config, now: Instant, lag: Lag) {
        let config = std::mem::replace(&mut self.current, config);
        self.earlier.retain(|replaced| replaced.counts(now, replaced.lag.data_plane.max(replaced.lag.reads)));
        self.earlier.push(Replaced { config, at: now, lag });
    }

    /// What the data plane goes by now.
    pub(crate) fn effective(&self, now: Instant) -> &Config {
        self.first(|replaced| replaced.counts(now, replaced.lag.data_plane))
    }

    /// What the API tells now; with reads stale since some time, changes since then are told late.
    pub(crate) fn told(&self, now: Instant, stale_since: Option<Instant>) -> &Config {
        let stale = |replaced: &Replaced| stale_since.is_some_and(|since| replaced.at >= since);
        self.first(|replaced| stale(replaced) && replaced.counts(now, replaced.lag.reads))
    }

    fn first(&self, counts: impl Fn(&Replaced) -> bool) -> &Config {
        self.earlier.iter().find(|replaced| counts(replaced)).map_or(&self.current, |replaced| &replaced.config)
    }
}

impl Replaced {
    fn counts(&self, now: Instant, lag: Duration) -> bool {
        now.saturating_duration_since(self.at) < lag
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
        let now = Instant::now();
        let mut users: BTreeMap<String, String> = BTreeMap::new();
        for rule in self.rules.values() {
            let Some(load_balancer) = self.load_balancer_of(&rule.listener) else { continue };
            for (group, _) in action::forward(&rule.current.actions).map_or(&[][..], |forward| &forward.groups) {
                users.insert(group.clone(), load_balancer.to_owned());
            }
        }
        for (arn, group) in &mut self.target_groups {
            group.set_used_by(users.remove(arn), now);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::Node;

    fn answering(code: &str) -> Config {
        let form =
            format!("Actions.member.1.Type=fixed-response&Actions.member.1.FixedResponseConfig.StatusCode={code}");
        let actions = action::parse_list(Node::from_form(form.as_bytes()).list("Actions"), &[]).unwrap();
        Config { conditions: Vec::new(), actions }
    }

    fn rule(code: &str) -> Rule {
        Rule::new("rule".to_owned(), "listener".to_owned(), None, answering(code))
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_data_plane_and_reads_follow_each_with_their_own_lag() {
        let start = Instant::now();
        let mut rule = rule("201");
        rule.change(answering("202"), start, Lag { data_plane: secs(4), reads: secs(2) });
        rule.change(answering("203"), start + secs(1), Lag { data_plane: secs(4), reads: secs(2) });
        for (second, effective, told) in
            [(1, "201", "201"), (2, "201", "202"), (3, "201", "203"), (4, "202", "203"), (5, "203", "203")]
        {
            let now = start + secs(second);
            assert_eq!(*rule.effective(now), answering(effective), "{second}");
            assert_eq!(*rule.told(now, Some(start)), answering(told), "{second}");
        }
    }

    /// Without a lag of its own a change waits for those before it, so that nothing goes back in time.
    #[test]
    fn a_later_change_does_not_overtake() {
        let start = Instant::now();
        let mut rule = rule("201");
        rule.change(answering("202"), start, Lag { data_plane: secs(9), ..Lag::default() });
        rule.change(answering("203"), start + secs(1), Lag::default());
        assert_eq!(*rule.effective(start + secs(8)), answering("201"));
        assert_eq!(*rule.effective(start + secs(9)), answering("203"));
    }

    #[test]
    fn changes_before_reads_became_stale_are_told_at_once() {
        let start = Instant::now();
        let mut rule = rule("201");
        rule.change(answering("202"), start, Lag { reads: secs(9), ..Lag::default() });
        for (stale_since, told) in [(Some(start), "201"), (Some(start + secs(1)), "202"), (None, "202")] {
            assert_eq!(*rule.told(start + secs(1), stale_since), answering(told), "{stale_since:?}");
        }
    }
}
