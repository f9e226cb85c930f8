use super::*;

fn sticky(weights: &[(&str, u16)]) -> Vec<Action> {
    let mut actions = forwarding(weights);
    if let ActionKind::Forward(forward) = &mut actions[0].kind {
        forward.stickiness = Some(Stickiness { enabled: true, duration_seconds: Some(600) });
    }
    actions
}

#[tokio::test]
async fn with_group_stickiness_the_candidate_is_taken_out() {
    let world = shifted();
    let mut plan = the_plan();
    plan.routes[0].original = sticky(&[("blue", 1)]);
    world.state().routes.insert(route(1).as_str().into(), sticky(&[("blue", 50), ("green", 50)]));
    handle(&world, &world, now, event(plan)).await.unwrap();
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("blue", 1)]));
    assert_eq!(world.state().routes[route(2).as_str()], forwarding(&[("blue", 1), ("green", 0)]));
}

/// After the shift to 100 % with group stickiness the stable slot is out of the route, and its health unknown.
#[tokio::test]
async fn a_slot_that_was_taken_out_is_attached_and_its_health_awaited() {
    let world = shifted();
    let mut plan = the_plan();
    plan.routes.truncate(1);
    plan.routes[0].original = sticky(&[("blue", 1)]);
    world.state().routes.insert(route(1).as_str().into(), sticky(&[("green", 100)]));
    hosts(&world, "blue", &[TargetState::Unused; 2]);
    hosts(&world, "green", &[TargetState::Healthy; 2]);
    let look = |restoration: Restoration, seconds: i64| {
        handle(&world, &world, later(seconds), Event { restoration, ..event(plan.clone()) })
    };
    let first = look(Restoration::default(), 0).await.unwrap();
    assert_eq!((first.next, first.routes[0].standing), (Next::Restore, Standing::Awaiting));
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("green", 100), ("blue", 0)]));
    hosts(&world, "blue", &[TargetState::Initial; 2]);
    assert_eq!(look(first.restoration.clone(), 15).await.unwrap().next, Next::Restore);
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("green", 100), ("blue", 0)]), "nobody is moved yet");
    hosts(&world, "blue", &[TargetState::Healthy; 2]);
    assert_eq!(look(first.restoration, 30).await.unwrap().next, Next::Done);
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("blue", 1)]));
}

/// A sticky release that was started without a healthy stable slot, which has come to life since: attached, awaited, and
/// given everything; and with a plain route beside it, one that stays dead ends the rollback where it is served.
#[tokio::test]
async fn sticky_and_plain_routes_end_alike() {
    for revived in [true, false] {
        let world = shifted();
        let mut plan = Plan { without_stable: revived.then(|| "it was dead".into()), ..the_plan() };
        plan.routes[0].original = sticky(&[("blue", 1)]);
        world.state().routes.insert(route(1).as_str().into(), sticky(&[("green", 100)]));
        world.state().routes.insert(route(2).as_str().into(), forwarding(&[("blue", 0), ("green", 100)]));
        hosts(&world, "blue", &[TargetState::Unused; 2]);
        hosts(&world, "green", &[TargetState::Healthy; 2]);
        let mut restoration = Restoration::default();
        let mut seen = Vec::new();
        for seconds in [0, 15, 30, 1800, 1815, 1830, 1845] {
            if revived && seconds == 1800 {
                hosts(&world, "blue", &[TargetState::Healthy; 2]);
            }
            let event = Event { restoration, ..event(plan.clone()) };
            let output = handle(&world, &world, later(seconds), event).await.unwrap();
            seen.push(output.next);
            restoration = output.restoration;
            if matches!(output.next, Next::Done | Next::StableDead) {
                break;
            }
        }
        let end = if revived { Next::Done } else { Next::StableDead };
        assert_eq!(seen.last(), Some(&end), "{seen:?}");
        let pages = seen.iter().filter(|next| **next == Next::Page).count();
        assert_eq!(pages, usize::from(!revived), "{seen:?}");
        let (first, second) = if revived {
            (sticky(&[("blue", 1)]), forwarding(&[("blue", 1), ("green", 0)]))
        } else {
            (sticky(&[("green", 100)]), forwarding(&[("blue", 0), ("green", 100)]))
        };
        assert_eq!(world.state().routes[route(1).as_str()], first);
        assert_eq!(world.state().routes[route(2).as_str()], second);
    }
}

/// Out of the route, and the only slot that is left: at once.
#[tokio::test]
async fn a_dead_candidate_is_no_reason_to_wait_for_a_slot_that_was_taken_out() {
    let world = shifted();
    let mut plan = the_plan();
    plan.routes.truncate(1);
    plan.routes[0].original = sticky(&[("blue", 1)]);
    world.state().routes.insert(route(1).as_str().into(), sticky(&[("green", 100)]));
    hosts(&world, "blue", &[TargetState::Unused; 2]);
    hosts(&world, "green", &[TargetState::Unhealthy; 2]);
    handle(&world, &world, now, event(plan)).await.unwrap();
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("blue", 1)]));
}

/// A stranger has taken all traffic for his own group; clients whose cookie names the candidate would still reach it.
#[tokio::test]
async fn pinned_clients_are_freed_even_where_a_stranger_has_the_route() {
    let world = shifted();
    let live = sticky(&[("blue", 0), ("stranger", 1), ("green", 0)]);
    world.state().routes.insert(route(1).as_str().into(), live);
    let output = handle(&world, &world, now, event(the_plan())).await.unwrap();
    assert_eq!((output.next, output.routes[0].standing), (Next::Done, Standing::Left));
    assert_eq!(world.state().routes[route(1).as_str()], sticky(&[("blue", 0), ("stranger", 1)]));
}
