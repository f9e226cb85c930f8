use super::*;

/// The version that serves already is not released again, unless someone overrides something.
#[tokio::test]
async fn what_is_live_already_is_nothing_to_do() {
    let live = |revision: &str, slot| {
        let version = serde_json::from_value(json!({"task_definition": format!("shop:{revision}")})).unwrap();
        Some(Live { version, slot })
    };
    let labelled = Some(Live { version: serde_json::from_value(json!({"opaque": "2"})).unwrap(), slot: Slot::Blue });
    for (live, overrides, there) in [
        (live("2", Slot::Blue), Value::Null, true),
        (live("1", Slot::Blue), Value::Null, false),
        // Promoted to the other slot, and undone since.
        (live("2", Slot::Green), Value::Null, false),
        (live("2", Slot::Blue), json!({"stable": "blue"}), false),
        (live("2", Slot::Blue), json!({"strategy": {"type": "linear"}}), true),
        (None, Value::Null, false),
    ] {
        let world = World::of_shop();
        world.state().leases.get_mut("shop").unwrap().live.clone_from(&live);
        let request = json!({"service": "shop", "version": {"task_definition": "shop:2"}, "overrides": overrides});
        match plan(&world, &definition(), request).await {
            Err(error) => assert!(there && error.name() == "AlreadyStable", "{live:?} {overrides}: {error}"),
            Ok(_) => assert!(!there, "{live:?} {overrides}"),
        }
    }
    // A label of somebody else's says nothing about what is there.
    let world = World::of_shop();
    world.state().leases.get_mut("shop").unwrap().live = labelled;
    plan(&world, &definition(), release(&Value::Null)).await.unwrap();
}

/// On a conflict it says whose turn it is, from the lease as it stands, and plans nothing.
#[tokio::test]
async fn a_conflict_is_decided_by_the_definition() {
    let held = LeaseRecord {
        owner: Some("arn:aws:states:::execution:release:other".into()),
        fence: 9,
        phase: "baking".into(),
        since: Some(ago(3)),
        ..LeaseRecord::default()
    };
    for (policy, record, next) in [
        ("reject", Some(held.clone()), Next::Held),
        ("queue", Some(held.clone()), Next::Queue),
        ("supersede", Some(held), Next::Supersede),
        ("reject", None, Next::Acquire),
    ] {
        let world = World::of_shop();
        world.state().leases.clear();
        world.state().leases.extend(record.map(|record| ("shop".to_owned(), record)));
        let mut definition = definition();
        definition["on_conflict"] = policy.into();
        let conflict =
            Some(Conflict { since: ago(1), before: Turn::default(), queued: false, followed: String::new() });
        let event =
            Event { lease: lease(), definition: definition.to_string(), request: release(&Value::Null), conflict };
        let Output::Turn(turn) = handle(&world, &world, &world, &world, &[], now, event).await.unwrap() else {
            panic!("it planned")
        };
        assert_eq!(turn.next, next, "{turn:?}");
        if next == Next::Held {
            assert_eq!(turn.reason, "held by arn:aws:states:::execution:release:other, baking, for 3m");
        }
    }
}

/// Nobody waits, or goes back, for a release that cannot start.
#[tokio::test]
async fn what_cannot_start_takes_no_turn() {
    let world = World::of_shop();
    world.state().leases.get_mut("shop").unwrap().owner = Some("arn:aws:states:::execution:release:other".into());
    let mut definition = definition();
    definition["on_conflict"] = "supersede".into();
    let conflict = || Some(Conflict { since: ago(1), before: Turn::default(), queued: false, followed: String::new() });
    let ask = async |request: Value| {
        let event = Event { lease: lease(), definition: definition.to_string(), request, conflict: conflict() };
        handle(&world, &world, &world, &world, &[], now, event).await
    };
    for request in [
        json!({"service": "shop", "version": {"image": "shop:latest"}}),
        json!({"service": "shop", "version": {"opaque": "2"}, "colour": "red"}),
        json!({"service": "shop", "version": {"opaque": "2"}, "overrides": {"stable": "red"}}),
    ] {
        assert_eq!(ask(request.clone()).await.unwrap_err().name(), "ReleaseRefused", "{request}");
    }
    let Output::Turn(turn) = ask(release(&Value::Null)).await.unwrap() else { panic!("it planned") };
    assert_eq!(turn.next, Next::Supersede);
    world.state().freeze_of_all = Some(freeze(now() + SignedDuration::from_secs(1)));
    let Output::Turn(turn) = ask(release(&Value::Null)).await.unwrap() else { panic!("it planned") };
    assert_eq!(turn.next, Next::Queue);
}
