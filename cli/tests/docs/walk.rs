//! A walk along pages: their commands as they stand there, in a shell, with what the lab has in the place of their names.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command as Process, Output, Stdio};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use spillway_docs::{Command, pages, root};
use spillway_lab::{Lab, ministack, paths};

use crate::is_listed;

pub struct Walk {
    /// The commands of the pages, and whether they have been run.
    commands: Vec<(Command, bool)>,
    /// What stands in a command, and what is put there.
    stand_ins: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    /// What the pages have exported so far.
    exports: Vec<String>,
    /// Where commands are run.
    pub directory: PathBuf,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Walk {
    /// Along these pages, in a directory of its own.
    pub fn along(name: &str, names: &[&str]) -> Self {
        let all = pages();
        for name in names {
            assert!(all.iter().any(|page| page.name == *name), "there is no page {name}");
        }
        let of_these = all.into_iter().filter(|page| names.contains(&page.name.as_str()));
        let to_be_run = |command: &Command| command.is_to_be_run() && !is_listed(command);
        let commands = of_these.flat_map(|page| page.commands).filter(to_be_run).map(|one| (one, false)).collect();
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        Self { commands, stand_ins: Vec::new(), environment: Vec::new(), exports: Vec::new(), directory }
    }

    /// From now on in this lab, with the aws command line tool.
    pub fn enter(&mut self, lab: &Lab) {
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docs/requirements.txt");
        let python = ministack::environment(&paths::lab(), None, &requirements).unwrap();
        let mut path = python.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        self.set("PATH", path.to_str().unwrap());
        for (name, value) in lab.environment() {
            self.set(name, &value);
        }
        self.set("AWS_PAGER", "");
        self.set("ACCOUNT", "000000000000");
        self.stand_in("eu-west-1", spillway_lab::aws::REGION);
    }

    /// A variable that a page uses.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.retain(|(known, _)| known != name);
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// What stands in the pages' commands, and what is put there from now on.
    pub fn stand_in(&mut self, there: &str, here: &str) {
        self.stand_ins.retain(|(known, _)| known != there);
        self.stand_ins.push((there.to_owned(), here.to_owned()));
    }

    /// The command as it is run here. All places of it count as run.
    fn taken(&mut self, told: &str) -> (Command, String) {
        let mut found = None;
        for (command, run) in self.commands.iter_mut().filter(|(command, _)| command.text == told) {
            *run = true;
            // The place that says what it prints, if one does.
            if found.is_none() || command.printed.is_some() {
                found = Some(command.clone());
            }
        }
        let command = found.unwrap_or_else(|| panic!("no page has: {told}"));
        let mut here = told.to_owned();
        for (from, to) in &self.stand_ins {
            here = here.replace(from.as_str(), to);
        }
        (command, here)
    }

    fn shell(&self, script: &str) -> Process {
        let spillway = Path::new(env!("CARGO_BIN_EXE_spillway")).parent().unwrap();
        let mut process = Process::new("bash");
        // The program before any other of its name.
        let script = format!("PATH={}:$PATH\n{}\n{script}", spillway.display(), self.exports.join("\n"));
        process.args(["-euo", "pipefail", "-c", &script]).current_dir(&self.directory);
        process.env_remove("SPILLWAY_INSTALLATION").env("USER", "ann");
        process.envs(self.environment.iter().map(|(name, value)| (name, value)));
        process
    }

    /// Runs a command of the pages.
    pub fn run(&mut self, told: &str) -> Output {
        let (_, here) = self.taken(told);
        let output = tokio::task::block_in_place(|| self.shell(&here).stdin(Stdio::null()).output()).unwrap();
        println!("$ {here}\n{}{}", text(&output.stdout), text(&output.stderr));
        if here.starts_with("export ") {
            self.exports.push(here);
        }
        output
    }

    /// The same; it must succeed. What it prints.
    pub fn succeeds(&mut self, told: &str) -> String {
        let output = self.run(told);
        assert!(output.status.success(), "{told}: {}: {}", output.status, text(&output.stderr));
        text(&output.stdout)
    }

    /// The same; it must print what the page says.
    pub fn prints(&mut self, told: &str) {
        let printed = self.succeeds(told);
        let said = self.taken(told).0.printed.unwrap_or_else(|| panic!("no page says what it prints: {told}"));
        assert_eq!(printed, said, "{told}");
    }

    /// The same on a terminal, where this is typed once the screen shows `first`.
    pub fn on_a_terminal(&mut self, told: &str, first: &str, typed: &str) {
        let (_, here) = self.taken(told);
        let (rows, columns) = (40, 120);
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).unwrap();
        let process = self.shell(&format!("exec {here}"));
        let mut builder = CommandBuilder::new(process.get_program());
        builder.args(process.get_args());
        builder.cwd(&self.directory);
        for (name, value) in process.get_envs() {
            match value {
                Some(value) => builder.env(name, value),
                None => builder.env_remove(name),
            }
        }
        builder.env("TERM", "xterm-256color");
        let mut child = pair.slave.spawn_command(builder).unwrap();
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().unwrap();
        let mut keys = pair.master.take_writer().unwrap();
        let cells = |count| NonZero::new(count).unwrap();
        let mut screen = vt100::Parser::new(cells(rows), cells(columns), 0);
        let (mut bytes, mut is_typed, mut shown) = ([0; 4096], false, String::new());
        while let Ok(count @ 1..) = tokio::task::block_in_place(|| reader.read(&mut bytes)) {
            screen.process(&bytes[..count]);
            if !is_typed && screen.screen().contents().contains(first) {
                shown = screen.screen().contents();
                keys.write_all(typed.as_bytes()).unwrap();
                is_typed = true;
            }
        }
        println!("$ {here}    # on a terminal\n{shown}");
        let status = child.wait().unwrap();
        assert!(status.success() && is_typed, "{told}: {status:?}");
    }

    /// The blocks of a page in a language.
    pub fn blocks(name: &str, language: &str) -> Vec<String> {
        let page = std::fs::read_to_string(root().join(name)).unwrap();
        let fence = format!("```{language}\n");
        page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
    }

    /// No command was left out.
    pub fn finish(self) {
        let left: Vec<String> = self.commands.iter().filter(|(_, run)| !run).map(|(one, _)| one.place()).collect();
        assert!(left.is_empty(), "not run:\n{}", left.join("\n"));
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}
