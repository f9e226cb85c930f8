//! The directory of one run: logs, temporary files, and the lock that tells whether its lab is alive.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::process::{self, RUN_VARIABLE};

/// How many directories of labs that are no longer alive are kept, for their logs.
const KEPT: usize = 5;

/// Locked as long as the lab lives: the system releases it, whatever the lab dies of.
const ALIVE: &str = "alive.lock";

/// The directory of one run, `target/lab/runs/PID-N`.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _alive: File,
}

impl RunDir {
    /// Makes a new directory under `lab` (`target/lab`), after it has killed what dead labs left behind and
    /// removed their directories, the last few excepted.
    ///
    /// # Errors
    /// If files cannot be made or locked.
    pub fn create(lab: &Path) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let runs = lab.join("runs");
        fs::create_dir_all(&runs)?;
        // One at a time: a directory without a held lock is a dead lab's.
        let turn = File::create(lab.join("runs.lock"))?;
        turn.lock()?;
        sweep(&runs)?;
        let path = loop {
            let path = runs.join(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
            match fs::create_dir(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        };
        let alive = File::create(path.join(ALIVE))?;
        alive.lock()?;
        fs::create_dir(path.join("tmp"))?;
        Ok(Self { path, _alive: alive })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The log of one part.
    #[must_use]
    pub fn log(&self, part: &str) -> PathBuf {
        self.path.join(format!("{part}.log"))
    }

    /// For temporary files of parts.
    #[must_use]
    pub fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // The logs stay until the sweep of a later run.
        if let Err(error) = fs::remove_dir_all(self.tmp()) {
            tracing::debug!(%error, "cannot remove temporary files");
        }
    }
}

/// The last lines of a log, for an error message.
#[must_use]
pub fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Kills the processes of labs that are dead, and removes all but the last of their directories.
fn sweep(runs: &Path) -> io::Result<()> {
    let mut dead = Vec::new();
    for entry in fs::read_dir(runs)? {
        let path = entry?.path();
        if is_dead(&path) {
            let modified = fs::metadata(&path)?.modified()?;
            dead.push((modified, path));
        }
    }
    kill_leftovers(&dead.iter().map(|(_, path)| path.as_path()).collect::<Vec<_>>());
    dead.sort();
    for (_, path) in dead.iter().rev().skip(KEPT) {
        fs::remove_dir_all(path)?;
    }
    for (_, path) in dead.iter().rev().take(KEPT) {
        // Code of functions, tens of megabytes: of a dead lab nobody needs it.
        match fs::remove_dir_all(path.join("tmp")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn is_dead(run: &Path) -> bool {
    match File::open(run.join(ALIVE)) {
        Ok(lock) => !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
        // Its lab died between making the directory and the lock.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Kills every process whose environment names one of these directories: that, unlike a process id noted
/// down, cannot mean a stranger. Linux only; elsewhere the first two lines of defence must do.
fn kill_leftovers(dead: &[&Path]) {
    if dead.is_empty() {
        return;
    }
    for (pid, run) in processes() {
        if dead.contains(&run.as_path()) {
            tracing::warn!(pid, run = %run.display(), "killing what a dead lab left behind");
            if let Err(error) = process::kill(pid) {
                tracing::debug!(%error, pid, "gone already");
            }
        }
    }
}

/// Every living process that belongs to a lab, with the directory of its run. Empty where there is no `/proc`.
#[must_use]
pub fn processes() -> Vec<(u32, PathBuf)> {
    let prefix = format!("{RUN_VARIABLE}=");
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    pids.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        // Strangers' environments cannot be read, and a zombie's is empty.
        let environment = fs::read(entry.path().join("environ")).ok()?;
        let run = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(prefix.as_bytes()))?;
        Some((pid, PathBuf::from(String::from_utf8_lossy(run).into_owned())))
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_dead_lab_leaves_neither_processes_nor_many_directories() {
        let lab = std::env::temp_dir().join(format!("spillway-runs-{}", std::process::id()));
        let alive = RunDir::create(&lab).unwrap();
        let dead = lab.join("runs/4194305-0");
        fs::create_dir_all(dead.join("tmp")).unwrap();
        File::create(dead.join(ALIVE)).unwrap();
        for n in 1..10 {
            fs::create_dir_all(lab.join(format!("runs/4194305-{n}"))).unwrap();
        }
        let mut left = Command::new("sleep").arg("600").env(RUN_VARIABLE, &dead).spawn().unwrap();
        let mut kept = Command::new("sleep").arg("600").env(RUN_VARIABLE, alive.path()).spawn().unwrap();
        // A process has its environment only once it is the program that it was started for.
        let started = Instant::now();
        while [left.id(), kept.id()].iter().any(|id| !processes().iter().any(|(pid, _)| pid == id)) {
            assert!(started.elapsed() < Duration::from_secs(10), "the processes do not show");
            std::thread::yield_now();
        }

        let next = RunDir::create(&lab).unwrap();

        assert!(!left.wait().unwrap().success());
        assert!(kept.try_wait().unwrap().is_none(), "a living lab's process was killed");
        kept.kill().unwrap();
        kept.wait().unwrap();
        assert_eq!(fs::read_dir(lab.join("runs")).unwrap().count(), KEPT + 2);
        assert!(alive.path().exists() && next.path().join("tmp").exists());
        fs::remove_dir_all(&lab).unwrap();
    }
}
