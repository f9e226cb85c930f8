//! Programs that may ship, and the archives that they ship in.

use std::io::{self, Cursor, Write};

use sha2::{Digest, Sha256};
use thiserror::Error;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, System, ZipWriter};

use crate::budget::Budgets;
use crate::program::{AMAZON_LINUX_2023, Architecture, Glibc, Misfit, Program};

/// The program that `provided` runtimes start:
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html>.
pub const ENTRY: &str = "bootstrap";

/// Why a program may not ship.
#[derive(Debug, Eq, Error, PartialEq)]
pub enum Problem {
    /// The runtime could not run it.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// Larger than it may be.
    #[error("it has {bytes} bytes, {} KiB more than its budget of {} KiB", (.bytes - .budget).div_ceil(1024), .budget / 1024)]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The largest that it may be.
        budget: u64,
    },
    /// Nobody has said how large it may be.
    #[error("it has no budget")]
    NoBudget,
    /// It names a place on the machine that built it, so that another builds another program.
    #[error("it holds the path {0} of this machine")]
    HoldsPath(String),
}

/// Everything that speaks against a function's program. `paths` are places on this machine that it must not name.
#[must_use]
pub fn problems(
    function: &str,
    program: &[u8],
    architecture: Architecture,
    budgets: &Budgets,
    paths: &[String],
) -> Vec<Problem> {
    let mut problems: Vec<Problem> = match Program::read(program) {
        Ok(program) => program.misfits(architecture, AMAZON_LINUX_2023).into_iter().map(Into::into).collect(),
        Err(misfit) => vec![misfit.into()],
    };
    let bytes = program.len() as u64;
    match budgets.of(function, architecture) {
        None => problems.push(Problem::NoBudget),
        Some(budget) if bytes > budget => problems.push(Problem::TooLarge { bytes, budget }),
        Some(_) => {}
    }
    let held = paths.iter().filter(|path| holds(program, path));
    problems.extend(held.map(|path| Problem::HoldsPath(path.clone())));
    problems
}

/// Whether a program names something below a place. One as short as `/src` is part of too many other paths to tell.
fn holds(program: &[u8], path: &str) -> bool {
    let place = format!("{}/", path.trim_end_matches('/'));
    place.matches('/').count() > 2 && program.windows(place.len()).any(|window| window == place.as_bytes())
}

/// The newest glibc that a program asks for, if it can be read and asks for any.
#[must_use]
pub fn glibc(program: &[u8]) -> Option<Glibc> {
    Program::read(program).ok()?.glibc()
}

/// The archive: one entry, with the same time and mode whoever packs it, so that the same program has the same hash.
///
/// # Errors
/// If the archive cannot be written.
pub fn archive(program: &[u8]) -> io::Result<Vec<u8>> {
    let options = SimpleFileOptions::default()
        .system(System::Unix)
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9))
        .last_modified_time(DateTime::default())
        .unix_permissions(0o755);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    archive.start_file(ENTRY, options)?;
    archive.write_all(program)?;
    Ok(archive.finish()?.into_inner())
}

/// SHA-256 in hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
