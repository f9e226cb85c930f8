//! Random faults during real releases. `cargo chaos` does the same with other seeds; tests/lab/README.md tells more.

use std::collections::BTreeSet;

use spillway_end_to_end::chaos::{Fault, Plan, Settings, Version, run};

const ORDINARY: Settings =
    Settings { count: Settings::COUNT, seed: Settings::SEED, services: Settings::SERVICES, history: Settings::HISTORY };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_releases_come_to_rest_whatever_happens() {
    let report = run(ORDINARY, &|line| println!("{line}")).await.unwrap();
    assert_eq!(report.records.len(), ORDINARY.count);
    assert!(report.records.iter().any(|record| record.died() > 0), "nothing died");
    assert!(report.problems().is_empty(), "{report}");
}

#[test]
fn a_seed_is_a_plan() {
    let plans = ORDINARY.plans();
    assert_eq!(plans, ORDINARY.plans());
    assert_eq!(plans[7], Plan::new(ORDINARY.seed + 7));
    assert_eq!(Settings { count: 1, seed: plans[7].seed, ..ORDINARY }.plans(), plans[7..8]);
    assert!(plans.iter().all(|plan| plan.faults.is_sorted_by_key(|planned| planned.at)));
}

/// An ordinary run has every kind of fault, and versions of both kinds.
#[test]
fn an_ordinary_run_has_everything() {
    let plans = ORDINARY.plans();
    let kinds: BTreeSet<&str> =
        plans.iter().flat_map(|plan| &plan.faults).map(|planned| planned.fault.kind()).collect();
    assert_eq!(kinds.len(), Fault::KINDS, "{kinds:?}");
    let sound = plans.iter().filter(|plan| plan.version == Version::Sound).count();
    assert!((25..45).contains(&sound), "{sound} of 50 are sound");
    assert!(plans.iter().any(|plan| plan.faults.is_empty()));
}
