//! Breadth first, so that the first counterexample is a shortest one.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
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
    /// Whether there were more states than were asked for.
    pub cut_short: bool,
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

/// The ways on which nothing goes wrong.
#[derive(Default)]
struct Paths {
    /// Each step: where it leads, and where it comes from.
    steps: Vec<(u32, u32)>,
    /// Where nothing happens any more.
    ends: Vec<u32>,
}

impl Paths {
    /// The first of so many moments from which no end is come to.
    fn endless(mut self, moments: usize) -> Option<u32> {
        self.steps.sort_unstable();
        let mut ends = vec![false; moments];
        while let Some(moment) = self.ends.pop() {
            if !std::mem::replace(&mut ends[moment as usize], true) {
                let first = self.steps.partition_point(|(to, _)| *to < moment);
                let to_here = self.steps[first..].iter().take_while(|(to, _)| *to == moment);
                self.ends.extend(to_here.map(|(_, from)| *from));
            }
        }
        ends.iter().position(|ends| !ends).and_then(|moment| u32::try_from(moment).ok())
    }
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
    let mut seen = HashMap::from([(first.fingerprint(), 0_u32)]);
    let mut paths = Paths::default();
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
            paths.ends.push(number);
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
            let fresh = u32::try_from(nodes.len()).expect("fewer states");
            let known = *seen.entry(after.fingerprint()).or_insert(fresh);
            if !event.is_adverse() {
                paths.steps.push((known, number));
            }
            if known != fresh {
                continue;
            }
            for process in &after.executions {
                found.covered.insert((process.machine, process.execution.state.to_string()));
            }
            found.depth = found.depth.max(depth);
            nodes.push(Node { parent: number, depth, event: Some(event) });
            queue.push_back((fresh, after));
        }
        if let Some((violation, last)) = violation {
            found.counterexample = Some(trace(&nodes, number, violation, last, Some(&universe)));
            break 'search;
        }
        if seen.len() > most_states {
            found.cut_short = true;
            break 'search;
        }
    }
    if found.counterexample.is_none()
        && !found.cut_short
        && let Some(number) = paths.endless(nodes.len())
    {
        let violation = "it goes round in circles from here".to_owned();
        found.counterexample = Some(trace(&nodes, number, violation, None, None));
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
    universe: Option<&Universe>,
) -> Counterexample {
    let mut events = Vec::new();
    let mut at = number;
    while let Some(event) = &nodes[at as usize].event {
        events.push(event.clone());
        at = nodes[at as usize].parent;
    }
    events.reverse();
    let ending = last.as_ref().map(|(_, after)| after).or(universe);
    let executions = ending
        .into_iter()
        .flat_map(|ending| &ending.executions)
        .map(|process| process.execution.arn.to_string())
        .collect();
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
