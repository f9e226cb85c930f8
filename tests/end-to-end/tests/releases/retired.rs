use serde_json::json;
use spillway_end_to_end::{
    PATIENCE, RATE, assert_all_on, assert_failed, assert_free, assert_retired, assert_succeeded, entered, lab, put,
    quick, sound,
};
use spillway_lab::aws::Aws;
use spillway_lab::{Compute, Dials, Execution, Lab, Service, Slot, Status, Traffic, eventually};

/// The retirement that a release has started: named after it.
pub(crate) fn retirement(lab: &Lab, release: &Execution) -> Execution {
    let machine = lab.state_machines().and_then(|machines| machines.arn("retire")).expect("a lab with machines");
    let name = release.arn().rsplit(':').next().unwrap_or_default();
    Execution::of(lab.aws(), format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1)))
}

/// A release that is refused in the rollback window changes nothing: the old slot is retired all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn although_a_release_was_refused_meanwhile() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["type"] = json!("all_at_once");
    definition["retirement"]["window_seconds"] = json!(8);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    assert_succeeded(&release.wait(PATIENCE).await.unwrap(), "Promoted");
    let refused = shop.release(&json!({"image": "shop:latest"})).await.unwrap().wait(PATIENCE).await.unwrap();
    assert_failed(&refused, "Refused");
    assert_eq!(shop.tasks(Slot::Blue).len(), 2, "the window is not over yet");

    let retired = retirement(&lab, &release).wait(PATIENCE).await.unwrap();
    assert_succeeded(&retired, "Retired");
    assert_retired(&shop, Slot::Blue).await;
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    lab.stop().await;
}

/// A newer release decides about the slots: the older retirement steps aside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_once_a_newer_release_uses_the_slot() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["type"] = json!("all_at_once");
    definition["retirement"]["window_seconds"] = json!(12);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let first = shop.release(&sound(&shop, "v2")).await.unwrap();
    assert_succeeded(&first.wait(PATIENCE).await.unwrap(), "Promoted");
    let second = shop.release(&sound(&shop, "v3")).await.unwrap();
    assert_succeeded(&second.wait(PATIENCE).await.unwrap(), "Promoted");

    assert_succeeded(&retirement(&lab, &first).wait(PATIENCE).await.unwrap(), "Superseded");
    assert_all_on(&shop, &traffic, Slot::Blue, "v3").await;
    assert_succeeded(&retirement(&lab, &second).wait(PATIENCE).await.unwrap(), "Retired");
    assert_retired(&shop, Slot::Green).await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// Neither service scales in while the release goes on, and the one that may be rolled back to not before its retirement; a
/// newer release that begins in between knows what was there before the older one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_scales_in_as_before() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    for slot in [Slot::Blue, Slot::Green] {
        shop.scale_automatically(slot);
    }
    let suspended = || [Slot::Blue, Slot::Green].map(|slot| shop.scale_in_suspended(slot));
    let mut definition = quick(&shop).await;
    definition["strategy"]["type"] = json!("all_at_once");
    definition["retirement"]["window_seconds"] = json!(12);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let first = shop.release(&sound(&shop, "v2")).await.unwrap();
    assert_succeeded(&first.wait(PATIENCE).await.unwrap(), "Promoted");
    assert_eq!(suspended(), [Some(true), Some(true)]);

    definition["retirement"]["window_seconds"] = json!(5);
    put(&shop, &definition).await;
    let second = shop.release(&sound(&shop, "v3")).await.unwrap();
    assert_succeeded(&second.wait(PATIENCE).await.unwrap(), "Promoted");
    assert_eq!(suspended(), [Some(true), Some(true)]);
    assert_succeeded(&retirement(&lab, &second).wait(PATIENCE).await.unwrap(), "Retired");
    assert_eq!(suspended(), [Some(false), Some(false)]);
    assert_succeeded(&retirement(&lab, &first).wait(PATIENCE).await.unwrap(), "Superseded");
    assert_eq!(suspended(), [Some(false), Some(false)]);
    assert_eq!(shop.lease().await.unwrap().unwrap()["scaling"], "[]");
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// An Auto Scaling group's least size, what it wants, and whether it moves instances between zones.
#[derive(Debug, PartialEq)]
struct Sizes {
    least: u32,
    desired: u32,
    rebalances: bool,
}

async fn sizes(shop: &Service<'_>, groups: &Aws, slot: Slot) -> Sizes {
    let name = shop.workload(slot);
    let named = [("AutoScalingGroupNames.member.1", name.as_str())];
    let answer = groups.call_query("autoscaling", "2011-01-01", "DescribeAutoScalingGroups", &named).await.unwrap();
    let size = |field: &str| answer.text_of(field).parse().unwrap();
    let rebalances = answer.find("SuspendedProcesses").unwrap().text_of("ProcessName") != "AZRebalance";
    Sizes { least: size("MinSize"), desired: size("DesiredCapacity"), rebalances }
}

/// While a release goes on no policy scales either group below what it has: their least sizes are that. Promoted or aborted, the
/// least sizes are what they were before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn and_groups_have_their_floors_back() {
    let lab = lab().await;
    let shop = lab.service("shop").compute(Compute::AutoScaling).start().await.unwrap();
    let groups = Aws::new(lab.auto_scaling_url());
    let blue = shop.workload(Slot::Blue);
    let set = async |field: &str, size: &str| {
        let sizes = [("AutoScalingGroupName", blue.as_str()), (field, size)];
        groups.call_query("autoscaling", "2011-01-01", "UpdateAutoScalingGroup", &sizes).await
    };
    set("MinSize", "1").await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["approval_at"] = json!([10]);
    definition["retirement"]["window_seconds"] = json!(5);
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);
    let held = Sizes { least: 2, desired: 2, rebalances: false };
    let free = |desired: u32| Sizes { least: desired.min(1), desired, rebalances: true };

    for (version, word) in [("2", "abort"), ("3", "approve")] {
        shop.publish_launch_template_version(version, Dials::version(format!("v{version}")));
        let release = shop.release(&json!({"launch_template_version": version})).await.unwrap();
        entered(&release, "EvaluateHealth").await;
        for slot in [Slot::Blue, Slot::Green] {
            assert_eq!(sizes(&shop, &groups, slot).await, held, "{slot:?} during {version}");
        }
        // What a scaling policy would ask for.
        assert_eq!(set("DesiredCapacity", "1").await.unwrap_err().code, "ValidationError");
        shop.command(word).await.unwrap();
        let outcome = release.wait(PATIENCE).await.unwrap();
        let (live, idle) = if word == "abort" { (Slot::Blue, Slot::Green) } else { (Slot::Green, Slot::Blue) };
        if word == "abort" {
            assert_failed(&outcome, "RolledBack");
        } else {
            assert_succeeded(&outcome, "Promoted");
        }
        assert_succeeded(&retirement(&lab, &release).wait(PATIENCE).await.unwrap(), "Retired");
        assert_eq!(sizes(&shop, &groups, live).await, free(2), "{live:?} after {version}");
        assert_eq!(sizes(&shop, &groups, idle).await, free(0), "{idle:?} after {version}");
        assert_eq!(shop.lease().await.unwrap().unwrap()["scaling"], "[]");
    }
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}

/// Weight 0 is no proof: while anybody still gets the old version, here by a route that the definition does not name, it
/// stays. The release itself has gone on by policy.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_once_it_is_measured_quiet() {
    let lab = lab().await;
    let shop = lab.service("shop").test_route().start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["strategy"]["type"] = json!("all_at_once");
    definition["test_routes"] = json!([]);
    definition["traffic"]["on_split_mismatch"] = json!("continue");
    definition["health"]["hold_seconds"] = json!(3);
    put(&shop, &definition).await;
    let passing = Traffic::start(&shop.url(), RATE, 0);
    let loyal = Traffic::start_testers(&shop.url(), 20.0);

    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    let outcome = release.wait(PATIENCE).await.unwrap();
    assert_succeeded(&outcome, "Promoted");
    let said = serde_json::to_string(&outcome.events).unwrap();
    assert!(said.contains("s, and on by policy: observed share: the stable slot still gets"));
    let waited = eventually(PATIENCE, || async {
        let states = retirement(&lab, &release).states().await.unwrap_or_default();
        if states.iter().filter(|state| *state == "WaitUntilQuiet").count() >= 2 { Ok(()) } else { Err(states) }
    });
    waited.await.unwrap();
    assert_eq!(shop.tasks(Slot::Blue).len(), 2);
    assert_free(&shop).await;
    assert_eq!(retirement(&lab, &release).status().await.unwrap(), Status::Running);
    assert_eq!(loyal.stop().await.failed, 0);

    assert_succeeded(&retirement(&lab, &release).wait(PATIENCE).await.unwrap(), "Retired");
    assert_retired(&shop, Slot::Blue).await;
    assert_eq!(passing.stop().await.failed, 0);
    lab.stop().await;
}
