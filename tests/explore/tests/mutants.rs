//! The explorer notices when a part of a machine is missing.

use spillway_explore::ending::Endings;
use spillway_explore::machines::{Machines, shipped};
use spillway_explore::mutants::{self, Mutant};
use spillway_explore::scenario;
use spillway_explore::search::explore;
use spillway_explore::setting::Setting;

/// Every so many of the mutants, so that it takes a minute; `spillway-explore --mutants` takes all.
const EVERY: usize = 12;

#[test]
fn what_is_taken_out_of_a_machine_is_missed() {
    let sources = shipped();
    let mutants = mutants::all(&sources);
    let count = mutants.len();
    let mutants: Vec<Mutant> = mutants.into_iter().step_by(EVERY).collect();
    println!("{} of {count} mutants are explored", mutants.len());
    assert_eq!(mutants::unnoticed(&sources, mutants), Vec::<String>::new());
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
