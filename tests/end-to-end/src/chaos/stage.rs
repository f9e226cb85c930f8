//! One service, its users, and its releases one after the other.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use spillway_lab::{Dials, Execution, ExecutionError, Lab, LabError, Outcome, Service, Status, Traffic};
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::inject::{Switches, inject, stop};
use super::plan::{Fault, Plan, Version};
use super::quiet::{self, Seen};
use super::report::Record;

/// Requests of users per second and service.
const RATE: f64 = 20.0;
/// The longest that one release may take: two that queue, each of which may be rolled back.
const PATIENCE: Duration = Duration::from_mins(4);
/// What a release may end as, whatever happens to it.
const ENDINGS: [&str; 9] = [
    "Promoted",
    "RolledBack",
    "Refused",
    "LeaseHeld",
    "LeaseNotFreed",
    "StableDead",
    "RollBackFailed",
    STOPPED,
    OUTRUN,
];
/// The ending of what was stopped.
const STOPPED: &str = "stopped";
/// The ending of what waited when a newer release took its place. It hears of that only when its time-out of 15 minutes is
/// over; nobody waits for that here.
const OUTRUN: &str = "Outrun";
/// Between a wake-up and the answer to it, a release looks as if it had been outrun.
const WAKING: Duration = Duration::from_secs(10);

/// What all services share.
pub(super) struct Shared<'a> {
    pub(super) lab: &'a Lab,
    switches: Switches,
    say: &'a (dyn Fn(&str) + Sync),
    started: Instant,
}

impl<'a> Shared<'a> {
    pub(super) fn new(lab: &'a Lab, say: &'a (dyn Fn(&str) + Sync)) -> Self {
        Self { lab, switches: Switches::default(), say, started: Instant::now() }
    }

    /// Says a line, and logs it with its time.
    pub(super) fn say(&self, line: &str) {
        (self.say)(line);
        self.log(line);
    }

    /// Logs a line with its time.
    fn log(&self, line: &str) {
        let line = format!("{:8.3} {line}\n", self.started.elapsed().as_secs_f64());
        let log = fs::File::options().create(true).append(true).open(self.lab.run_dir().join("chaos.log"));
        // A log that cannot be written is no reason to fail.
        drop(log.and_then(|mut log| log.write_all(line.as_bytes())));
    }
}

/// A service with its users.
pub(super) struct Stage<'a> {
    shared: &'a Shared<'a>,
    service: Service<'a>,
    traffic: Traffic,
    /// The versions of which one must have all users.
    live: BTreeSet<String>,
    /// The versions that fail by themselves.
    faulty: BTreeSet<String>,
}

/// A release that was started.
#[derive(Clone)]
struct Started {
    execution: Execution,
    name: String,
    version: Version,
}

/// How one ended.
struct Ended {
    started: Started,
    ending: String,
    cause: String,
    /// The emulator's time, in seconds.
    at: f64,
}

impl<'a> Stage<'a> {
    pub(super) async fn start(shared: &'a Shared<'a>, name: &str) -> Result<Self, LabError> {
        let service = shared.lab.service(name).start().await?;
        let traffic = Traffic::start(&service.url(), RATE, 0);
        Ok(Self { shared, service, traffic, live: BTreeSet::from(["v1".to_owned()]), faulty: BTreeSet::new() })
    }

    pub(super) async fn stop(self) {
        self.traffic.stop().await;
    }

    /// The releases of these plans, and a last, longer look.
    pub(super) async fn play(&mut self, history: u64, plans: Vec<(usize, &Plan)>) -> Result<Vec<Record>, LabError> {
        let mut records = Vec::new();
        while self.traffic.snapshot().ok < history {
            sleep(Duration::from_millis(100)).await;
        }
        for (number, plan) in plans {
            records.push(self.release(number, plan).await?);
        }
        if let Some(last) = records.last_mut() {
            match quiet::wait(self.shared.lab, &self.service, &self.traffic, 100, &self.faulty).await? {
                Ok(_) => last.unretired = !quiet::retired(&self.service).await,
                Err(late) => last.problems.push(format!("at the end: {late}")),
            }
        }
        Ok(records)
    }

    async fn release(&mut self, number: usize, plan: &Plan) -> Result<Record, LabError> {
        let name = self.service.name();
        self.shared.say(&format!("{number:>3} {name}, {plan}"));
        let began = Instant::now();
        let before = self.traffic.snapshot();
        self.define(plan).await?;
        let sick = self.live.iter().any(|version| self.faulty.contains(version));
        let first = self.begin(&format!("r{number}"), plan.version).await?;
        let all = Mutex::new(vec![first.clone()]);
        let mut record = Record { sick, ..Record::new(number, plan.clone()) };
        for done in
            join_all(plan.faults.iter().map(|planned| self.fault(number, planned.at, &planned.fault, &all))).await
        {
            record.injected.extend(done?);
        }
        let mut ended = Vec::new();
        let all = all.into_inner();
        for (index, started) in all.iter().enumerate() {
            match self.wait(started, index + 1 < all.len()).await? {
                Ok(end) => ended.push(end),
                Err(late) => record.problems.push(late),
            }
        }
        ended.sort_by(|one, other| one.at.total_cmp(&other.at));
        for end in &ended {
            if end.started.version != Version::Sound {
                self.faulty.insert(end.started.name.clone());
            }
            self.judge(end, &mut record);
        }
        self.look(&mut record).await?;
        let users = &self.traffic.snapshot() - &before;
        record.requests = users.ok + users.failed;
        record.failed = users.failed;
        if record.failed > 0 && record.spares_users() {
            let problem = format!("{} requests failed in a sound release: {:?}", users.failed, users.by_status);
            record.problems.push(problem);
        }
        record.time = began.elapsed();
        self.shared.say(&record.to_string());
        if !record.problems.is_empty() {
            let all: Vec<&Started> = ended.iter().map(|end| &end.started).collect();
            self.keep_evidence(number, &first, &all).await?;
        }
        Ok(record)
    }

    /// The definition that the plan asks for; short, and decided soon where there is too little traffic for proof.
    async fn define(&self, plan: &Plan) -> Result<(), LabError> {
        let mut definition = self.service.definition();
        definition["on_conflict"] = plan.on_conflict.into();
        definition["strategy"]["type"] = plan.strategy.into();
        definition["strategy"]["canary"]["steps"] = json!([10, 50]);
        definition["strategy"]["linear"]["increment"] = 50.into();
        definition["strategy"]["minimum_time_seconds"] = 2.into();
        definition["strategy"]["max_step_seconds"] = 5.into();
        self.service.put_definition(&definition).await?;
        Ok(())
    }

    async fn begin(&self, name: &str, version: Version) -> Result<Started, LabError> {
        let dials = match version {
            Version::Sound => Dials::version(name),
            Version::Faulty(percent) => Dials::version(name).error_rate(f64::from(percent) / 100.0),
        };
        let image = self.service.publish_image(name, dials);
        let execution = self.service.release(&json!({ "image": image })).await?;
        Ok(Started { execution, name: name.to_owned(), version })
    }

    /// Waits for its time, does it, and gives it if there was anything to do it to.
    async fn fault(
        &self,
        number: usize,
        at: Duration,
        fault: &Fault,
        all: &Mutex<Vec<Started>>,
    ) -> Result<Option<Fault>, LabError> {
        sleep(at).await;
        self.shared.log(&format!("{number:>3} {fault}"));
        let done = match fault {
            Fault::KillTask(slot) => self.service.kill_task(*slot).is_ok_and(|killed| killed.is_some()),
            Fault::StopRelease => {
                let first = all.lock().await[0].clone();
                stop(&first.execution).await
            }
            Fault::SecondRelease(version) => {
                let mut all = all.lock().await;
                let next = format!("r{number}{}", ["b", "c", "d"].get(all.len() - 1).unwrap_or(&"e"));
                let second = self.begin(&next, *version).await?;
                all.push(second);
                true
            }
            other => inject(self.shared.lab, &self.shared.switches, self.service.name(), other).await?,
        };
        Ok(done.then(|| fault.clone()))
    }

    /// How a release ended.
    async fn wait(&self, started: &Started, is_followed: bool) -> Result<Result<Ended, String>, LabError> {
        let since = Instant::now();
        let mut waited_for = Instant::now();
        while started.execution.status().await? == Status::Running {
            if !is_followed || self.may_get_its_turn(&started.execution).await? {
                waited_for = Instant::now();
            } else if waited_for.elapsed() > WAKING {
                stop(&started.execution).await;
                let (started, ending) = (started.clone(), OUTRUN.to_owned());
                return Ok(Ok(Ended { started, ending, cause: String::new(), at: f64::MAX }));
            }
            if since.elapsed() > PATIENCE {
                let states = started.execution.states().await?;
                return Ok(Err(format!("{} still runs; its states: {}", started.name, states.join(", "))));
            }
            sleep(Duration::from_millis(300)).await;
        }
        let outcome = match started.execution.wait(PATIENCE).await {
            Ok(outcome) => outcome,
            Err(ExecutionError::Aws(error)) => return Err(error.into()),
            Err(late @ ExecutionError::StillRunning { .. }) => return Ok(Err(late.to_string())),
        };
        let at = started.execution.describe().await?["stopDate"].as_f64().unwrap_or_default();
        let ending = ending(&outcome);
        Ok(Ok(Ended { started: started.clone(), ending, cause: outcome.cause.unwrap_or_default(), at }))
    }

    /// It does not wait, or the lease names it as the one that does.
    async fn may_get_its_turn(&self, execution: &Execution) -> Result<bool, LabError> {
        let states = execution.states().await?;
        let waits = states.last().is_some_and(|state| ["Queue", "Supersede"].contains(&state.as_str()));
        let lease = self.service.lease().await?.unwrap_or_default();
        Ok(!waits || lease["waiting"]["execution"] == execution.arn())
    }

    /// Is the end one that may be, and which version must be live now?
    fn judge(&mut self, end: &Ended, record: &mut Record) {
        let Ended { started: Started { name, version, .. }, ending, cause, .. } = end;
        self.shared.log(&format!("{:>3} {name}: {ending} {cause}", record.number));
        record.endings.push((*version, ending.clone()));
        let faulty = *version != Version::Sound;
        match ending.as_str() {
            "Promoted" | "StableDead" => {
                if faulty && ending == "Promoted" {
                    record.problems.push(format!("{name}, {version}, was promoted"));
                }
                self.live = BTreeSet::from([name.clone()]);
            }
            // It may have come to its end in the same moment.
            STOPPED | "LeaseNotFreed" | "RollBackFailed" => {
                self.live.insert(name.clone());
            }
            known if ENDINGS.contains(&known) => {}
            unknown => record.problems.push(format!("{name} ended as {unknown}: {cause}")),
        }
    }

    /// Everything is quiet again, on a version that may have the users.
    async fn look(&mut self, record: &mut Record) -> Result<(), LabError> {
        match quiet::wait(self.shared.lab, &self.service, &self.traffic, 20, &self.faulty).await? {
            Ok(Seen { version }) => {
                if !self.live.contains(&version) {
                    record.problems.push(format!("{version} has the users, expected {:?}", self.live));
                }
                self.live = BTreeSet::from([version]);
                record.recovered = true;
            }
            Err(late) => record.problems.push(late),
        }
        Ok(())
    }

    /// The histories, and the lease as it is.
    async fn keep_evidence(&self, number: usize, first: &Started, ended: &[&Started]) -> Result<(), LabError> {
        let mut executions = serde_json::Map::new();
        for started in std::iter::once(&first).chain(ended) {
            executions.insert(started.name.clone(), started.execution.history().await?.into());
        }
        let evidence = json!({
            "lease": self.service.lease().await?,
            "weights": format!("{:?}", self.service.weights()),
            "executions": Value::Object(executions),
        });
        let path = self.shared.lab.run_dir().join(format!("chaos-release-{number}.json"));
        fs::write(&path, format!("{evidence:#}"))
            .map_err(|error| LabError::Io(format!("write {}", path.display()), error))
    }
}

/// The error of what failed, and the last state of what succeeded.
fn ending(outcome: &Outcome) -> String {
    match outcome.status {
        Status::Succeeded => outcome.states().last().cloned().unwrap_or_default(),
        Status::Aborted => STOPPED.to_owned(),
        status => outcome.error.clone().unwrap_or_else(|| format!("{status:?}")),
    }
}
