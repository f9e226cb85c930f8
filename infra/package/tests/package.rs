//! What keeps a program from shipping, and what an archive is like.

use std::fs;
use std::path::Path;

use spillway_package::budget::Budgets;
use spillway_package::package::{Problem, archive, problems, sha256};
use spillway_package::program::{AMAZON_LINUX_2023, Architecture, Glibc, Misfit, Program};

#[cfg(target_arch = "x86_64")]
const HERE: Architecture = Architecture::X86;
#[cfg(target_arch = "aarch64")]
const HERE: Architecture = Architecture::Arm;

const GENEROUS: &str = "rollback 1000000 1000000";

/// A program as this machine's own linker makes them: this one.
fn program() -> Vec<u8> {
    fs::read(std::env::current_exe().unwrap()).unwrap()
}

/// The same with every `from` in its tables of strings changed to `to`.
fn edited(from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let (from, to) = (format!("\0{from}\0"), format!("\0{to}\0"));
    let mut program = program();
    let places: Vec<usize> = program
        .windows(from.len())
        .enumerate()
        .filter(|(_, window)| *window == from.as_bytes())
        .map(|(place, _)| place)
        .collect();
    assert!(!places.is_empty(), "{from:?} is not in this program");
    for place in places {
        program[place..place + to.len()].copy_from_slice(to.as_bytes());
    }
    program
}

fn misfits(program: &[u8]) -> Vec<Misfit> {
    Program::read(program).unwrap().misfits(HERE, Glibc { major: 2, minor: 98 })
}

mod glibc {
    use super::*;

    fn newest() -> Glibc {
        Program::read(&program()).unwrap().glibc().unwrap()
    }

    #[test]
    fn a_program_of_this_machine_is_read_and_fits_its_own_version_and_none_before() {
        let program = Program::read(&program()).unwrap();
        let newest = newest();
        assert!(newest >= Glibc { major: 2, minor: 17 }, "{newest}");
        assert_eq!(program.misfits(HERE, newest), []);
        let before = Glibc { minor: newest.minor - 1, ..newest };
        let misfits = program.misfits(HERE, before);
        let [Misfit::Version { version, library, limit, symbols }] = &misfits[..] else { panic!("{misfits:?}") };
        assert_eq!((version.as_str(), limit), (format!("GLIBC_{newest}").as_str(), &before));
        assert!(library.starts_with("lib") && !symbols.is_empty(), "{library} {symbols:?}");
    }

    #[test]
    fn a_symbol_of_a_later_one_is_refused_with_its_name_and_library() {
        let program = edited(&format!("GLIBC_{}", newest()), "GLIBC_2.99");
        let problems = problems("rollback", &program, HERE, &Budgets::parse(GENEROUS).unwrap(), &[]);
        let [Problem::Misfit(Misfit::Version { symbols, .. })] = &problems[..] else { panic!("{problems:?}") };
        let text = problems[0].to_string();
        assert!(text.starts_with("it needs GLIBC_2.99 of libc.so.6, and the runtime has glibc 2.34 (for "), "{text}");
        assert!(text.contains(&symbols[0]), "{text}");
    }

    /// `GLIBC_ABI_DT_RELR` came with 2.36 and has no number.
    #[test]
    fn a_version_without_a_number_is_refused() {
        let program = edited(&format!("GLIBC_{}", newest()), "GLIBC_RELR");
        let misfits = misfits(&program);
        assert!(matches!(&misfits[..], [Misfit::Version { version, .. }] if version == "GLIBC_RELR"), "{misfits:?}");
    }

    #[test]
    fn minor_versions_are_numbers() {
        let versions = ["2.4", "2.34", "2.9"].map(|text| text.parse::<Glibc>().unwrap());
        assert_eq!(versions.iter().max().unwrap().to_string(), "2.34");
        assert_eq!("2.2.5".parse(), Ok(Glibc { major: 2, minor: 2 }));
        for wrong in ["", "2", "2.", "ABI_DT_RELR", "PRIVATE", "2.x"] {
            assert_eq!(wrong.parse::<Glibc>(), Err(()), "{wrong}");
        }
        assert_eq!(AMAZON_LINUX_2023.to_string(), "2.34");
    }
}

mod programs {
    use super::*;

    #[test]
    fn for_other_machines_are_refused() {
        let other = if HERE == Architecture::X86 { Architecture::Arm } else { Architecture::X86 };
        let misfits = Program::read(&program()).unwrap().misfits(other, Glibc { major: 2, minor: 99 });
        assert_eq!(misfits, [Misfit::Architecture { found: HERE.name().into(), wanted: other.name() }]);
    }

    #[test]
    fn with_a_foreign_library_are_refused() {
        assert_eq!(misfits(&edited("libc.so.6", "libz.so.6"))[0], Misfit::Library("libz.so.6".into()));
    }

    #[test]
    fn with_another_loader_are_refused() {
        let loader = if HERE == Architecture::X86 { "lib64/ld-linux-x86-64.so.2" } else { "lib/ld-linux-aarch64.so.1" };
        let mut program = program();
        let place = program.windows(loader.len()).position(|window| window == loader.as_bytes()).unwrap();
        program[place..place + 3].copy_from_slice(b"opt");
        let misfits = misfits(&program);
        assert!(matches!(&misfits[0], Misfit::Loader { found, .. } if found.starts_with("/opt")), "{misfits:?}");
    }

    /// Without section headers nothing of the above can be seen.
    #[test]
    fn that_hide_what_they_need_are_refused() {
        let mut program = program();
        // e_shoff, and e_shnum with e_shstrndx, of an ELF header.
        program[0x28..0x30].fill(0);
        program[0x3c..0x40].fill(0);
        assert_eq!(misfits(&program), [Misfit::Unversioned]);
    }

    #[test]
    fn that_are_none_are_refused() {
        for wrong in [&b""[..], b"#!/bin/sh\nexit 0\n", &program()[..200]] {
            let problems = problems("rollback", wrong, HERE, &Budgets::parse(GENEROUS).unwrap(), &[]);
            assert!(matches!(&problems[..], [Problem::Misfit(Misfit::Unreadable(_))]), "{problems:?}");
        }
    }

    #[test]
    fn that_name_a_place_on_the_machine_that_built_them_are_refused() {
        let held = |path: &str| {
            let program = b"src/main.rs/home/me/spillway/src/lib.rs/rustc/abc/library/core/src/lib.rs";
            let problems = problems("rollback", program, HERE, &Budgets::default(), &[path.into()]);
            problems.contains(&Problem::HoldsPath(path.into()))
        };
        assert!(held("/home/me/spillway") && held("/home/me/") && held("/rustc/abc"));
        assert!(!held("/home/me/spill") && !held("/home/you/spillway"));
        assert!(!held("/src") && !held("/") && !held(""));
    }
}

mod budgets {
    use super::*;

    #[test]
    fn are_kept_to_the_byte() {
        let budgets = Budgets::parse("shift-weight 2 3 # measured: 1.9 and 2.8").unwrap();
        let too_large = |bytes: usize, architecture| {
            let problems = problems("shift-weight", &vec![0; bytes], architecture, &budgets, &[]);
            problems.iter().find(|problem| matches!(problem, Problem::TooLarge { .. })).map(ToString::to_string)
        };
        assert_eq!(too_large(2048, Architecture::X86), None);
        let said = "it has 2049 bytes, 1 KiB more than its budget of 2 KiB";
        assert_eq!(too_large(2049, Architecture::X86).as_deref(), Some(said));
        assert_eq!(too_large(3072, Architecture::Arm), None);
        assert!(too_large(3073, Architecture::Arm).is_some());
    }

    #[test]
    fn are_missed_where_there_is_none() {
        let problems = problems("teardown", &program(), HERE, &Budgets::parse(GENEROUS).unwrap(), &[]);
        assert!(problems.contains(&Problem::NoBudget), "{problems:?}");
    }

    #[test]
    fn are_read_or_refused_with_the_line() {
        for wrong in ["rollback", "rollback 1", "rollback 1 2 3", "rollback 1 x", "rollback -1 2", "rollback 1.5 2"] {
            let error = Budgets::parse(&format!("# KiB\n{wrong}\n")).unwrap_err();
            assert_eq!((error.line, error.text.as_str()), (2, wrong));
        }
        assert_eq!(Budgets::parse("a 1 2\n\nb 3 4\na 5 6").unwrap_err().line, 4);
    }

    /// So that a new function is noticed here, and not by whoever packs it.
    #[test]
    fn every_function_has_one() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let budgets = Budgets::parse(&fs::read_to_string(root.join("budgets.txt")).unwrap()).unwrap();
        let mut functions = Vec::new();
        for entry in fs::read_dir(root.join("../../functions")).unwrap() {
            let path = entry.unwrap().path();
            if path.join("src/main.rs").exists() {
                functions.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
        functions.sort_unstable();
        assert_eq!(functions, budgets.functions().collect::<Vec<_>>());
    }
}

mod archives {
    use super::*;
    use std::io::{Cursor, Read};

    #[test]
    fn hold_the_program_alone_executable_and_without_a_time() {
        let program = program();
        let mut zip = zip::ZipArchive::new(Cursor::new(archive(&program).unwrap())).unwrap();
        assert_eq!(zip.len(), 1);
        let mut entry = zip.by_name("bootstrap").unwrap();
        assert_eq!(entry.unix_mode(), Some(0o100_755));
        assert_eq!(entry.last_modified(), Some(zip::DateTime::default()));
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        assert!(content == program);
    }

    /// What a later version of a library may change, and with it every hash that was written down.
    #[test]
    fn of_the_same_program_are_the_same_bytes() {
        let text: String = (0..50_000_u32).map(|number| number.wrapping_mul(number).to_string()).collect();
        assert_eq!(
            sha256(&archive(text.as_bytes()).unwrap()),
            "b4449802dde4431c05fefeed8cdb0fda32c25df06de829ec3d776a696285c168"
        );
    }
}
