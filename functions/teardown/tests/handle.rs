//! The handler in an in-memory world.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use spillway_aws::error::Named;
use spillway_core::compute::{GroupState, Instance};
use spillway_core::cost::Cost;
use spillway_core::definition::Compute;
use spillway_core::hook::{Point, Reply};
use spillway_core::plan::PlannedRoute;
use spillway_core::route::{ActionKind, Stickiness};
use spillway_core::slot::Slot;
use spillway_world::{Fault, World, forwarding, group, lease, plan, rejected, route, throttled};
use teardown::{Error, Event, Memory, Next, Output, Ports, handle};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn ago(seconds: i64) -> Timestamp {
    now().checked_sub(SignedDuration::from_secs(seconds)).unwrap()
}

/// Green was promoted; blue is to be retired.
fn promoted() -> World {
    let world = World::of_shop();
    for number in [1, 2] {
        world.state().routes.insert(route(number).as_str().into(), forwarding(&[("blue", 0), ("green", 100)]));
    }
    world
}

/// Blue, as the release that promoted green left it.
fn event() -> Event {
    Event {
        lease: lease(),
        plan: plan(&json!({"opaque": "2"})),
        slot: Slot::Blue,
        attempt: 0,
        started_at: ago(3600),
        since: None,
        memory: Memory::default(),
        hook: Reply::default(),
    }
}

async fn retire(world: &World, slot: Slot, attempt: u32) -> Result<Output, Error> {
    let ports = Ports { services: world, groups: world, routes: world, metrics: world, leases: world };
    let plan = plan(&json!({"opaque": "2"}));
    handle(ports, now, Event { lease: lease(), plan, slot, attempt, started_at: ago(3600), ..event() }).await
}

#[tokio::test]
async fn scales_a_quiet_slot_to_zero_once() {
    let world = promoted();
    world.record(&group("blue"), ago(3600), 100, 0);
    let output = retire(&world, Slot::Blue, 0).await.unwrap();
    assert!(output.next == Next::Done, "{}", output.reason);
    assert_eq!(world.state().services["shop-blue"].desired, 0);
    assert!(retire(&world, Slot::Blue, 1).await.unwrap().next == Next::Done);
    assert_eq!(world.state().changes, ["UpdateService shop-blue - 0"]);
}

#[tokio::test]
async fn refuses_while_any_route_gives_it_weight() {
    let world = promoted();
    world.state().routes.insert(route(2).as_str().into(), forwarding(&[("blue", 3), ("green", 100)]));
    let output = retire(&world, Slot::Blue, 0).await.unwrap();
    assert!(output.next == Next::Wait && output.reason.contains("slot blue has weight 3"), "{}", output.reason);
    assert!(world.state().changes.is_empty());
}

/// Testers' routes count like others, but for one that has led there before the release.
#[tokio::test]
async fn refuses_while_a_testers_route_gives_it_weight() {
    let original = forwarding(&[("blue", 1)]);
    for (live, next) in [
        (forwarding(&[("blue", 100), ("green", 0)]), Next::Wait),
        (forwarding(&[("blue", 0), ("green", 100)]), Next::Done),
        (original.clone(), Next::Done),
    ] {
        let world = promoted();
        let mut event = event();
        event.plan.test_routes =
            vec![PlannedRoute { arn: route(3), original: original.clone(), ..event.plan.routes[0].clone() }];
        world.state().routes.insert(route(3).as_str().into(), live.clone());
        let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
        assert_eq!(handle(ports, now, event).await.unwrap().next, next, "{live:?}");
    }
}

#[tokio::test]
async fn refuses_while_traffic_is_measured_whatever_the_weights_say() {
    for seconds in [60, 300, 420] {
        let world = promoted();
        world.record(&group("blue"), ago(seconds), 1, 0);
        let output = retire(&world, Slot::Blue, 2).await.unwrap();
        assert!(output.next == Next::Wait && output.reason.contains("had 1 requests"), "{}", output.reason);
        assert_eq!((output.attempt, output.wait_seconds), (3, 1200), "waits longer each time");
        assert!(world.state().changes.is_empty());
    }
}

#[tokio::test]
async fn a_route_that_is_gone_sends_nothing() {
    let world = promoted();
    world.state().routes.remove(route(1).as_str());
    assert!(retire(&world, Slot::Blue, 0).await.unwrap().next == Next::Done);
}

#[tokio::test]
async fn external_compute_is_left_alone() {
    let world = promoted();
    let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.stable.compute = Compute::External;
    let event = Event { lease: lease(), plan, slot: Slot::Blue, attempt: 0, started_at: ago(3600), ..event() };
    let output = handle(ports, now, event).await.unwrap();
    assert!(output.next == Next::Done && world.state().changes.is_empty());
}

fn service(name: &str) -> Value {
    json!({"ecs_service": {"cluster": "lab", "service": name}})
}

fn owe(world: &World, scaling: &Value) {
    world.state().leases.get_mut("shop").unwrap().scaling = serde_json::from_value(scaling.clone()).unwrap();
}

fn left(output: &Output) -> Value {
    serde_json::from_str(&output.scaling).unwrap()
}

/// Within the rollback window the slot that serves gets its scaling back, and so does what is in no slot any more; the one
/// that may be rolled back to keeps its capacity until it is scaled to zero.
#[tokio::test]
async fn scale_in_is_given_back_to_what_serves_first() {
    let world = promoted();
    world.state().scalable.extend(["shop-blue", "shop-green", "former"].map(|name| (name.into(), true)));
    owe(&world, &json!([service("shop-blue"), service("shop-green"), service("former"), service("deleted")]));
    let plan = plan(&json!({"opaque": "2"}));
    let at = |started_at| {
        let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
        let event = Event { lease: lease(), plan: plan.clone(), slot: Slot::Blue, attempt: 0, started_at, ..event() };
        handle(ports, now, event)
    };
    let early = at(ago(300)).await.unwrap();
    assert_eq!((early.next, early.wait_seconds, left(&early)), (Next::Wait, 3300, json!([service("shop-blue")])));
    let given_back = ["RegisterScalableTarget shop-green false", "RegisterScalableTarget former false"];
    assert_eq!(world.state().changes, given_back);

    owe(&world, &left(&early));
    // Somebody suspends it now: it is theirs.
    world.state().scalable.insert("shop-green".into(), true);
    let late = at(ago(3600)).await.unwrap();
    assert_eq!((late.next, left(&late)), (Next::Done, json!([])), "{}", late.reason);
    let retired = ["UpdateService shop-blue - 0", "RegisterScalableTarget shop-blue false"];
    assert_eq!(world.state().changes[2..], retired);
}

#[tokio::test]
async fn what_cannot_be_given_back_now_is_tried_again() {
    let world = promoted();
    world.state().scalable.extend(["shop-blue", "shop-green"].map(|name| (name.into(), true)));
    owe(&world, &json!([service("shop-blue"), service("shop-green")]));
    let denied = || rejected("RegisterScalableTarget", "", "AccessDeniedException");
    world.plan_fault(Fault::before("RegisterScalableTarget", "shop-green", denied()));
    let output = retire(&world, Slot::Blue, 0).await.unwrap();
    assert!(output.reason.contains("is scaled to zero; not every slot scales as it did"), "{}", output.reason);
    assert_eq!((output.next, output.wait_seconds, left(&output)), (Next::Wait, 300, json!([service("shop-green")])));
    owe(&world, &left(&output));
    world.plan_fault(Fault::lost_answer("RegisterScalableTarget", "shop-green"));
    let output = retire(&world, Slot::Blue, 1).await.unwrap();
    assert_eq!((output.next, left(&output)), (Next::Wait, json!([service("shop-green")])));
    let output = retire(&world, Slot::Blue, 2).await.unwrap();
    assert_eq!((output.next, left(&output)), (Next::Done, json!([])));
    assert_eq!(world.state().scalable.values().filter(|suspended| **suspended).count(), 0);

    owe(&world, &json!([service("shop-green")]));
    world.state().scalable.insert("shop-green".into(), true);
    world.state().lease_reads_left = Some(1);
    assert_eq!(retire(&world, Slot::Blue, 0).await.unwrap_err().name(), "LeaseLost");
    assert!(world.state().scalable["shop-green"]);
}

/// Nobody will allow it in the next 30 days: people are told, once everything else is done and the lease tells what is not.
#[tokio::test]
async fn what_is_refused_for_good_fails_the_retirement_after_everything_else() {
    let world = promoted();
    world.state().scalable.extend(["shop-blue", "shop-green"].map(|name| (name.into(), true)));
    owe(&world, &json!([service("shop-blue"), service("shop-green")]));
    let refuse = || {
        let denied = rejected("RegisterScalableTarget", "shop-green", "AccessDeniedException");
        world.plan_fault(Fault::before("RegisterScalableTarget", "shop-green", denied));
    };
    refuse();
    let output = retire(&world, Slot::Blue, 0).await.unwrap();
    assert_eq!((output.next, left(&output)), (Next::Wait, json!([service("shop-green")])), "{}", output.reason);
    assert_eq!(world.state().changes, ["UpdateService shop-blue - 0", "RegisterScalableTarget shop-blue false"]);

    owe(&world, &left(&output));
    refuse();
    let error = retire(&world, Slot::Blue, 1).await.unwrap_err();
    assert_eq!(error.name(), "CallRejected");
    assert!(error.to_string().contains("RegisterScalableTarget of shop-green: AccessDeniedException"), "{error}");

    // Beside one that may succeed yet it is tried again.
    owe(&world, &json!([service("shop-blue"), service("shop-green")]));
    world.state().scalable.insert("shop-blue".into(), true);
    refuse();
    world.plan_fault(Fault::before("RegisterScalableTarget", "shop-blue", throttled("RegisterScalableTarget")));
    assert_eq!(retire(&world, Slot::Blue, 0).await.unwrap().next, Next::Wait);
    assert_eq!(world.faults_left(), 0);
}

/// The slot's service or group was deleted, which is how a definition's slots change.
#[tokio::test]
async fn what_is_gone_is_retired() {
    for code in ["ServiceNotFoundException", "ServiceNotActiveException", "ClusterNotFoundException"] {
        for operation in ["DescribeServices", "UpdateService"] {
            let world = promoted();
            world.state().scalable.insert("shop-green".into(), true);
            owe(&world, &json!([service("shop-blue"), service("shop-green")]));
            world.plan_fault(Fault::before(operation, "shop-blue", rejected(operation, "shop-blue", code)));
            let output = retire(&world, Slot::Blue, 0).await.unwrap();
            assert_eq!((output.next, left(&output)), (Next::Done, json!([])), "{operation} {code}: {}", output.reason);
            assert_eq!(output.reason, "ECS service shop-blue is gone");
            assert_eq!(world.state().changes, ["RegisterScalableTarget shop-green false"]);
        }
    }
    let world = promoted();
    let denied = rejected("DescribeServices", "shop-blue", "AccessDeniedException");
    world.plan_fault(Fault::before("DescribeServices", "shop-blue", denied));
    assert_eq!(retire(&world, Slot::Blue, 0).await.unwrap_err().name(), "CallRejected");

    let mut plan = plan(&json!({"opaque": "2"}));
    plan.stable.compute = serde_json::from_value(json!({"auto_scaling_group": {"name": "asg-blue"}})).unwrap();
    let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
    let output = handle(ports, now, Event { plan, ..event() }).await.unwrap();
    assert_eq!((output.next, output.reason.as_str()), (Next::Done, "Auto Scaling group asg-blue is gone"));
    assert!(world.state().changes.is_empty());
}

/// A group gets the least size that it had, unless somebody has set another one since; and what people have suspended
/// themselves stays so.
#[tokio::test]
async fn groups_are_given_back_what_they_had() {
    let entry = |name: &str, rebalanced: bool| json!({"auto_scaling_group": {"name": name, "min": 2, "floor": 6, "rebalanced": rebalanced}});
    for (min, rebalanced, expected) in [
        (6, true, vec!["UpdateAutoScalingGroup asg-green 2 9 7", "ResumeProcesses asg-green"]),
        (6, false, vec!["UpdateAutoScalingGroup asg-green 2 9 7"]),
        (4, true, vec!["ResumeProcesses asg-green"]),
    ] {
        let world = promoted();
        let mut plan = plan(&json!({"opaque": "2"}));
        for (side, name) in [(&mut plan.stable, "asg-blue"), (&mut plan.candidate, "asg-green")] {
            side.compute = serde_json::from_value(json!({"auto_scaling_group": {"name": name}})).unwrap();
            let suspended = vec!["AZRebalance".to_owned()];
            let group = GroupState { min, max: 9, desired: 7, suspended, ..GroupState::default() };
            world.state().groups.insert(name.into(), group);
        }
        owe(&world, &json!([entry("asg-blue", true), entry("asg-green", rebalanced), entry("deleted", true)]));
        let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
        let event = Event { lease: lease(), plan, slot: Slot::Blue, attempt: 0, started_at: ago(3600), ..event() };
        let output = handle(ports, now, event).await.unwrap();
        assert_eq!((output.next, left(&output)), (Next::Done, json!([])), "{}", output.reason);
        let retired = ["UpdateAutoScalingGroup asg-blue 0 9 0", "ResumeProcesses asg-blue"];
        assert_eq!(world.state().changes, [expected, retired.to_vec()].concat());
    }
}

/// The group would keep them although nothing is wanted any more.
#[tokio::test]
async fn protected_instances_are_let_go() {
    let world = promoted();
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.stable.compute = serde_json::from_value(json!({"auto_scaling_group": {"name": "asg-blue"}})).unwrap();
    let instance = |id: &str, state: &str, protected| Instance {
        id: id.into(),
        state: state.into(),
        version: Some("1".into()),
        in_service: true,
        protected,
    };
    let instances = vec![
        instance("i-1", "InService", true),
        instance("i-2", "InService", false),
        instance("i-3", "Terminating:Wait", true),
    ];
    let group = GroupState { min: 1, max: 4, desired: 3, instances, ..GroupState::default() };
    world.state().groups.insert("asg-blue".into(), group);
    for attempt in 0..2 {
        let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
        let event =
            Event { lease: lease(), plan: plan.clone(), slot: Slot::Blue, attempt, started_at: ago(3600), ..event() };
        assert_eq!(handle(ports, now, event).await.unwrap().next, Next::Done);
    }
    let changes = ["UpdateAutoScalingGroup asg-blue 0 4 0", "SetInstanceProtection asg-blue i-1"];
    assert_eq!(world.state().changes, changes);
}

/// The service's own function scales external compute down, once nothing gives the slot traffic.
#[tokio::test]
async fn a_hook_retires_external_compute() {
    let world = promoted();
    let mut plan = plan(&json!({"opaque": "2"}));
    (plan.stable.compute, plan.candidate.compute) = (Compute::External, Compute::External);
    let function = "arn:aws:lambda:eu-west-1:123456789012:function:fleet";
    plan.hooks = serde_json::from_value(json!({"retire": {"function": function, "timeout_seconds": 600}})).unwrap();
    let look = |memory: Memory, answer: Value, seconds: i64| {
        let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
        let hook = Reply { point: (!answer.is_null()).then_some(Point::Retire), answer };
        let event = Event { plan: plan.clone(), memory, hook, ..event() };
        handle(ports, move || now() + SignedDuration::from_secs(seconds), event)
    };
    world.record(&group("blue"), ago(60), 1, 0);
    assert_eq!(look(Memory::default(), Value::Null, 0).await.unwrap().next, Next::Wait, "not yet quiet");
    world.state().metrics.clear();

    let asked = look(Memory::default(), Value::Null, 0).await.unwrap();
    assert_eq!((asked.next, asked.wait_seconds, asked.attempt), (Next::Hook, 15, 0));
    let call = serde_json::to_value(asked.hook.unwrap()).unwrap();
    assert_eq!(call["function"], function);
    assert_eq!(
        call["payload"],
        json!({"point": "retire", "service": "shop", "release": "release-1", "version": {"opaque": "2"},
            "stable": "blue", "candidate": "green", "weight": 0.0, "test_routes": [], "slot": "blue", "targets": 0})
    );
    let waits = look(asked.memory, json!("wait"), 30).await.unwrap();
    assert_eq!((waits.next, waits.reason.as_str()), (Next::Hook, "the retire hook says wait"));
    let often = look(Memory { asked: 30, ..waits.memory }, json!("wait"), 300).await.unwrap();
    assert_eq!(often.wait_seconds, 120, "rarer and rarer");
    let done = look(waits.memory, json!("ok"), 60).await.unwrap();
    assert_eq!((done.next, done.memory.retired), (Next::Done, true), "{}", done.reason);
    assert_eq!(look(done.memory, Value::Null, 90).await.unwrap().next, Next::Done, "it is not asked again");
    for (answer, seconds, words) in [
        (json!({"result": "fail", "reason": "in use"}), 30, "the retire hook says fail: in use"),
        (json!("wait"), 600, "no ok within 600 s: the retire hook says wait"),
    ] {
        let error = look(waits.memory, answer, seconds).await.unwrap_err();
        assert_eq!((error.name(), error.to_string().as_str()), ("HookFailed", words));
    }
    // A newer release may want the slot.
    world.state().lease_reads_left = Some(1);
    assert_eq!(look(Memory::default(), Value::Null, 0).await.unwrap_err().name(), "LeaseLost");
    // Users are back on it: nobody asks.
    world.state().routes.insert(route(2).as_str().into(), forwarding(&[("blue", 3), ("green", 100)]));
    world.state().leases.get_mut("shop").unwrap().fence = 7;
    assert_eq!(look(waits.memory, json!("wait"), 60).await.unwrap().next, Next::Wait);
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn a_newer_release_keeps_it_from_scaling() {
    let world = promoted();
    world.state().leases.get_mut("shop").unwrap().fence = 8;
    assert_eq!(retire(&world, Slot::Blue, 0).await.unwrap_err().name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn asks_for_the_lease_once_more_right_before_scaling() {
    let world = promoted();
    world.state().lease_reads_left = Some(1);
    assert_eq!(retire(&world, Slot::Blue, 0).await.unwrap_err().name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn waits_never_longer_than_an_hour() {
    let world = promoted();
    world.record(&group("blue"), ago(60), 1, 0);
    assert_eq!(retire(&world, Slot::Blue, 400).await.unwrap().wait_seconds, 3600);
}

#[tokio::test]
async fn nothing_is_scaled_down_within_the_rollback_window() {
    let world = promoted();
    let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
    let plan = plan(&json!({"opaque": "2"}));
    let event = Event { lease: lease(), plan, slot: Slot::Blue, attempt: 2, started_at: ago(3599), ..event() };
    let output = handle(ports, now, event).await.unwrap();
    assert_eq!((output.next, output.wait_seconds, output.attempt), (Next::Wait, 1, 2), "{}", output.reason);
    assert!(world.state().changes.is_empty());
}

/// With cookies of two hours and a window of one: scaled down after one, attached again after two and what nodes take
/// to hear of it. With shorter cookies it is the other way round.
#[tokio::test]
async fn a_slot_that_was_taken_out_is_attached_again_when_no_cookie_can_name_it() {
    let world = World::of_shop();
    for number in [1, 2] {
        world.state().routes.insert(route(number).as_str().into(), forwarding(&[("green", 100)]));
    }
    let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
    let look = |sticky_seconds, started_at| {
        let mut plan = plan(&json!({"opaque": "2"}));
        plan.sticky_seconds = sticky_seconds;
        for planned in &mut plan.routes {
            if let ActionKind::Forward(forward) = &mut planned.original[0].kind {
                forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(7200) });
            }
        }
        handle(ports, now, Event { lease: lease(), plan, slot: Slot::Blue, attempt: 0, started_at, ..event() })
    };
    let early = look(7200, ago(100)).await.unwrap();
    assert_eq!((early.next, early.wait_seconds), (Next::Wait, 3500), "{}", early.reason);
    let short = look(900, ago(100)).await.unwrap();
    assert_eq!((short.next, short.wait_seconds), (Next::Wait, 860), "{}", short.reason);
    assert_eq!(look(900, ago(960)).await.unwrap().next, Next::Attach);
    assert!(world.state().changes.is_empty());

    let quiet = look(7200, ago(3600)).await.unwrap();
    assert_eq!((quiet.next, quiet.wait_seconds), (Next::Wait, 3660), "{}", quiet.reason);
    assert_eq!(world.state().changes, ["UpdateService shop-blue - 0"]);
    assert_eq!(look(7200, ago(7260)).await.unwrap().next, Next::Attach);
    for number in [1, 2] {
        world.state().routes.insert(route(number).as_str().into(), forwarding(&[("green", 100), ("blue", 0)]));
    }
    assert_eq!(look(7200, ago(7261)).await.unwrap().next, Next::Done);

    // A route that someone has taken for something else, or that is full, is not waited for.
    world.state().routes.insert(route(1).as_str().into(), forwarding(&[("stranger", 1)]));
    let full = [("green", 1), ("a", 0), ("b", 0), ("c", 0), ("d", 0)];
    world.state().routes.insert(route(2).as_str().into(), forwarding(&full));
    assert_eq!(look(7200, ago(7261)).await.unwrap().next, Next::Done);
}

#[tokio::test]
async fn says_what_the_slot_has_cost_since_there_were_two() {
    let mut plan = plan(&json!({"opaque": "2"}));
    plan.planned_at = Some(ago(7200));
    plan.stable.price_per_hour = Some(0.5);
    plan.candidate.price_per_hour = Some(9.0);
    for (since, expected) in [
        (None, Cost { slot_hours: 2.0, amount: Some(1.0) }),
        (Some(ago(5400)), Cost { slot_hours: 1.5, amount: Some(0.75) }),
    ] {
        let world = promoted();
        let ports = Ports { services: &world, groups: &world, routes: &world, metrics: &world, leases: &world };
        let output = handle(ports, now, Event { plan: plan.clone(), since, ..event() }).await.unwrap();
        assert_eq!((output.next, output.cost), (Next::Done, Some(expected)));
    }
}
