//! Processes that cannot outlive the lab.
//!
//! Three lines of defence, none of which needs unsafe code:
//!
//! 1. [`Process`] kills the whole process group when it is dropped, and reaps it.
//! 2. Every process reads its standard input, a pipe whose other end only the lab holds: when the lab dies,
//!    even of `kill -9`, the pipe ends, and the process ends itself and its group
//!    (`ministack/launch.py`, [`end_with_the_lab`]).
//! 3. Every process carries the run directory in its environment, so that the next lab finds what a dead one
//!    may have left ([`crate::run_dir`]).

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// The environment variable that names the run directory of the lab that a process belongs to.
pub const RUN_VARIABLE: &str = "SPILLWAY_LAB_RUN";

/// A child process in a process group of its own; dropping it kills and reaps the group's leader and kills
/// every other member.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts a process.
    ///
    /// Its standard input is a pipe that stays open as long as this handle; standard error goes to the end of
    /// `log`, and so does standard output unless it is wanted by [`Process::stdout`]. The environment is
    /// the given command's, plus [`RUN_VARIABLE`].
    ///
    /// # Errors
    /// If the log cannot be opened or the process not started.
    pub fn start(mut command: Command, run_dir: &Path, log: &Path, stdout: Output) -> io::Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        command
            .stdin(Stdio::piped())
            .stdout(match stdout {
                Output::Log => Stdio::from(log.try_clone()?),
                Output::Pipe => Stdio::piped(),
            })
            .stderr(log)
            .env(RUN_VARIABLE, run_dir)
            .process_group(0);
        Ok(Self { child: command.spawn()? })
    }

    /// The process id, which is the process group's too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The read end of standard output, once, if it was piped.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kills it and everything in its group (SIGKILL).
    pub fn kill(&self) {
        let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) else { return };
        // The id is not anybody else's: it is ours until `drop` has reaped it, and the group's as long as
        // that has members.
        if let Err(error) = kill_process_group(pid, Signal::KILL) {
            tracing::debug!(%error, %pid, "nothing to kill");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        // A killed process ends at once; waiting for it leaves no zombie.
        if let Err(error) = self.child.wait() {
            tracing::warn!(%error, pid = self.child.id(), "cannot reap a process");
        }
    }
}

/// Where a process's standard output goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// To its log.
    Log,
    /// To the lab.
    Pipe,
}

/// Kills one process by its id (SIGKILL).
///
/// # Errors
/// If there is no such process or it is not ours.
pub fn kill(pid: u32) -> io::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// Ends this process as soon as its standard input ends: the other half of [`Process::start`].
pub fn end_with_the_lab() {
    std::thread::spawn(|| {
        let mut buffer = [0; 256];
        let mut input = io::stdin().lock();
        while matches!(input.read(&mut buffer), Ok(1..)) {}
        std::process::exit(0);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_is_gone_with_its_children() {
        let dir = std::env::temp_dir().join(format!("spillway-process-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 600 & echo $!; wait"]);
        let mut process = Process::start(command, &dir, &dir.join("log"), Output::Pipe).unwrap();
        let mut line = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(process.stdout().unwrap()), &mut line).unwrap();
        let grandchild: u32 = line.trim().parse().unwrap();
        assert!(process.ended().is_none());
        drop(process);
        // Killing is not instant, and an orphan is a zombie until init reaps it.
        let state = || std::fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        let gone = |state: &str| state.is_empty() || state.contains(") Z") || state.contains(") X");
        let killed = std::time::Instant::now();
        while !gone(&state()) && killed.elapsed() < std::time::Duration::from_secs(2) {
            std::thread::yield_now();
        }
        assert!(gone(&state()), "{}", state());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
