//! Random faults during real releases under real traffic, chosen by a seed, and what must hold afterwards.
//!
//! Release number n of a run with seed S follows the plan of seed S + n, so that a run of one release with that seed
//! repeats it. The plan is the same then; time is real, so what becomes of it may differ.

mod inject;
mod plan;
mod quiet;
mod report;
mod stage;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use spillway_lab::{Lab, LabError};

pub use plan::{Fault, Plan, Planned, Version};
pub use report::{Record, Report};
use stage::{Shared, Stage};

/// How a run is started.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many releases.
    pub count: usize,
    /// The seed of the first.
    pub seed: u64,
    /// How many services, at least one; each has its releases one after the other, at the same time as the others.
    pub services: usize,
    /// Requests that a service has had before its first release.
    pub history: u64,
}

impl Settings {
    /// Seed of an ordinary run.
    pub const SEED: u64 = 2026;
    /// Releases of an ordinary run.
    pub const COUNT: usize = 50;
    /// Services of an ordinary run.
    pub const SERVICES: usize = 10;
    /// Requests before the first release in an ordinary run. At 100 % a candidate is compared with the hour before, which
    /// says nothing below 66 requests without an error: then even what fails most of its requests is no hard failure.
    pub const HISTORY: u64 = 100;

    /// The plans, by the release's number.
    #[must_use]
    pub fn plans(&self) -> Vec<Plan> {
        (self.seed..).take(self.count).map(Plan::new).collect()
    }
}

/// The functions' time-out. Whatever ends without a Catch has its lease waited out, which lasts somewhat longer than
/// twice this.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the releases in a lab of their own; every line goes to `say` as soon as it is known, and to `chaos.log` in the
/// lab's directory, next to the histories of the executions that did not end as they should.
///
/// # Errors
/// If the lab fails; what the releases do is in the report.
pub async fn run(settings: Settings, say: &(dyn Fn(&str) + Sync)) -> Result<Report, LabError> {
    let started = Instant::now();
    let lab = Lab::builder().function_timeout(FUNCTION_TIMEOUT).start().await?;
    let shared = Shared::new(&lab, say);
    shared.say(&format!("Logs are in {}.", lab.run_dir().display()));
    let plans = settings.plans();
    let services = settings.services.clamp(1, settings.count.max(1));
    let mut stages = Vec::new();
    for number in 0..services {
        stages.push(Stage::start(&shared, &format!("shop-{number}")).await?);
    }
    let play = stages.iter_mut().enumerate().map(|(number, stage)| {
        let plans: Vec<(usize, &Plan)> = plans.iter().enumerate().skip(number).step_by(services).collect();
        stage.play(settings.history, plans)
    });
    let mut records = Vec::new();
    for played in join_all(play).await {
        records.extend(played?);
    }
    for stage in stages {
        stage.stop().await;
    }
    records.sort_by_key(|record| record.number);
    let report = Report { settings, records, time: started.elapsed() };
    shared.say(&report.to_string());
    lab.stop().await;
    Ok(report)
}
