//! The state machines that ship, ready to run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use spillway_asl::interpret::{Program, matches};
use spillway_asl::machine::{Machine, State, fill};

/// How long a function may run, in seconds, as installed.
pub const FUNCTION_SECONDS: i64 = 30;
/// How long a lease lasts, in milliseconds, as installed: two invocations and a margin.
pub const LEASE_MILLISECONDS: i64 = 95_000;
/// Region and account of everything explored.
pub const HOME: &str = "eu-west-1:123456789012";

/// One of the machines.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum MachineName {
    /// A release.
    Release,
    /// The retirement of a slot.
    Retire,
    /// An undo, or the recovery of a release that died.
    Rollback,
    /// The guard.
    Guard,
}

impl MachineName {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Release, Self::Retire, Self::Rollback, Self::Guard];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Release => "release",
            Self::Retire => "retire",
            Self::Rollback => "rollback",
            Self::Guard => "guard",
        }
    }

    /// Its ARN.
    #[must_use]
    pub fn arn(self) -> String {
        format!("arn:aws:states:{HOME}:stateMachine:{}", self.name())
    }

    /// The ARN of an execution.
    #[must_use]
    pub fn execution(self, name: &str) -> String {
        format!("arn:aws:states:{HOME}:execution:{}:{name}", self.name())
    }
}

/// The machines' definitions as JSON, placeholders unfilled.
pub type Sources = BTreeMap<MachineName, Value>;

/// The definitions that ship.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn shipped() -> Sources {
    let source = |machine: MachineName| {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../statemachine/{}.asl.json", machine.name()));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (machine, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    };
    MachineName::ALL.into_iter().map(source).collect()
}

/// The machines, ready to run.
#[derive(Debug)]
pub struct Machines {
    /// What was caught so far, and by which of a state's Catches.
    pub caught: Mutex<BTreeSet<(MachineName, String, usize)>>,
    /// The most bytes that a call was given, or answered; where they are counted.
    pub largest: Mutex<Option<BTreeMap<String, usize>>>,
    programs: BTreeMap<MachineName, Program>,
    /// The definitions that they were made of.
    pub definitions: BTreeMap<MachineName, Machine>,
}

impl Machines {
    /// Fills and compiles definitions.
    ///
    /// # Errors
    /// The first that is none.
    pub fn of(sources: &Sources) -> Result<Self, String> {
        let mut values: BTreeMap<String, String> =
            ["plan_release", "prepare_candidate", "shift_weight", "evaluate_health", "rollback", "teardown"]
                .into_iter()
                .map(|function| (format!("{function}_arn"), format!("function:{}", function.replace('_', "-"))))
                .collect();
        values.insert("retire_state_machine_arn".into(), MachineName::Retire.arn());
        values.insert("rollback_state_machine_arn".into(), MachineName::Rollback.arn());
        values.insert("lease_table".into(), "leases".into());
        values.insert("lease_milliseconds".into(), LEASE_MILLISECONDS.to_string());
        values.insert("parameter_prefix".into(), "/spillway/services/".into());
        values.insert("page_topic_arn".into(), "pages".into());
        let (mut programs, mut definitions) = (BTreeMap::new(), BTreeMap::new());
        for (name, source) in sources {
            let text = fill(&source.to_string(), &values)?;
            let machine = Machine::parse(&text).map_err(|error| format!("{}: {error}", name.name()))?;
            programs.insert(*name, Program::compile(&machine, &name.arn())?);
            definitions.insert(*name, machine);
        }
        Ok(Self { caught: Mutex::default(), largest: Mutex::default(), programs, definitions })
    }

    /// Notes which Catch an error of this execution's state led to.
    pub(crate) fn note(&self, machine: MachineName, state: &str, error: &str) {
        let Some(State::Task(task)) = self.definitions[&machine].states.get(state) else { return };
        if let Some(at) = task.catch.iter().position(|catcher| matches(&catcher.error_equals, error)) {
            let mut caught = self.caught.lock().unwrap_or_else(PoisonError::into_inner);
            caught.insert((machine, state.to_owned(), at));
        }
    }

    /// Notes the size of a call or its answer, where sizes are counted.
    pub(crate) fn weigh(&self, what: &str, value: &Value) {
        if let Some(largest) = self.largest.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            let most = largest.entry(what.to_owned()).or_default();
            *most = value.to_string().len().max(*most);
        }
    }

    /// Catches that nothing has led to.
    #[must_use]
    pub fn uncaught(&self) -> Vec<String> {
        let caught = self.caught.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = Vec::new();
        for (name, machine) in &self.definitions {
            for (state, task) in machine.tasks() {
                for (at, catcher) in task.catch.iter().enumerate() {
                    if !caught.contains(&(*name, state.to_owned(), at)) {
                        missing.push(format!("{}, {state}: {}", name.name(), catcher.error_equals.join(", ")));
                    }
                }
            }
        }
        missing
    }

    /// One of them.
    ///
    /// # Panics
    /// If it was not among the definitions.
    #[must_use]
    pub fn program(&self, name: MachineName) -> &Program {
        &self.programs[&name]
    }
}
