//! The handler in an in-memory world.

/// What the stable slot can carry.
mod capacity;
/// Routes and their edits, the lease, hooks.
mod routes;
/// Clients that stick to a slot.
mod sticky;

use jiff::{SignedDuration, Timestamp};
use rollback::{Error, Event, Next, Output, Restoration, handle};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_core::hook::{Point, Reply};
use spillway_core::lease::Lease;
use spillway_core::plan::{Plan, PlannedRoute};
use spillway_core::rollback::Standing;
use spillway_core::route::{Action, ActionKind, Stickiness};
use spillway_core::targets::TargetState;
use spillway_world::{Fault, World, forwarding, group, lease, plan, rejected, route, throttled, weights};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn event(plan: Plan) -> Event {
    let (restoration, hook) = (Restoration::default(), Reply::default());
    let failure = json!("held too long");
    Event { lease: lease(), plan, redriven: false, renewed: true, failure, since: None, restoration, hook }
}

fn the_plan() -> Plan {
    plan(&json!({"opaque": "2"}))
}

async fn roll_back(world: &World, redriven: bool) -> Result<Output, Error> {
    handle(world, world, now, Event { redriven, ..event(the_plan()) }).await
}

fn shifted() -> World {
    let world = World::of_shop();
    for number in [1, 2] {
        world.state().routes.insert(route(number).as_str().into(), forwarding(&[("blue", 5), ("green", 95)]));
    }
    world
}

fn hosts(world: &World, name: &str, states: &[TargetState]) {
    world.state().targets.insert(group(name).as_str().into(), states.to_vec());
}

fn later(seconds: i64) -> impl Fn() -> Timestamp {
    move || now().checked_add(SignedDuration::from_secs(seconds)).unwrap()
}
