//! Colours are for terminals that want them.

use std::io::Read;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use spillway_end_to_end::lab;
use spillway_lab::Lab;

use crate::written;

/// What a command writes on a terminal, standard error included.
fn on_a_terminal(lab: &Lab, arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let pair = native_pty_system().openpty(PtySize { rows: 40, cols: 120, pixel_width: 0, pixel_height: 0 }).unwrap();
    let mut builder = CommandBuilder::new(env!("CARGO_BIN_EXE_spillway"));
    builder.args(arguments);
    builder.env_remove("NO_COLOR");
    builder.env_remove("CI");
    builder.env("TERM", "xterm-256color");
    for (name, value) in lab.environment() {
        builder.env(name, value);
    }
    for (name, value) in variables {
        builder.env(name, value);
    }
    let mut child = pair.slave.spawn_command(builder).unwrap();
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().unwrap();
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    // A terminal whose programs have ended gives an error.
    while let Ok(count @ 1..) = reader.read(&mut bytes) {
        text.extend_from_slice(&bytes[..count]);
    }
    child.wait().unwrap();
    String::from_utf8_lossy(&text).into_owned()
}

/// What a command writes into a pipe.
fn piped(lab: &Lab, arguments: &[&str]) -> String {
    let output = crate::spillway(lab, arguments, "");
    crate::text(&output.stdout) + &crate::text(&output.stderr)
}

/// Whether letters are coloured, bold or faint.
fn is_coloured(text: &str) -> bool {
    let sequences = text.split("\x1b[").skip(1);
    sequences
        .filter_map(|rest| rest.find(|c: char| c.is_ascii_alphabetic()).map(|at| &rest[at..=at]))
        .any(|end| end == "m")
}

/// Every command that has colours has them on a terminal, and nowhere else; and none where somebody does not want them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn colours_are_for_terminals_that_want_them() {
    let lab = lab().await;
    let shop = lab.service("shop").start().await.unwrap();
    let definition = written(&lab, "definition.json", &shop.definition());
    let definition = definition.to_str().unwrap();
    // So there is something to tell the status of.
    let frozen = ["freeze", "shop", "--reason", "sale", "--for", "1h", "--owner", "ann"];
    assert!(tokio::task::block_in_place(|| crate::spillway(&lab, &frozen, "")).status.success());
    let commands: [&[&str]; 6] = [
        &["status"],
        &["validate", "--live", definition],
        &["--help"],
        &["help", "start"],
        &["status", "--wrong"],
        &["simulate", "--rps", "500", "--error-rate", "0.1"],
    ];
    tokio::task::block_in_place(|| {
        for command in commands {
            let name = command.join(" ");
            let allowed = on_a_terminal(&lab, command, &[]);
            // The simulation has a bar, and no colours.
            assert_eq!(is_coloured(&allowed), command[0] != "simulate", "{name}: {allowed:?}");
            assert!(allowed.len() > 50, "{name}: {allowed:?}");

            let plain = [&["--no-color"], command].concat();
            for (why, text) in [
                ("--no-color", on_a_terminal(&lab, &plain, &[])),
                ("NO_COLOR", on_a_terminal(&lab, command, &[("NO_COLOR", "1")])),
                ("TERM=dumb", on_a_terminal(&lab, command, &[("TERM", "dumb")])),
                ("TERM=dumb in CI", on_a_terminal(&lab, command, &[("TERM", "dumb"), ("CI", "true")])),
                ("a pipe", piped(&lab, command)),
            ] {
                assert!(!is_coloured(&text), "{name}, {why}: {text:?}");
                assert!(text.len() > 50, "{name}, {why}: {text:?}");
                // What is no terminal, or a dumb one, can do nothing with any of them.
                if command[0] != "simulate" || why.starts_with("TERM=dumb") || why == "a pipe" {
                    assert!(!text.contains('\x1b'), "{name}, {why}: {text:?}");
                }
            }
        }
        // An empty NO_COLOR is none: <https://no-color.org>.
        assert!(is_coloured(&on_a_terminal(&lab, &["status"], &[("NO_COLOR", "")])));
    });
    lab.stop().await;
}
