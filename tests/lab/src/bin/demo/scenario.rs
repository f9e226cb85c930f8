//! The service of the demo, its users, and the releases that are played.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use spillway_lab::{Dials, Lab, LabError, Outcome, Service, Slot, Traffic, TrafficCounts, eventually};

use crate::follow::Follower;
use crate::report::Reports;
use crate::screen::Screen;

/// Requests per second of all users.
pub const RATE: f64 = 300.0;
/// How often the view is refreshed.
const REFRESH: Duration = Duration::from_millis(250);
/// How long the old slot may take to be retired.
const RETIREMENT: Duration = Duration::from_secs(30);

/// One release.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Chapter {
    /// A healthy version.
    Healthy,
    /// 5 % errors.
    Faulty,
    /// Never becomes healthy.
    Unready,
    /// Healthy, and all at once.
    BlueGreen,
}

/// How one release ended.
pub struct Ending {
    /// Its version's name.
    pub version: String,
    /// What was wrong with it, or that nothing was.
    pub nature: &'static str,
    /// How it should have ended.
    pub expected: &'static str,
    /// How it ended.
    pub outcome: String,
    /// Why, in one line.
    pub reason: String,
    /// How long it took.
    pub took: Duration,
    /// What users saw meanwhile.
    pub users: TrafficCounts,
    /// What is not as it should be.
    pub complaints: Vec<String>,
}

/// The service under release, and its users.
pub struct Scenario<'a> {
    lab: &'a Lab,
    service: Service<'a>,
    traffic: Traffic,
    reports: Reports,
}

impl Chapter {
    fn version(self) -> &'static str {
        match self {
            Self::Healthy | Self::BlueGreen => "v2",
            Self::Faulty | Self::Unready => "v3",
        }
    }

    fn nature(self) -> &'static str {
        match self {
            Self::Healthy | Self::BlueGreen => "healthy",
            Self::Faulty => "5 % errors",
            Self::Unready => "never healthy",
        }
    }

    fn dials(self) -> Dials {
        let dials = Dials::version(self.version());
        match self {
            Self::Healthy | Self::BlueGreen => dials,
            Self::Faulty => dials.error_rate(0.05),
            Self::Unready => dials.unhealthy(),
        }
    }

    fn succeeds(self) -> bool {
        matches!(self, Self::Healthy | Self::BlueGreen)
    }

    /// Minutes made seconds: the same fields that mean minutes in production.
    fn definition(self, mut definition: Value) -> Value {
        definition["strategy"] = json!({
            "type": if self == Self::BlueGreen { "blue_green" } else { "canary" },
            "canary": {"steps": [10, 50, 95]},
            "minimum_time_seconds": 4,
            "max_step_seconds": if self == Self::Faulty { 20 } else { 6 },
            "adapt": "as_written",
        });
        definition["readiness"]["timeout_seconds"] = json!(12);
        definition
    }
}

impl<'a> Scenario<'a> {
    /// Starts the service with version v1, and its users.
    pub async fn start(lab: &'a Lab, reports: Reports) -> Result<Self, LabError> {
        let service = lab.service("shop").start().await?;
        let traffic = Traffic::start(&service.url(), RATE, 0);
        Ok(Self { lab, service, traffic, reports })
    }

    /// Where users reach it.
    pub fn url(&self) -> String {
        self.service.url()
    }

    /// Stops the users.
    pub async fn stop(self) {
        self.traffic.stop().await;
    }

    /// Plays one release and tells how it ended.
    pub async fn play(&self, chapter: Chapter, screen: &mut Screen) -> Result<Ending, LabError> {
        let stable = self.serving();
        let candidate = if stable == Slot::Blue { Slot::Green } else { Slot::Blue };
        self.service.put_definition(&chapter.definition(self.service.definition())).await?;
        let image = self.service.publish_image(chapter.version(), chapter.dials());
        let (before, started) = (self.traffic.snapshot(), Instant::now());
        screen.line("");
        screen.line(&format!("Releasing shop {} ({})", chapter.version(), chapter.nature()));

        let name = format!("shop-{}", chapter.version());
        let release = self.service.release_with(&json!({"image": image}), &Value::Null, Some(&name)).await?;
        let mut follower = Follower::new(self.lab.alb(), &self.service, stable, &release);
        let outcome = loop {
            follower.look().await?;
            follower.show(screen);
            match release.wait(REFRESH).await {
                Ok(outcome) => break outcome,
                Err(spillway_lab::ExecutionError::StillRunning { .. }) => {}
                Err(spillway_lab::ExecutionError::Aws(error)) => return Err(error.into()),
            }
        };
        follower.look().await?;
        follower.show(screen);
        screen.settle();
        let took = started.elapsed();

        let (outcome, reason) = told(&outcome, follower.reason());
        let expected = if chapter.succeeds() { "Promoted" } else { "RolledBack" };
        screen.line(&format!("{outcome} after {:.0} s: {reason}", took.as_secs_f64()));
        let (on, off) = if chapter.succeeds() { (candidate, stable) } else { (stable, candidate) };
        let mut complaints = Vec::new();
        if outcome != expected {
            complaints.push(format!("it should have ended in {expected}"));
        }
        if self.serving() != on || self.weight(off) > 0 {
            complaints.push(format!("all traffic should be on {on}: {:?}", self.service.weights()));
        }
        screen.line(&format!("The {off} slot is retired once it is measured quiet ..."));
        complaints.extend(self.retired(off).await.err());
        match self.reports.write(&release, &name) {
            Ok(place) => screen.line(&format!("Report: {place}")),
            Err(problem) => complaints.push(format!("its report was not written: {problem}")),
        }
        let users = &self.traffic.snapshot() - &before;
        if users.failed > 0 && chapter != Chapter::Faulty {
            complaints.push(format!("{} user requests failed", users.failed));
        }
        Ok(Ending {
            version: chapter.version().into(),
            nature: chapter.nature(),
            expected,
            outcome,
            reason,
            took,
            users,
            complaints,
        })
    }

    /// The slot with the traffic.
    fn serving(&self) -> Slot {
        if self.weight(Slot::Green) > self.weight(Slot::Blue) { Slot::Green } else { Slot::Blue }
    }

    fn weight(&self, slot: Slot) -> u32 {
        let weights = self.service.weights();
        let of = |slot| weights.first().and_then(|route| if slot == Slot::Blue { route.blue } else { route.green });
        of(slot).unwrap_or(0)
    }

    async fn retired(&self, slot: Slot) -> Result<(), String> {
        let gone = || async {
            match self.service.tasks(slot).len() {
                0 => Ok(()),
                tasks => Err(format!("{tasks} processes of {slot} still run")),
            }
        };
        eventually(RETIREMENT, gone).await.map_err(|late| format!("the slot was not retired: {late}"))
    }
}

/// How an execution ended, and why.
fn told(outcome: &Outcome, last_reason: &str) -> (String, String) {
    let ending = outcome.states().last().cloned().unwrap_or_default();
    let reason = outcome.cause.clone().unwrap_or_else(|| last_reason.to_owned());
    (ending, reason)
}
