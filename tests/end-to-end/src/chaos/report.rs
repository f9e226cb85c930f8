//! What became of the releases.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Settings;
use super::plan::{Fault, Plan, Version};

/// One release, as it went.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number in the run, from 0.
    pub number: usize,
    /// What was to happen.
    pub plan: Plan,
    /// The version that had the users before it fails by itself: an earlier problem.
    pub sick: bool,
    /// What happened: a fault that finds nothing to harm does not count.
    pub injected: Vec<Fault>,
    /// How it ended, and those that were started meanwhile.
    pub endings: Vec<(Version, String)>,
    /// Requests of users, from its start until everything was quiet.
    pub requests: u64,
    /// Of these, how many failed.
    pub failed: u64,
    /// The service came to rest.
    pub recovered: bool,
    /// The slot without traffic was not scaled down soon after the service's last release.
    pub unretired: bool,
    /// From its start until everything was quiet.
    pub time: Duration,
    /// What must not be.
    pub problems: Vec<String>,
}

impl Record {
    pub(super) fn new(number: usize, plan: Plan) -> Self {
        Self {
            number,
            plan,
            sick: false,
            injected: Vec::new(),
            endings: Vec::new(),
            requests: 0,
            failed: 0,
            recovered: false,
            unretired: false,
            time: Duration::ZERO,
            problems: Vec::new(),
        }
    }

    /// No request may fail: neither a version nor a fault does that by itself.
    #[must_use]
    pub fn spares_users(&self) -> bool {
        !self.sick && self.plan.version == Version::Sound && !self.injected.iter().any(Fault::touches_users)
    }

    /// Executions that ended and left the rest to the guard.
    #[must_use]
    pub fn died(&self) -> usize {
        let dead = |ending: &&String| ["stopped", "RollBackFailed", "LeaseNotFreed"].contains(&ending.as_str());
        let recoveries = self.injected.iter().filter(|fault| matches!(fault, Fault::StopRecovery(_))).count();
        self.endings.iter().map(|(_, ending)| ending).filter(dead).count() + recoveries
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endings: Vec<&str> = self.endings.iter().map(|(_, ending)| ending.as_str()).collect();
        let Self { number, requests, failed, .. } = self;
        let seconds = self.time.as_secs();
        write!(f, "{number:>3} {}, {failed} of {requests} requests failed, {seconds} s", endings.join(", "))?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n    PROBLEM: {problem}"))
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it was started.
    pub settings: Settings,
    /// The releases, by number.
    pub records: Vec<Record>,
    /// How long it took.
    pub time: Duration,
}

impl Report {
    /// Everything that must not be, each with how to repeat the release.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        let of = |record: &Record| -> Vec<String> {
            let release = format!("release {} (--count 1 --seed {})", record.number, record.plan.seed);
            record.problems.iter().map(|problem| format!("{release}: {problem}")).collect()
        };
        self.records.iter().flat_map(of).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { count, seed, services, history: _ } = self.settings;
        let seconds = self.time.as_secs();
        writeln!(f, "\n{count} releases of {services} services, seed {seed}, in {seconds} s\n")?;

        let mut endings: BTreeMap<&str, [usize; 2]> = BTreeMap::new();
        let mut faults: BTreeMap<&str, usize> = BTreeMap::new();
        for record in &self.records {
            for (version, ending) in &record.endings {
                endings.entry(ending).or_default()[usize::from(*version != Version::Sound)] += 1;
            }
            for fault in &record.injected {
                *faults.entry(fault.kind()).or_default() += 1;
            }
        }
        writeln!(f, "{:<32} {:>7} {:>7}", "ending", "sound", "faulty")?;
        for (ending, [sound, faulty]) in endings {
            writeln!(f, "{ending:<32} {sound:>7} {faulty:>7}")?;
        }
        writeln!(f, "\n{:<32} {:>7}", "fault", "times")?;
        for (kind, times) in faults {
            writeln!(f, "{kind:<32} {times:>7}")?;
        }
        let died = |recovered: bool| -> usize {
            self.records.iter().filter(|record| !recovered || record.recovered).map(Record::died).sum()
        };
        writeln!(f, "\n{:<32} {:>7}", "died", died(false))?;
        writeln!(f, "{:<32} {:>7}", "recovered by the guard", died(true))?;
        writeln!(f, "\n{:<32} {:>7} {:>7}", "users' requests", "failed", "all")?;
        let spared = |record: &&Record| record.spares_users();
        let harmed = |record: &&Record| !record.spares_users();
        for (name, records) in [
            ("sound, nobody harmed", self.records.iter().filter(spared).collect::<Vec<_>>()),
            ("faulty version or killed task", self.records.iter().filter(harmed).collect()),
        ] {
            let failed: u64 = records.iter().map(|record| record.failed).sum();
            let all: u64 = records.iter().map(|record| record.requests).sum();
            writeln!(f, "{name:<32} {failed:>7} {all:>7}")?;
        }
        let unretired = self.records.iter().filter(|record| record.unretired).count();
        writeln!(f, "\n{:<32} {unretired:>7}", "slots left running at the end")?;
        let problems = self.problems();
        write!(f, "{:<32} {:>7}", "problems", problems.len())?;
        problems.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}
