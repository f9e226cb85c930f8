//! Everything that is explored by default, and what no execution may exceed.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use spillway_explore::ending::Endings;
use spillway_explore::machines::{Machines, shipped};
use spillway_explore::scenario;
use spillway_explore::search::{Found, explore, uncovered};

/// How the settings end when nothing goes wrong but what always does; and so they end where one call fails once.
/// `SPILLWAY_BLESS=1` writes it anew.
const ENDINGS: &str = include_str!("endings.txt");

/// No fault, and no two of them, leave users on a half-released service; and every state and every Catch of the machines is
/// come to.
#[test]
fn no_fault_leaves_users_half_released() {
    let machines = Machines::of(&shipped()).unwrap();
    let settings = Mutex::new(scenario::all(false).into_iter().rev().collect::<Vec<_>>());
    let all: Mutex<Vec<(&str, Found)>> = Mutex::default();
    let known: Mutex<BTreeSet<String>> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(setting) = settings.lock().unwrap().pop() else { return };
                    let endings = Endings::of(&setting, &machines);
                    let found = explore(&setting, &machines, Some(&endings), usize::MAX);
                    println!("{}: {found}", setting.name);
                    let of_setting = endings.0.into_iter().map(|ending| format!("{}: {ending}", setting.name));
                    known.lock().unwrap().extend(of_setting);
                    all.lock().unwrap().push((setting.name, found));
                }
            });
        }
    });
    let mut covered = BTreeSet::new();
    for (name, found) in all.into_inner().unwrap() {
        if let Some(counterexample) = found.counterexample {
            panic!("{name}: {counterexample}");
        }
        assert!(found.ends > 0, "{name}: nothing ends");
        covered.extend(found.covered);
    }
    let known = known.into_inner().unwrap();
    let missing: Vec<String> = uncovered(&covered, &machines)
        .into_iter()
        .flat_map(|(machine, states)| states.into_iter().map(move |state| format!("{}, {state}", machine.name())))
        .chain(machines.uncaught())
        .collect();
    if std::env::var_os("SPILLWAY_BLESS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/endings.txt");
        let lines: Vec<&str> = known.iter().map(String::as_str).collect();
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
    let listed: BTreeSet<String> = ENDINGS.lines().map(str::to_owned).collect();
    assert_eq!(known.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "endings that are not listed");
    assert_eq!(listed.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "nothing ends like this any more");
    assert_eq!(missing, Vec::<String>::new(), "nothing has come to these");
}
