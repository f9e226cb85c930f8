//! The live view in a pseudo-terminal, against answers that a server in the place of AWS gives.

use std::io::{Read, Write};
use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use serde_json::{Value, json};

use spillway_end_to_end::{lab, sound};

use crate::aws::{Answer, Double, arn, command, installation};

/// A release that is rolled back, as its history was.
const ROLLED_BACK: &str = include_str!("../cmd/rolled-back.history.json");
const PATIENCE: Duration = Duration::from_secs(30);

/// A whole frame with a check in it: the keys are its last row.
fn is_checked(text: &str) -> bool {
    text.contains("against: errors") && text.contains("q leave")
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

/// The view, and the screen that it draws on.
struct Watching {
    child: Box<dyn Child + Send + Sync>,
    terminal: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    screen: Arc<Mutex<vt100::Parser>>,
    /// How often the whole screen was cleared.
    clears: Arc<AtomicUsize>,
}

impl Watching {
    fn start(double: &Double, rows: u16, columns: u16) -> Self {
        Self::run(&command(&["watch", "shop", "--endpoint-url", double.url()]), rows, columns)
    }

    fn run(told: &std::process::Command, rows: u16, columns: u16) -> Self {
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let mut builder = CommandBuilder::new(told.get_program());
        builder.args(told.get_args());
        for (name, value) in told.get_envs() {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        builder.env("TERM", "xterm-256color");
        builder.env("TZ", "UTC");
        let child = pair.slave.spawn_command(builder).unwrap();
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        let (mut reader, drawn) = (pair.master.try_clone_reader().unwrap(), Arc::clone(&screen));
        let clears = Arc::new(AtomicUsize::new(0));
        let cleared = Arc::clone(&clears);
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                let clearing = bytes[..count].windows(4).filter(|some| some == b"\x1b[2J").count();
                cleared.fetch_add(clearing, Ordering::Relaxed);
                drawn.lock().unwrap().process(&bytes[..count]);
            }
        });
        let keys = pair.master.take_writer().unwrap();
        Self { child, terminal: pair.master, keys, screen, clears }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn is_coloured(&self) -> bool {
        let parser = self.screen.lock().unwrap();
        let (rows, columns) = parser.screen().size();
        let mut cells = (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
        cells.any(|(row, column)| {
            let cell = parser.screen().cell(row, column).unwrap();
            [cell.fgcolor(), cell.bgcolor()] != [vt100::Color::Default; 2]
        })
    }

    /// Waits until the screen is as it should be.
    fn shows(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let began = Instant::now();
        loop {
            let text = self.text();
            if is_so(&text) {
                return text;
            }
            assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; the screen:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(cells(rows), cells(columns));
        self.terminal.resize(PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }).unwrap();
    }

    /// It has ended, and has left the other screen.
    fn leaves(mut self, key: &str) -> String {
        self.press(key);
        let began = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < PATIENCE, "it does not leave:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(self.child.wait().unwrap().success());
        self.shows("the terminal as it was", |text| {
            text.contains("spillway watch shop") || text.contains("shop: release")
        })
    }
}

/// An installation with a release whose history is told up to so many events; the rest of the time it fails.
fn release(told: &Arc<AtomicUsize>, down: &Arc<AtomicUsize>) -> Double {
    let history: Value = serde_json::from_str(ROLLED_BACK).unwrap();
    let events = history["events"].as_array().unwrap().clone();
    let (told, down) = (Arc::clone(told), Arc::clone(down));
    Double::start(move |operation, body| {
        match down.load(Ordering::Relaxed) {
            0 => {}
            1 => return Answer::Lost,
            _ => return Answer::Error("ThrottlingException", "Rate exceeded"),
        }
        let told = told.load(Ordering::Relaxed).min(events.len());
        let owner = arn("spillway-release", "r-1");
        let lease = if told == events.len() {
            json!({"service": "shop", "phase": "rolled_back"})
        } else {
            json!({"service": "shop", "owner": owner, "fence": "7", "phase": "baking", "command": "none"})
        };
        match operation {
            "GetExecutionHistory" => {
                let latest: Vec<&Value> = events[..told].iter().rev().collect();
                Answer::Json(json!({ "events": latest }))
            }
            _ => installation(operation, body, &lease, &json!({"status": "RUNNING"})),
        }
    })
}

/// How many events of the history there are up to the first answer of a check.
fn until_checked() -> usize {
    let history: Value = serde_json::from_str(ROLLED_BACK).unwrap();
    let events = history["events"].as_array().unwrap();
    let checked = |event: &Value| event.to_string().contains("\\\"evidence\\\"") && event["type"] == "TaskSucceeded";
    events.iter().position(checked).unwrap() + 1
}

#[test]
fn a_release_is_watched_and_acted_on() {
    let (told, down) = (Arc::new(AtomicUsize::new(until_checked())), Arc::default());
    let double = release(&told, &down);
    let mut view = Watching::start(&double, 40, 120);
    let text = view.shows("a check", is_checked);
    for part in
        ["shop  canary", "requested", "observed", "stable", "candidate", "e-value", "weight 0 % to", "next", "q leave"]
    {
        assert!(text.contains(part), "no {part}:\n{text}");
    }

    // A key asks first; anything but yes is no.
    view.press("x");
    view.shows("the question", |text| text.contains("any other key no): roll back"));
    view.press("n");
    view.shows("no question", |text| !text.contains("any other key no): roll back"));
    assert_eq!(double.calls_of("UpdateItem").len(), 0);
    view.press("x");
    view.shows("the question", |text| text.contains("any other key no): roll back"));
    view.press("y");
    view.shows("the answer", |text| text.contains("rolls back at its next check"));
    let written = double.calls_of("UpdateItem");
    assert_eq!(written.len(), 1);
    assert_eq!(written[0]["ExpressionAttributeValues"][":command"]["S"], "abort");

    // What comes next is drawn over what is there: nothing flickers.
    let cleared = view.clears.load(Ordering::Relaxed);
    told.store(usize::MAX, Ordering::Relaxed);
    view.shows("the end", |text| text.contains("RolledBack") && text.contains("ended"));
    assert_eq!(view.clears.load(Ordering::Relaxed), cleared);
    view.press("p");
    view.shows("that nobody hears", |text| text.contains("no release runs"));
    let left = view.leaves("q");
    assert!(left.contains("shop: release r-1: RolledBack"), "{left}");
}

#[test]
fn the_terminal_may_have_any_size() {
    let (told, down) = (Arc::new(AtomicUsize::new(until_checked())), Arc::default());
    let double = release(&told, &down);
    let mut view = Watching::start(&double, 40, 120);
    view.shows("a check", is_checked);
    view.resize(6, 30);
    view.shows("that it is too small", |text| text.contains("too small"));
    view.resize(12, 60);
    view.shows("the most important", |text| text.contains("requested") && !text.contains("against: errors"));
    view.resize(50, 200);
    view.shows("all again", |text| text.contains("against: errors"));
    view.press("\u{1b}[A\u{1b}[A");
    view.leaves("\u{3}");
}

/// What people look at first has its place on the smallest of the usual terminals.
#[test]
fn eighty_columns_have_room_for_what_matters() {
    let (told, down) = (Arc::new(AtomicUsize::new(until_checked())), Arc::default());
    let double = release(&told, &down);
    let mut view = Watching::start(&double, 24, 80);
    let text = view.shows("a check", is_checked);
    for part in ["requests", "errors", "healthy", "p99", "requested", "observed", "next"] {
        assert!(text.contains(part), "no {part}:\n{text}");
    }
    let hosts = text.lines().find(|line| line.starts_with("candidate ")).unwrap_or_default();
    assert!(hosts.contains("2/2"), "{hosts}");
    let evidence = text.lines().find(|line| line.starts_with("against: errors")).unwrap_or_default();
    assert!(evidence.ends_with(['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']), "{evidence}");
    view.press("P");
    let asked = view.shows("the question", |text| text.contains("promote (y yes, any other key no)"));
    let asked = asked.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(asked.contains("skipping the rest of the step at 10 % and 50 %?"), "{asked}");
    view.press("n");
    view.leaves("q");
}

/// A service whose release r-1 is being judged, and whose lease is told by this.
fn judged(lease: impl Fn() -> Value + Send + Sync + 'static) -> Double {
    let history: Value = serde_json::from_str(ROLLED_BACK).unwrap();
    let mut events = history["events"].as_array().unwrap()[..until_checked()].to_vec();
    events.reverse();
    Double::start(move |operation, body| match operation {
        "GetExecutionHistory" => Answer::Json(json!({ "events": events })),
        _ => installation(operation, body, &lease(), &json!({"status": "RUNNING"})),
    })
}

fn held_by(name: &str, command: &str) -> Value {
    let owner = arn("spillway-release", name);
    json!({"service": "shop", "owner": owner, "fence": "7", "phase": "baking", "command": command})
}

/// A word is for the release on the screen: another one, that has taken the lease meanwhile, does not hear it.
#[test]
fn a_word_reaches_no_other_release() {
    let taken = Arc::new(AtomicBool::new(false));
    let owner = Arc::clone(&taken);
    let double = judged(move || held_by(if owner.load(Ordering::Relaxed) { "r-2" } else { "r-1" }, "none"));
    let seen = arn("spillway-release", "r-1");
    let told = command(&["watch", "shop", "--execution", &seen, "--endpoint-url", double.url()]);
    let mut view = Watching::run(&told, 40, 120);
    view.shows("a check", is_checked);
    view.press("x");
    view.shows("the question", |text| text.contains("abort (y yes"));
    taken.store(true, Ordering::Relaxed);
    view.press("y");
    view.shows("that nobody heard it", |text| text.contains("abort was said to neither"));
    view.shows("no keys for words", |text| !text.contains("x abort"));
    view.press("P");
    view.shows("why", |text| text.contains("release r-1 does not hold the lease, r-2 does"));
    assert_eq!(double.calls_of("UpdateItem").len(), 0);
    view.leaves("q");
}

/// The ARN of another service's release is no release of this one.
#[test]
fn only_releases_of_the_service_are_shown_as_its_own() {
    let double = judged(|| held_by("r-1", "none"));
    let foreign = arn("spillway-guard", "r-1");
    for (service, execution, why) in [
        ("cart", arn("spillway-release", "r-1"), "a release of shop, not of cart"),
        ("shop", foreign, "not a release of this installation"),
    ] {
        let told = command(&["watch", service, "--execution", &execution, "--endpoint-url", double.url()]);
        let view = Watching::run(&told, 20, 200);
        view.shows("the reason", |text| text.contains(why));
    }
}

/// A word that stays in the lease is not waited for for ever.
#[test]
fn what_comes_next_is_told_after_a_pause_was_ended() {
    let double = judged(|| held_by("r-1", "resume"));
    let view = Watching::start(&double, 40, 120);
    let text = view.shows("a check", is_checked);
    assert!(text.contains("next  a check ") && !text.contains("resume is read"), "{text}");
    view.leaves("q");
}

/// What was seen stays, with its age, and goes on when there is an answer again; whatever the failure.
#[test]
fn a_lost_connection_is_waited_out() {
    let (told, down) = (Arc::new(AtomicUsize::new(until_checked())), Arc::new(AtomicUsize::new(0)));
    let double = release(&told, &down);
    let view = Watching::start(&double, 40, 120);
    view.shows("a check", is_checked);
    for failure in [1, 2] {
        down.store(failure, Ordering::Relaxed);
        let text = view.shows("that nobody answers", |text| text.contains("no answer for"));
        assert!(text.contains("against: errors") && text.contains("as it was"), "{text}");
        down.store(0, Ordering::Relaxed);
        view.shows("that it is seen again", |text| !text.contains("no answer for"));
    }
    told.store(usize::MAX, Ordering::Relaxed);
    view.shows("the end", |text| text.contains("RolledBack"));
    view.leaves("q");
}

/// All that colours say is said in words and shapes, too.
#[test]
fn colours_are_left_out_where_nobody_wants_them() {
    let watch = ["watch", "shop"];
    let plain = ["watch", "shop", "--no-color"];
    for (arguments, no_color, coloured) in [(&watch[..], "", true), (&watch, "1", false), (&plain, "", false)] {
        let (told, down) = (Arc::new(AtomicUsize::new(until_checked())), Arc::default());
        let double = release(&told, &down);
        let mut told = command(&[arguments, &["--endpoint-url", double.url()]].concat());
        told.env("NO_COLOR", no_color);
        let view = Watching::run(&told, 40, 120);
        view.shows("a whole check", is_checked);
        if coloured {
            view.shows("a colour", |_| view.is_coloured());
        }
        assert_eq!(view.is_coloured(), coloured, "{arguments:?}, NO_COLOR={no_color:?}");
        view.leaves("q");
    }
}

/// It ends as other programs do, and leaves the terminal as it was.
#[test]
fn a_signal_ends_it() {
    let (told, down) = (Arc::new(AtomicUsize::new(until_checked())), Arc::default());
    let double = release(&told, &down);
    let mut view = Watching::start(&double, 40, 120);
    view.shows("a check", is_checked);
    let id = view.child.process_id().unwrap();
    std::process::Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap();
    view.shows("the terminal as it was", |text| text.contains("goes on"));
    assert!(view.child.wait().unwrap().success());
    // The release has gone on meanwhile, and whoever comes again sees all of it.
    told.store(usize::MAX, Ordering::Relaxed);
    let again = Watching::start(&double, 40, 120);
    again.shows("the end", |text| text.contains("RolledBack") && text.contains("against: errors"));
    again.leaves("q");
}

#[test]
fn where_there_is_no_terminal_it_says_what_to_use() {
    let double = release(&Arc::default(), &Arc::default());
    let (code, out, err) = double.run(&["watch", "shop"]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(
        err.contains("it draws on a terminal, and this is none; allowed: spillway status shop --wait --json"),
        "{err}"
    );
}

/// Started and shown by one command, from its beginning on; where there is no terminal nothing is started.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_release_is_watched_from_its_start_on() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let image = sound(&shop, "v2")["image"].as_str().unwrap().to_owned();
    let start = ["start", "shop", "--image", &image, "--name", "seen", "--watch"];
    let refused = crate::spillway(&lab, &start, "");
    assert_eq!(refused.status.code(), Some(2));
    assert!(crate::text(&refused.stderr).contains("draws on a terminal"), "{}", crate::text(&refused.stderr));
    assert!(lab.running_executions("release").await.unwrap().is_empty());

    let mut told = command(&start);
    told.envs(lab.environment());
    let watching = Watching::run(&told, 50, 140);
    watching.shows("the release", |text| text.contains("seen") && text.contains("(candidate)"));
    watching.leaves("q");
    assert_eq!(lab.running_executions("release").await.unwrap().len(), 1, "it goes on");
    lab.stop().await;
}
