//! Breadth first, so that the first counterexample is a shortest one.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::time::{Duration, Instant};

use spillway_asl::machine::State;

use crate::beginning::beginning;
use crate::check;
use crate::ending::{Endings, ending};
use crate::event::Event;
use crate::machines::{MachineName, Machines};
use crate::setting::{Hearing, Setting};
use crate::steps::successors;
use crate::universe::Universe;

/// No way is that long: one that is goes round in circles.
const LONGEST: u32 = 3_000;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// How many different moments.
    pub states: usize,
    /// How many ways from one to another.
    pub transitions: usize,
    /// How many ends.
    pub ends: usize,
    /// How it ended.
    pub endings: BTreeSet<String>,
    /// How many transitions were something going wrong.
    pub faults: usize,
    /// The longest way.
    pub depth: u32,
    /// The states that executions rested at, ended in or went through.
    pub covered: BTreeSet<(MachineName, String)>,
    /// The first violation, and the shortest way to it.
    pub counterexample: Option<Counterexample>,
    /// How long it took.
    pub elapsed: Duration,
}

/// A way to something that must not be.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What must not be.
    pub violation: String,
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The names of the executions, by number, at the end.
    pub executions: Vec<String>,
}

struct Node {
    parent: u32,
    depth: u32,
    event: Option<Event>,
}

/// Explores a setting until nothing is new, or the first violation. With at most one call that failed once, it must end
/// in one of `endings`, if there are any.
///
/// # Panics
/// If there are more than four thousand million states.
#[must_use]
pub fn explore(setting: &Setting, machines: &Machines, endings: Option<&Endings>, most_states: usize) -> Found {
    let began = Instant::now();
    let mut found = Found::default();
    let first = beginning(setting, machines);
    let mut seen = HashSet::from([first.fingerprint()]);
    let mut nodes = vec![Node { parent: 0, depth: 0, event: None }];
    let mut queue: VecDeque<(u32, Universe)> = VecDeque::from([(0, first)]);
    'search: while let Some((number, universe)) = queue.pop_front() {
        let next = successors(&universe, machines, setting);
        let depth = nodes[number as usize].depth + 1;
        let mut violation = None;
        // A guard that hears of an end late changes nothing that matters.
        let is_late = |event: &Event| matches!(event, Event::Told(_)) && setting.hearing != Hearing::Always;
        if next.iter().all(|(event, _)| event.is_adverse() || is_late(event)) {
            found.ends += 1;
            let ending = ending(&universe);
            violation = check::violated_in_the_end(&universe)
                .or_else(|| {
                    let slight = universe.adversities.are_slight();
                    let unknown = endings.is_some_and(|endings| !endings.0.contains(&ending));
                    (slight && unknown).then(|| format!("although nothing grave had happened, it ended so: {ending}"))
                })
                .map(|violation| (violation, None));
            found.endings.insert(ending);
        }
        for (event, after) in next {
            if violation.is_some() {
                break;
            }
            found.transitions += 1;
            found.faults += usize::from(event.is_adverse());
            let violated = check::violated(&universe, &after, machines);
            let violated = violated.or_else(|| (depth > LONGEST).then(|| "it does not end".to_owned()));
            if let Some(violated) = violated {
                violation = Some((violated, Some((event, after))));
                break;
            }
            if !seen.insert(after.fingerprint()) {
                continue;
            }
            for process in &after.executions {
                found.covered.insert((process.machine, process.execution.state.to_string()));
            }
            found.depth = found.depth.max(depth);
            nodes.push(Node { parent: number, depth, event: Some(event) });
            let fresh = u32::try_from(nodes.len() - 1).expect("fewer states");
            queue.push_back((fresh, after));
        }
        if let Some((violation, last)) = violation {
            found.counterexample = Some(trace(&nodes, number, violation, last, &universe));
            break 'search;
        }
        if seen.len() > most_states {
            break 'search;
        }
    }
    found.states = seen.len();
    found.elapsed = began.elapsed();
    found
}

fn trace(
    nodes: &[Node],
    number: u32,
    violation: String,
    last: Option<(Event, Universe)>,
    universe: &Universe,
) -> Counterexample {
    let mut events = Vec::new();
    let mut at = number;
    while let Some(event) = &nodes[at as usize].event {
        events.push(event.clone());
        at = nodes[at as usize].parent;
    }
    events.reverse();
    let ending = last.as_ref().map_or(universe, |(_, after)| after);
    let executions = ending.executions.iter().map(|process| process.execution.arn.to_string()).collect();
    events.extend(last.map(|(event, _)| event));
    Counterexample { violation, events, executions }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { states, transitions, faults, ends, depth, elapsed, .. } = self;
        #[allow(clippy::cast_precision_loss, reason = "for people")]
        let per_state = *faults as f64 / *states as f64;
        write!(
            f,
            "{states} states, {transitions} transitions, {faults} faults ({per_state:.2} a state), {ends} ends, depth {depth}, {:.1} s",
            elapsed.as_secs_f64()
        )
    }
}

impl std::fmt::Display for Counterexample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}:", self.violation)?;
        for event in &self.events {
            writeln!(f, "  {event}")?;
        }
        for (number, arn) in self.executions.iter().enumerate() {
            writeln!(f, "  {number} is {arn}")?;
        }
        Ok(())
    }
}

/// States of the machines that nothing has come to.
#[must_use]
pub fn uncovered(covered: &BTreeSet<(MachineName, String)>, machines: &Machines) -> BTreeMap<MachineName, Vec<String>> {
    let mut missing: BTreeMap<MachineName, Vec<String>> = BTreeMap::new();
    for (name, machine) in &machines.definitions {
        for (state, kind) in &machine.states {
            // Choices are passed through.
            if !matches!(kind, State::Choice(_)) && !covered.contains(&(*name, state.clone())) {
                missing.entry(*name).or_default().push(state.clone());
            }
        }
    }
    missing
}
