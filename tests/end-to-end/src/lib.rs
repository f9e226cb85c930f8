//! What the end-to-end scenarios share: how a service must look once a release is over.

pub mod chaos;

use std::time::Duration;

use serde_json::Value;
use spillway_lab::{Dials, Execution, Lab, Outcome, Service, Slot, Status, Traffic, TrafficCounts, eventually};

/// Requests per second in every scenario.
pub const RATE: f64 = 150.0;
/// The longest that a scenario waits for one release.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A lab, or the reason why there is none.
///
/// # Panics
/// If it does not start.
pub async fn lab() -> Lab {
    match Lab::builder().start().await {
        Ok(lab) => lab,
        Err(error) => panic!("the lab does not start: {error}"),
    }
}

/// A sound version.
#[must_use]
pub fn sound(service: &Service<'_>, name: &str) -> Value {
    serde_json::json!({"image": service.publish_image(name, Dials::version(name))})
}

/// All traffic is on the slot: the load balancer's API says so for every route, and the users' requests are
/// measured to go to that version, and nowhere else. The lease is free.
///
/// # Panics
/// If not.
pub async fn assert_all_on(service: &Service<'_>, traffic: &Traffic, slot: Slot, version: &str) {
    for route in service.weights() {
        let (on, off) = match slot {
            Slot::Blue => (route.blue, route.green),
            Slot::Green => (route.green, route.blue),
        };
        assert!(on > Some(0) && off.unwrap_or(0) == 0, "{route:?}");
    }
    let from_now_on = traffic.watch();
    let enough = eventually(Duration::from_secs(10), || async {
        let so_far = from_now_on.snapshot();
        if so_far.ok + so_far.failed >= 100 { Ok(so_far) } else { Err(format!("{} answers", so_far.ok)) }
    })
    .await;
    let measured: TrafficCounts = enough.unwrap_or_else(|late| panic!("{late}"));
    let served: Vec<&String> =
        measured.by_version.iter().filter(|(_, counts)| counts.requests > 0).map(|(name, _)| name).collect();
    assert_eq!(served, [version], "{measured:?}");
    assert_free(service).await;
}

/// Nobody holds the lease, or only a retirement that waits until no earlier invocation can be under way.
///
/// # Panics
/// If somebody does.
pub async fn assert_free(service: &Service<'_>) {
    let free = eventually(Duration::from_secs(45), || async {
        match service.lease().await {
            Ok(Some(lease)) if lease.get("owner").is_none() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    if let Err(late) = free {
        panic!("the lease is not free: {late}");
    }
}

/// The slot is scaled down, and its processes are gone.
///
/// # Panics
/// If it stays.
pub async fn assert_retired(service: &Service<'_>, slot: Slot) {
    let retired = eventually(Duration::from_mins(1), || async {
        let tasks = service.tasks(slot).len();
        if tasks == 0 { Ok(()) } else { Err(format!("{tasks} tasks of {slot}")) }
    })
    .await;
    if let Err(late) = retired {
        panic!("the slot is not retired: {late}");
    }
}

/// Makes the service's releases short: few steps, and decided soon where there is too little traffic for proof.
///
/// # Panics
/// If the definition cannot be put.
pub async fn quick(service: &Service<'_>) -> Value {
    let mut definition = service.definition();
    definition["strategy"]["canary"]["steps"] = serde_json::json!([10, 50]);
    definition["strategy"]["minimum_time_seconds"] = 2.into();
    definition["strategy"]["max_step_seconds"] = 5.into();
    put(service, &definition).await;
    definition
}

/// Puts a definition.
///
/// # Panics
/// If it cannot be put.
pub async fn put(service: &Service<'_>, definition: &Value) {
    if let Err(error) = service.put_definition(definition).await {
        panic!("the definition cannot be put: {error}");
    }
}

/// Waits until the execution has been in a state.
///
/// # Panics
/// If it does not get there.
pub async fn entered(execution: &Execution, state: &str) {
    let there = eventually(PATIENCE, || async {
        match execution.states().await {
            Ok(states) if states.iter().any(|name| name == state) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    if let Err(late) = there {
        panic!("{state} is not entered: {late}");
    }
}

/// The execution failed with this error, by this last state.
///
/// # Panics
/// If it ended otherwise.
pub fn assert_failed(outcome: &Outcome, error: &str) {
    let last = outcome.states().last().cloned().unwrap_or_default();
    assert_eq!(
        (outcome.status, outcome.error.as_deref(), last.as_str()),
        (Status::Failed, Some(error), error),
        "{:?}; states: {}",
        outcome.cause,
        outcome.states().join(", ")
    );
}

/// The execution ended in this state, and well.
///
/// # Panics
/// If it did not.
pub fn assert_succeeded(outcome: &Outcome, state: &str) {
    let last = outcome.states().last().cloned().unwrap_or_default();
    assert_eq!(
        (outcome.status, last.as_str()),
        (Status::Succeeded, state),
        "{:?} {:?}; states: {}",
        outcome.error,
        outcome.cause,
        outcome.states().join(", ")
    );
}

/// A service with live traffic, about to be released: given a lab and a change to its definition.
#[derive(Debug)]
pub struct Scene<'a> {
    /// The service, on blue with version v1.
    pub shop: Service<'a>,
    /// Its users.
    pub traffic: Traffic,
}

impl<'a> Scene<'a> {
    /// Starts the service `shop` with a quick definition, changed, and its users.
    ///
    /// # Panics
    /// If the service does not start.
    pub async fn new(lab: &'a Lab, change: impl FnOnce(&mut Value)) -> Self {
        let shop = match lab.service("shop").start().await {
            Ok(shop) => shop,
            Err(error) => panic!("the service does not start: {error}"),
        };
        let mut definition = quick(&shop).await;
        change(&mut definition);
        put(&shop, &definition).await;
        let traffic = Traffic::start(&shop.url(), RATE, 0);
        Self { shop, traffic }
    }

    /// Starts a release.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(&self, version: &Value) -> Execution {
        match self.shop.release(version).await {
            Ok(execution) => execution,
            Err(error) => panic!("the release does not start: {error}"),
        }
    }

    /// Releases a version, and waits for the end.
    ///
    /// # Panics
    /// If there is none.
    pub async fn release(&self, version: &Value) -> Outcome {
        ended(&self.start(version).await).await
    }

    /// Releases a version of these dials, named v2.
    pub async fn release_v2(&self, dials: impl FnOnce(Dials) -> Dials) -> Outcome {
        let image = self.shop.publish_image("v2", dials(Dials::version("v2")));
        self.release(&serde_json::json!({ "image": image })).await
    }

    /// All is as before the release: all traffic is on blue, measured, and the lease is free. Gives what users saw.
    pub async fn unharmed(self) -> TrafficCounts {
        assert_all_on(&self.shop, &self.traffic, Slot::Blue, "v1").await;
        self.traffic.stop().await
    }
}

/// How an execution ended.
///
/// # Panics
/// If it does not end.
pub async fn ended(execution: &Execution) -> Outcome {
    match execution.wait(PATIENCE).await {
        Ok(outcome) => outcome,
        Err(error) => panic!("{error}"),
    }
}

/// The cause contains each of these.
///
/// # Panics
/// If not.
pub fn assert_cause(outcome: &Outcome, parts: &[&str]) {
    let cause = outcome.cause.as_deref().unwrap_or_default();
    for part in parts {
        assert!(cause.contains(part), "no \"{part}\" in {cause}");
    }
}
