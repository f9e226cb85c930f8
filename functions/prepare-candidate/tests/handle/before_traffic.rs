use super::*;

#[tokio::test]
async fn testers_and_the_hook_come_before_the_first_user() {
    let (world, mut plan) = (World::of_shop(), plan(&json!({"task_definition": "shop:1"})));
    plan.test_routes = vec![PlannedRoute { arn: route(3), ..plan.routes[0].clone() }];
    plan.hooks = serde_json::from_value(
        json!({"before_traffic": {"function": "arn:aws:lambda:eu-west-1:123456789012:function:smoke", "timeout_seconds": 60}}),
    )
    .unwrap();
    world.state().services.get_mut("shop-green").unwrap().desired = 2;
    world.settle("shop-green");
    let ask = |preparation: Preparation, answer: Value, seconds: i64| {
        let ports = Ports { services: &world, revisions: &world, groups: &world, targets: &world, leases: &world };
        let point = (!answer.is_null()).then_some(Point::BeforeTraffic);
        let (role, hook) = (Role::Candidate, Reply { point, answer });
        let event = Event { lease: lease(), plan: plan.clone(), preparation, role, hook };
        handle(ports, move || now().checked_add(SignedDuration::from_secs(seconds)).unwrap(), event)
    };
    let unready = ask(Preparation::default(), Value::Null, 0).await.unwrap();
    assert_eq!(unready.next, Next::Wait);
    healthy(&world, 2);
    let opened = ask(unready.preparation, Value::Null, 1).await.unwrap();
    assert_eq!(opened.next, Next::OpenTestRoutes);
    let asked = ask(opened.preparation, Value::Null, 2).await.unwrap();
    let Some(Call { function, payload }) = asked.hook else { panic!("no call") };
    assert_eq!((asked.next, function.as_str()), (Next::Hook, "arn:aws:lambda:eu-west-1:123456789012:function:smoke"));
    assert_eq!(
        serde_json::to_value(&payload).unwrap(),
        json!({"point": "before_traffic", "service": "shop", "release": "release-1",
            "version": {"task_definition": "shop:1"}, "stable": "blue", "candidate": "green", "weight": 0.0,
            "test_routes": [route(3).as_str()]})
    );
    let waits = ask(asked.preparation.clone(), json!("wait"), 30).await.unwrap();
    assert_eq!((waits.next, waits.reason.as_str()), (Next::Hook, "the before_traffic hook says wait"));
    assert_eq!(ask(waits.preparation.clone(), json!({"result": "ok"}), 40).await.unwrap().next, Next::Shift);
    let failed = ask(waits.preparation.clone(), json!({"result": "fail", "reason": "no cart"}), 40).await.unwrap_err();
    assert_eq!(
        (failed.name(), failed.to_string()),
        ("HookFailed", "the before_traffic hook says fail: no cart".into())
    );
    let late = ask(waits.preparation.clone(), json!("wait"), 62).await.unwrap_err();
    assert_eq!(late.to_string(), "no ok within 60 s: the before_traffic hook says wait");
    // A candidate that has fallen ill meanwhile is waited for; the hook's time goes on, or it could last for ever.
    healthy(&world, 1);
    let ill = ask(waits.preparation.clone(), json!("ok"), 1820).await.unwrap();
    assert_eq!(
        (ill.next, ill.preparation.pending),
        (Next::Wait, waits.preparation.pending),
        "ready at 30 s: not too late"
    );
    healthy(&world, 2);
    assert_eq!(ask(ill.preparation.clone(), json!("ok"), 1825).await.unwrap().next, Next::Shift);
    assert_eq!(ask(ill.preparation, json!("wait"), 1825).await.unwrap_err().name(), "HookFailed");
}

/// People are heard before the first user is exposed: they may stop it, keep it waiting, and be waited for.
#[tokio::test]
async fn people_are_heard_before_the_first_traffic() {
    let freeze = Freeze { reason: "sale".into(), owner: "ann".into(), until: now() + SignedDuration::from_hours(1) };
    for (command, approval, frozen, expected) in [
        (Command::None, false, false, Ok(Next::Shift)),
        (Command::Pause, false, false, Ok(Next::Tell)),
        (Command::Resume, false, false, Ok(Next::Shift)),
        (Command::Abort, false, false, Err("Aborted")),
        // It may be meant for the first step.
        (Command::Approve, false, false, Ok(Next::Shift)),
        (Command::None, true, false, Ok(Next::Tell)),
        (Command::Approve, true, false, Ok(Next::ConsumeCommand)),
        (Command::Promote, true, false, Ok(Next::Shift)),
        (Command::None, false, true, Ok(Next::Tell)),
        (Command::Approve, true, true, Ok(Next::Tell)),
        (Command::Promote, false, true, Ok(Next::Tell)),
        (Command::Abort, false, true, Err("Aborted")),
    ] {
        let (world, mut plan) = (World::of_shop(), plan(&json!({"opaque": "2"})));
        world.state().services.get_mut("shop-green").unwrap().desired = 2;
        world.settle("shop-green");
        healthy(&world, 2);
        plan.approval_at.extend(approval.then_some(Percent::ZERO));
        world.state().leases.get_mut("shop").unwrap().command = command;
        world.state().freeze_of_all = frozen.then(|| freeze.clone());
        let outcome = call(&world, &plan, Preparation::default(), now()).await;
        let next = outcome.as_ref().map(|output| output.next).map_err(Named::name);
        assert_eq!(next, expected, "{command:?} {approval} {frozen}");
        if let Ok(output) = outcome.as_ref()
            && output.next == Next::Tell
        {
            assert_eq!(output.preparation.waiting_since, Some(now()), "{}", output.reason);
            let event = &output.news.as_ref().unwrap().event;
            let kind = if frozen || command == Command::Pause { Kind::Held } else { Kind::ApprovalNeeded };
            assert_eq!((event.kind, &event.reason), (kind, &format!("held at 0 %: {}", output.reason)));
            // Once.
            let again = call(&world, &plan, output.preparation.clone(), now()).await.unwrap();
            assert_eq!((again.next, again.news), (Next::Wait, None));
            // Rarer than looks, and not for ever.
            assert_eq!(output.wait_seconds, 480);
            let late = now() + SignedDuration::from_secs(plan.longest_wait_seconds() as i64 + 1);
            world.state().freeze_of_all =
                frozen.then(|| Freeze { until: late + SignedDuration::from_hours(1), ..freeze.clone() });
            let over = call(&world, &plan, output.preparation.clone(), late).await;
            assert_eq!(over.unwrap_err().name(), "WaitedTooLong");
        }
    }
}

#[tokio::test]
async fn a_newer_release_takes_the_place_before_the_first_traffic() {
    let (world, plan) = (World::of_shop(), plan(&json!({"opaque": "2"})));
    for (supersede, next) in [(false, Ok(Next::Wait)), (true, Err("Superseded"))] {
        let waiting = Waiting { execution: "newer".into(), intent: String::new(), since: now(), supersede };
        world.state().leases.get_mut("shop").unwrap().waiting = Some(waiting);
        let outcome = call(&world, &plan, Preparation::default(), now()).await;
        assert_eq!(outcome.map(|output| output.next).map_err(|error| error.name()), next);
    }
}
