//! The explorer notices when a part of a machine is missing.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use spillway_explore::machines::{MachineName, Machines, shipped};
use spillway_explore::mutants::{self, Mutant};
use spillway_explore::scenario::{self, Setting};
use spillway_explore::search::explore;

/// What one thing going wrong in the small settings does not show to be missing. Which of it takes two things, and which
/// only saves time, has not been told apart yet. These are not explored here. A line that can go shall go.
const SURVIVORS: &str = include_str!("survivors.txt");

/// A mutant that leads to more states than this is not explored further.
const ENOUGH: usize = 100_000;

fn is_noticed(mutant: &Mutant) -> bool {
    let Ok(machines) = Machines::of(&mutant.sources) else { return true };
    scenario::small(mutant.machine).iter().any(|setting| explore(setting, &machines, ENOUGH).counterexample.is_some())
}

#[test]
fn what_is_taken_out_of_a_machine_is_missed() {
    let mut survivors: BTreeSet<&str> = SURVIVORS.lines().collect();
    let mut mutants = mutants::all(&shipped());
    let count = mutants.len();
    mutants.retain(|mutant| !survivors.remove(mutant.to_string().as_str()));
    assert!(survivors.is_empty(), "there is no such mutant: {survivors:?}");
    println!("{count} mutants, {} of them explored", mutants.len());
    let (mutants, unnoticed) = (Mutex::new(mutants), Mutex::<Vec<String>>::default());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(mutant) = mutants.lock().unwrap().pop() else { return };
                    if !is_noticed(&mutant) {
                        unnoticed.lock().unwrap().push(mutant.to_string());
                    }
                }
            });
        }
    });
    assert_eq!(unnoticed.into_inner().unwrap(), Vec::<String>::new());
}

/// A handler that does not read back what it has written takes a write that was ignored for one that took effect.
#[test]
fn a_handler_that_reads_nothing_back_is_noticed() {
    let machines = Machines::of(&shipped()).unwrap();
    let setting =
        scenario::small(MachineName::Release).into_iter().find(|setting| setting.name == "a sound release").unwrap();
    assert!(explore(&setting, &machines, usize::MAX).counterexample.is_none());
    let blind = Setting { blind: true, ..setting };
    let counterexample = explore(&blind, &machines, usize::MAX).counterexample.unwrap();
    assert!(counterexample.to_string().contains("Ignored"), "{counterexample}");
}
