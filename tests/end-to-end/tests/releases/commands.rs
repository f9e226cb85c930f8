use serde_json::json;
use spillway_end_to_end::{PATIENCE, RATE, assert_all_on, assert_succeeded, entered, lab, put, quick, sound};
use spillway_lab::{Slot, Traffic, eventually};

/// Without proof the release waits for a person; each word is for one step and is taken out of the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_for_one_step() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let mut definition = quick(&shop).await;
    definition["health"]["on_inconclusive"] = json!("pause");
    put(&shop, &definition).await;
    let traffic = Traffic::start(&shop.url(), RATE, 0);

    let release = shop.release(&sound(&shop, "v2")).await.unwrap();
    entered(&release, "EvaluateHealth").await;
    shop.command("approve").await.unwrap();
    let at_half = eventually(PATIENCE, || async {
        let lease = shop.lease().await.unwrap().unwrap();
        if shop.weights()[0].green == Some(50) && lease["command"] == "none" { Ok(()) } else { Err(lease) }
    });
    at_half.await.unwrap();
    // It stays there until somebody says so: the history goes on growing, the weight does not.
    let seen = release.history().await.unwrap().len();
    let checked = eventually(PATIENCE, || async {
        let events = release.history().await.unwrap().len();
        if events > seen + 60 { Ok(()) } else { Err(events) }
    });
    checked.await.unwrap();
    assert_eq!(shop.weights()[0].green, Some(50));

    shop.command("promote").await.unwrap();
    entered(&release, "ConsumeCommand").await;
    let promoted = eventually(PATIENCE, || async {
        let weight = shop.weights()[0].green;
        if weight == Some(100) { Ok(()) } else { Err(weight) }
    });
    promoted.await.unwrap();
    assert_succeeded(&release.wait(PATIENCE).await.unwrap(), "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}
