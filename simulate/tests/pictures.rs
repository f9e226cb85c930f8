//! The pictures of the strategies: releases as the shipped code expands, plans, judges and decides them. They are drawn anew
//! and compared with those in `docs/strategies`; `SPILLWAY_BLESS=1` writes them.

use std::fmt::Write;

use rand::SeedableRng;
use spillway_core::decision::Next;
use spillway_core::definition::{HealthPolicy, Retirement, Strategy, StrategyType};
use spillway_simulate::planning::plan;
use spillway_simulate::release::{Ending, Look, Simulation};
use spillway_simulate::scenario::{Candidate, Latency, Service};
use spillway_simulate::traffic::Generator;

const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/strategies");
/// What the pages say of the service.
const SERVICE: Service =
    Service { requests_per_second: 500.0, error_rate: 0.001, latency: Latency { spread: 0.5, jitter: 0.0 } };
const SEED: u64 = 1;
/// How many times as bad the other version is.
const BAD: f64 = 3.0;
const ALL: [(StrategyType, &str); 4] = [
    (StrategyType::Canary, "canary"),
    (StrategyType::Linear, "linear"),
    (StrategyType::BlueGreen, "blue-green"),
    (StrategyType::AllAtOnce, "all-at-once"),
];

/// The size of a picture, and the room round its plot.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const TOP: f64 = 44.0;
const RIGHT: f64 = 190.0;
const BOTTOM: f64 = 64.0;

const STYLE: &str = "
:root { --paper: #ffffff; --ink: #1c2430; --quiet: #55606f; --grid: #dfe4ea; --candidate: #b4460a; --band: #f4ede7; --bad: #8a1f6a; --time: #18589c }
@media (prefers-color-scheme: dark) {
  :root { --paper: #12161d; --ink: #e8ecf1; --quiet: #a7b1be; --grid: #2b3440; --candidate: #f59a5c; --band: #211d1b; --bad: #f08fd0; --time: #7db0ff }
}
.paper { fill: var(--paper) } .band { fill: var(--band) } .grid { stroke: var(--grid) }
text { font: 13px system-ui, sans-serif; fill: var(--ink) } .quiet { fill: var(--quiet) }
.sound, .bad { fill: none; stroke-width: 2.5 } .sound { stroke: var(--candidate) } .bad { stroke: var(--bad); stroke-dasharray: 7 4 }
.look { fill: var(--candidate) } .bad-text { fill: var(--bad) } .sound-text { fill: var(--candidate) } .time-text { fill: var(--time) } .cross { font-size: 20px; font-weight: bold }
.time { fill: var(--time) } .end { stroke: var(--quiet); stroke-dasharray: 3 4 }
";

/// A release of a candidate that is so many times as bad, with its checks.
fn release(strategy: &Strategy, times: f64) -> (Vec<Look>, Ending) {
    let plan = plan(strategy, &HealthPolicy::default(), &SERVICE, SEED).unwrap();
    let candidate = Candidate::times("", times, &SERVICE);
    let mut looks = Vec::new();
    let mut generator = Generator::seed_from_u64(SEED);
    let ending = Simulation::new(&plan, &SERVICE, &candidate).watched(&mut generator, |look| looks.push(look));
    (looks, ending)
}

/// The weights as corners of a line: seconds and percent.
fn corners(looks: &[Look], ending: &Ending) -> Vec<(f64, f64)> {
    let mut corners = vec![(0.0, 0.0)];
    let mut since = 0.0;
    for look in looks {
        let weight = f64::from(look.weight);
        if corners.last().is_some_and(|(_, last)| (*last - weight).abs() > 1e-9) {
            corners.extend([(since, corners[corners.len() - 1].1), (since, weight)]);
        }
        since = look.seconds;
    }
    let last = corners[corners.len() - 1].1;
    corners.push((ending.seconds, last));
    corners.push((ending.seconds, if ending.rolled_back { 0.0 } else { 100.0 }));
    corners
}

struct Picture {
    svg: String,
    seconds: f64,
}

impl Picture {
    fn x(&self, seconds: f64) -> f64 {
        LEFT + seconds / self.seconds * (WIDTH - LEFT - RIGHT)
    }

    fn y(percent: f64) -> f64 {
        TOP + (1.0 - percent / 100.0) * (HEIGHT - TOP - BOTTOM)
    }

    fn text(&mut self, class: &str, anchor: &str, (x, y): (f64, f64), text: &str) {
        writeln!(self.svg, r#"<text class="{class}" text-anchor="{anchor}" x="{x:.1}" y="{y:.1}">{text}</text>"#)
            .unwrap();
    }

    fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let all: Vec<String> = points.iter().map(|(x, y)| format!("{:.1},{:.1}", self.x(*x), Self::y(*y))).collect();
        writeln!(self.svg, r#"<polyline class="{class}" points="{}"/>"#, all.join(" ")).unwrap();
    }

    fn rect(&mut self, class: &str, [x, y, width, height]: [f64; 4]) {
        writeln!(self.svg, r#"<rect class="{class}" x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}"/>"#)
            .unwrap();
    }

    fn axes(&mut self) {
        let floor = Self::y(0.0);
        for percent in [0.0, 25.0, 50.0, 75.0, 100.0] {
            let y = Self::y(percent);
            let right = WIDTH - RIGHT;
            writeln!(self.svg, r#"<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1}" y2="{y:.1}"/>"#).unwrap();
            self.text("quiet", "end", (LEFT - 8.0, y + 4.0), &format!("{percent} %"));
        }
        let every = if self.seconds > 900.0 { 5 } else { 1 };
        let seconds = self.seconds;
        for minute in (0..100).step_by(every).take_while(|minute| f64::from(*minute) * 60.0 <= seconds) {
            let x = self.x(f64::from(minute) * 60.0);
            self.text("quiet", "middle", (x, floor + 32.0), &minute.to_string());
        }
        self.text(
            "quiet",
            "middle",
            (f64::midpoint(LEFT, WIDTH - RIGHT), HEIGHT - 10.0),
            "minutes since the first users",
        );
    }
}

fn minutes(seconds: f64) -> String {
    format!("{:.0} min", seconds / 60.0)
}

fn picture(kind: StrategyType) -> String {
    let strategy = Strategy::of(kind);
    let planned = plan(&strategy, &HealthPolicy::default(), &SERVICE, SEED).unwrap();
    let (looks, ending) = release(&strategy, 1.0);
    let (bad_looks, bad) = release(&strategy, BAD);
    assert!(!ending.rolled_back, "{kind}: a sound release");
    let told = if bad.rolled_back { "rolled back" } else { "promoted" };
    let steps: Vec<String> = planned.steps.iter().map(|step| step.weight.to_string()).collect();
    let label = format!(
        "{kind}: steps {}, then 100 %: a sound version is promoted after {}, one with three times the errors is {told} after {}",
        steps.join(", "),
        minutes(ending.seconds),
        minutes(bad.seconds)
    );
    let mut picture = Picture { svg: String::new(), seconds: ending.seconds.max(bad.seconds) };
    let floor = Picture::y(0.0);
    writeln!(
        picture.svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">"#
    )
    .unwrap();
    writeln!(picture.svg, "<style>{STYLE}</style>").unwrap();
    picture.rect("paper", [0.0, 0.0, WIDTH, HEIGHT]);

    // Each stay at a weight: a band, its minimum time, its weight.
    let sound = corners(&looks, &ending);
    let stays: Vec<(f64, f64, f64)> =
        sound.windows(2).filter(|pair| pair[1].0 > pair[0].0).map(|pair| (pair[0].0, pair[1].0, pair[0].1)).collect();
    for (from, to, _) in stays.iter().step_by(2) {
        picture.rect("band", [picture.x(*from), TOP, picture.x(*to) - picture.x(*from), floor - TOP]);
    }
    picture.axes();
    for (from, to, weight) in &stays {
        let least = planned.steps.iter().find(|step| (f64::from(step.weight) - weight).abs() < 1e-9);
        let least = f64::from(least.unwrap_or(&planned.steps[planned.steps.len() - 1]).minimum_time_seconds);
        let (x, end) = (picture.x(*from), picture.x((from + least).min(*to)));
        picture.rect("time", [x, floor + 5.0, end - x - 2.0, 6.0]);
        picture.text(
            "sound-text",
            "middle",
            (f64::midpoint(x, picture.x(*to)), Picture::y(*weight) - 9.0),
            &format!("{weight} %"),
        );
    }
    picture.line("bad", &corners(&bad_looks, &bad));
    picture.line("sound", &sound);
    if bad.rolled_back {
        let at = (picture.x(bad.seconds), Picture::y(0.0) + 4.0);
        picture.text("bad-text cross", "middle", at, "✕");
    }
    for look in &looks {
        let (x, y) = (picture.x(look.seconds), Picture::y(f64::from(look.weight)));
        writeln!(picture.svg, r#"<circle class="look" cx="{x:.1}" cy="{y:.1}" r="3.2"/>"#).unwrap();
    }

    let window = Retirement::default().window_seconds;
    let x = WIDTH - RIGHT + 14.0;
    for (row, (class, text)) in [
        ("sound-text", "— a sound version".to_owned()),
        ("sound-text", format!("promoted after {}", minutes(ending.seconds))),
        ("sound-text", "● a check".to_owned()),
        ("time-text", "▬ minimum time".to_owned()),
        ("bad-text", "- - three times the errors".to_owned()),
        ("bad-text", format!("{told} after {}", minutes(bad.seconds))),
        ("quiet", "then the old slot is warm".to_owned()),
        ("quiet", format!("for {}", minutes(f64::from(window)))),
    ]
    .into_iter()
    .enumerate()
    {
        #[allow(clippy::cast_precision_loss, reason = "eight rows")]
        let y = TOP + 14.0 + 24.0 * row as f64;
        picture.text(class, "start", (x, y), &text);
    }
    picture.text("", "start", (LEFT, 22.0), &format!("{kind}: the candidate's weight"));
    picture.svg.push_str("</svg>\n");
    picture.svg
}

#[test]
fn the_pictures_are_what_the_code_does() {
    for (kind, name) in ALL {
        let (path, current) = (format!("{PLACE}/{name}.svg"), picture(kind));
        if std::env::var_os("SPILLWAY_BLESS").is_some() {
            std::fs::write(&path, &current).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            current,
            "{path}: run the tests once with SPILLWAY_BLESS=1"
        );
    }
}

/// Every weight of the plan is stayed at, in order, and each stay lasts its minimum time.
#[test]
fn a_picture_has_every_step_of_the_plan() {
    for (kind, _) in ALL {
        let strategy = Strategy::of(kind);
        let planned = plan(&strategy, &HealthPolicy::default(), &SERVICE, SEED).unwrap();
        let (looks, _) = release(&strategy, 1.0);
        let mut weights: Vec<f64> = looks.iter().map(|look| f64::from(look.weight)).collect();
        weights.dedup();
        let mut expected: Vec<f64> = planned.steps.iter().map(|step| f64::from(step.weight)).chain([100.0]).collect();
        expected.dedup();
        assert_eq!(weights, expected, "{kind}");
        assert_eq!(looks.last().map(|look| look.next), Some(Next::Promoted), "{kind}");
        for step in &planned.steps {
            let at: Vec<&Look> = looks.iter().filter(|look| look.weight == step.weight).collect();
            let least = f64::from(step.minimum_time_seconds);
            assert!(at.last().unwrap().seconds - at[0].seconds + 60.0 >= least, "{kind} {}", step.weight);
        }
    }
}
