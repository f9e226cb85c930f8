//! The same simulated releases, judged by every tool's judge; and ours as it is run.

use std::fmt::Write as _;

use rand::SeedableRng;
use spillway_core::definition::{HealthPolicy, LatencyPolicy, Strategy, StrategyType};
use spillway_core::judge::Pair;
use spillway_core::judge::comparison::{Comparison, Terms};
use spillway_core::judge::hard_failure::Baseline;
use spillway_core::judge::sequential::{ERRORS, Horizon};

use crate::characteristics::{Characteristics, Experiment, Spread, characteristics, plans};
use crate::rivals::kayenta::{Kayenta, NanStrategy};
use crate::rivals::{Opinion, Rival, alarm, argo, z_test};
use crate::scenario::{Candidate, Latency, Service};
use crate::traffic::{Generator, Traffic};

/// Steps of the releases that every judge sees, as fractions, and the minutes of each.
const STEPS: [f64; 5] = [0.01, 0.05, 0.25, 0.5, 0.95];
const MINUTES_A_STEP: usize = 6;
/// Minutes that data are late.
const LATE: usize = 2;
/// Services: requests in a second and error rate.
const SERVICES: [(f64, f64); 6] =
    [(0.5, 0.01), (5.0, 0.001), (50.0, 0.001), (50.0, 0.01), (500.0, 0.001), (5000.0, 0.001)];

/// Our judge as a rival of its own: what it proves, on minutes that it does not choose.
struct Ours;

impl Rival for Ours {
    fn name(&self) -> &'static str {
        "Spillway"
    }

    fn look(&mut self, minutes: &[Pair]) -> Opinion {
        let planned = STEPS.len() * MINUTES_A_STEP;
        let mut comparison = Comparison::new(&Terms::of_errors(1.0, Horizon::planned(planned)), 1.0);
        for minute in minutes {
            comparison.push(&[*minute]);
        }
        let proven = comparison.peak() >= ERRORS.proof().ln() || comparison.hard_failure(Baseline::Concurrent);
        if proven { Opinion::RollBack } else { Opinion::GoOn }
    }
}

/// Every judge, ours first.
fn judges() -> Vec<(&'static str, Box<dyn Rival>)> {
    vec![
        ("Spillway", Box::new(Ours)),
        ("Argo: success >= 99 %, limit 3", Box::<argo::ArgoRollouts>::default()),
        ("alarm: 5xx > 1 %, 2 of 3", Box::<alarm::Alarm>::default()),
        ("Kayenta every 5 min", Box::<Kayenta>::default()),
        ("Kayenta, NaN as 0", Box::new(Kayenta::new(NanStrategy::Replace))),
        ("z-test each minute", Box::<z_test::ZTest>::default()),
    ]
}

/// What a judge did to the releases of one candidate.
#[derive(Clone, Debug, Default)]
struct Tally {
    rolled_back: usize,
    minutes: Vec<f64>,
    failed: Vec<f64>,
}

/// Releases of one candidate in fixed steps, judged by all.
fn tallies(service: &Service, candidate: &Candidate, releases: usize, seed: u64) -> Vec<Tally> {
    let traffic = STEPS.map(|weight| Traffic::at(service, candidate, weight, 60.0, &[]));
    let mut judges = judges();
    let mut tallies = vec![Tally::default(); judges.len()];
    let (mut minutes, mut period) = (Vec::new(), Vec::new());
    for release in 0..releases {
        let mut generator = Generator::seed_from_u64(seed ^ (release as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        minutes.clear();
        for step in &traffic {
            for _ in 0..MINUTES_A_STEP {
                step.period(&mut generator, &mut period);
                minutes.push(period[0]);
            }
        }
        for ((_, judge), tally) in judges.iter_mut().zip(&mut tallies) {
            let stopped = (1..=minutes.len()).find(|&seen| judge.look(&minutes[..seen]) == Opinion::RollBack);
            let end = stopped.map_or(minutes.len(), |seen| (seen + LATE).min(minutes.len()));
            tally.failed.push(minutes[..end].iter().map(|minute| minute.candidate.errors).sum());
            if let Some(seen) = stopped {
                tally.rolled_back += 1;
                tally.minutes.push((seen + LATE) as f64);
            }
        }
    }
    tallies
}

fn service((requests_per_second, error_rate): (f64, f64)) -> Service {
    Service { requests_per_second, error_rate, latency: Latency::default() }
}

fn named(service: &Service) -> String {
    format!("{} rps, {} %", service.requests_per_second, 100.0 * service.error_rate)
}

/// All tables, as Markdown.
#[must_use]
pub fn tables(releases: usize, seed: u64) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{releases} releases of each kind, seed {seed}.\n");
    false_rollbacks(&mut text, releases, seed);
    detection(&mut text, releases, seed);
    as_run(&mut text, releases, seed);
    slow(&mut text, releases, seed);
    text
}

fn head(text: &mut String, title: &str, columns: &[&str]) {
    let _ = writeln!(text, "### {title}\n\n| {} |\n|{}", columns.join(" | "), "---|".repeat(columns.len()));
}

fn false_rollbacks(text: &mut String, releases: usize, seed: u64) {
    let columns: Vec<&str> = std::iter::once("service").chain(judges().iter().map(|(name, _)| *name)).collect();
    let title =
        "Rolled back although as good, and although a quarter worse (which is tolerated), % of releases in fixed steps";
    head(text, title, &columns);
    for row in SERVICES {
        let service = service(row);
        let of = |times| tallies(&service, &Candidate::times("", times, &service), releases, seed);
        let cells: Vec<String> = std::iter::zip(of(1.0), of(1.25))
            .map(|(equal, worse)| {
                format!("{} / {}", share(equal.rolled_back, releases), share(worse.rolled_back, releases))
            })
            .collect();
        let _ = writeln!(text, "| {} | {} |", named(&service), cells.join(" | "));
    }
    text.push('\n');
}

fn detection(text: &mut String, releases: usize, seed: u64) {
    let columns: Vec<&str> =
        ["service", "candidate"].into_iter().chain(judges().iter().map(|(name, _)| *name)).collect();
    let title = "Rolled back % / after minutes (median) / requests that it failed (median), in fixed steps";
    head(text, title, &columns);
    for row in SERVICES {
        let service = service(row);
        for candidate in &Candidate::usual(&service)[1..] {
            let cells: Vec<String> = tallies(&service, candidate, releases, seed)
                .into_iter()
                .map(|tally| {
                    let minutes =
                        Spread::of(tally.minutes).map_or("-".into(), |spread| format!("{:.0}", spread.median));
                    let failed = Spread::of(tally.failed).map_or(0.0, |spread| spread.median);
                    format!("{} / {minutes} / {failed:.0}", share(tally.rolled_back, releases))
                })
                .collect();
            let _ = writeln!(text, "| {} | {} | {} |", named(&service), candidate.name, cells.join(" | "));
        }
    }
    text.push('\n');
}

/// Ours with everything: planning, adaptive steps, holds, policies, errors and latency.
fn as_run(text: &mut String, releases: usize, seed: u64) {
    let title = "Spillway as it is run: rolled back % / after minutes (median) / requests failed (median); last, minutes of a healthy release (median, 90 %)";
    head(
        text,
        title,
        &["service", "healthy", "1.25x", "2x", "3x", "5x", "10x", "broken", "5x from 50 %", "healthy release"],
    );
    for row in SERVICES {
        let service = service(row);
        let times = [1.0, 1.25, 2.0, 3.0, 5.0, 10.0].map(|times| Candidate::times("", times, &service));
        let mut candidates = times.to_vec();
        candidates.push(Candidate::failing("", 0.5));
        candidates.push(Candidate::times("", 5.0, &service).from_weight(0.5));
        let found = run(&service, &candidates, &HealthPolicy::default(), releases, seed);
        let cells: Vec<String> = found.iter().map(cell).collect();
        let healthy = found.first().and_then(|healthy| healthy.minutes_to_promotion);
        let healthy = healthy.map_or("-".into(), |spread| format!("{:.0}, {:.0}", spread.median, spread.p90));
        let _ = writeln!(text, "| {} | {} | {healthy} |", named(&service), cells.join(" | "));
    }
    text.push('\n');
}

/// Latency with noise that the slots do not share, and the margin of the thresholds.
fn slow(text: &mut String, releases: usize, seed: u64) {
    let title = "Slow candidates, rolled back % / after minutes (median), by private noise (standard deviation of a slot's speed from minute to minute) and margin_percent";
    head(text, title, &["service", "noise", "margin", "healthy", "1.1x", "1.2x", "1.3x", "1.5x", "2x"]);
    for row in [(5.0, 0.001), (50.0, 0.001), (500.0, 0.001)] {
        for jitter in [0.0, 0.03, 0.1] {
            for margin_percent in [0, 10] {
                let service = Service { latency: Latency { jitter, ..Latency::default() }, ..service(row) };
                let candidates: Vec<Candidate> = [1.0, 1.1, 1.2, 1.3, 1.5, 2.0]
                    .map(|slowdown| Candidate::times("", 1.0, &service).slower(slowdown))
                    .into();
                let latency = LatencyPolicy { margin_percent, ..LatencyPolicy::default() };
                let health = HealthPolicy { latency, ..HealthPolicy::default() };
                let found = run(&service, &candidates, &health, releases.min(500), seed);
                let cells: Vec<String> = found
                    .iter()
                    .map(|one| {
                        let minutes = one.minutes_to_rollback.map_or("-".into(), |m| format!("{:.0}", m.median));
                        format!("{} / {minutes}", percent(one.rolled_back))
                    })
                    .collect();
                let _ = writeln!(text, "| {} | {jitter} | {margin_percent} | {} |", named(&service), cells.join(" | "));
            }
        }
    }
}

fn run(
    service: &Service,
    candidates: &[Candidate],
    health: &HealthPolicy,
    releases: usize,
    seed: u64,
) -> Vec<Characteristics> {
    let strategy = Strategy::of(StrategyType::Canary);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let experiment = Experiment { strategy: &strategy, health, service, candidates, releases, seed, threads };
    // The default policy plans for any of these services.
    plans(&experiment).map(|plans| characteristics(&experiment, &plans, &|_| ())).unwrap_or_default()
}

fn cell(one: &Characteristics) -> String {
    let minutes = one.minutes_to_rollback.map_or("-".into(), |spread| format!("{:.0}", spread.median));
    format!("{} / {minutes} / {:.0}", percent(one.rolled_back), one.failed_requests.median)
}

fn share(count: usize, of: usize) -> String {
    percent(count as f64 / of.max(1) as f64)
}

/// `0`, `0.1`, `12`, `100`: a decimal only where it says something.
fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if percent == 0.0 || percent >= 9.95 { format!("{percent:.0}") } else { format!("{percent:.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's tables are what the command prints: the same tables, rows and columns.
    #[test]
    fn the_page_has_every_table_and_row() {
        let page = include_str!("../README.md");
        let labels = |text: &str| -> Vec<String> {
            let label = |line: &str| match line.strip_prefix("| ") {
                Some(row) => row.split(" | ").take_while(|cell| !cell.contains(" / ")).collect::<Vec<_>>().join(" | "),
                None => line.to_owned(),
            };
            text.lines().filter(|line| line.starts_with("| ") || line.starts_with("### ")).map(label).collect()
        };
        let (_, printed) = page.split_once(crate::BEGIN).unwrap();
        let (printed, _) = printed.split_once(crate::END).unwrap();
        assert_eq!(labels(printed), labels(&tables(4, 1)));
    }

    /// The guarantee itself: a candidate at the very edge of what is tolerated is called unhealthy in at most 1 % of releases,
    /// whatever the traffic, however often one looks.
    #[test]
    fn at_the_edge_of_what_is_tolerated_the_guarantee_holds() {
        const RELEASES: usize = 3000;
        for row in [(5.0, 0.01), (50.0, 0.01), (500.0, 0.001), (5000.0, 0.0)] {
            let service = service(row);
            let edge = Candidate::failing("", ERRORS.tolerance * service.error_rate + ERRORS.slack);
            let ours = tallies(&service, &edge, RELEASES, 3)[0].rolled_back;
            // 1 % of 3000 is 30; 48 or more would happen in fewer than one of a thousand runs.
            assert!(ours < 48, "{row:?}: {ours} of {RELEASES}");
        }
    }

    /// As run, with errors and latency: a sound candidate is hardly ever rolled back, nor one that is slower by noise alone.
    #[test]
    fn as_it_is_run_sound_candidates_are_promoted() {
        for jitter in [0.0, 0.1] {
            let service = Service { latency: Latency { jitter, ..Latency::default() }, ..service((50.0, 0.001)) };
            let sound = [Candidate::times("", 1.0, &service)];
            let found = run(&service, &sound, &HealthPolicy::default(), 500, 11);
            assert!(found[0].rolled_back <= 0.01, "{jitter}: {found:?}");
            assert_eq!(found[0].releases, 500);
        }
    }

    /// As good as the stable version: the judge must hardly ever say otherwise, and must find what is five times worse.
    #[test]
    fn ours_is_right_where_thresholds_are_not() {
        let service = service((50.0, 0.01));
        let equal = tallies(&service, &Candidate::times("", 1.0, &service), 300, 7);
        assert!(equal[0].rolled_back <= 3, "{}", equal[0].rolled_back);
        assert!(equal[1].rolled_back > 250, "a threshold at the usual rate stops nearly all: {}", equal[1].rolled_back);
        let worse = tallies(&service, &Candidate::times("", 5.0, &service), 300, 7);
        assert_eq!(worse[0].rolled_back, 300);
    }
}
