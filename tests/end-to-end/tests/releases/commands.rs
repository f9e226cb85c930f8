use serde_json::json;
use spillway_end_to_end::{PATIENCE, Scene, assert_all_on, assert_succeeded, ended, entered, lab, sound};
use spillway_lab::{Slot, eventually};

/// Without proof the release waits for a person; each word is for one step and is taken out of the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_approval_is_for_one_step() {
    let lab = lab().await;
    let Scene { shop, traffic } =
        Scene::new(&lab, |definition| definition["health"]["on_inconclusive"] = json!("pause")).await;

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
    let promoted = eventually(PATIENCE, || async {
        let weight = shop.weights()[0].green;
        if weight == Some(100) { Ok(()) } else { Err(weight) }
    });
    promoted.await.unwrap();
    assert_succeeded(&ended(&release).await, "Promoted");
    assert_all_on(&shop, &traffic, Slot::Green, "v2").await;
    assert_eq!(traffic.stop().await.failed, 0);
    lab.stop().await;
}
