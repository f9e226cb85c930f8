use evaluate_health::{Event, handle};
use jiff::Timestamp;
use serde_json::json;
use spillway_core::decision::{Check, Command, Decision, Next};
use spillway_core::hook::Reply;
use spillway_core::lease::{Freeze, Waiting};
use spillway_core::progress::Progress;
use spillway_core::weight::Percent;
use spillway_world::{Fault, World, group, lease, throttled};

use super::*;

async fn command(world: &World, command: Command, progress: Progress, now: Timestamp) -> Check {
    as_left(world, &the_plan(), &progress);
    let event = Event { lease: lease(), plan: the_plan(), progress, command, hook: Reply::default() };
    handle(world, world, world, || now, event).await.unwrap()
}

#[tokio::test]
async fn commands_are_honoured() {
    let world = world();
    // Too little for proof.
    for m in 0..10 {
        minute(&world, m, (15, 0), (285, 0));
    }
    for (wish, decision, next, position) in [
        (Command::None, Decision::Continue, Next::Bake, 0),
        (Command::Abort, Decision::RollBack, Next::RollBack, 0),
        (Command::Pause, Decision::Hold, Next::Tell, 0),
        (Command::Resume, Decision::Continue, Next::Bake, 0),
        (Command::Approve, Decision::Advance, Next::ConsumeCommand, 1),
        (Command::Promote, Decision::Advance, Next::ConsumeCommand, 3),
        (Command::Unknown, Decision::Continue, Next::Bake, 0),
    ] {
        let check = command(&world, wish, progress(), at(10)).await;
        assert_eq!((check.decision, check.next, check.progress.position), (decision, next, position), "{wish:?}");
    }
    let early = command(&world, Command::Approve, progress(), at(4)).await;
    assert_eq!(early.next, Next::Bake, "not before the minimum time");
    let unknown: Command = serde_json::from_value(json!("dance")).unwrap();
    assert_eq!(unknown, Command::Unknown);
}

#[tokio::test]
async fn a_pause_is_judged_rarely_ends_without_harm_and_not_never() {
    let world = world();
    for m in 0..700 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let paused = command(&world, Command::Pause, progress(), at(10)).await;
    assert_eq!((paused.next, paused.wait_seconds), (Next::Tell, 240));
    assert_eq!((paused.progress.waiting_since, paused.progress.held_since), (Some(at(10)), None));
    // Ten hours later it is resumed: the time of waiting does not count.
    let resumed = command(&world, Command::Resume, paused.progress.clone(), at(610)).await;
    assert_eq!((resumed.decision, resumed.wait_seconds), (Decision::Advance, 60), "{}", resumed.reason);
    assert_eq!((resumed.progress.waiting_since, resumed.progress.waited_seconds), (None, 36_000));
    // Paused, it goes on being judged.
    for m in 600..606 {
        world.record(&group("green"), at(m), 3000, 3000);
    }
    let worse = command(&world, Command::Pause, paused.progress.clone(), at(610)).await;
    assert_eq!(worse.decision, Decision::RollBack, "{}", worse.reason);
}

/// A world where the candidate is suspicious at 5 %, and no more.
fn suspicious() -> World {
    let world = world();
    for m in 0..4 {
        minute(&world, m, (1500, 4), (28_500, 20));
    }
    world
}

#[tokio::test]
async fn an_operators_word_counts_while_the_candidate_is_suspicious() {
    let alone = command(&suspicious(), Command::None, progress(), at(6)).await;
    assert_eq!(alone.decision, Decision::Hold, "{}", alone.reason);
    for (wish, next) in [
        (Command::Approve, Next::ConsumeCommand),
        (Command::Promote, Next::ConsumeCommand),
        (Command::Pause, Next::Tell),
    ] {
        let held = Progress { held_since: Some(at(6)), ..progress() };
        let check = command(&suspicious(), wish, held, at(60)).await;
        assert_eq!(check.next, next, "{wish:?}: {}", check.reason);
    }
}

#[tokio::test]
async fn a_hold_that_ends_in_a_pause_stays_one() {
    let mut plan = the_plan();
    plan.health.on_inconclusive = serde_json::from_value(json!("pause")).unwrap();
    let held = Progress { held_since: Some(at(6)), ..progress() };
    let first = look(&suspicious(), plan.clone(), held, at(26)).await;
    assert_eq!((first.decision, first.wait_seconds), (Decision::Hold, 240), "{}", first.reason);
    let second = look(&suspicious(), plan, first.progress, at(30)).await;
    assert_eq!((second.progress.held_since, second.progress.waiting_since), (Some(at(6)), Some(at(26))));
}

#[tokio::test]
async fn a_pause_does_not_use_up_the_step() {
    let mut plan = the_plan();
    plan.health.on_inconclusive = serde_json::from_value(json!("rollback")).unwrap();
    let world = world();
    for m in 0..60 {
        minute(&world, m, (1, 0), (20, 0));
    }
    let paused = Progress { waiting_since: Some(at(10)), ..progress() };
    let resumed = look(&world, plan.clone(), paused, at(40)).await;
    assert_eq!(resumed.decision, Decision::Continue, "{}", resumed.reason);
    // Ten minutes before the pause and five after it make fifteen.
    assert_eq!(look(&world, plan, resumed.progress, at(45)).await.decision, Decision::RollBack);
}

#[tokio::test]
async fn nobody_is_waited_for_for_ever() {
    let world = world();
    for m in 0..10 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let waiting = Progress { waiting_since: Some(at(10)), ..progress() };
    let check = command(&world, Command::Pause, waiting, at(10 + 28 * 60)).await;
    assert_eq!(check.decision, Decision::RollBack);
    assert!(check.reason.contains("waited for people"), "{}", check.reason);
}

/// A freeze keeps a healthy candidate where it is, and a sick one from nothing.
#[tokio::test]
async fn a_freeze_holds_what_would_go_on_and_lets_go_back() {
    let world = world();
    for m in 0..10 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let freeze = Freeze { reason: "sale".into(), owner: "ann".into(), until: at(11) };
    world.state().freeze_of_all = Some(freeze.clone());
    let check = look(&world, the_plan(), progress(), at(10)).await;
    assert_eq!((check.decision, check.next, check.wait_seconds), (Decision::Hold, Next::Tell, 240));
    assert!(check.reason.starts_with("held at 5 %: frozen by ann until "), "{}", check.reason);
    assert_eq!(check.progress.waiting_since, Some(at(10)));
    // It is over at its end, and for what is not read as well.
    assert_eq!(look(&world, the_plan(), progress(), at(11)).await.decision, Decision::Advance);
    world.plan_fault(Fault::before("GetItem", "*", throttled("GetItem")));
    let check = look(&world, the_plan(), progress(), at(11)).await;
    assert_eq!(check.decision, Decision::Hold);
    assert!(check.reason.contains("whether there is a freeze cannot be read: GetItem"), "{}", check.reason);
    // An operator's word waits for its end, but for one.
    for (command, decision) in
        [(Command::Promote, Decision::Hold), (Command::Approve, Decision::Hold), (Command::Abort, Decision::RollBack)]
    {
        let event = Event { lease: lease(), plan: the_plan(), progress: progress(), command, hook: Reply::default() };
        let check = handle(&world, &world, &world, || at(10), event).await.unwrap();
        assert_eq!(check.decision, decision, "{command:?}");
    }
    // All users are on the candidate: nothing is left to shift.
    world.state().leases.get_mut("shop").unwrap().freeze = Some(freeze);
    for m in 10..13 {
        minute(&world, m, (1500, 300), (28_500, 28));
    }
    world.state().leases.get_mut("shop").unwrap().freeze.as_mut().unwrap().until = at(60);
    assert_eq!(look(&world, the_plan(), progress(), at(15)).await.decision, Decision::RollBack);
}

#[tokio::test]
async fn a_release_is_rolled_back_for_a_newer_one_that_says_so() {
    let world = world();
    for m in 0..10 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    for (supersede, decision) in [(false, Decision::Advance), (true, Decision::RollBack)] {
        let waiting = Waiting { execution: "newer".into(), intent: String::new(), since: at(1), supersede };
        world.state().leases.get_mut("shop").unwrap().waiting = Some(waiting);
        let check = look(&world, the_plan(), progress(), at(10)).await;
        assert_eq!(check.decision, decision);
        if supersede {
            assert_eq!(check.reason, "rolled back from 5 %: newer is newer, and takes its place");
        }
    }
    // In a freeze the newer one could not start.
    let freeze = Freeze { reason: "sale".into(), owner: "ann".into(), until: at(11) };
    world.state().freeze_of_all = Some(freeze);
    assert_eq!(look(&world, the_plan(), progress(), at(10)).await.decision, Decision::Hold);
    assert_eq!(look(&world, the_plan(), progress(), at(11)).await.decision, Decision::RollBack);
}

/// At the weights that the definition names a person is waited for, and the candidate goes on being judged.
#[tokio::test]
async fn a_step_can_ask_for_approval() {
    let world = world();
    for m in 0..10 {
        minute(&world, m, (1500, 1), (28_500, 28));
    }
    let asking = |weight: u16| {
        let mut plan = the_plan();
        plan.approval_at.push(Percent::whole(weight));
        plan
    };
    for (weight, decision) in
        [(5, Decision::Hold), (49, Decision::Hold), (50, Decision::Advance), (1, Decision::Advance)]
    {
        let check = look(&world, asking(weight), progress(), at(10)).await;
        assert_eq!(check.decision, decision, "{weight}: {}", check.reason);
    }
    let check = look(&world, asking(5), progress(), at(10)).await;
    assert!(check.reason.starts_with("held at 5 %: waiting for approval; advanced from 5 %: "), "{}", check.reason);
    assert_eq!((check.next, check.wait_seconds, check.progress.position), (Next::Tell, 240, 0));
    assert_eq!(check.progress.waiting_since, Some(at(10)));
    let command = Command::Approve;
    let event = Event { lease: lease(), plan: asking(5), progress: progress(), command, hook: Reply::default() };
    let check = handle(&world, &world, &world, || at(10), event).await.unwrap();
    assert_eq!((check.next, check.progress.position), (Next::ConsumeCommand, 1));
    for m in 10..13 {
        minute(&world, m, (1500, 300), (28_500, 28));
    }
    assert_eq!(look(&world, asking(5), check.progress, at(15)).await.decision, Decision::RollBack);
}
