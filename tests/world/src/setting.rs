//! A service to play with: one load balancer, two slots on ECS.

use serde_json::{Value, json};
use spillway_core::arn::{RouteArn, TargetGroupArn};
use spillway_core::compute::{EcsDeployment, EcsState, Rollout};
use spillway_core::definition::ServiceDefinition;
use spillway_core::lease::{Lease, LeaseRecord};
use spillway_core::plan::{self, Draft, LiveRoute, Overrides, Plan, Survey};
use spillway_core::route::{self, Action, ActionKind, Forward, WeightedGroup};
use spillway_core::targets::{TargetCounts, TargetState};
use spillway_core::version::Version;

use crate::World;

const ELB: &str = "arn:aws:elasticloadbalancing:eu-west-1:123456789012";

/// A target group by a short name.
#[must_use]
pub fn group(name: &str) -> TargetGroupArn {
    TargetGroupArn::parse(format!("{ELB}:targetgroup/{name}/0123456789abcdef")).expect("a short name")
}

/// A listener rule by number.
#[must_use]
pub fn route(number: u32) -> RouteArn {
    RouteArn::parse(format!("{ELB}:listener-rule/app/shop/1/2/{number}")).expect("a number")
}

/// One forward action to these groups with these weights.
#[must_use]
pub fn forwarding(weights: &[(&str, u16)]) -> Vec<Action> {
    let groups = weights.iter().map(|(name, weight)| WeightedGroup { arn: group(name), weight: *weight }).collect();
    vec![Action { order: None, kind: ActionKind::Forward(Forward { groups, stickiness: None }) }]
}

/// The lease as the release `release-1` holds it.
#[must_use]
pub fn lease() -> Lease {
    serde_json::from_value(
        json!({"service": "shop", "owner": "arn:aws:states:::execution:release:release-1", "fence": 7}),
    )
    .expect("a lease")
}

/// The definition of the service `shop`, with two routes.
#[must_use]
pub fn definition() -> Value {
    let slot = |name: &str| {
        json!({
            "target_groups": [group(name).as_str()],
            "compute": {"ecs_service": {"cluster": "lab", "service": format!("shop-{name}")}},
        })
    };
    json!({
        "service": "shop",
        "routes": [route(1).as_str(), route(2).as_str()],
        "slots": {"blue": slot("blue"), "green": slot("green")},
        "strategy": {
            "type": "canary",
            "canary": {"steps": [5, 50, 95]},
            "minimum_time_seconds": 300,
            "max_step_seconds": 900,
        },
    })
}

/// The weights of blue and green in a route, as they stand.
///
/// # Panics
/// If the route is not one.
#[must_use]
pub fn weights(world: &World, number: u32) -> (Option<u16>, Option<u16>) {
    let state = world.state();
    let forward = route::forward(&state.routes[route(number).as_str()]).expect("one forward action");
    (forward.weight(&group("blue")), forward.weight(&group("green")))
}

impl World {
    /// The world of [`definition`]: all traffic on blue, which has two healthy targets, green not attached.
    #[must_use]
    pub fn of_shop() -> Self {
        let world = Self::new();
        {
            let mut state = world.state();
            for number in [1, 2] {
                state.routes.insert(route(number).as_str().into(), forwarding(&[("blue", 1)]));
            }
            state.targets.insert(group("blue").as_str().into(), vec![TargetState::Healthy; 2]);
            for (name, desired) in [("blue", 2), ("green", 0)] {
                let deployment = EcsDeployment {
                    id: format!("{name}-0"),
                    primary: true,
                    task_definition: "shop:1".into(),
                    rollout: Some(Rollout::Completed),
                    reason: String::new(),
                };
                let service = EcsState {
                    task_definition: "shop:1".into(),
                    desired,
                    running: desired,
                    pending: 0,
                    deployments: vec![deployment],
                };
                state.services.insert(format!("shop-{name}"), service);
            }
            state
                .leases
                .insert("shop".into(), LeaseRecord { owner: Some(lease().owner), fence: 7, ..LeaseRecord::default() });
        }
        world
    }
}

/// The plan of [`definition`] in the world of [`World::of_shop`], for an opaque version.
///
/// # Panics
/// If planning refuses, which it does not.
#[must_use]
pub fn plan(version: &Value) -> Plan {
    let definition = ServiceDefinition::from_json(&definition().to_string()).expect("valid");
    let live: Vec<LiveRoute> = definition
        .routes
        .iter()
        .map(|arn| LiveRoute { arn: arn.clone(), actions: forwarding(&[("blue", 1)]) })
        .collect();
    let roles = plan::roles(&definition, &live, &Overrides::default()).expect("blue has the traffic");
    let version: Version = serde_json::from_value(version.clone()).expect("a version");
    let healthy = TargetCounts { healthy: 2, registered: 2, ..TargetCounts::default() };
    let survey = Survey { stable_targets: vec![healthy], ..Survey::default() };
    let draft = Draft {
        definition,
        version: Some(version),
        overrides: Overrides::default(),
        roles: Some(roles),
        survey,
        refusals: Vec::new(),
    };
    draft.plan().expect("nothing speaks against it")
}
