//! What a program asks of the machine that is to run it, read from its ELF headers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use object::elf;
use object::endian::Endianness;
use object::read::elf::{Dyn, FileHeader, ProgramHeader, SectionTable, Sym};
use thiserror::Error;

/// The C library of Amazon Linux 2023, which `provided.al2023` is made of:
/// <https://docs.aws.amazon.com/linux/al2023/ug/compare-with-al2.html>.
pub const AMAZON_LINUX_2023: Glibc = Glibc { major: 2, minor: 34 };

/// What the runtime has without being asked: glibc's own libraries and the compiler's.
const LIBRARIES: [&str; 9] = [
    "ld-linux-aarch64.so.1",
    "ld-linux-x86-64.so.2",
    "libc.so.6",
    "libdl.so.2",
    "libgcc_s.so.1",
    "libm.so.6",
    "libpthread.so.0",
    "libresolv.so.2",
    "librt.so.1",
];

/// How many symbols an error message names.
const NAMED_SYMBOLS: usize = 3;

/// An instruction set that Lambda runs, by Lambda's name for it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Architecture {
    /// 64-bit Intel and AMD.
    #[value(name = "x86_64")]
    X86,
    /// 64-bit Arm (Graviton).
    #[value(name = "arm64")]
    Arm,
}

impl Architecture {
    /// Lambda's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "arm64",
        }
    }

    /// What Lambda calls a program for this ELF machine.
    fn of(machine: elf::Machine) -> Option<Self> {
        match machine {
            elf::EM_X86_64 => Some(Self::X86),
            elf::EM_AARCH64 => Some(Self::Arm),
            _ => None,
        }
    }

    /// The dynamic loader of glibc.
    fn loader(self) -> &'static str {
        match self {
            Self::X86 => "/lib64/ld-linux-x86-64.so.2",
            Self::Arm => "/lib/ld-linux-aarch64.so.1",
        }
    }
}

/// A version of glibc.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Glibc {
    /// Before the point.
    pub major: u32,
    /// Behind it.
    pub minor: u32,
}

impl fmt::Display for Glibc {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for Glibc {
    type Err = ();

    /// `2.34`, and `2.2.5` as 2.2: the third number is older than all that matters here.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut numbers = text.splitn(3, '.').map(|number| number.parse().map_err(drop));
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else { return Err(()) };
        Ok(Self { major: major?, minor: minor? })
    }
}

/// Why the runtime could not run a program.
#[derive(Debug, Eq, Error, PartialEq)]
pub enum Misfit {
    /// Not a program for 64-bit Linux, or one that cannot be read.
    #[error("it is not a program for 64-bit Linux: {0}")]
    Unreadable(String),
    /// Made for other machines.
    #[error("it is for {found}, not for {wanted}")]
    Architecture {
        /// What it is for.
        found: String,
        /// What it should be for.
        wanted: &'static str,
    },
    /// Its loader is another C library's.
    #[error("its loader is {found}, and the runtime's is {wanted}")]
    Loader {
        /// What it asks for.
        found: String,
        /// What there is.
        wanted: &'static str,
    },
    /// It is linked dynamically and does not say against which versions, so nothing is known.
    #[error("it is linked dynamically and names no versions of its libraries' symbols")]
    Unversioned,
    /// A library that the runtime does not have.
    #[error("it needs {0}, which the runtime does not have")]
    Library(String),
    /// Symbols that came with a later glibc.
    #[error("it needs {version} of {library}, and the runtime has glibc {limit}{}", for_what(.symbols))]
    Version {
        /// The version as it is written: `GLIBC_2.38`.
        version: String,
        /// The library.
        library: String,
        /// The newest that will do.
        limit: Glibc,
        /// What it is needed for; may be empty.
        symbols: Vec<String>,
    },
}

fn for_what(symbols: &[String]) -> String {
    let more = if symbols.len() > NAMED_SYMBOLS { ", …" } else { "" };
    match symbols {
        [] => String::new(),
        _ => format!(" (for {}{more})", symbols[..symbols.len().min(NAMED_SYMBOLS)].join(", ")),
    }
}

/// What a program asks for.
#[derive(Debug)]
pub struct Program {
    machine: elf::Machine,
    loader: Option<String>,
    libraries: Vec<String>,
    /// Library and version, and the symbols that are bound to them.
    versions: BTreeMap<(String, String), Vec<String>>,
}

impl Program {
    /// Reads a program's headers.
    ///
    /// # Errors
    /// [`Misfit::Unreadable`].
    pub fn read(bytes: &[u8]) -> Result<Self, Misfit> {
        read(bytes).map_err(|error| Misfit::Unreadable(error.to_string()))
    }

    /// The newest glibc that it asks for; `None` if it is linked statically.
    #[must_use]
    pub fn glibc(&self) -> Option<Glibc> {
        self.versions.keys().filter_map(|(_, version)| glibc(version)?.ok()).max()
    }

    /// Everything that keeps it from running where there is this glibc.
    #[must_use]
    pub fn misfits(&self, architecture: Architecture, limit: Glibc) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        if Architecture::of(self.machine) != Some(architecture) {
            let found = Architecture::of(self.machine)
                .map_or_else(|| format!("ELF machine {}", self.machine.0), |found| found.name().into());
            misfits.push(Misfit::Architecture { found, wanted: architecture.name() });
        } else if let Some(loader) = self.loader.as_deref().filter(|loader| *loader != architecture.loader()) {
            misfits.push(Misfit::Loader { found: loader.into(), wanted: architecture.loader() });
        }
        if self.loader.is_some() && self.versions.is_empty() {
            misfits.push(Misfit::Unversioned);
        }
        let foreign = self.libraries.iter().filter(|library| !LIBRARIES.contains(&library.as_str()));
        misfits.extend(foreign.map(|library| Misfit::Library(library.clone())));
        for ((library, version), symbols) in &self.versions {
            // Not only numbers: GLIBC_ABI_DT_RELR is no older than 2.36, and GLIBC_PRIVATE is nobody's.
            if glibc(version).is_some_and(|number| number.is_err() || number > Ok(limit)) {
                misfits.push(Misfit::Version {
                    version: version.clone(),
                    library: library.clone(),
                    limit,
                    symbols: symbols.clone(),
                });
            }
        }
        misfits
    }
}

/// The number in a version of glibc's, if it is one of glibc's and has one.
fn glibc(version: &str) -> Option<Result<Glibc, ()>> {
    version.strip_prefix("GLIBC_").map(str::parse)
}

fn read(bytes: &[u8]) -> object::read::Result<Program> {
    let header = elf::FileHeader64::<Endianness>::parse(bytes)?;
    let endian = header.endian()?;
    let mut program =
        Program { machine: header.e_machine(endian), loader: None, libraries: Vec::new(), versions: BTreeMap::new() };
    for segment in header.program_headers(endian, bytes)? {
        if let Some(loader) = segment.interpreter(endian, bytes)? {
            program.loader = Some(text(loader));
        }
    }
    let sections = header.sections(endian, bytes)?;
    program.libraries = libraries(&sections, endian, bytes)?;
    program.versions = versions(&sections, endian, bytes)?;
    Ok(program)
}

type Sections<'data> = SectionTable<'data, elf::FileHeader64<Endianness>>;

fn libraries(sections: &Sections, endian: Endianness, bytes: &[u8]) -> object::read::Result<Vec<String>> {
    let Some((entries, strings)) = sections.dynamic(endian, bytes)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, bytes, strings)?;
    let needed = entries.iter().filter(|entry| entry.tag(endian) == elf::DT_NEEDED);
    needed.map(|entry| Ok(text(entry.string(endian, strings)?))).collect()
}

fn versions(
    sections: &Sections,
    endian: Endianness,
    bytes: &[u8],
) -> object::read::Result<BTreeMap<(String, String), Vec<String>>> {
    let mut versions: BTreeMap<_, Vec<String>> = BTreeMap::new();
    let Some((mut needs, strings)) = sections.gnu_verneed(endian, bytes)? else { return Ok(versions) };
    let strings = sections.strings(endian, bytes, strings)?;
    let mut by_index = BTreeMap::new();
    while let Some((need, mut entries)) = needs.next()? {
        let library = text(need.file(endian, strings)?);
        while let Some(entry) = entries.next()? {
            let key = (library.clone(), text(entry.name(endian, strings)?));
            by_index.insert(entry.vna_other.get(endian), key.clone());
            versions.entry(key).or_default();
        }
    }
    let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM)?;
    if let Some((indices, _)) = sections.gnu_versym(endian, bytes)? {
        for (symbol, index) in symbols.iter().zip(indices) {
            let key = by_index.get(&index.0.get(endian).index());
            if let Some(users) = key.and_then(|key| versions.get_mut(key)) {
                users.push(text(symbol.name(endian, symbols.strings())?));
            }
        }
    }
    Ok(versions)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
