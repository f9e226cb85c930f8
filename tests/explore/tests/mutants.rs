//! The explorer notices when a part of a machine is missing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use spillway_explore::ending::Endings;
use spillway_explore::machines::{MachineName, Machines, shipped};
use spillway_explore::mutants::{self, Mutant};
use spillway_explore::scenario::{self, Setting};
use spillway_explore::search::explore;

/// What the small settings do not show to be missing. These are not explored here. A line that can go shall go.
const SURVIVORS: &str = include_str!("survivors.txt");

/// A mutant that leads to more states than this is not explored further.
const ENOUGH: usize = 60_000;

/// A small setting, how it ends with the machines that ship, what it comes to, and after how many states.
struct Known {
    setting: Setting,
    endings: Endings,
    covered: BTreeSet<(MachineName, String)>,
    states: usize,
}

/// The small settings, the smallest first.
fn known() -> Vec<Known> {
    let machines = Machines::of(&shipped()).unwrap();
    let mut known: Vec<Known> = scenario::small()
        .into_iter()
        .filter(|setting| setting.adversities > 0)
        .map(|setting| {
            let endings = Endings::of(&setting, &machines);
            let found = explore(&setting, &machines, Some(&endings), ENOUGH);
            assert!(found.counterexample.is_none(), "{}: {}", setting.name, found.counterexample.unwrap());
            Known { setting, endings, covered: found.covered, states: found.states }
        })
        .collect();
    known.sort_by_key(|known| known.states);
    known
}

fn is_noticed(mutant: &Mutant, known: &[Known]) -> bool {
    let Ok(machines) = Machines::of(&mutant.sources) else { return true };
    let place = (mutant.machine, mutant.state.clone());
    known
        .iter()
        .filter(|known| known.covered.contains(&place))
        .any(|known| explore(&known.setting, &machines, Some(&known.endings), ENOUGH).counterexample.is_some())
}

/// Every so many of the mutants, so that a run takes a minute.
const EVERY: usize = 8;

#[test]
fn what_is_taken_out_of_a_machine_is_missed() {
    missed(EVERY);
}

/// All of them: some ten minutes on two cores.
#[test]
#[ignore = "takes long"]
fn whatever_is_taken_out_of_a_machine_is_missed() {
    missed(1);
}

fn missed(every: usize) {
    let mut survivors: BTreeSet<&str> = SURVIVORS.lines().collect();
    let mut mutants = mutants::all(&shipped());
    let count = mutants.len();
    mutants.retain(|mutant| !survivors.remove(mutant.to_string().as_str()));
    assert!(survivors.is_empty(), "there is no such mutant: {survivors:?}");
    let mutants: Vec<Mutant> = mutants.into_iter().step_by(every).collect();
    println!("{count} mutants, {} of them explored", mutants.len());
    let known = known();
    let (mutants, unnoticed) = (Mutex::new(mutants), Mutex::<Vec<String>>::default());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(mutant) = mutants.lock().unwrap().pop() else { return };
                    if !is_noticed(&mutant, &known) {
                        unnoticed.lock().unwrap().push(mutant.to_string());
                    }
                }
            });
        }
    });
    let mut unnoticed = unnoticed.into_inner().unwrap();
    unnoticed.sort();
    assert_eq!(unnoticed, Vec::<String>::new());
}

/// A handler that does not read back what it has written takes a write that was ignored for one that took effect.
#[test]
fn a_handler_that_reads_nothing_back_is_noticed() {
    let machines = Machines::of(&shipped()).unwrap();
    let sound = scenario::all(false).into_iter().find(|setting| setting.name == "a sound release").unwrap();
    let setting = Setting { adversities: 1, ..sound };
    let endings = Endings::of(&setting, &machines);
    assert!(explore(&setting, &machines, Some(&endings), usize::MAX).counterexample.is_none());
    let blind = Setting { blind: true, ..setting };
    let counterexample = explore(&blind, &machines, Some(&endings), usize::MAX).counterexample.unwrap();
    assert!(counterexample.to_string().contains("Ignored"), "{counterexample}");
}
