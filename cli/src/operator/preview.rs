//! What a release would do, by the code that plans it: nothing is changed.

use std::time::Duration;

use jiff::Timestamp;
use plan_release::{Conflict, Error, Event, Output, handle};
use serde_json::{Value, json};
use spillway_aws::compute::AutoScaling;
use spillway_aws::lease::LeaseTable;
use spillway_aws::load_balancer::LoadBalancers;
use spillway_aws::metrics::CloudWatch;
use spillway_aws::operator::Item;
use spillway_core::definition::{ServiceDefinition, ServiceName};
use spillway_core::lease::Lease;
use spillway_core::plan::{Plan, Refusal, strangers};
use spillway_core::turn::{Next, Turn};

use super::failure::Failure;
use super::release::Kind;
use super::{World, words};
use crate::validate::is_denied;

/// The longest that is spent on looking ahead.
const PATIENCE: Duration = Duration::from_secs(40);

/// What would become of a release that started now.
#[derive(Debug)]
pub enum Preview {
    /// It would do this.
    Planned(Box<Plan>),
    /// It would wait for its turn, or for the end of another release: why, and what for.
    Waits(String),
    /// It would end at once, and well: nothing is to be done.
    Idle(String),
    /// It would be refused: every reason.
    Refused(Vec<String>),
    /// It cannot be told.
    Unknown(String),
}

impl World {
    /// What would become of a release of this input, started under this execution's ARN.
    pub async fn preview(&self, service: &ServiceName, execution: &str, input: &Value) -> Preview {
        match tokio::time::timeout(PATIENCE, self.look_ahead(service, execution, input)).await {
            Ok(Ok(preview)) => preview,
            Ok(Err(failure)) => Preview::Unknown(failure.text()),
            Err(_) => Preview::Unknown(format!("AWS has not answered within {} s", PATIENCE.as_secs())),
        }
    }

    async fn look_ahead(&self, service: &ServiceName, execution: &str, input: &Value) -> Result<Preview, Failure> {
        let definitions = self.installation.definitions(&self.config);
        let Some(definition) = definitions.read(service.as_str()).await? else {
            let name = definitions.name(service.as_str());
            return Ok(Preview::Refused(vec![format!(
                "{name}: there is no definition of {service} in the parameter store; allowed: a service whose definition \
                 is stored"
            )]));
        };
        let item = self.leases.read(service.as_str()).await?;
        let held = item.as_ref().is_some_and(|item| self.is_held(item));
        let event = Event {
            lease: Lease { service: service.clone(), owner: execution.to_owned(), fence: 0, deadline: None },
            definition: definition.clone(),
            request: input.clone(),
            conflict: held.then(|| Conflict {
                since: Timestamp::now(),
                before: Turn::default(),
                queued: false,
                followed: String::new(),
            }),
        };
        // What the installation allows beside its own account and region, only its function knows: it is warned of.
        let homes = homes(&definition);
        let (load_balancers, cloudwatch) = (LoadBalancers::new(&self.config), CloudWatch::new(&self.config));
        let compute = AutoScaling::new(&self.config);
        let leases = LeaseTable::new(&self.config, self.installation.table());
        let planned = handle(&load_balancers, &cloudwatch, &compute, &leases, &homes, Timestamp::now, event).await;
        match planned {
            Ok(Output::Planned(planned)) => {
                let mut plan = planned.plan;
                if let Ok(definition) = ServiceDefinition::from_json(&definition) {
                    let strangers =
                        strangers(&definition, Some(&plan.version), spillway_core::arn::home(execution), &[]);
                    plan.warnings.extend(strangers.iter().map(ToString::to_string));
                }
                Ok(Preview::Planned(Box::new(plan)))
            }
            Ok(Output::Turn(turn)) => Ok(waits(&turn)),
            Err(Error::AlreadyStable(version, slot)) => {
                Ok(Preview::Idle(format!("{version} is what slot {slot} serves already: nothing would be changed")))
            }
            Err(Error::Refused(refused)) => Ok(refusals(&refused.0)),
            Err(Error::Definition(invalid)) => Ok(Preview::Refused(vec![invalid.to_string()])),
            Err(Error::Api(error)) => Err(error.into()),
            Err(error) => Ok(Preview::Refused(vec![error.to_string()])),
        }
    }

    /// Whether something holds the lease that a release would have to wait for: a retirement gives it back in moments.
    fn is_held(&self, item: &Item) -> bool {
        let owner = item.owner.as_deref().map(|owner| Kind::of(owner, self.prefix()));
        owner.is_some_and(|kind| kind != Kind::Retirement)
    }
}

/// The region and account of everything that the definition names.
fn homes(definition: &str) -> Vec<String> {
    let arns = definition.split('"').filter(|text| text.starts_with("arn:"));
    arns.map(|arn| spillway_core::arn::home(arn).to_owned()).collect()
}

fn waits(turn: &Turn) -> Preview {
    let reason = &turn.reason;
    match turn.next {
        Next::Held | Next::GivenUp => Preview::Refused(vec![format!(
            "the lease is {reason}; the definition's on_conflict is reject; allowed: wait for that one's end, or abort it"
        )]),
        Next::Follow => Preview::Waits(format!("{reason}: this one waits for that one's end, and ends alike")),
        Next::Supersede => Preview::Waits(format!(
            "the lease is {reason}; that one is rolled back at its next check, and this one follows"
        )),
        Next::Outrun => Preview::Refused(vec![reason.clone()]),
        _ => Preview::Waits(format!("the lease is {reason}; this one waits for its turn, for a day at most")),
    }
}

/// Every reason against it. What you may not look at, the release itself may.
fn refusals(refusals: &[Refusal]) -> Preview {
    let denied = |refusal: &&Refusal| match refusal {
        Refusal::Unreadable(reason) | Refusal::UnreadableRoute { reason, .. } => is_denied(reason),
        _ => false,
    };
    let (unseen, reasons): (Vec<&Refusal>, Vec<&Refusal>) = refusals.iter().partition(denied);
    match (reasons.is_empty(), unseen.first()) {
        (true, Some(unseen)) => Preview::Unknown(format!("you may not look at it: {unseen}")),
        _ => Preview::Refused(reasons.iter().map(ToString::to_string).collect()),
    }
}

impl Preview {
    /// For people.
    pub fn lines(&self, service: &str) -> Vec<String> {
        match self {
            Self::Planned(plan) => planned(plan),
            Self::Waits(why) => vec![format!("{service}: would wait: {why}")],
            Self::Idle(why) => vec![format!("{service}: {why}")],
            Self::Refused(reasons) => {
                let mut lines = vec![format!("{service}: would be refused:")];
                lines.extend(reasons.iter().map(|reason| format!("  {}", reason.replace('\n', "\n  "))));
                lines
            }
            Self::Unknown(why) => vec![format!("{service}: what it would do cannot be told: {why}")],
        }
    }

    /// For machines.
    pub fn json(&self) -> Value {
        match self {
            Self::Planned(plan) => {
                let Times { shortest, longest, waiting, seen, back } = Times::of(plan);
                json!({
                    "outcome": "starts",
                    "stable": plan.stable.slot,
                    "candidate": plan.candidate.slot,
                    "version": plan.version,
                    "strategy": plan.strategy,
                    "steps": plan.steps.iter().map(|step| f64::from(step.weight)).collect::<Vec<f64>>(),
                    "shortest_seconds": shortest,
                    "longest_seconds": longest,
                    "longest_wait_seconds": waiting,
                    "rollback_seconds": {"seen_within": seen, "back_within": back},
                    "warnings": plan.warnings,
                })
            }
            Self::Waits(why) => json!({"outcome": "waits", "reason": why}),
            Self::Idle(why) => json!({"outcome": "nothing_to_do", "reason": why}),
            Self::Refused(reasons) => json!({"outcome": "refused", "reasons": reasons}),
            Self::Unknown(why) => json!({"outcome": "unknown", "reason": why}),
        }
    }
}

/// How long things take, in seconds.
#[derive(Debug, PartialEq)]
struct Times {
    /// All steps at their least, and the promotion.
    shortest: u64,
    /// The worst case, waiting for people not counted.
    longest: u64,
    /// The longest that people are waited for.
    waiting: u64,
    /// Until a check has seen what happens now.
    seen: u64,
    /// From then on until users are on the stable slot again.
    back: u64,
}

impl Times {
    fn of(plan: &Plan) -> Self {
        let health = &plan.health;
        let [check, lag, period] =
            [health.check_seconds, health.metric_lag_seconds, health.period_seconds].map(u64::from);
        let least = plan.steps.iter().map(|step| u64::from(step.minimum_time_seconds) + lag + period);
        let hooks = plan.hooks.longest_seconds_before();
        Self {
            shortest: least.sum::<u64>() + u64::from(plan.readiness.warm_up_seconds),
            longest: u64::from(plan.readiness.timeout_seconds) + hooks + plan.longest_exposure_seconds(),
            waiting: plan.longest_wait_seconds(),
            seen: lag + period + check,
            back: u64::from(plan.traffic.settle_seconds),
        }
    }
}

fn planned(plan: &Plan) -> Vec<String> {
    let length = |seconds: u64| words::length(i64::try_from(seconds).unwrap_or(i64::MAX));
    let times = Times::of(plan);
    let hosts = plan.hosts_wanted();
    let mut steps: Vec<String> = plan.steps.iter().map(|step| f64::from(step.weight).to_string()).collect();
    if plan.steps.last().is_none_or(|step| f64::from(step.weight) < 100.0) {
        steps.push("100".into());
    }
    let routes = match plan.routes.len() {
        1 => "1 route".to_owned(),
        count => format!("{count} routes"),
    };
    let mut lines = vec![format!("{}: {} would go to {}", plan.service, plan.version, plan.candidate.slot)];
    let mut add = |what: &str, text: String| lines.push(format!("  {what:<10}{text}"));
    let without = plan.without_stable.as_ref().map_or_else(String::new, |why| format!(", not counted on: {why}"));
    add("stable", format!("{}, {}, {hosts} healthy{without}", plan.stable.slot, plan.stable.compute));
    add("candidate", format!("{}, {}", plan.candidate.slot, plan.candidate.compute));
    add("steps", format!("{}: {} %, {routes}", plan.strategy, steps.join(" > ")));
    if !plan.approval_at.is_empty() {
        let at: Vec<String> = plan.approval_at.iter().map(ToString::to_string).collect();
        add("approval", format!("a person's, beyond {}", at.join(", ")));
    }
    add(
        "takes",
        format!(
            "{} at least once the candidate is ready, {} in the worst case; waiting for people not counted, {} at most",
            length(times.shortest),
            length(times.longest),
            length(times.waiting)
        ),
    );
    add(
        "rollback",
        format!(
            "a fault is seen within {}, then all traffic is given back at once; load balancers follow within {}",
            length(times.seen),
            length(times.back)
        ),
    );
    let window = length(u64::from(plan.retirement.window_seconds));
    add("undo", format!("{} stays warm for {window} after the promotion: spillway rollback", plan.stable.slot));
    for warning in &plan.warnings {
        add("warning", warning.clone());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use spillway_core::lease::Freeze;

    #[test]
    fn what_you_may_not_see_does_not_refuse_a_release() {
        let denied = Refusal::Unreadable("DescribeAlarms: AccessDenied: no".into());
        let frozen = Refusal::Frozen(Freeze { reason: "sale".into(), owner: "ann".into(), until: Timestamp::MAX });
        assert!(
            matches!(refusals(std::slice::from_ref(&denied)), Preview::Unknown(why) if why.contains("AccessDenied"))
        );
        match refusals(&[denied, frozen]) {
            Preview::Refused(reasons) => {
                assert!(reasons.len() == 1 && reasons[0].starts_with("frozen by ann"), "{reasons:?}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whose_turn_it_is_decides_whether_it_starts() {
        let turn = |next| Turn { next, reason: "held by r-1".into(), ..Turn::default() };
        for (next, expected) in [
            (Next::Held, "refused"),
            (Next::Outrun, "refused"),
            (Next::Queue, "waits"),
            (Next::Supersede, "waits"),
            (Next::Follow, "waits"),
            (Next::Wait, "waits"),
        ] {
            assert_eq!(waits(&turn(next)).json()["outcome"], expected, "{next:?}");
        }
    }

    #[test]
    fn homes_are_those_of_every_arn() {
        let definition =
            r#"{"routes": ["arn:aws:elasticloadbalancing:eu-west-1:1:x"], "a": "arn:aws:ecs:us-east-1:2:y"}"#;
        assert_eq!(homes(definition), ["eu-west-1:1", "us-east-1:2"]);
    }
}
