//! The emulator: ministack, installed privately and run on a free port of 127.0.0.1.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::aws::Aws;
use crate::process::{Output, Process};
use crate::run_dir::{RunDir, tail};

/// The checked-in requirements and launcher.
const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/ministack");
const OLDEST_PYTHON: (u32, u32) = (3, 10);
const START_LIMIT: Duration = Duration::from_secs(30);

/// Why the emulator does not run.
#[derive(Debug, thiserror::Error)]
pub enum MinistackError {
    /// No Python.
    #[error(
        "the lab needs Python 3.10 or newer to run its AWS emulator, and {tried} cannot be run ({reason}); \
         install Python (Debian and Ubuntu: apt install python3 python3-venv; macOS: brew install python; \
         otherwise python.org), or name one in SPILLWAY_PYTHON"
    )]
    NoPython {
        /// What was tried.
        tried: String,
        /// How it failed.
        reason: String,
    },
    /// A Python that is too old.
    #[error(
        "the lab needs Python 3.10 or newer to run its AWS emulator, and {python} is {version}; \
         name a newer one in SPILLWAY_PYTHON"
    )]
    OldPython {
        /// The interpreter.
        python: String,
        /// Its version.
        version: String,
    },
    /// A Python without the modules that make virtual environments.
    #[error(
        "{python} lacks {module}, which the lab needs for a private environment \
         (Debian and Ubuntu: apt install python3-venv), or name another Python in SPILLWAY_PYTHON"
    )]
    NoVenv {
        /// The interpreter.
        python: String,
        /// The modules.
        module: String,
    },
    /// A step of the installation failed.
    #[error("installing the AWS emulator failed: {step}\n{output}")]
    Install {
        /// The command.
        step: String,
        /// What it said.
        output: String,
    },
    /// It ended, or did not answer in time.
    #[error("the AWS emulator did not start: {reason}; the end of {}:\n{tail}", log.display())]
    Start {
        /// What happened.
        reason: String,
        /// Its log.
        log: PathBuf,
        /// The end of that.
        tail: String,
    },
    /// Files or processes.
    #[error("cannot {0}")]
    Io(String, #[source] io::Error),
}

fn cannot(what: impl Into<String>) -> impl FnOnce(io::Error) -> MinistackError {
    let what = what.into();
    move |error| MinistackError::Io(what, error)
}

/// A running emulator; dropping it ends it and every function process that it started.
#[derive(Debug)]
pub struct Ministack {
    url: String,
    process: Process,
}

impl Ministack {
    /// Starts the emulator with this interpreter ([`install`]) and waits until it answers.
    ///
    /// # Errors
    /// [`MinistackError`], with the end of the log.
    pub async fn start(python: &Path, run: &RunDir) -> Result<Self, MinistackError> {
        let log = run.log("ministack");
        let mut attempt = 0;
        loop {
            attempt += 1;
            let port = spillway_lab_alb::free_port();
            let mut ministack =
                Self { url: format!("http://127.0.0.1:{port}"), process: launch(python, run, &log, port)? };
            match ministack.answered(run, port).await {
                Ok(()) => return Ok(ministack),
                Err(reason) => {
                    let tail = tail(&log);
                    // Somebody took the port meanwhile: try another one.
                    if attempt < 5 && (tail.contains("already in use") || tail.contains("Errno 98")) {
                        continue;
                    }
                    return Err(MinistackError::Start { reason, log, tail });
                }
            }
        }
    }

    /// Where it is, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A client of it.
    #[must_use]
    pub fn client(&self) -> Aws {
        Aws::new(self.url.clone())
    }

    /// Its process id, which is also the group's of all function processes.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Waits until this emulator, and not another on the same port, answers.
    async fn answered(&mut self, run: &RunDir, port: u16) -> Result<(), String> {
        let client = self.client();
        // It writes this once it has found the port free.
        let pid_file = run.tmp().join(format!("ministack-{port}.pid"));
        let started = Instant::now();
        while started.elapsed() < START_LIMIT {
            if let Some(status) = self.process.ended() {
                return Err(format!("it ended with {status}"));
            }
            if pid_file.exists() && client.answers("/_ministack/health").await {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(format!("no answer within {} s", START_LIMIT.as_secs()))
    }
}

fn launch(python: &Path, run: &RunDir, log: &Path, port: u16) -> Result<Process, MinistackError> {
    let mut command = Command::new(python);
    // Nothing of the caller's environment: an AWS_ENDPOINT_URL or a proxy there must not reach the functions.
    command
        .arg("-u")
        .arg(Path::new(SOURCES).join("launch.py"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", run.tmp())
        .env("TMPDIR", run.tmp())
        .env("GATEWAY_PORT", port.to_string())
        .env("BIND_HOST", "127.0.0.1")
        .env("MINISTACK_REGION", crate::aws::REGION)
        .current_dir(run.tmp());
    Process::start(command, run.path(), log, Output::Log).map_err(cannot(format!("start {}", python.display())))
}

/// Installs the emulator into a virtual environment below `lab` (`target/lab`) unless that is done, and gives
/// the environment's interpreter. `python` is the interpreter to build on; by default the one named by
/// SPILLWAY_PYTHON, else `python3`.
///
/// # Errors
/// [`MinistackError`], telling what is missing and how to get it.
pub fn install(lab: &Path, python: Option<&Path>) -> Result<PathBuf, MinistackError> {
    environment(lab, python, &Path::new(SOURCES).join("requirements.txt"))
}

/// The same with other requirements: every package by its hash.
///
/// # Errors
/// [`MinistackError`], telling what is missing and how to get it.
pub fn environment(lab: &Path, python: Option<&Path>, requirements: &Path) -> Result<PathBuf, MinistackError> {
    let python = match python {
        Some(python) => python.to_owned(),
        None => std::env::var_os("SPILLWAY_PYTHON").map_or_else(|| "python3".into(), PathBuf::from),
    };
    let version = check_python(&python)?;
    let text = fs::read(requirements).map_err(cannot(format!("read {}", requirements.display())))?;
    let hash = Sha256::new().chain_update(&text).chain_update(version.as_bytes()).finalize();
    let venv = lab.join(format!("venv-{}", hex(&hash[..6])));
    let (interpreter, complete) = (venv.join("bin/python"), venv.join("complete"));
    if complete.exists() {
        return Ok(interpreter);
    }
    fs::create_dir_all(lab).map_err(cannot(format!("make {}", lab.display())))?;
    // Tests start at the same time: one installs, the others wait for it.
    let lock = lab.join("venv.lock");
    let turn = File::create(&lock).map_err(cannot(format!("make {}", lock.display())))?;
    turn.lock().map_err(cannot(format!("lock {}", lock.display())))?;
    if complete.exists() {
        return Ok(interpreter);
    }
    match fs::remove_dir_all(&venv) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(cannot(format!("remove the incomplete {}", venv.display()))(error));
        }
        _ => {}
    }
    tracing::info!(venv = %venv.display(), "installing what {} names, once", requirements.display());
    run(Command::new(&python).args(["-m", "venv"]).arg(&venv))?;
    run(Command::new(&interpreter)
        .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--require-hashes", "--no-deps", "--only-binary", ":all:", "-r"])
        .arg(requirements))?;
    File::create(&complete).map_err(cannot(format!("make {}", complete.display())))?;
    Ok(interpreter)
}

/// The interpreter's version, if it will do.
fn check_python(python: &Path) -> Result<String, MinistackError> {
    const CHECK: &str = "import sys, importlib.util as u; \
        print('%d.%d' % sys.version_info[:2], *[m for m in ('venv', 'ensurepip') if not u.find_spec(m)])";
    let name = python.display().to_string();
    let missing = |reason: String| MinistackError::NoPython { tried: name.clone(), reason };
    let output = Command::new(python).args(["-c", CHECK]).output().map_err(|error| missing(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let mut words = said.split_whitespace();
    let version = words.next().unwrap_or_default();
    let number = version.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let Some(number) = number.filter(|_| output.status.success()) else {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(missing(format!("{}: {}", output.status, complaint.trim())));
    };
    if number < OLDEST_PYTHON {
        return Err(MinistackError::OldPython { python: name, version: version.to_owned() });
    }
    let lacking: Vec<&str> = words.collect();
    if !lacking.is_empty() {
        return Err(MinistackError::NoVenv { python: name, module: lacking.join(" and ") });
    }
    Ok(version.to_owned())
}

fn run(command: &mut Command) -> Result<(), MinistackError> {
    let step = format!("{command:?}");
    let output = command.output().map_err(cannot(format!("run {step}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(MinistackError::Install { step, output: String::from_utf8_lossy(&said).trim().to_owned() })
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_will_not_do_is_refused_with_what_to_do() {
        let dir = std::env::temp_dir().join(format!("spillway-python-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        for (name, script, expected) in [
            ("old", "echo 3.9", "/old is 3.9; name a newer one in SPILLWAY_PYTHON"),
            ("bare", "echo 3.12 venv ensurepip", "lacks venv and ensurepip"),
            ("broken", "echo gone >&2; exit 3", "exit status: 3: gone"),
        ] {
            let python = dir.join(name);
            // Written by another process: a file that this one has open for writing, or a child it is just
            // forking, cannot be executed.
            let write = format!("printf '#!/bin/sh\\n{script}\\n' > '{0}' && chmod 755 '{0}'", python.display());
            assert!(Command::new("sh").args(["-c", &write]).status().unwrap().success());
            let error = install(&dir, Some(&python)).unwrap_err().to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
        let error = install(&dir, Some(&dir.join("none"))).unwrap_err().to_string();
        assert!(error.contains("apt install python3 python3-venv"), "{error}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
