use std::time::Duration;

use spillway_lab::{Compute, Dials, Lab, Slot, Traffic, TrafficCounts};

use crate::{Result, SOON, until};

/// What becomes of this many more requests.
async fn next(traffic: &Traffic, requests: u64) -> Result<TrafficCounts> {
    let before = traffic.snapshot();
    let so_far = || {
        let counts = &traffic.snapshot() - &before;
        (counts.ok + counts.failed >= requests, counts)
    };
    until(so_far).await?;
    Ok(so_far().1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_dependency_fails_in_both_slots_at_once() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").desired(1).compute(Compute::External).start().await?;
    let other = lab.service("other").desired(1).compute(Compute::External).start().await?;
    shop.run_external(Slot::Green, &shop.publish_image("v2", Dials::version("v2")), 1);
    shop.wait_healthy(Slot::Green, 1, SOON).await?;
    shop.set_weights(50, 50).await?;
    let traffic = Traffic::start(&shop.url(), 200.0, 0);
    let others = Traffic::start(&other.url(), 50.0, 0);
    assert_eq!(next(&traffic, 50).await?.failed, 0);

    shop.fail_dependency(0.5)?;
    let failing = next(&traffic, 200).await?;
    for version in ["v1", "v2"] {
        let counts = failing.by_version[version];
        let percent = counts.errors * 100 / counts.requests;
        // Requests that were under way as it began were answered well.
        assert!((35..=55).contains(&percent), "{version}: {failing:?}");
    }
    assert_eq!((shop.healthy(Slot::Blue).await?, shop.healthy(Slot::Green).await?), (1, 1));
    // A process that starts meanwhile has the same dependency.
    shop.run_external(Slot::Green, &shop.publish_image("v3", Dials::version("v3")), 1);
    until(|| {
        let counts = traffic.snapshot().by_version.get("v3").copied().unwrap_or_default();
        (counts.errors > 0, counts)
    })
    .await?;

    shop.restore_dependency()?;
    // The answers that are under way may still be errors.
    until(|| {
        let counts = traffic.snapshot();
        (counts.ok + counts.failed == counts.sent, counts)
    })
    .await?;
    assert_eq!(next(&traffic, 100).await?.failed, 0);
    assert_eq!(others.stop().await.failed, 0, "another service has nothing to do with it");
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_can_appear_at_half_of_the_traffic() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let shop = lab.service("shop").desired(1).compute(Compute::External).start().await?;
    let fragile = Dials::version("v2").error_rate(1.0).errors_above_rps(50);
    shop.run_external(Slot::Green, &shop.publish_image("v2", fragile), 1);
    shop.wait_healthy(Slot::Green, 1, SOON).await?;
    shop.set_weights(90, 10).await?;
    let traffic = Traffic::start(&shop.url(), 200.0, 0);
    let calm = next(&traffic, 400).await?;
    assert!(calm.by_version["v2"].requests > 0 && calm.failed == 0, "{calm:?}");
    shop.set_weights(50, 50).await?;
    until(|| (traffic.snapshot().by_version["v2"].errors > 50, traffic.snapshot())).await?;
    shop.set_weights(90, 10).await?;
    // Within a second it has got over the load.
    let mut before = traffic.snapshot();
    until(|| {
        let counts = &traffic.snapshot() - &before;
        let calm = counts.sent >= 100 && counts.failed == 0;
        if counts.sent >= 100 {
            before = traffic.snapshot();
        }
        (calm, counts)
    })
    .await?;
    assert_eq!(traffic.stop().await.by_version["v1"].errors, 0);
    lab.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_answers_hold_up_nobody_else() -> Result {
    let lab = Lab::builder().bare().start().await?;
    let slow = Dials::version("v1").latency_ms(500);
    let shop = lab.service("shop").desired(1).stable(slow).compute(Compute::External).start().await?;
    let traffic = Traffic::start(&shop.url(), 100.0, 0);
    next(&traffic, 100).await?;
    let counts = traffic.stop().await;
    assert_eq!(counts.failed, 0, "{counts:?}");
    // One after the other they would pile up to a minute.
    let mean = counts.mean_latency_ms().ok_or("no answers")?;
    assert!(mean >= 500.0 && mean < Duration::from_secs(2).as_secs_f64() * 1000.0, "{mean} ms");
    lab.stop().await;
    Ok(())
}
