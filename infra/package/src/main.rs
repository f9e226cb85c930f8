//! `pack` checks programs and makes their archives; `start` starts what is in archives.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use clap::{Args, Parser};
use serde_json::json;
use spillway_package::budget::Budgets;
use spillway_package::emulator::{self, Answer};
use spillway_package::package::{self, ENTRY};
use spillway_package::program::Architecture;

/// Lambda gives a function so long to ask for its first event.
const LONGEST_START: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

/// Checks the functions' programs, packs them for Lambda and starts the packages.
#[derive(Parser)]
enum Arguments {
    Pack(Pack),
    Start(Start),
}

/// Checks programs, and packs them if nothing speaks against any.
#[derive(Args)]
struct Pack {
    /// What they are for.
    #[arg(long)]
    architecture: Architecture,
    /// How large they may be: `FUNCTION X86_64 ARM64` in each line, in KiB.
    #[arg(long)]
    budgets: PathBuf,
    /// Where they are: FUNCTION/bootstrap.
    #[arg(long)]
    programs: PathBuf,
    /// Where the archives go: FUNCTION.zip and SHA256SUMS.
    #[arg(long)]
    packages: PathBuf,
    /// A place on this machine that no program may name.
    #[arg(long = "path")]
    paths: Vec<String>,
    /// The functions.
    #[arg(required = true)]
    functions: Vec<String>,
}

/// Starts the program in each archive as Lambda does, gives it an event that it cannot read, and expects it to say so.
#[derive(Args)]
struct Start {
    /// How often; medians are told.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    times: u32,
    /// A command that executes programs of another architecture, with its arguments: "qemu-aarch64 -L DIRECTORY".
    #[arg(long, default_value = "")]
    through: String,
    /// FUNCTION.zip.
    #[arg(required = true)]
    archives: Vec<PathBuf>,
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse() {
        Arguments::Pack(arguments) => pack(&arguments),
        Arguments::Start(arguments) => Ok(start(&arguments)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether everything may ship; then it is packed.
fn pack(arguments: &Pack) -> Result<bool, Failure> {
    let Pack { architecture, paths, .. } = arguments;
    let read = |path: &Path| fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()));
    let budgets = Budgets::parse(&String::from_utf8(read(&arguments.budgets)?)?)
        .map_err(|error| format!("{}: {error}", arguments.budgets.display()))?;
    let functions: BTreeSet<&str> = arguments.functions.iter().map(String::as_str).collect();
    let mut sound = true;
    for function in budgets.functions().filter(|function| !functions.contains(function)) {
        sound = false;
        eprintln!("error: {function} has a budget and is no function");
    }
    let mut archives = Vec::new();
    println!(
        "{:20} {:>10} {:>10} {:>10} {:>6}  SHA-256 of the archive",
        "function", "program", "budget", "zip", "glibc"
    );
    for function in functions {
        let program = read(&arguments.programs.join(function).join(ENTRY))?;
        for problem in package::problems(function, &program, *architecture, &budgets, paths) {
            sound = false;
            eprintln!("error: {function}: {problem}");
        }
        let archive = package::archive(&program)?;
        let hash = package::sha256(&archive);
        let kib = |bytes: u64| format!("{} KiB", bytes.div_ceil(1024));
        println!(
            "{function:20} {:>10} {:>10} {:>10} {:>6}  {hash}",
            kib(program.len() as u64),
            budgets.of(function, *architecture).map_or_else(|| "none".into(), kib),
            kib(archive.len() as u64),
            package::glibc(&program).map_or_else(|| "none".into(), |glibc| glibc.to_string()),
        );
        archives.push((format!("{function}.zip"), archive, hash));
    }
    if sound {
        fs::create_dir_all(&arguments.packages)?;
        let mut sums = File::create(arguments.packages.join("SHA256SUMS"))?;
        for (name, archive, hash) in &archives {
            fs::write(arguments.packages.join(name), archive)?;
            writeln!(sums, "{hash}  {name}")?;
        }
    }
    Ok(sound)
}

/// Whether every program came up and said what it should.
fn start(arguments: &Start) -> bool {
    let mut sound = true;
    println!(
        "{:20} {:>10} {:>10} {:>10}  answer to an event that cannot be read",
        "function", "start", "computing", "memory"
    );
    for path in &arguments.archives {
        let function = path.file_stem().unwrap_or_default().to_string_lossy();
        match starts(arguments, path, &function) {
            Ok(starts) => println!("{function:20} {starts}"),
            Err(error) => {
                sound = false;
                eprintln!("error: {function}: {error}");
            }
        }
    }
    sound
}

/// What is to be told of an archive's program, if it came up and said what it should each time.
fn starts(arguments: &Start, archive: &Path, function: &str) -> Result<String, Failure> {
    let place = tempfile::tempdir()?;
    let program = unpack(archive, place.path())?;
    let (mut ready, mut computed, mut memory, mut said) = (Vec::new(), Vec::new(), 0, String::new());
    for _ in 0..arguments.times {
        let mut words = arguments.through.split_whitespace().map(Into::into).chain([program.clone().into_os_string()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        let started = emulator::start(command, function, &json!({}), LONGEST_START)?;
        said = match started.answer {
            Answer::Error { name, message } if name == "InvalidInput" => format!("{name}: {message}"),
            other => return Err(format!("it should have said InvalidInput, not {other:?}").into()),
        };
        ready.push(started.ready);
        computed.push(started.computed.unwrap_or_default());
        memory = memory.max(started.resident_kib.unwrap_or_default());
    }
    let milliseconds = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_secs_f64() * 1e3
    };
    Ok(format!(
        "{:>7.1} ms {:>7.1} ms {:>6.1} MiB  {said}",
        milliseconds(&mut ready),
        milliseconds(&mut computed),
        memory as f64 / 1024.0
    ))
}

/// The program in an archive, executable, in `place`.
fn unpack(archive: &Path, place: &Path) -> Result<PathBuf, Failure> {
    let mut archive = zip::ZipArchive::new(File::open(archive)?)?;
    let mut program = Vec::new();
    archive.by_name(ENTRY)?.read_to_end(&mut program)?;
    archive.extract(place)?;
    Ok(place.join(ENTRY))
}
