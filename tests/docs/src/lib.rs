//! The project's pages, as tests read them: every command in a block of shell or in the text, with what the page says that it
//! prints; and every link.

mod link;
mod page;

use std::path::{Path, PathBuf};

pub use link::{Link, anchors};
pub use page::{Command, Kind, Page};

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).to_owned()
}

/// Directories that hold what others have written.
const FOREIGN: [&str; 3] = ["target", ".git", ".terraform"];

/// Every page, in the order of their names.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn pages() -> Vec<Page> {
    let root = root();
    let mut names = Vec::new();
    collect(&root, "", &mut names);
    names.sort();
    let read =
        |name: &String| std::fs::read_to_string(root.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    names.iter().map(|name| Page::read(name, &read(name))).collect()
}

fn collect(directory: &Path, prefix: &str, into: &mut Vec<String>) {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            if !FOREIGN.contains(&name.as_str()) {
                collect(&entry.path(), &format!("{path}/"), into);
            }
        } else if Path::new(&name).extension().is_some_and(|extension| extension == "md") {
            into.push(path);
        }
    }
}
