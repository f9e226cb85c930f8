use super::*;

#[tokio::test]
async fn restores_the_recorded_weights_and_is_idempotent() {
    let world = shifted();
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(1), Some(0)), (Some(1), Some(0))));
    assert!(output.routes.iter().all(|route| route.standing == Standing::Restored));
    let again = roll_back(&world, false).await.unwrap();
    assert!(again.routes.iter().all(|route| route.standing == Standing::Unchanged));
    assert_eq!(world.state().changes.len(), 2);
}

#[tokio::test]
async fn goes_on_when_one_route_fails_and_names_it() {
    let world = shifted();
    world.plan_fault(Fault::before(
        "ModifyRule",
        route(1).as_str(),
        rejected("ModifyRule", "", "OperationNotPermitted"),
    ));
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!((output.next, output.wait_seconds), (Next::Again, 1));
    assert!(
        output.cause.contains(route(1).as_str()) && output.cause.contains("OperationNotPermitted"),
        "{}",
        output.cause
    );
    assert_eq!((weights(&world, 1), weights(&world, 2)), ((Some(5), Some(95)), (Some(1), Some(0))));
    roll_back(&world, false).await.unwrap();
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
}

#[tokio::test]
async fn an_accepted_write_without_effect_is_found_by_reading_back() {
    let world = shifted();
    world.state().deaf_routes.insert(route(2).as_str().into());
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!(output.next, Next::Again);
    let text = output.cause;
    assert!(
        text.contains(route(2).as_str())
            && text.contains("it was given forward to blue 1, green 0 and tells forward to blue 5, green 95"),
        "{text}"
    );
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
}

/// Users first, and then the stranger: only the two slots' groups are touched, and only where users are in them.
#[tokio::test]
async fn a_strangers_edit_survives() {
    for (live, after) in [
        // A group of his own keeps its share of the whole.
        (vec![("blue", 5), ("stranger", 300), ("green", 95)], vec![("blue", 100), ("stranger", 300), ("green", 0)]),
        (vec![("blue", 1), ("stranger", 0), ("green", 3)], vec![("blue", 1), ("stranger", 0), ("green", 0)]),
        // Everything to the candidate, by hand: it is not proven, and no user stays there.
        (vec![("blue", 0), ("green", 1)], vec![("blue", 1), ("green", 0)]),
        // Our doing is undone already.
        (vec![("blue", 7), ("green", 0)], vec![("blue", 1), ("green", 0)]),
        // A route that is for something else now.
        (vec![("stranger", 1)], vec![("stranger", 1)]),
        (vec![("blue", 0), ("green", 0), ("stranger", 1)], vec![("blue", 0), ("green", 0), ("stranger", 1)]),
        (vec![], vec![]),
    ] {
        let world = shifted();
        let live = if live.is_empty() { vec![] } else { forwarding(&live) };
        let after = if after.is_empty() { vec![] } else { forwarding(&after) };
        world.state().routes.insert(route(1).as_str().into(), live);
        let output = roll_back(&world, false).await.unwrap();
        assert_eq!(world.state().routes[route(1).as_str()], after);
        assert_eq!((output.next, weights(&world, 2)), (Next::Done, (Some(1), Some(0))));
    }
    let world = shifted();
    world.state().routes.insert(route(1).as_str().into(), forwarding(&[("stranger", 1)]));
    let cause = roll_back(&world, false).await.unwrap().cause;
    assert_eq!(
        cause,
        format!("held too long; route {} forwards to neither slot any more and is left as it is", route(1))
    );
}

/// What may pass is tried again for a quarter of an hour, more and more rarely; then people are called.
#[tokio::test]
async fn a_route_that_cannot_be_restored_is_tried_again_before_anyone_is_called() {
    let world = shifted();
    world.state().deaf_routes.insert(route(2).as_str().into());
    let mut restoration = Restoration::default();
    let mut waits = Vec::new();
    let error = loop {
        match handle(&world, &world, now, Event { restoration, ..event(the_plan()) }).await {
            Ok(output) => {
                assert_eq!(output.next, Next::Again);
                waits.push(output.wait_seconds);
                restoration = output.restoration;
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.name(), "RollbackIncomplete");
    assert_eq!((waits.len(), &waits[..7], waits[19]), (20, &[1, 2, 4, 8, 16, 32, 60][..], 60));
    // A look that restores everything forgets the failures.
    world.state().deaf_routes.clear();
    let restoration = Restoration { failures: 20, ..Restoration::default() };
    let output = handle(&world, &world, now, Event { restoration, ..event(the_plan()) }).await.unwrap();
    assert_eq!((output.next, output.restoration.failures), (Next::Done, 0));
}

/// A rollback that could outlast its lease writes nothing, unless the lease could not be renewed: users come first.
#[tokio::test]
async fn a_lease_that_could_not_be_renewed_need_not_last() {
    for (renewed, redriven, writes) in [(true, false, false), (false, false, true), (false, true, false)] {
        let world = shifted();
        world.state().leases.get_mut("shop").unwrap().until = Some(now());
        let lease = Lease { deadline: Some(now() + SignedDuration::from_secs(30)), ..lease() };
        let event = Event { lease, renewed, redriven, ..event(the_plan()) };
        let outcome = handle(&world, &world, now, event).await;
        assert_eq!((outcome.is_ok(), world.state().changes.is_empty()), (writes, !writes), "{renewed} {redriven}");
        if let Err(error) = outcome {
            assert_eq!(error.name(), "LeaseTooShort");
        }
    }
}

#[tokio::test]
async fn testers_go_back_where_they_were() {
    let world = shifted();
    let mut plan = the_plan();
    plan.test_routes =
        vec![PlannedRoute { arn: route(3), original: forwarding(&[("blue", 9)]), ..plan.routes[0].clone() }];
    world.state().routes.insert(route(3).as_str().into(), forwarding(&[("blue", 0), ("green", 100)]));
    handle(&world, &world, now, event(plan.clone())).await.unwrap();
    assert_eq!(world.state().routes[route(3).as_str()], forwarding(&[("blue", 9)]));
    // A stranger's change is his, and a route that is gone holds nobody up.
    world.state().routes.insert(route(3).as_str().into(), forwarding(&[("blue", 1), ("green", 1)]));
    handle(&world, &world, now, event(plan.clone())).await.unwrap();
    assert_eq!(world.state().routes[route(3).as_str()], forwarding(&[("blue", 1), ("green", 1)]));
    world.state().routes.remove(route(3).as_str());
    assert_eq!(handle(&world, &world, now, event(plan)).await.unwrap().next, Next::Done);
}

/// Their slot is about to be scaled down: what fails once is tried again, and what fails for good is told.
#[tokio::test]
async fn testers_are_tried_to_be_taken_back_a_few_times() {
    let mut plan = the_plan();
    let original = forwarding(&[("blue", 9)]);
    plan.test_routes = vec![PlannedRoute { arn: route(3), original, ..plan.routes[0].clone() }];
    for (failing, looks, told) in [(1, 2, false), (9, 6, true)] {
        let world = shifted();
        world.state().routes.insert(route(3).as_str().into(), forwarding(&[("blue", 0), ("green", 100)]));
        let mut event = event(plan.clone());
        for look in 1.. {
            if look <= failing {
                world.plan_fault(Fault::before("ModifyRule", route(3).as_str(), throttled("ModifyRule")));
            }
            let output = handle(&world, &world, now, event.clone()).await.unwrap();
            assert_eq!(output.cause.contains("testers are still led to the candidate"), look <= failing);
            assert_eq!(weights(&world, 1), (Some(1), Some(0)), "users come first");
            if output.next == Next::Done {
                assert_eq!((look, output.cause.contains("testers")), (looks, told));
                break;
            }
            assert_eq!((output.next, output.wait_seconds), (Next::Again, 1 << (look - 1)));
            event.restoration = output.restoration;
        }
    }
}

#[tokio::test]
async fn the_hook_after_a_rollback_is_heard_once_and_its_failure_is_told() {
    let world = shifted();
    let mut plan = the_plan();
    plan.hooks = serde_json::from_value(
        json!({"after_rollback": {"function": "arn:aws:lambda:eu-west-1:123456789012:function:smoke", "timeout_seconds": 60}}),
    )
    .unwrap();
    let look = |restoration: Restoration, answer: Value, seconds: i64| {
        let hook = Reply { point: (!answer.is_null()).then_some(Point::AfterRollback), answer };
        handle(&world, &world, later(seconds), Event { restoration, hook, ..event(plan.clone()) })
    };
    let asked = look(Restoration::default(), Value::Null, 0).await.unwrap();
    assert_eq!((asked.next, weights(&world, 1)), (Next::Hook, (Some(1), Some(0))), "traffic is back first");
    assert_eq!(asked.hook.unwrap().payload.point, Point::AfterRollback);
    let unasked = look(asked.restoration.clone(), Value::Null, 100).await.unwrap();
    assert_eq!(
        (unasked.next, unasked.restoration.pending.unwrap().since),
        (Next::Hook, later(100)()),
        "its time begins now"
    );
    assert_eq!(look(asked.restoration.clone(), json!("ok"), 5).await.unwrap().next, Next::Done);
    assert_eq!(look(asked.restoration.clone(), json!("wait"), 5).await.unwrap().next, Next::Hook);
    let failed = look(asked.restoration, json!("fail"), 5).await.unwrap();
    assert_eq!((failed.next, failed.cause.as_str()), (Next::Page, "held too long; the after_rollback hook says fail"));
    let done = look(failed.restoration, json!("fail"), 6).await.unwrap();
    assert_eq!((done.next, done.cause), (Next::Done, failed.cause));
}

#[tokio::test]
async fn a_route_that_is_gone_sends_no_traffic() {
    let world = shifted();
    world.state().routes.remove(route(1).as_str());
    let output = roll_back(&world, false).await.unwrap();
    assert_eq!((output.routes[0].standing, output.routes[1].standing), (Standing::Gone, Standing::Restored));
}

#[tokio::test]
async fn users_come_first_when_the_lease_table_is_down_but_not_in_a_redrive() {
    let world = shifted();
    for _ in 0..3 {
        world.plan_fault(Fault::before("GetItem", "", throttled("GetItem")));
    }
    roll_back(&world, false).await.unwrap();
    assert_eq!(weights(&world, 1), (Some(1), Some(0)));
    assert_eq!(world.faults_left(), 2, "a table that hangs is asked once");

    let world = shifted();
    world.plan_fault(Fault::before("GetItem", "", throttled("GetItem")));
    assert_eq!(roll_back(&world, true).await.unwrap_err().name(), "Unavailable");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn touches_nothing_once_the_lease_is_someone_elses() {
    let world = shifted();
    if let Some(record) = world.state().leases.get_mut("shop") {
        record.fence = 8;
    }
    assert_eq!(roll_back(&world, false).await.unwrap_err().name(), "LeaseLost");
    assert!(world.state().changes.is_empty());
}

#[tokio::test]
async fn tells_the_cause_in_words() {
    let world = shifted();
    let lambda = json!({"Error": "CandidateNotReady", "Cause": r#"{"errorType":"CandidateNotReady","errorMessage":"0 of 2 healthy"}"#});
    for (failure, expected) in [
        (json!("rolled back from 5 %: errors"), "rolled back from 5 %: errors"),
        (lambda, "rolled back after CandidateNotReady: 0 of 2 healthy"),
        (json!({"Error": "States.Timeout"}), "rolled back after States.Timeout"),
        (json!({"Error": "X", "Cause": "plain"}), "rolled back after X: plain"),
        (Value::Null, "rolled back for an unknown reason"),
    ] {
        let event = Event { failure, ..event(the_plan()) };
        assert_eq!(handle(&world, &world, now, event).await.unwrap().cause, expected);
    }
}
