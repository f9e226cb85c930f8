//! The functions that ship, built, packaged and created in the emulator.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use serde_json::{Value, json};

use crate::aws::{Aws, AwsError, REGION};
use crate::broken_function::{Misbehaviour, VARIABLE};
use crate::paths::workspace;
use crate::process;

/// The functions, each a package and a program of that name.
pub const FUNCTIONS: [&str; 7] =
    ["plan-release", "prepare-candidate", "shift-weight", "evaluate-health", "rollback", "teardown", "announce"];

/// The program that the agent starts.
pub(crate) const APPLICATION: &str = "lab-application";

/// Why functions could not be built or created.
#[derive(Debug, thiserror::Error)]
pub enum FunctionError {
    /// cargo failed.
    #[error("building the functions failed ({command}):\n{output}")]
    Build {
        /// What was run.
        command: String,
        /// What it said.
        output: String,
    },
    /// A program is not where it should be.
    #[error("there is no program {name} {place}")]
    Missing {
        /// The program.
        name: String,
        /// Where it was sought.
        place: String,
    },
    /// A file.
    #[error("cannot {0}")]
    Io(String, #[source] io::Error),
    /// The emulator refused.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// The emulator never finished.
    #[error("function {name} is not active after {seconds} s: {state}")]
    NotActive {
        /// The function.
        name: String,
        /// How long it was waited for.
        seconds: u64,
        /// Its configuration.
        state: Value,
    },
}

/// Programs by name.
pub type Programs = BTreeMap<String, PathBuf>;

/// Where the programs of the workspace are: the functions if they are wanted, and `lab-application`.
///
/// They are built by `cargo build` in the profile of the tests, in their target directory; not if the variable
/// `SPILLWAY_BOOTSTRAPS` names a directory that has them.
///
/// # Errors
/// If they cannot be built, or one is missing.
pub fn programs(lab: &Path, functions: bool) -> Result<Programs, FunctionError> {
    // Built once in a process; many tests share one. A build with nothing to do still takes a while.
    static BUILT: [OnceLock<Programs>; 2] = [const { OnceLock::new() }; 2];
    let wanted = || FUNCTIONS.iter().copied().filter(|_| functions).chain([APPLICATION]);
    if let Some(dir) = std::env::var_os("SPILLWAY_BOOTSTRAPS").map(PathBuf::from) {
        return wanted().map(|name| existing(name, &dir)).collect();
    }
    let cell = &BUILT[usize::from(functions)];
    if cell.get().is_none() {
        let programs = build(lab, wanted())?;
        cell.get_or_init(|| programs);
    }
    let built = |name: &str| cell.get().and_then(|built| built.get(name)).cloned();
    let missing = |name: &str| FunctionError::Missing {
        name: name.to_owned(),
        place: "in the workspace; a package and its program must have this name".to_owned(),
    };
    wanted().map(|name| Ok((name.to_owned(), built(name).ok_or_else(|| missing(name))?))).collect()
}

/// Where the command line is, `spillway`: built in the same way, or in the same directory.
///
/// # Errors
/// If it cannot be built, or is missing.
pub fn command_line() -> Result<PathBuf, FunctionError> {
    const NAME: &str = "spillway";
    if let Some(dir) = std::env::var_os("SPILLWAY_BOOTSTRAPS") {
        return existing(NAME, Path::new(&dir)).map(|(_, path)| path);
    }
    let built = build(&crate::paths::lab(), std::iter::once(NAME))?.remove(NAME);
    let place = "in the workspace; a package and its program must have this name".to_owned();
    built.ok_or_else(|| FunctionError::Missing { name: NAME.to_owned(), place })
}

fn existing(name: &str, dir: &Path) -> Result<(String, PathBuf), FunctionError> {
    let path = dir.join(name);
    if path.is_file() {
        return Ok((name.to_owned(), path));
    }
    let place = format!("in {} (SPILLWAY_BOOTSTRAPS)", dir.display());
    Err(FunctionError::Missing { name: name.to_owned(), place })
}

fn build(lab: &Path, wanted: impl Iterator<Item = &'static str>) -> Result<Programs, FunctionError> {
    let lock = lab.join("build.lock");
    let io = |what: String| move |error| FunctionError::Io(what, error);
    fs::create_dir_all(lab).map_err(io(format!("make {}", lab.display())))?;
    let turn = File::create(&lock).map_err(io(format!("make {}", lock.display())))?;
    turn.lock().map_err(io(format!("lock {}", lock.display())))?;
    // The workspace and a test, so that dependencies have the features that `cargo test --workspace` gives
    // them and are not compiled once more.
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(["build", "--workspace", "--test", "lab", "--message-format", "json-render-diagnostics"])
        .args(wanted.flat_map(|name| ["--bin", name]))
        .current_dir(workspace());
    // What cargo tells the program it runs would look like a change to some build scripts.
    for (name, _) in std::env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "LD_LIBRARY_PATH"];
        if name.to_str().is_some_and(|name| told.iter().any(|prefix| name.starts_with(prefix))) {
            command.env_remove(name);
        }
    }
    let output = command.output().map_err(io(format!("run {command:?}")))?;
    if !output.status.success() {
        let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(FunctionError::Build { command: format!("{command:?}"), output });
    }
    let messages = output.stdout.split(|byte| *byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let program = |message: Value| {
        let path = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), PathBuf::from(path)))
    };
    Ok(messages.filter_map(program).collect())
}

/// Functions in the emulator.
#[derive(Clone, Debug)]
pub struct Functions {
    aws: Aws,
    programs: Programs,
    environment: BTreeMap<String, String>,
    timeout: Duration,
}

/// Where the services are that a function calls.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) aws: String,
    pub(crate) elbv2: String,
    pub(crate) cloudwatch: String,
    pub(crate) auto_scaling: String,
}

impl Functions {
    /// The programs are linked into `dir`, so that a build that goes on meanwhile changes nothing here.
    pub(crate) fn new(
        aws: Aws,
        programs: &Programs,
        dir: &Path,
        endpoints: &Endpoints,
        timeout: Duration,
    ) -> Result<Self, FunctionError> {
        let io = |what: String| move |error| FunctionError::Io(what, error);
        fs::create_dir_all(dir).map_err(io(format!("make {}", dir.display())))?;
        let mut linked = Programs::new();
        for (name, path) in programs {
            let link = dir.join(name);
            fs::hard_link(path, &link).or_else(|_| fs::copy(path, &link).map(drop)).map_err(io(format!(
                "link {} to {}",
                path.display(),
                link.display()
            )))?;
            linked.insert(name.clone(), link);
        }
        let environment = [
            ("AWS_ENDPOINT_URL", endpoints.aws.as_str()),
            ("AWS_ENDPOINT_URL_ELASTIC_LOAD_BALANCING_V2", &endpoints.elbv2),
            ("AWS_ENDPOINT_URL_CLOUDWATCH", &endpoints.cloudwatch),
            ("AWS_ENDPOINT_URL_AUTO_SCALING", &endpoints.auto_scaling),
            ("AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING", &endpoints.auto_scaling),
            ("AWS_REGION", REGION),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("SPILLWAY_LEASE_TABLE", crate::state_machines::LEASE_TABLE),
            ("RUST_LOG", "info"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Ok(Self { aws, programs: linked, environment, timeout })
    }

    /// Where a program is.
    pub(crate) fn program(&self, name: &str) -> Result<&Path, FunctionError> {
        let missing = || FunctionError::Missing { name: name.to_owned(), place: "among those built".to_owned() };
        self.programs.get(name).map(PathBuf::as_path).ok_or_else(missing)
    }

    /// The ARN of a function, which is named `spillway-NAME` in the emulator.
    #[must_use]
    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:lambda:{REGION}:{}:function:spillway-{name}", crate::aws::ACCOUNT)
    }

    /// Creates all of them.
    pub(crate) async fn create_all(&self) -> Result<(), FunctionError> {
        for name in FUNCTIONS {
            let body = json!({
                "FunctionName": format!("spillway-{name}"),
                "Runtime": "provided.al2023",
                "Handler": "bootstrap",
                "Role": format!("arn:aws:iam::{}:role/spillway-{name}", crate::aws::ACCOUNT),
                "Timeout": self.timeout.as_secs(),
                "MemorySize": 128,
                "Code": {"ZipFile": self.package(name)?},
                "Environment": {"Variables": self.environment},
            });
            self.aws.call_rest("lambda", Method::POST, "/2015-03-31/functions", Some(&body)).await?;
        }
        for name in FUNCTIONS {
            self.active(name).await?;
        }
        Ok(())
    }

    /// Creates a function of a service's own, which does this in every invocation, and gives its ARN. What it does can be
    /// changed with [`Functions::replace`].
    ///
    /// # Errors
    /// If the emulator refuses.
    pub async fn create_hook(&self, name: &str, answer: &Value) -> Result<String, FunctionError> {
        let behaviour = json!(Misbehaviour::Answer(answer.clone())).to_string();
        let body = json!({
            "FunctionName": format!("spillway-{name}"),
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "Role": format!("arn:aws:iam::{}:role/{name}", crate::aws::ACCOUNT),
            "Timeout": self.timeout.as_secs(),
            "Code": {"ZipFile": self.package(APPLICATION)?},
            "Environment": {"Variables": {VARIABLE: behaviour}},
        });
        self.aws.call_rest("lambda", Method::POST, "/2015-03-31/functions", Some(&body)).await?;
        self.active(name).await?;
        Ok(self.arn(name))
    }

    /// Puts a misbehaving function in the place of one, from its next invocation on; one that is under way is
    /// ended, as its process is replaced.
    ///
    /// # Errors
    /// If the emulator refuses.
    pub async fn replace(&self, name: &str, misbehaviour: &Misbehaviour) -> Result<(), FunctionError> {
        let mut environment = self.environment.clone();
        environment.insert(VARIABLE.to_owned(), json!(misbehaviour).to_string());
        self.configure(name, &json!({"Environment": {"Variables": environment}})).await?;
        self.update_code(name, APPLICATION).await
    }

    /// Puts the real function back.
    ///
    /// # Errors
    /// If the emulator refuses.
    pub async fn restore(&self, name: &str) -> Result<(), FunctionError> {
        self.update_code(name, name).await?;
        self.configure(name, &json!({"Environment": {"Variables": self.environment}})).await
    }

    /// Sets variables of a real function's environment besides its own.
    ///
    /// # Errors
    /// If the emulator refuses.
    pub async fn set_environment(&self, name: &str, variables: &[(&str, &str)]) -> Result<(), FunctionError> {
        let mut environment = self.environment.clone();
        environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.configure(name, &json!({"Environment": {"Variables": environment}})).await
    }

    /// Invokes a function and gives its answer; an error that it reports is an `AwsError` with the error's type
    /// as its code.
    ///
    /// # Errors
    /// The function's, or the emulator's.
    pub async fn invoke(&self, name: &str, event: &Value) -> Result<Value, AwsError> {
        let path = format!("/2015-03-31/functions/spillway-{name}/invocations");
        let answer = self.aws.call_rest("lambda", Method::POST, &path, Some(event)).await?;
        // A function's error comes with status 200; nothing that ours answer has a field of this name.
        match answer["errorType"].as_str() {
            Some(code) => Err(AwsError {
                call: format!("function {name}"),
                code: code.to_owned(),
                message: answer["errorMessage"].as_str().unwrap_or_default().to_owned(),
                status: Some(200),
            }),
            None => Ok(answer),
        }
    }

    /// Kills every process of a function, whatever it is doing, and gives how many there were. An invocation that was
    /// under way fails, and the next one starts a new process. Linux only: elsewhere it finds none.
    ///
    /// # Errors
    /// If there is no such function.
    pub fn kill(&self, name: &str) -> Result<usize, FunctionError> {
        let program = self.program(name)?;
        // This lab's own link of the program: no other lab's process can be meant.
        let program = fs::canonicalize(program)
            .map_err(|error| FunctionError::Io(format!("find {}", program.display()), error))?;
        let mut killed = 0;
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let runs_it = fs::read_link(entry.path().join("exe")).is_ok_and(|path| path == program);
            if let Some(pid) = pid.filter(|_| runs_it) {
                // One that has ended meanwhile needs no killing.
                killed += usize::from(process::kill(pid).is_ok());
            }
        }
        Ok(killed)
    }

    async fn update_code(&self, name: &str, program: &str) -> Result<(), FunctionError> {
        let path = format!("/2015-03-31/functions/spillway-{name}/code");
        let body = json!({"ZipFile": self.package(program)?});
        self.aws.call_rest("lambda", Method::PUT, &path, Some(&body)).await?;
        self.active(name).await
    }

    async fn configure(&self, name: &str, body: &Value) -> Result<(), FunctionError> {
        let path = format!("/2015-03-31/functions/spillway-{name}/configuration");
        self.aws.call_rest("lambda", Method::PUT, &path, Some(body)).await?;
        self.active(name).await
    }

    /// Waits until a function is active and its last update done.
    async fn active(&self, name: &str) -> Result<(), FunctionError> {
        const LIMIT: Duration = Duration::from_secs(20);
        let path = format!("/2015-03-31/functions/spillway-{name}/configuration");
        let started = Instant::now();
        loop {
            let state = self.aws.call_rest("lambda", Method::GET, &path, None).await?;
            let updated = state["LastUpdateStatus"].as_str().is_none_or(|status| status == "Successful");
            if state["State"] == "Active" && updated {
                return Ok(());
            }
            if started.elapsed() > LIMIT {
                return Err(FunctionError::NotActive { name: name.to_owned(), seconds: LIMIT.as_secs(), state });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The package of a program, in base64: a zip whose `bootstrap` executes the program where it is.
    ///
    /// A development build has 40 MB; to send all of them costs every lab eight seconds and half a gigabyte.
    fn package(&self, program: &str) -> Result<String, FunctionError> {
        let path = self.program(program)?;
        let quoted = path.display().to_string().replace('\'', r"'\''");
        let zip = zipped(format!("#!/bin/sh\nexec '{quoted}'\n").as_bytes());
        let zip = zip.map_err(|error| FunctionError::Io(format!("package {}", path.display()), error))?;
        Ok(STANDARD.encode(zip))
    }
}

/// A zip with this as `bootstrap`, executable.
fn zipped(bootstrap: &[u8]) -> io::Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default()
        .compression_method(zip::CompressionMethod::Stored)
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    zip.write_all(bootstrap)?;
    Ok(zip.finish()?.into_inner())
}
