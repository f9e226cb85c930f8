//! No execution can exceed what Step Functions allows, at the largest definition that is allowed.

use std::collections::BTreeMap;

use spillway_asl::interpret::Status;
use spillway_explore::beginning::beginning;
use spillway_explore::largest::largest;
use spillway_explore::machines::{Machines, shipped};
use spillway_explore::steps::successors;

/// The most events of an execution's history, and bytes that one state hands on:
/// <https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html>.
const LIMITS: (u64, usize) = (25_000, 256 * 1024);

/// The largest release, held in every step for as long as the definition may say, and promoted at last. Nothing else goes
/// wrong, so that retries have the rest of the history.
#[test]
fn the_largest_release_fits_into_its_history() {
    let (setting, machines) = (largest(), Machines::of(&shipped()).unwrap());
    let mut universe = beginning(&setting, &machines);
    *machines.largest.lock().unwrap() = Some(BTreeMap::new());
    let mut most: BTreeMap<String, u64> = BTreeMap::new();
    while let Some((_, after)) = successors(&universe, &machines, &setting).into_iter().next() {
        universe = after;
        for process in &universe.executions {
            let entry = most.entry(process.execution.arn.to_string()).or_default();
            *entry = process.execution.events.max(*entry);
        }
    }
    let largest = machines.largest.lock().unwrap().take().unwrap();
    println!("{most:#?}");
    println!("{largest:#?}");
    let status = &universe.executions[0].execution.status;
    assert!(matches!(status, Status::Succeeded { .. }), "{status:?}");
    let longest = *most.values().max().unwrap();
    // What planning counts with is more: going back and forth, and people.
    assert!((6_000..LIMITS.0).contains(&longest), "{most:?}");
    for (state, bytes) in largest {
        assert!(bytes < LIMITS.1, "{state}: {bytes} bytes");
    }
}
