//! Lifecycle events, as they are delivered.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use spillway_core::event::{self, Event, Kind, Severity};
use spillway_end_to_end::{PATIENCE, Scene, assert_failed, assert_succeeded, ended, entered, lab, sound};
use spillway_lab::{Dials, Lab, eventually};
use tokio::sync::Mutex;

/// Events by id: one may come twice.
#[derive(Default)]
struct Told(BTreeMap<String, Value>);

impl Told {
    async fn listen(&mut self, lab: &Lab) {
        for envelope in lab.state_machines().unwrap().events().await.unwrap() {
            assert_eq!(envelope["source"], "spillway");
            let event: Event = serde_json::from_value(envelope["detail"].clone()).unwrap();
            assert_eq!(envelope["detail-type"], event.kind.detail_type());
            self.0.insert(event.id, envelope["detail"].clone());
        }
    }

    /// Waits for an event of this kind and this release.
    async fn of(&mut self, lab: &Lab, kind: Kind, release: &str) -> Event {
        self.first(lab, kind, |event| event.release.name == release).await
    }

    /// The kinds of all that was told, each as the schema says.
    async fn checked(&mut self, lab: &Lab) -> Vec<String> {
        self.listen(lab).await;
        let schema = jsonschema::validator_for(&Event::json_schema()).unwrap();
        for event in self.0.values() {
            let broken: Vec<String> = schema.iter_errors(event).map(|error| error.to_string()).collect();
            assert!(broken.is_empty(), "{event}: {broken:?}");
        }
        let kinds: BTreeSet<&str> = self.0.values().filter_map(|event| event["type"].as_str()).collect();
        kinds.into_iter().map(ToOwned::to_owned).collect()
    }

    async fn first(&mut self, lab: &Lab, kind: Kind, wanted: impl Fn(&Event) -> bool) -> Event {
        let told = &Mutex::new(self);
        let wanted = &wanted;
        let found = eventually(PATIENCE, || async move {
            let mut told = told.lock().await;
            told.listen(lab).await;
            let events = told.0.values().map(|event| serde_json::from_value(event.clone()).unwrap());
            let found = events.into_iter().find(|event: &Event| event.kind == kind && wanted(event));
            found.ok_or_else(|| told.0.clone())
        });
        found.await.unwrap_or_else(|late| panic!("no {}: {late}", kind.name()))
    }
}

/// A version that is rolled back, and a release that is stopped, of which the guard's recovery pages.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_is_told_of() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |_| {}).await;
    let mut told = Told::default();

    let faulty = scene.shop.publish_image("v2", Dials::version("v2").error_rate(0.7));
    let first = scene.start(&json!({ "image": faulty })).await;
    assert_failed(&ended(&first).await, "RolledBack");
    let back = told.of(&lab, Kind::RolledBack, event::name(first.arn())).await;
    assert!(back.reason.starts_with("rolled back from 10 %: "), "{}", back.reason);
    assert!(back.text.starts_with("shop: rolled back from 10 %\n"), "{}", back.text);

    let second = scene.start(&sound(&scene.shop, "v3")).await;
    entered(&second, "Bake").await;
    second.stop().await.unwrap();
    let page = told.first(&lab, Kind::Page, |page| page.text.contains("died")).await;
    assert_eq!(page.service, "shop");
    assert_ne!(page.severity, Severity::Info, "{page:?}");
    let kinds = told.checked(&lab).await;
    assert!(["page", "rolled-back", "started"].iter().all(|kind| kinds.contains(&(*kind).to_owned())), "{kinds:?}");
    scene.traffic.stop().await;
    lab.stop().await;
}

/// What a release tells on its way, as the schema says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_told_of_on_its_way() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| {
        definition["strategy"]["approval_at"] = json!([10]);
    })
    .await;
    let mut told = Told::default();

    let first = scene.start(&sound(&scene.shop, "v2")).await;
    let name = event::name(first.arn()).to_owned();
    let started = told.of(&lab, Kind::Started, &name).await;
    assert_eq!((started.service.as_str(), started.weight), ("shop", None));
    let shifted = told.of(&lab, Kind::Shifted, &name).await;
    assert_eq!(shifted.reason, "shifted to 10 %: weight 10 % read back on the route, before 0 %");
    let asks = told.of(&lab, Kind::ApprovalNeeded, &name).await;
    assert!(asks.reason.starts_with("held at 10 %: waiting for approval; "), "{}", asks.reason);
    assert!(asks.observed.is_some_and(|observed| observed.requests > 0.0), "{asks:?}");

    // Another one is turned away meanwhile.
    let second = scene.start(&sound(&scene.shop, "v3")).await;
    assert_failed(&ended(&second).await, "LeaseHeld");
    let refused = told.of(&lab, Kind::Refused, event::name(second.arn())).await;
    assert!(refused.reason.starts_with("refused: ") && refused.reason.contains(&name), "{}", refused.reason);

    scene.shop.command("pause").await.unwrap();
    let held = told.of(&lab, Kind::Held, &name).await;
    assert_eq!(held.reason, "held at 10 %: paused by an operator");
    scene.shop.command("approve").await.unwrap();
    assert_succeeded(&ended(&first).await, "Promoted");
    let promoted = told.of(&lab, Kind::Promoted, &name).await;
    assert!(promoted.reason.starts_with("promoted at 100 %: "), "{}", promoted.reason);
    assert!(promoted.text.starts_with("shop: promoted at 100 %\n"), "{}", promoted.text);

    let kinds = told.checked(&lab).await;
    assert_eq!(kinds, ["approval-needed", "held", "promoted", "refused", "shifted", "started"]);
    scene.traffic.stop().await;
    lab.stop().await;
}

/// What comes after a promotion: the slot that nobody uses any more, and all traffic going back to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_a_release_is_told_of() {
    let lab = lab().await;
    let scene = Scene::new(&lab, |definition| definition["readiness"]["timeout_seconds"] = json!(60)).await;
    let mut told = Told::default();

    let release = scene.start(&sound(&scene.shop, "v2")).await;
    assert_succeeded(&ended(&release).await, "Promoted");
    let retired = told.of(&lab, Kind::Retired, event::name(release.arn())).await;
    assert_eq!((retired.service.as_str(), retired.severity), ("shop", Severity::Info));
    assert!(retired.reason.starts_with("retired: slot blue scaled down; "), "{}", retired.reason);

    let undo = scene.shop.undo().await.unwrap();
    assert_succeeded(&ended(&undo).await, "RolledBack");
    let back = told.of(&lab, Kind::RolledBack, event::name(undo.arn())).await;
    assert!(back.reason.starts_with("rolled back"), "{}", back.reason);
    let kinds = told.checked(&lab).await;
    assert_eq!(kinds, ["promoted", "retired", "rolled-back", "shifted", "started"]);
    scene.traffic.stop().await;
    lab.stop().await;
}
