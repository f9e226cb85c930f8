//! The tasks of one workload, and what is to be done about them next.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, BufReader};

use super::{Workload, log_of};
use crate::application::Dials;
use crate::dependency::Dependency;
use crate::process::{Output, Process};

/// A process that has run this long counts as sound: the next crash is a first one.
const SOUND_AFTER: Duration = Duration::from_secs(10);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// What a workload wants.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) launch: Launch,
    pub(crate) count: usize,
    pub(crate) target_groups: Vec<String>,
    /// Whether tasks of another version are to be replaced; an Auto Scaling group leaves them alone.
    pub(crate) roll: bool,
}

/// What new tasks are started from.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    /// Tells versions apart: a task definition, a launch template version, or the image itself.
    pub(crate) version: String,
    pub(crate) image: String,
    /// `None` for an image that nobody published: the task cannot start.
    pub(crate) dials: Option<Dials>,
    /// Whether targets are named by instance id, not by address.
    pub(crate) by_instance: bool,
}

/// A target as the load balancer names it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Target {
    pub(crate) id: String,
    pub(crate) port: u16,
}

/// A call of the load balancer's API that is due.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Call {
    Register {
        task: String,
        target: Target,
    },
    Deregister {
        task: String,
        target: Target,
    },
    /// Deregister the target of a task that is no more.
    Forget {
        target: Target,
    },
    /// Find out which targets are healthy.
    AskHealth,
}

/// What a task is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TaskState {
    /// Started, not registered in the load balancer yet.
    Starting,
    /// Registered.
    Running,
    /// Deregistered, finishing its requests.
    Draining,
}

/// A task as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TaskView {
    /// Its id; an instance id for an instance of an Auto Scaling group.
    pub id: String,
    /// The task definition, launch template version or image that it was started from.
    pub version: String,
    /// The image that it runs.
    pub image: String,
    /// Its port on 127.0.0.1, once it has one.
    pub port: Option<u16>,
    /// Its process id.
    pub pid: u32,
    /// What it is doing.
    pub state: TaskState,
}

/// One task.
#[derive(Debug)]
pub(crate) struct Task {
    id: String,
    launch: Launch,
    process: Process,
    port: Arc<OnceLock<u16>>,
    started: Instant,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Phase {
    Starting,
    Running,
    /// To be deregistered.
    Leaving,
    /// Deregistered at this time.
    Draining(Instant),
}

impl Task {
    /// Starts the process.
    pub(crate) fn start(
        application: &Path,
        run_dir: &Path,
        workload: &Workload,
        launch: &Launch,
        id: String,
    ) -> io::Result<Self> {
        let mut command = Command::new(application);
        command
            .args(launch.dials.clone().unwrap_or_default().to_args())
            .arg("--dependency")
            .arg(Dependency::of_service(run_dir, &workload.service).file());
        let mut process = Process::start(command, run_dir, &log_of(run_dir, &workload.name), Output::Pipe)?;
        let port = Arc::new(OnceLock::new());
        if let Some(stdout) = process.stdout() {
            let stdout = tokio::process::ChildStdout::from_std(stdout)?;
            let port = Arc::clone(&port);
            tokio::spawn(async move {
                // Its first line is its port; a process that dies before has none.
                if let Ok(Some(line)) = BufReader::new(stdout).lines().next_line().await
                    && let Ok(number) = line.trim().parse()
                {
                    port.get_or_init(|| number);
                }
            });
        }
        Ok(Self { id, launch: launch.clone(), process, port, started: Instant::now(), phase: Phase::Starting })
    }

    pub(crate) fn registered(&mut self) {
        if self.phase == Phase::Starting {
            self.phase = Phase::Running;
        }
    }

    pub(crate) fn deregistered(&mut self, now: Instant) {
        self.phase = Phase::Draining(now);
    }

    fn target(&self) -> Option<Target> {
        let port = *self.port.get()?;
        let id = if self.launch.by_instance { self.id.clone() } else { "127.0.0.1".to_owned() };
        Some(Target { id, port })
    }

    fn stays(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running)
    }
}

/// The tasks of one workload.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    all: Vec<Task>,
    /// For each version, how often in a row it crashed, and when it may be started again.
    crashes: BTreeMap<String, (u32, Instant)>,
    /// Images that could not be started, told once.
    unknown: BTreeSet<String>,
    healthy: BTreeSet<Target>,
    forgotten: Vec<Target>,
    next: u64,
}

impl Tasks {
    pub(crate) fn view(&self) -> Vec<TaskView> {
        let state = |phase| match phase {
            Phase::Starting => TaskState::Starting,
            Phase::Running => TaskState::Running,
            Phase::Leaving | Phase::Draining(_) => TaskState::Draining,
        };
        let view = |task: &Task| TaskView {
            id: task.id.clone(),
            version: task.launch.version.clone(),
            image: task.launch.image.clone(),
            port: task.port.get().copied(),
            pid: task.process.id(),
            state: state(task.phase),
        };
        self.all.iter().map(view).collect()
    }

    pub(crate) fn with(&mut self, id: &str, then: impl FnOnce(&mut Task)) {
        if let Some(task) = self.all.iter_mut().find(|task| task.id == id) {
            then(task);
        }
    }

    pub(crate) fn set_healthy(&mut self, healthy: BTreeSet<Target>) {
        self.healthy = healthy;
    }

    pub(crate) fn forget_later(&mut self, target: Target) {
        self.forgotten.push(target);
    }

    /// Starts and ends processes as wanted, and tells the calls that are due.
    pub(crate) fn plan(
        &mut self,
        wanted: &Wanted,
        now: Instant,
        delay: Duration,
        start: impl Fn(&Launch, String) -> io::Result<Task>,
    ) -> Vec<Call> {
        let mut calls: Vec<Call> = self.forgotten.drain(..).map(|target| Call::Forget { target }).collect();
        self.bury(now, &mut calls);
        self.all.retain(|task| !matches!(task.phase, Phase::Draining(since) if now >= since + delay));

        let current = |task: &Task| task.stays() && task.launch.version == wanted.launch.version;
        let count = |tasks: &[Task], of: &dyn Fn(&Task) -> bool| tasks.iter().filter(|task| of(task)).count();
        let new = count(&self.all, &current);
        let all = count(&self.all, &Task::stays);
        // An Auto Scaling group counts instances of any version, and ends the oldest first.
        let have = if wanted.roll { new } else { all };
        for _ in have..wanted.count {
            self.start_one(wanted, now, &start);
        }
        let excess = have.saturating_sub(wanted.count);
        let leaving = |task: &&mut Task| if wanted.roll { current(task) } else { task.stays() };
        if wanted.roll {
            self.all.iter_mut().rev().filter(leaving).take(excess).for_each(leave);
        } else {
            self.all.iter_mut().filter(leaving).take(excess).for_each(leave);
        }
        if wanted.roll && all > new {
            let ready = self.all.iter().filter(|task| current(task) && task.phase == Phase::Running);
            let ready = ready.filter(|task| task.target().is_some_and(|target| self.healthy.contains(&target))).count();
            if ready >= wanted.count {
                self.all.iter_mut().filter(|task| task.stays() && !current(task)).for_each(leave);
            } else {
                calls.push(Call::AskHealth);
            }
        }

        for task in &self.all {
            let Some(target) = task.target() else { continue };
            match task.phase {
                Phase::Starting => calls.push(Call::Register { task: task.id.clone(), target }),
                Phase::Leaving => calls.push(Call::Deregister { task: task.id.clone(), target }),
                Phase::Running | Phase::Draining(_) => {}
            }
        }
        // Never registered: it can go at once.
        self.all.retain(|task| task.phase != Phase::Leaving || task.target().is_some());
        calls
    }

    /// Takes the ended processes out.
    fn bury(&mut self, now: Instant, calls: &mut Vec<Call>) {
        let ended: Vec<Task> = self.all.extract_if(.., |task| task.process.ended().is_some()).collect();
        for task in ended {
            // One that is just starting, too: an answer to its registration may have been lost.
            if !matches!(task.phase, Phase::Draining(_))
                && let Some(target) = task.target()
            {
                calls.push(Call::Forget { target });
            }
            if task.stays() {
                let (crashes, next_start) = self.crashes.entry(task.launch.version.clone()).or_insert((0, now));
                *crashes = if now >= task.started + SOUND_AFTER { 1 } else { *crashes + 1 };
                let wait = Duration::from_millis(100).saturating_mul(1 << (*crashes).min(10));
                *next_start = now + wait.min(LONGEST_DELAY);
                tracing::info!(task = task.id, crashes = *crashes, "a task crashed");
            }
        }
    }

    fn start_one(&mut self, wanted: &Wanted, now: Instant, start: &impl Fn(&Launch, String) -> io::Result<Task>) {
        let launch = &wanted.launch;
        if launch.dials.is_none() {
            if self.unknown.insert(launch.image.clone()) {
                tracing::warn!(image = launch.image, "nobody published this image: its tasks cannot start");
            }
            return;
        }
        if self.crashes.get(&launch.version).is_some_and(|(_, not_before)| now < *not_before) {
            return;
        }
        self.next += 1;
        let id = if launch.by_instance { format!("i-{:017x}", fastrand::u64(..)) } else { self.next.to_string() };
        match start(launch, id) {
            Ok(task) => self.all.push(task),
            Err(error) => tracing::warn!(%error, "cannot start a task"),
        }
    }
}

fn leave(task: &mut Task) {
    task.phase = Phase::Leaving;
}
