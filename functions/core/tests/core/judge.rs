use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::Value;
use spillway_core::judge::comparison::{Comparison, Term, Terms};
use spillway_core::judge::dispersion::dispersion;
use spillway_core::judge::hard_failure::{Baseline, hard_failure};
use spillway_core::judge::latency::Quantile;
use spillway_core::judge::recording::{self, Minute, Recorded};
use spillway_core::judge::replay::{Opinion, Policy, replay};
use spillway_core::judge::sequential::{ADVANCE, ERRORS, Horizon, Process};
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

        let told: Vec<(Quantile, Vec<Pair>)> = Quantile::ALL
            .into_iter()
            .filter_map(|quantile| Some((quantile, pairs(case.get("latency")?.get(quantile.name())?))))
            .collect();
        let terms = Terms {
            others: told
                .iter()
                .map(|(quantile, _)| Term { test: quantile.test(), phi: latency_phi, decides: true })
                .collect(),
            ..Terms::of_errors(phi, Horizon::planned(planned))
        };
        let next = case["next_weight"].as_f64().unwrap();
        let mut comparison = Comparison::new(&terms, next);
        let (mut unhealthy, mut healthy) = (Vec::new(), Vec::new());
        for (t, errors) in periods.iter().enumerate() {
            if t == since {
                comparison.shifted(next);
            }
            let period: Vec<Pair> = std::iter::once(*errors).chain(told.iter().map(|(_, slow)| slow[t])).collect();
            comparison.push(&period);
            unhealthy.push(comparison.log_e());
            healthy.extend((t >= since).then(|| comparison.log_e_healthy()));
        }
        assert_close(name, &unhealthy, &expected["log_e_unhealthy"]);
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
            phi: Some(number(case, "phi", 1.0)),
            latency_phi: Some(number(case, "latency_phi", 1.0)),
            ..Policy::new(vec![Percent::try_from(100.0 * next).unwrap()], Horizon::planned(whole(case, "planned", 80)))
        };
        let verdict = serde_json::to_value(replay(&minutes, &policy).last().unwrap().verdict).unwrap();
        assert_eq!(verdict, case["expected"]["verdict"], "{name}");
        seen += 1;
    }
    assert!(seen >= 15, "only {seen} cases");
}

fn recorded(case: &Value, t: usize, side: &str, counts: Counts) -> Recorded {
    let at = if side == "candidate" { 0 } else { 2 };
    let minutes = |quantile: Quantile| case.get("latency")?.get(quantile.name());
    let slow = Quantile::ALL.into_iter().filter_map(|quantile| Some((quantile, minutes(quantile)?[t][at].as_f64()?)));
    Recorded {
        requests: counts.requests,
        errors: counts.errors,
        timed: minutes(Quantile::P50).and_then(|minutes| minutes[t][at + 1].as_f64()),
        slow: slow.collect(),
        ..Recorded::default()
    }
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

/// ln E of errors alone, after each period.
fn log_e(periods: &[Pair]) -> Vec<f64> {
    Process::comparing(ERRORS, 1.0, Horizon::planned(80)).replay(periods)
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
        let mut terms = Terms::of_errors(phi, Horizon { planned, late: planned / 2 });
        terms.others = Quantile::ALL.map(|quantile| Term { test: quantile.test(), phi, decides: true }).into();
        terms.max_error_rate = Some(0.05);
        let mut comparison = Comparison::new(&terms, next);
        for period in &periods {
            comparison.push(&[*period; 4]);
            for log in [comparison.log_e(), comparison.log_e_healthy(), comparison.limit().unwrap().log_e()] {
                prop_assert!(!log.is_nan());
            }
        }
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
        for (a, b) in log_e(&fewer).iter().zip(log_e(&more)) {
            prop_assert!(b >= a - 1e-9);
        }
    }

    /// However often it is asked, and whether it was asked before: what it says of a minute depends on the minutes up to it.
    #[test]
    fn asking_more_or_less_often_changes_no_answer(
        counts in prop::collection::vec((0..3000_u32, 0..30_u32, 0..3000_u32, 0..30_u32), 1..30),
        asked in any::<prop::sample::Index>(),
    ) {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        let side = |requests: u32, errors: u32| Recorded {
            requests: f64::from(requests + errors),
            errors: f64::from(errors),
            ..Recorded::default()
        };
        let minutes: Vec<Minute> = counts
            .iter()
            .enumerate()
            .map(|(t, &(n_c, e_c, n_b, e_b))| Minute {
                minute: start + SignedDuration::from_mins(t as i64),
                weight: Percent::whole(if t < 10 { 5 } else { 50 }),
                candidate: side(n_c, e_c),
                stable: side(n_b, e_b),
            })
            .collect();
        let policy = Policy::new(vec![Percent::whole(5), Percent::whole(50)], Horizon::planned(80));
        let asked = asked.index(minutes.len());
        prop_assert_eq!(&replay(&minutes[..=asked], &policy)[..], &replay(&minutes, &policy)[..=asked]);
    }

    #[test]
    fn a_side_without_traffic_is_no_evidence(requests in 0..1_000_000_u32, share in 0.0..=1.0_f64) {
        let loaded = Counts { errors: (f64::from(requests) * share).floor(), requests: f64::from(requests) };
        for pair in [
            Pair { candidate: loaded, stable: Counts::default() },
            Pair { candidate: Counts::default(), stable: loaded },
        ] {
            let mut comparison = Comparison::new(&Terms::of_errors(1.0, Horizon::planned(80)), 0.5);
            comparison.push(&[pair]);
            prop_assert!(comparison.log_e().abs() < 1e-9 && comparison.log_e_healthy().abs() < 1e-9);
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
        called += u32::from(log_e(&periods).into_iter().any(|log| log >= ERRORS.proof().ln()));
    }
    // 1 % of 600 is 6; 15 or more would happen in fewer than one of a thousand runs.
    assert!(called < 15, "{called} of {releases}");
}

/// A fault that starts long after the planned periods, while the release waits for a person, is still found; a sound
/// candidate is not called unhealthy for that.
#[test]
fn a_release_that_outlasts_its_plan_is_still_judged() {
    let minute = |errors: f64| Pair {
        candidate: Counts { errors, requests: 3000.0 },
        stable: Counts { errors: 3.0, requests: 3000.0 },
    };
    let after = |late: usize, errors: f64| {
        let mut process = Process::comparing(ERRORS, 1.0, Horizon { planned: 30, late });
        for t in 0..400 {
            process.push(&minute(if t < 390 { 3.0 } else { errors }));
        }
        process.peak()
    };
    assert!(after(1600, 15.0) >= ERRORS.proof().ln());
    assert!(after(0, 15.0) < ERRORS.proof().ln(), "without the later starts it is blind");
    assert!(after(1600, 3.0) < 1.0);
}

/// As documented: 530 requests before 5 %, and so on, at an error rate of 0.1 %.
#[test]
fn the_requests_that_proof_takes_are_as_documented() {
    for (weight, next, expected) in
        [(0.01, 0.05, 530.0), (0.05, 0.25, 2957.0), (0.25, 0.50, 6429.0), (0.50, 0.95, 15_248.0)]
    {
        let needed = ADVANCE.requests_needed(0.001, weight, next, 1.0);
        assert!((needed - expected).abs() < 1.0, "{weight}: {needed}");
        assert!((ADVANCE.requests_needed(0.001, weight, next, 3.0) - 3.0 * needed).abs() < 1e-6);
    }
}

/// What has no say changes nothing for what has.
#[test]
fn a_dry_run_leaves_the_others_as_they_are() {
    let pair =
        Pair { candidate: Counts { errors: 9.0, requests: 1000.0 }, stable: Counts { errors: 10.0, requests: 9000.0 } };
    let slow = Pair { candidate: Counts { errors: 900.0, requests: 1000.0 }, ..pair };
    let log_e = |others: Vec<Term>, errors: bool| {
        let mut terms = Terms { others, ..Terms::of_errors(1.0, Horizon::planned(80)) };
        terms.errors.decides = errors;
        let mut comparison = Comparison::new(&terms, 0.5);
        for _ in 0..3 {
            comparison.push(&[pair, slow]);
        }
        comparison.log_e()
    };
    let term = |decides| Term { test: Quantile::P90.test(), phi: 1.0, decides };
    assert_eq!(log_e(vec![term(false)], true), log_e(vec![], true));
    assert!(log_e(vec![term(true)], true) > log_e(vec![], true));
    assert_eq!(log_e(vec![term(false)], false), 0.0, "nothing decides: no evidence");
}

/// What the policy says of the absolute limit, the hard rule and the time before is done.
#[test]
fn a_replay_follows_its_policy() {
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    let minute = |t: i64, weight: u16, errors: f64| Minute {
        minute: start + SignedDuration::from_mins(t),
        weight: Percent::whole(weight),
        candidate: Recorded { requests: 500.0, errors, ..Recorded::default() },
        stable: Recorded { requests: if weight == 100 { 0.0 } else { 500.0 }, errors, ..Recorded::default() },
    };
    let last = |minutes: &[Minute], policy: &Policy| replay(minutes, policy).last().unwrap().verdict;
    let policy = Policy::new(vec![Percent::whole(50)], Horizon::planned(80));

    let both_fail: Vec<Minute> = (0..6).map(|t| minute(t, 50, 100.0)).collect();
    assert_ne!(last(&both_fail, &policy), Opinion::Unhealthy);
    let limited = Policy { max_error_rate: Some(Percent::whole(5)), ..policy.clone() };
    assert_eq!(last(&both_fail, &limited), Opinion::Unhealthy);

    let broken_at_all: Vec<Minute> =
        (0..3).map(|t| Minute { stable: Recorded::default(), ..minute(t, 100, 250.0) }).collect();
    assert_eq!(last(&broken_at_all, &policy), Opinion::Unhealthy, "nothing to compare with");
    let as_before = Policy { before: Some(Counts { errors: 1500.0, requests: 3000.0 }), ..policy.clone() };
    assert_ne!(last(&broken_at_all, &as_before), Opinion::Unhealthy, "as bad as the hour before");
    let dry_run = Policy { hard_failure_decides: false, ..policy };
    assert_ne!(last(&broken_at_all, &dry_run), Opinion::Unhealthy);
}

/// The dispersion of a metric of the service's own: what is known of it, else what is asked for, else what the minutes
/// before say; a definition changes none of that.
#[test]
fn the_dispersion_of_a_metric_is_what_is_known_of_it() {
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    let side = |count: f64| Recorded {
        requests: 100.0,
        metrics: [("m".into(), (count, 1000.0))].into(),
        ..Recorded::default()
    };
    let mut minutes: Vec<Minute> = (0..60)
        .map(|t| Minute {
            minute: start + SignedDuration::from_mins(t),
            weight: Percent::ZERO,
            candidate: Recorded::default(),
            stable: side(if t % 2 == 0 { 5.0 } else { 35.0 }),
        })
        .collect();
    minutes.extend((60..63).map(|t| Minute {
        minute: start + SignedDuration::from_mins(t),
        weight: Percent::HALF,
        candidate: side(50.0),
        stable: side(20.0),
    }));
    let log_e = |policy: &Policy| replay(&minutes, policy).last().unwrap().log_e["metric m"];
    let mut policy = Policy::new(vec![Percent::HALF], Horizon::planned(80));
    let term = Term { test: ERRORS, phi: 1.0, decides: true };
    for defined in [false, true] {
        if defined {
            policy.metrics.insert("m".into(), term);
        }
        let estimated = log_e(&policy);
        let one = log_e(&Policy { phi: Some(1.0), ..policy.clone() });
        let ten = log_e(&Policy { phi: Some(10.0), ..policy.clone() });
        let known = log_e(&Policy { phi: Some(10.0), metric_phis: [("m".into(), 1.0)].into(), ..policy.clone() });
        assert!(one > estimated + 1.0 && one > ten + 1.0, "{one} {estimated} {ten}");
        assert_eq!(known, one);
    }
}

/// Minutes before the release, whose slow answers come in bursts, make the judge expect bursts.
#[test]
fn the_dispersion_of_slow_answers_is_estimated_from_the_minutes_before() {
    let start = Timestamp::from_second(1_800_000_000).unwrap();
    let side = |slow: f64| Recorded {
        requests: 1000.0,
        errors: 1.0,
        slow: [(Quantile::P90, slow)].into(),
        ..Recorded::default()
    };
    let minute = |t: i64, weight: u16, candidate: f64, stable: f64| Minute {
        minute: start + SignedDuration::from_mins(t),
        weight: Percent::whole(weight),
        candidate: side(candidate),
        stable: side(stable),
    };
    let mut minutes: Vec<Minute> = (0..60).map(|t| minute(t, 0, 0.0, if t % 2 == 0 { 40.0 } else { 160.0 })).collect();
    minutes.extend((60..66).map(|t| minute(t, 50, 210.0, 100.0)));
    let policy = Policy::new(vec![Percent::whole(50)], Horizon::planned(80));
    let estimated = replay(&minutes, &policy).last().unwrap().log_e["p90"];
    let independent = Policy { latency_phi: Some(1.0), ..policy };
    assert!(replay(&minutes, &independent).last().unwrap().log_e["p90"] > estimated + 3.0, "{estimated}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Whatever the file holds: minutes, or the numbers of the lines that are none.
    #[test]
    fn no_recording_makes_the_reader_or_the_judge_panic(text in recording_text()) {
        match recording::read(&text) {
            Ok(minutes) => {
                let policy = Policy::new(vec![Percent::whole(5), Percent::whole(50)], Horizon::planned(80));
                let judged = replay(&minutes, &policy);
                prop_assert_eq!(judged.len(), minutes.len());
                for one in judged {
                    prop_assert!(!one.log_e_unhealthy.is_nan() && !one.log_e_healthy.is_nan() && one.phi >= 1.0);
                }
            }
            Err(malformed) => {
                prop_assert!(!malformed.is_empty());
                let lines = text.lines().count();
                prop_assert!(malformed.iter().all(|one| (1..=lines).contains(&one.line) && !one.problem.is_empty()));
            }
        }
    }
}

/// Lines that are minutes, nearly minutes, and nothing of the kind.
fn recording_text() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        (0..5000_u32).prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| n.to_string()),
        Just("9007199254740992".to_owned()),
        Just("1e-300".to_owned()),
        Just("-0.0".to_owned()),
        Just("1e999".to_owned()),
        "[a-z\"\\[{]{0,3}",
    ];
    let side = prop::collection::vec(number.clone(), 6).prop_map(|n| {
        format!(
            r#"{{"requests": {}, "errors": {}, "timed": {}, "slow": {{"p90": {}}}, "metrics": {{"m": [{}, {}]}}}}"#,
            n[0], n[1], n[2], n[3], n[4], n[5]
        )
    });
    let plain = (0..5000_u32, 0..50_u32).prop_map(|(n, e)| format!(r#"{{"requests": {}, "errors": {e}}}"#, n + e));
    let side = prop_oneof![2 => plain, 1 => side];
    let line = (0..120_u32, 0..6_usize, side.clone(), side).prop_map(|(minute, weight, candidate, stable)| {
        let weight = ["0", "0", "5", "50", "100", "7.77"][weight];
        let (hour, minute) = (minute / 60, minute % 60);
        format!(
            r#"{{"minute": "2026-11-22T{hour:02}:{minute:02}:00Z", "weight": {weight}, "candidate": {candidate}, "stable": {stable}}}"#
        )
    });
    let sorted = prop::collection::vec(line, 0..20).prop_map(|mut lines| {
        lines.sort();
        lines.dedup_by(|a, b| a[..35] == b[..35]);
        lines.join("\n")
    });
    let cut = (sorted.clone(), any::<prop::sample::Index>(), ".{0,3}").prop_map(|(mut text, at, junk)| {
        let mut at = at.index(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.insert_str(at, &junk);
        text
    });
    prop_oneof![4 => sorted, 4 => cut, 1 => any::<String>()]
}
