//! The explorer notices when a part of a machine is missing.

use std::sync::Mutex;
use std::thread;

use spillway_explore::machines::{Machines, shipped};
use spillway_explore::mutants::{self, Mutant};
use spillway_explore::scenario::{self, Setting};
use spillway_explore::search::explore;

/// What may be missing without harm that one thing going wrong would show, and why it is there.
const HARMLESS: [(&str, &str); 0] = [];

/// A mutant that leads to more states than this is not explored further.
const ENOUGH: usize = 100_000;

fn is_noticed(mutant: &Mutant, settings: &[Setting]) -> bool {
    let Ok(machines) = Machines::of(&mutant.sources) else { return true };
    settings.iter().any(|setting| explore(setting, &machines, ENOUGH).counterexample.is_some())
}

#[test]
fn whatever_is_taken_out_of_a_machine_is_missed() {
    let settings = scenario::small();
    let mutants = Mutex::new(mutants::all(&shipped()));
    let survivors: Mutex<Vec<String>> = Mutex::default();
    let count = mutants.lock().unwrap().len();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(mutant) = mutants.lock().unwrap().pop() else { return };
                    let began = std::time::Instant::now();
                    let noticed = is_noticed(&mutant, &settings);
                    println!("{:.1} s {noticed} {mutant}", began.elapsed().as_secs_f64());
                    if !noticed {
                        println!("survives: {mutant}");
                        survivors.lock().unwrap().push(mutant.to_string());
                    }
                }
            });
        }
    });
    let mut survivors = survivors.into_inner().unwrap();
    survivors.sort();
    println!("{count} mutants, {} of them harmless", survivors.len());
    let mut known: Vec<String> = HARMLESS.iter().map(|(mutant, _)| (*mutant).to_owned()).collect();
    known.sort();
    assert_eq!(survivors, known);
}

/// A handler that does not read back what it has written takes a write that was ignored for one that took effect.
#[test]
fn a_handler_that_reads_nothing_back_is_noticed() {
    let machines = Machines::of(&shipped()).unwrap();
    let setting = scenario::small().into_iter().find(|setting| setting.name == "a sound release").unwrap();
    assert!(explore(&setting, &machines, usize::MAX).counterexample.is_none());
    let blind = Setting { blind: true, ..setting };
    let counterexample = explore(&blind, &machines, usize::MAX).counterexample.unwrap();
    assert!(counterexample.to_string().contains("Ignored"), "{counterexample}");
}
