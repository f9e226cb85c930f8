use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::Value;
use spillway_core::judge::dispersion::dispersion;
use spillway_core::judge::hard_failure::{Baseline, hard_failure};
use spillway_core::judge::latency::{self, Quantile};
use spillway_core::judge::replay::{Minute, Policy, Recorded, replay};
use spillway_core::judge::sequential::{ADVANCE, ERRORS, log_e_over_limit};
use spillway_core::judge::{Counts, Pair};
use spillway_core::weight::Percent;

fn pairs(minutes: &Value) -> Vec<Pair> {
    let number = |value: &Value| value.as_f64().unwrap();
    minutes
        .as_array()
        .unwrap()
        .iter()
        .map(|m| Pair {
            candidate: Counts { errors: number(&m[0]), requests: number(&m[1]) },
            stable: Counts { errors: number(&m[2]), requests: number(&m[3]) },
        })
        .collect()
}

fn assert_close(name: &str, ours: &[f64], expected: &Value) {
    let expected: Vec<f64> = expected.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert_eq!(ours.len(), expected.len(), "{name}");
    for (t, (a, b)) in ours.iter().zip(&expected).enumerate() {
        assert!((a - b).abs() <= 1e-9, "{name}, period {t}: {a} against {b}");
    }
}

fn number(case: &Value, field: &str, default: f64) -> f64 {
    case.get(field).and_then(Value::as_f64).unwrap_or(default)
}

fn whole(case: &Value, field: &str, default: u64) -> usize {
    usize::try_from(case.get(field).and_then(Value::as_u64).unwrap_or(default)).unwrap()
}

/// All of the oracle's cases: its numbers and its verdicts.
#[test]
fn agrees_with_the_reference() {
    let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    for case in golden["verdicts"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let periods = pairs(&case["minutes"]);
        let (phi, latency_phi) = (number(case, "phi", 1.0), number(case, "latency_phi", 1.0));
        let (planned, since) = (whole(case, "planned", 80), whole(case, "since", 0));
        let expected = &case["expected"];

        let latencies: Vec<Vec<f64>> = Quantile::ALL
            .into_iter()
            .filter_map(|quantile| {
                let minutes = case.get("latency")?.get(serde_json::to_value(quantile).unwrap().as_str()?)?;
                Some(latency::log_e(quantile, &pairs(minutes), latency_phi, planned))
            })
            .collect();
        let unhealthy = latency::combined(&ERRORS.log_e(&periods, phi, planned), &latencies);
        assert_close(name, &unhealthy, &expected["log_e_unhealthy"]);
        let healthy = ADVANCE.log_e(&periods[since..], case["next_weight"].as_f64().unwrap(), phi);
        assert_close(name, &healthy, &expected["log_e_healthy"]);
        let hard = !periods.is_empty() && hard_failure(&periods, Baseline::Concurrent, phi);
        assert_eq!(hard, expected["hard_failure"].as_bool().unwrap(), "{name}");
    }
}

/// The same cases as recorded minutes: the verdict after the last of them is the oracle's.
#[test]
fn replaying_the_reference_gives_its_verdicts() {
    let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    let mut seen = 0;
    for case in golden["verdicts"].as_array().unwrap() {
        let (name, next, since) =
            (case["name"].as_str().unwrap(), case["next_weight"].as_f64().unwrap(), whole(case, "since", 0));
        let periods = pairs(&case["minutes"]);
        if periods.is_empty() {
            continue; // nothing to replay
        }
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let minutes: Vec<Minute> = periods
            .iter()
            .enumerate()
            .map(|(t, pair)| Minute {
                minute: start + SignedDuration::from_mins(i64::try_from(t).unwrap()),
                // Two weights tell where the last change was.
                weight: Percent::try_from(if t < since { 0.1 } else { 0.2 }).unwrap(),
                candidate: recorded(case, t, "candidate", pair.candidate),
                stable: recorded(case, t, "stable", pair.stable),
            })
            .collect();
        let policy = Policy {
            steps: vec![Percent::try_from(100.0 * next).unwrap()],
            planned: whole(case, "planned", 80),
            phi: Some(number(case, "phi", 1.0)),
            latency_phi: number(case, "latency_phi", 1.0),
        };
        let verdict = serde_json::to_value(replay(&minutes, &policy).last().unwrap().verdict).unwrap();
        assert_eq!(verdict, case["expected"]["verdict"], "{name}");
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} cases");
}

fn recorded(case: &Value, t: usize, side: &str, counts: Counts) -> Recorded {
    let at = if side == "candidate" { 0 } else { 2 };
    let slow = Quantile::ALL.into_iter().filter_map(|quantile| {
        let minutes = case.get("latency")?.get(serde_json::to_value(quantile).ok()?.as_str()?)?;
        Some((quantile, minutes[t][at].as_f64()?))
    });
    Recorded { requests: counts.requests, errors: counts.errors, slow: slow.collect(), zones: Vec::new() }
}

#[test]
fn dispersion_agrees_with_the_reference() {
    let golden: Value = serde_json::from_str(include_str!("golden.json")).unwrap();
    for case in golden["dispersions"].as_array().unwrap() {
        let history: Vec<Vec<Counts>> = case["history"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                let zone = |z: &Value| Counts { errors: z[0].as_f64().unwrap(), requests: z[1].as_f64().unwrap() };
                row.as_array().unwrap().iter().map(zone).collect()
            })
            .collect();
        let (ours, expected) = (dispersion(&history), case["expected"].as_f64().unwrap());
        assert!((ours - expected).abs() <= 1e-9, "{}: {ours} against {expected}", case["name"]);
    }
}

fn counts() -> impl Strategy<Value = Counts> {
    (0..=9_007_199_254_740_992_u64, 0.0..=1.0_f64)
        .prop_map(|(requests, share)| Counts { errors: (requests as f64 * share).floor(), requests: requests as f64 })
}

proptest! {
    #[test]
    fn no_counts_make_it_panic_or_lose_its_number(
        periods in prop::collection::vec((counts(), counts()).prop_map(|(candidate, stable)| Pair { candidate, stable }), 0..40),
        next in 0.001..=1.0_f64,
        phi in 1.0..50.0_f64,
        planned in 0_usize..200,
    ) {
        for log in ERRORS.log_e(&periods, phi, planned).into_iter().chain(ADVANCE.log_e(&periods, next, phi)) {
            prop_assert!(!log.is_nan());
        }
        let candidate: Vec<Counts> = periods.iter().map(|p| p.candidate).collect();
        prop_assert!(log_e_over_limit(&candidate, 0.05, phi, planned).iter().all(|log| !log.is_nan()));
        // Must only not panic: any answer will do.
        let _ = hard_failure(&periods, Baseline::Concurrent, phi);
    }

    #[test]
    fn more_candidate_errors_never_lower_the_evidence(
        base in prop::collection::vec((1..5000_u32, 0..50_u32, 1..50_000_u32, 0..500_u32), 1..20),
        at in 0_usize..20,
        more in 1..100_u32,
    ) {
        let build = |extra: Option<(usize, u32)>| -> Vec<Pair> {
            base.iter().enumerate().map(|(t, &(n_c, e_c, n_b, e_b))| {
                let added = extra.filter(|(when, _)| *when == t).map_or(0, |(_, more)| more);
                Pair {
                    candidate: Counts { errors: f64::from(e_c.min(n_c) + added), requests: f64::from(n_c + 200) },
                    stable: Counts { errors: f64::from(e_b.min(n_b)), requests: f64::from(n_b) },
                }
            }).collect()
        };
        let at = at % base.len();
        let (fewer, more) = (build(None), build(Some((at, more))));
        for (a, b) in ERRORS.log_e(&fewer, 1.0, 80).iter().zip(ERRORS.log_e(&more, 1.0, 80)) {
            prop_assert!(b >= a - 1e-9);
        }
    }

    #[test]
    fn a_side_without_traffic_is_no_evidence(requests in 0..1_000_000_u32, share in 0.0..=1.0_f64) {
        let loaded = Counts { errors: (f64::from(requests) * share).floor(), requests: f64::from(requests) };
        for pair in [
            Pair { candidate: loaded, stable: Counts::default() },
            Pair { candidate: Counts::default(), stable: loaded },
        ] {
            prop_assert!(ERRORS.log_e(&[pair], 1.0, 80)[0].abs() < 1e-9);
            prop_assert!(ADVANCE.log_e(&[pair], 0.5, 1.0)[0].abs() < 1e-9);
        }
    }
}

/// The guarantee itself: a candidate at the edge of what is tolerated is called unhealthy in at most 1 % of
/// releases, however often one looks.
#[test]
fn rarely_calls_a_tolerable_candidate_unhealthy() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut uniform = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut binomial = |n: u32, p: f64| f64::from((0..n).map(|_| u32::from(uniform() < p)).sum::<u32>());
    let (base, releases) = (0.02, 600);
    let edge = 1.25 * base + 1e-4;
    let mut called = 0;
    for _ in 0..releases {
        let periods: Vec<Pair> = [(3, 57), (15, 45), (30, 30), (57, 3)]
            .iter()
            .flat_map(|split| [*split; 6])
            .map(|(n_c, n_b)| Pair {
                candidate: Counts { errors: binomial(n_c * 4, edge), requests: f64::from(n_c * 4) },
                stable: Counts { errors: binomial(n_b * 4, base), requests: f64::from(n_b * 4) },
            })
            .collect();
        called += u32::from(ERRORS.log_e(&periods, 1.0, 80).into_iter().any(|log| log >= ERRORS.proof().ln()));
    }
    // 1 % of 600 is 6; 15 or more would happen in fewer than one of a thousand runs.
    assert!(called < 15, "{called} of {releases}");
}
